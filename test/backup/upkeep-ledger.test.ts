import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pruneAndCertify, pruneTarget } from '../../src/backup/upkeep-deps.ts';
import { appendAt } from '../../src/billing/entries.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { parseConfig } from '../../src/config/load.ts';
import { DAEMON_SHOP } from '../../src/segment/layout.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

const DAY = 86_400_000;

test('the daily upkeep of coffre’s own - days are anchored, detail of more than 12 months goes, day by day', async () => {
  const dir = await tempDir();
  const text = `{ stateDir: ${dir}/state, encryption: none, vaults: {}, plans: {}, shops: {} }`;
  const config = parseConfig(text, join(dir, 'coffre.yaml'), {});
  await using catalog = await openCatalog(config.stateDir);
  const clock = new FakeClock('2025-01-01T12:00:00Z');
  const upkeep = async () => {
    const openVault = () => Promise.reject(new Error('no vault is asked'));
    await pruneAndCertify(config, catalog, clock, { openVault }, { ...pruneTarget(config, DAEMON_SHOP), who: 'daemon' });
  };
  const oldest = async () =>
    (await catalog.db.selectFrom('ledger').select(['at', 'key']).where('key', '!=', '').orderBy('id').limit(1).executeTakeFirst())?.key;
  const put = async (key: string) =>
    await catalog.transaction((tx) =>
      appendAt(tx, clock.nowMs(), { vault: 'nas', shop: 'dupont', key, versionId: 'v', event: 'put', bytes: 10, cause: null }),
    );
  await put('first');
  clock.advance(DAY);
  await put('second');
  await upkeep();
  expect(await catalog.db.selectFrom('anchors').select(['until', 'rows']).execute()).toEqual([{ until: Date.UTC(2025, 0, 2), rows: 1 }]);
  clock.advance(364 * DAY);
  await upkeep();
  expect(await oldest()).toBe('first');
  clock.advance(DAY);
  await upkeep();
  expect(await oldest()).toBe('second');
  clock.advance(2 * DAY);
  await upkeep();
  expect(await oldest()).toBeUndefined();
  expect(await catalog.db.selectFrom('ledger').select(['event', 'bytes']).execute()).toEqual([{ event: 'adjust', bytes: 20 }]);
});
