import { expect, onTestFinished, test } from 'vitest';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { issueStatement } from '../../src/billing/statements.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Service } from '../../src/schedule/service.ts';
import { type Told, tellCheckpoints } from '../../src/schedule/tell-checkpoints.ts';
import { contractC } from '../billing/contract.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

const CONFIG = `
timezone: UTC
stateDir: /nowhere
encryption: none
vaults: { nas: { type: filesystem, path: /nowhere/nas } }
plans: { p: { retention: 14d } }
shops: { dupont: { plan: p, vaults: [nas], files: { root: /nowhere/shop } } }
`;

test('a statement that no checkpoint knows of - one is ordered at the next look, not again for it within an hour, for a further one after a while', async () => {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const clock = new FakeClock('2026-04-01T08:00:00Z');
  const config = parseConfig(CONFIG, 'coffre.yaml', {});
  const log = { info: () => {}, warn: () => {}, error: () => {} } as unknown as Service['log'];
  const ordered: string[] = [];
  const submit = async (task: { readonly kind: string; readonly shop: string }): Promise<string> => {
    ordered.push(`${task.kind} ${task.shop}`);
    return 'run';
  };
  let told: Told | null = null;
  const after = async (minutes: number): Promise<number> => {
    clock.advance(minutes * 60_000);
    told = await tellCheckpoints({ catalog, clock, config, log, submit }, told);
    return ordered.length;
  };
  expect(await after(0)).toBe(0);
  const contract = contractC({ timezone: 'UTC' });
  const deps = { catalog, clock, config: { contracts: new Map(), shops: new Map() }, peaks: contractPeaks };
  await issueStatement(deps, contract, '2026-02', 'marie');
  expect([await after(1), await after(20), await after(38)]).toEqual([1, 1, 1]);
  expect(ordered).toEqual(['checkpoint _coffre']);
  // it failed, or was not written yet
  expect(await after(2)).toBe(2);
  await issueStatement(deps, contract, '2026-03', 'marie');
  expect([await after(1), await after(14)]).toEqual([2, 3]);
  // written: there is nothing more to do
  const object = { vault: 'nas', shop: '_coffre', key: 'k', kind: 'state', state: 'stored', versionId: 'v', createdAt: 0 } as const;
  const { id } = await catalog.db
    .insertInto('objects')
    .values({ ...object, sizeBytes: 1, expectedBytes: 1 })
    .returning('id')
    .executeTakeFirstOrThrow();
  const positions = JSON.stringify({ statements: 2, corrections: 0 });
  const row = { vault: 'nas', at: 0, objectId: id, ledgerRow: 0, ledgerHash: '', positions, setting: '' };
  await catalog.db.insertInto('checkpoints').values(row).execute();
  expect(await after(600)).toBe(3);
});
