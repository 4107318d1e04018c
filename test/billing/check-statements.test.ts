import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { CHAIN_START } from '../../src/billing/chain.ts';
import { correctionsEnd } from '../../src/billing/check-corrections.ts';
import { bodyText, checkStatements, recomputed } from '../../src/billing/check-statements.ts';
import { correctStatement, waitingCorrections } from '../../src/billing/corrections.ts';
import { isLastIssued } from '../../src/billing/due-statements.ts';
import { billingMark } from '../../src/billing/mark.ts';
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
  raw.exec(['drop trigger if exists "statementsNoUpdate"', 'drop trigger if exists "statementsNoDelete"', ...sql].join(';'));
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

test('a contract that ended - known to have no statement more once its last one was issued', async () => {
  const isLast = (other: Parameters<typeof contractC>[0]) => isLastIssued(catalog.db, { ...contract, ...other });
  expect([await isLast({}), await isLast({ end: '2026-05-02' }), await isLast({ end: '2026-04-20' })]).toEqual([false, false, true]);
  // its last volume comes in advance's next statement
  expect(await isLast({ end: '2026-04-20', paid: 'advance' })).toBe(false);
});

test('the tax rate changes - a correction keeps that of what it corrects, on a statement of its own', async () => {
  const config = { contracts: new Map(), shops: new Map() };
  const deps = { catalog, clock: new FakeClock('2026-06-01T08:00:00Z'), config, peaks: contractPeaks };
  const taxed = { ...contract, taxPercent: '20' };
  await correctStatement(deps, taxed, { statement: 'csi-001-2026-0002', amount: '-10', shop: null, reason: 'y', who: 'marie' });
  const { statement } = await issueStatement(deps, taxed, '2026-05', 'marie');
  expect([statement.net, statement.total]).toEqual(['23.00', '27.60']);
  const order = { statement: statement.number ?? '', amount: '-10', shop: null, reason: 'z', who: 'marie' };
  await correctStatement(deps, contract, order);
  const last = (await issueCorrections(deps, contract, 'marie')).at(-1);
  expect([last?.kind, last?.total, last?.tax]).toEqual(['correction', '-12.00', { percent: '20', amount: '-2.00' }]);
  const untaxed = documentOf((await pageOfStatements(catalog.db, { limit: 2 }))[1] ?? { document: '{}', hash: '' });
  expect(untaxed).toMatchObject({ number: 'csi-001-2026-0005', kind: 'correction', total: '-10.00', tax: null });
  expect(await findings()).toEqual([]);
});

const forgeCorrections = (...statements: readonly string[]): void =>
  forge('drop trigger if exists "correctionsNoUpdate"', 'drop trigger if exists "correctionsNoDelete"', ...statements);

/** A second and a third correction, which wait; the mark of a checkpoint written then. */
async function twoThatWait() {
  const config = { contracts: new Map(), shops: new Map() };
  const deps = { catalog, clock: new FakeClock('2026-05-02T08:00:00Z'), config, peaks: contractPeaks };
  const order = { statement: 'csi-001-2026-0002', shop: null, who: 'marie' };
  const first = await correctStatement(deps, contract, { ...order, amount: '-2', reason: 'y' });
  const second = await correctStatement(deps, contract, { ...order, amount: '-3', reason: 'z' });
  return { first: first.made.correction, second: second.made.correction };
}

test('corrections as they were made - nothing is found; the mark of a checkpoint counts them', async () => {
  const { count } = await correctionsEnd(catalog.db);
  await twoThatWait();
  expect([count, await findings()]).toEqual([1, []]);
  const mark = await billingMark(catalog.db, { row: 0, hash: CHAIN_START });
  expect(mark).toMatchObject({ corrections: 3, correction: (await correctionsEnd(catalog.db, 3)).hash });
  forgeCorrections(`update "corrections" set "who" = 'paul' where "id" = 2`);
  expect((await correctionsEnd(catalog.db, 3)).hash).not.toBe(mark.correction);
});

test('a correction that a statement carries is altered - named by that one', async () => {
  forgeCorrections(`update "corrections" set "amount" = '9.00' where "id" = 1`);
  expect(await findings()).toContainEqual(
    expect.stringMatching(/^csi-001-2026-0001: its correction \w+ is not what csi-001-2026-0003 says$/),
  );
});

test('one that waits is altered, removed, or exchanged with another - named by the audit', async () => {
  const { first, second } = await twoThatWait();
  const of = 'csi-001-2026-0002';
  forgeCorrections(`update "corrections" set "amount" = '-20.00' where "id" = 2`);
  expect(await findings()).toContain(`${of}: its correction ${first} is not what the audit says: -2.00, y`);
  forge(`update "corrections" set "amount" = '-2.00', "who" = 'paul' where "id" = 2`);
  expect(await findings()).toContainEqual(expect.stringContaining(`${of}: its correction ${first} was altered`));
  forge(`update "corrections" set "who" = 'marie' where "id" = 2`);
  expect(await findings()).toEqual([]);
  forge(
    ...['"id" = 9 where "id" = 2', '"id" = 2 where "id" = 3', '"id" = 3 where "id" = 9'].map((set) => `update "corrections" set ${set}`),
  );
  expect(await findings()).toContainEqual(expect.stringContaining(`${of}: its correction ${first} was altered, or one before it`));
  forge(`delete from "corrections" where "correction" = '${first}'`);
  expect(await findings()).toContain(`${of}: its correction ${first} was made by the audit, and is missing`);
  forge(`delete from "corrections" where "correction" = '${second}'`);
  expect(await findings()).toContain(`${of}: its correction ${second} was made by the audit, and is missing`);
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
