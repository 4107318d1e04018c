// What a locked checkpoint keeps of the bill, by the real program: a statement that was removed is named, and comes back with the machine;
// opening balances stay what they were.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { anchorLedger } from '../../../src/billing/anchors.ts';
import { checkStatements } from '../../../src/billing/check-statements.ts';
import { levels } from '../../../src/billing/level.ts';
import { purgeLedger } from '../../../src/billing/purge.ts';
import { openCatalog } from '../../../src/catalog/open.ts';
import { systemClock } from '../../../src/clock.ts';
import { makeSigningKey, saveSigningKey } from '../../../src/segment/signing-key.ts';
import { FilesystemVault } from '../../../src/vault/filesystem.ts';
import { FakeClock } from '../../fake-clock.ts';
import { tempDir } from '../../temp-dir.ts';
import { coffreJson } from '../run-coffre.ts';

const today = systemClock.now().toZonedDateTimeISO('UTC').toPlainDate();
const month = (before: number): string => today.subtract({ months: before }).toPlainYearMonth().toString();

test('the newest statement is removed with its audit - the checkpoint names it; rebuilt after a purge - it is there, and levels are what they were', {
  timeout: 120_000,
}, async () => {
  const dir = await tempDir();
  for (const name of ['nas', 'keys', 'shop']) mkdirSync(join(dir, name), { mode: 0o700 });
  const place = { name: 'nas', type: 'filesystem', path: join(dir, 'nas'), media: 'disk', site: 'here', offsite: false } as const;
  await new FilesystemVault(place, systemClock).initialise();
  writeFileSync(join(dir, 'shop', 'index.php'), '<?php');
  await saveSigningKey(join(dir, 'keys', 'signing.key'), makeSigningKey());
  const file = join(dir, 'coffre.yaml');
  writeFileSync(
    file,
    [
      ...['timezone: UTC', 'stateDir: state', 'encryption: none', 'signing: { keyFile: keys/signing.key }'],
      ...['vaults: { nas: { type: filesystem, path: nas } }', 'plans: { p: { retention: 14d } }'],
      'shops: { dupont: { plan: p, vaults: [nas], files: { root: shop } } }',
      'contracts: { csi: { vault: nas, subscribedTB: 1, price: { perTBMonth: "23.00" } } }',
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  const run = async (...args: string[]) => await coffreJson(['--config', file, ...args]);
  const ok = async (...args: string[]) => {
    const said = await run(...args);
    expect([args, said.status, said.json.error]).toEqual([args, 0, undefined]);
    return said.json;
  };
  await ok('backup', 'dupont');
  const issued = await ok('billing', 'statement', '--month', month(1), '--contract', 'csi', '--issue');
  // nothing was measured last month
  expect(issued.statements).toMatchObject([{ number: `csi-${today.year}-0001`, measured: null, notices: [{ code: 'unmeasured' }] }]);
  {
    // days of a second; and thirteen months later their rows go
    await systemClock.sleep(1_005 - (systemClock.nowMs() % 1_000));
    await using catalog = await openCatalog(join(dir, 'state'));
    await anchorLedger(catalog, systemClock, 1_000);
    const later = systemClock.now().toZonedDateTimeISO('UTC').add({ months: 13 }).toInstant();
    expect(await purgeLedger(catalog, new FakeClock(later.toString()))).toBeGreaterThan(0);
  }
  await ok('catalog', 'checkpoint');
  const told = async () => {
    await using catalog = await openCatalog(join(dir, 'state'));
    const openings = await catalog.db.selectFrom('ledger').select(['shop', 'bytes']).where('cause', 'like', 'opening%').execute();
    return { openings, level: await levels(catalog, { shop: 'dupont' }), ...(await checkStatements(catalog.db)) };
  };
  const before = await told();
  expect(before.openings.map(({ shop }) => shop)).toContain('dupont');

  const raw = new DatabaseSync(join(dir, 'state', 'catalog.db'));
  // the newest row, of the checkpoint's own object, which no checkpoint knows; as if its number had never been given
  raw.exec('drop trigger "ledgerNoDelete"; create table "kept" as select * from "ledger" order by "id" desc limit 1');
  raw.exec(
    `delete from "ledger" where "id" = (select "id" from "kept"); update "sqlite_sequence" set "seq" = "seq" - 1 where "name" = 'ledger'`,
  );
  const cut = await run('billing', 'prove', '--month', month(1));
  expect([cut.status, cut.json.error.code]).toEqual([6, 'E_LEDGER_ALTERED']);
  const said = (cut.json.checks as { name: string; outcome: string; detail: string; findings: string[] }[]).filter(
    ({ name, outcome }) => outcome === 'broken' || name === 'store',
  );
  expect(said).toMatchObject([
    {
      name: 'objects',
      outcome: 'broken',
      findings: [expect.stringMatching(/^nas: _coffre\/state\/.*the ledger has no row of it: it was removed$/)],
    },
    {
      name: 'store',
      outcome: 'broken',
      findings: [expect.stringMatching(/^csi: _coffre\/state\/.*no row of the ledger has it: it was removed$/)],
    },
    { name: 'store', outcome: 'unchecked', detail: expect.stringMatching(/^csi: the peak of the period is not known: /) },
  ]);
  raw.exec('insert into "ledger" select * from "kept"; drop table "kept"');
  raw.exec(`drop trigger "statementsNoDelete"; delete from "statements"; delete from "audit" where "what" = 'billing statement issue'`);
  raw.close();
  const forged = await run('billing', 'prove', '--month', month(0));
  expect([forged.status, forged.json.error.code]).toEqual([6, 'E_LEDGER_ALTERED']);
  const broken = forged.json.checks.filter(({ outcome }: { readonly outcome: string }) => outcome === 'broken');
  expect(broken).toMatchObject([{ name: 'checkpoint', vault: 'nas' }]);
  expect(broken[0].findings.at(-1)).toMatch(/_coffre\/state\/.*: it knows 1 statements, and there are fewer$/);

  rmSync(join(dir, 'state'), { recursive: true });
  await ok('catalog', 'rebuild', '--from', 'nas');
  const { findings, level, openings, statements } = await told();
  expect([openings, level, statements, findings]).toEqual([before.openings, before.level, 1, []]);
  const proof = await ok('billing', 'prove', '--month', month(0));
  expect(proof.ok).toBe(true);
});
