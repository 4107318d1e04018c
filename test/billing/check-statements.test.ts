import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { bodyText, checkStatements, recomputed } from '../../src/billing/check-statements.ts';
import { correctStatement, waitingCorrections } from '../../src/billing/corrections.ts';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { documentOf } from '../../src/billing/statement-rows.ts';
import { issueCorrections, issueStatement, pageOfStatements } from '../../src/billing/statements.ts';
import { insertTables, readTables } from '../../src/catalog/checkpoint-tables.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { contractC } from './contract.ts';

const contract = contractC({ shops: ['dupont', 'martin'] });
const other = contractC({ name: 'csi-002', paid: 'advance', shops: [], taxPercent: '8.1' });
let dir: string;
let catalog: Catalog;

/** Four statements in the order of issue: csi-001-2026-0001, csi-002-2026-0001, csi-001-2026-0002, csi-001-2026-0003 (a correction). */
beforeEach(async () => {
  dir = await tempDir();
  catalog = await openCatalog(dir);
  onTestFinished(() => catalog.close());
  const clock = new FakeClock('2026-04-01T08:00:00Z');
  const deps = { catalog, clock, config: { contracts: new Map(), shops: new Map() }, peaks: contractPeaks };
  await issueStatement(deps, contract, '2026-03', 'marie');
  await issueStatement(deps, other, '2026-04', 'marie');
  clock.setWall('2026-05-01T08:00:00Z');
  await issueStatement(deps, contract, '2026-04', 'marie');
  await correctStatement(deps, contract, { statement: 'csi-001-2026-0001', amount: '1', shop: null, reason: 'x', who: 'marie' });
  await issueCorrections(deps, contract, 'marie');
});

/** As somebody would who has the file. */
function forge(...sql: readonly string[]): void {
  const raw = new DatabaseSync(`${dir}/catalog.db`);
  raw.exec(['drop trigger "statementsNoUpdate"', 'drop trigger "statementsNoDelete"', ...sql].join(';'));
  raw.close();
}
const findings = async () => (await checkStatements(catalog.db)).findings.map(({ statement, what }) => `${statement}: ${what}`);

test('as they were issued - nothing is found, and each is what its own figures give', async () => {
  const check = await checkStatements(catalog.db);
  expect(check).toMatchObject({ statements: 4, findings: [] });
  const rows = await pageOfStatements(catalog.db, { limit: 10 });
  expect(rows.map(({ number, net }) => [number, net])).toEqual([
    ['csi-001-2026-0003', '1.00'],
    ['csi-001-2026-0002', '23.00'],
    ['csi-002-2026-0001', '23.00'],
    ['csi-001-2026-0001', '23.00'],
  ]);
  expect(check.head).toBe(rows[0]?.hash);
  for (const row of rows) {
    const statement = documentOf(row);
    const weights = ['dupont', 'martin'].map((name) => ({ name, weight: 0 }));
    expect(bodyText(recomputed(statement, null, () => weights))).toBe(bodyText(statement));
  }
});

test('one is altered in its text - named', async () => {
  forge(`update "statements" set "document" = replace("document", '23.00', '22.00') where "number" = 'csi-001-2026-0002'`);
  expect(await findings()).toContain('csi-001-2026-0002: its document is not the one that was issued');
});

test('what the list says of one is altered - named', async () => {
  forge(`update "statements" set "net" = '1.00' where "number" = 'csi-002-2026-0001'`);
  expect(await findings()).toEqual(['csi-002-2026-0001: its net in the list is 1.00, and 23.00 in its document']);
});

test('one is altered, and its hash with it - named by the next one and by the audit', async () => {
  const [row] = (await pageOfStatements(catalog.db, { limit: 10 })).filter(({ number }) => number === 'csi-001-2026-0002');
  const document = row?.document.replaceAll('marie', 'paul').replaceAll('2026-05-01', '2026-05-02') ?? '';
  const { statementHash } = await import('../../src/billing/statement-rows.ts');
  forge(`update "statements" set "document" = '${document}', "hash" = '${statementHash(document)}' where "number" = 'csi-001-2026-0002'`);
  expect(await findings()).toEqual(
    expect.arrayContaining([
      'csi-001-2026-0003: it does not follow from csi-001-2026-0002: that one was altered, or one between them is missing',
      'csi-001-2026-0002: the audit names another hash for it',
    ]),
  );
});

test.each([
  ['csi-001-2026-0001', 'it is missing'],
  ['csi-002-2026-0001', 'the audit says that it was issued, and it is missing'],
  // the newest: nothing follows it
  ['csi-001-2026-0003', 'the audit says that it was issued, and it is missing'],
])('%s is removed - named', async (number, what) => {
  forge(`delete from "statements" where "number" = '${number}'`);
  expect(await findings()).toContain(`${number}: ${what}`);
});

test('two are exchanged - both are named', async () => {
  forge(
    'update "statements" set "id" = 99 where "id" = 2',
    'update "statements" set "id" = 2 where "id" = 3',
    'update "statements" set "id" = 3 where "id" = 99',
  );
  expect(await findings()).toEqual([
    'csi-001-2026-0002: it was issued after csi-002-2026-0001, and stands after csi-001-2026-0001',
    'csi-002-2026-0001: it was issued after csi-001-2026-0001, and stands after csi-001-2026-0002',
    'csi-001-2026-0003: it was issued after csi-001-2026-0002, and stands after csi-002-2026-0001',
  ]);
});

test('nobody alters one through the catalog', async () => {
  await expect(catalog.db.updateTable('statements').set({ net: '0' }).execute()).rejects.toThrow(/stay as they were issued/);
  await expect(catalog.db.deleteFrom('statements').execute()).rejects.toThrow(/statements stay/);
  await expect(catalog.db.deleteFrom('corrections').execute()).rejects.toThrow(/corrections stay/);
});

test('a machine that is made anew from checkpoints has them all, as they were', async () => {
  const first = await readTables(catalog.db, {}, 2);
  const second = await readTables(catalog.db, first.positions, 100);
  expect([first.tables.statements?.length, second.tables.statements?.length, second.tables.corrections?.length]).toEqual([2, 2, 0]);
  await using rebuilt = await openCatalog(await tempDir());
  await rebuilt.transaction(async (tx) => {
    // the second time over the first, as when two checkpoints tell the same
    for (const { tables } of [first, second, second]) {
      const own = { statements: tables.statements ?? [], corrections: tables.corrections ?? [], audit: tables.audit ?? [] };
      expect(await insertTables(tx, own)).toEqual([]);
    }
  });
  expect(await checkStatements(rebuilt.db)).toEqual(await checkStatements(catalog.db));
  expect(await waitingCorrections(rebuilt.db)).toEqual([]);
});
