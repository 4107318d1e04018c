// Corrections that are given, computed, withdrawn and issued alone; tax rates that change; periods of which the ledger knows nothing.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Temporal } from 'temporal-polyfill';
import { expect, onTestFinished, test } from 'vitest';
import { bodyText, checkStatements, recomputed } from '../../src/billing/check-statements.ts';
import { correctStatement, waitingCorrections, withdrawCorrection } from '../../src/billing/corrections.ts';
import { issueDue } from '../../src/billing/due-statements.ts';
import { requireKnown } from '../../src/billing/level.ts';
import { billingPeriod } from '../../src/billing/period.ts';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { proveStatements } from '../../src/billing/prove-statements.ts';
import { statementsCsv } from '../../src/billing/statement-csv.ts';
import { statementsHtml } from '../../src/billing/statement-html.ts';
import type { Statement } from '../../src/billing/statement-schema.ts';
import { draftCorrections, issueCorrections, issueStatement, readStatement } from '../../src/billing/statements.ts';
import { billingEnd, untoldVaults } from '../../src/billing/untold.ts';
import { insertTables, readTables } from '../../src/catalog/checkpoint-tables.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import type { ContractConfig } from '../../src/config/config.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { contractC } from './contract.ts';

const TB = 1e12;

/** A ledger that begins with `rows` (of the vault and one shop), at some instant. */
async function place(now: string, rows: readonly (readonly [at: string, bytes: number])[]) {
  const dir = await tempDir();
  const catalog = await openCatalog(dir);
  onTestFinished(() => catalog.close());
  for (const [at, bytes] of rows) {
    const event = bytes > 0 ? ('put' as const) : ('release' as const);
    const values = { at: Date.parse(at), vault: 'offsite', shop: 'dupont', bytes, key: 'k', versionId: 'v', event, cause: null, hash: '' };
    await catalog.db.insertInto('ledger').values(values).execute();
  }
  const clock = new FakeClock(now);
  const deps = (...contracts: readonly ContractConfig[]) => ({
    ...{ catalog, clock, peaks: contractPeaks },
    config: { contracts: new Map(contracts.map((one) => [one.name, one])), shops: new Map() },
  });
  const proved = async (contract: ContractConfig) => {
    const period = { start: clock.now().subtract({ hours: 24 * 900 }), end: clock.now() };
    return (await proveStatements(catalog, { contracts: [contract.name], period, isSound: true })).flatMap(({ findings }) => findings);
  };
  return { catalog, clock, deps, dir, proved };
}

const contract = contractC({ shops: ['dupont'], timezone: 'UTC' });
const order = { statement: 'csi-001-2026-0001', shop: null, who: 'marie' };

test('recomputed - a credit that was given stays, and is named; what was computed is not computed twice', async () => {
  const { deps, clock, proved } = await place('2026-04-01T08:00:00Z', [['2026-01-01T00:00:00Z', 1.5 * TB]]);
  await issueStatement(deps(contract), contract, '2026-03', 'marie');
  await correctStatement(deps(contract), contract, { ...order, amount: '-12.50', reason: 'two days of outage' });
  // it is found later that 24 EUR had been agreed: two TB
  const dearer = { ...contract, price: { ...contract.price, perTBMonth: '24.00' } };
  const again = { ...order, amount: null, reason: 'price of 2026' };
  const { apart, made } = await correctStatement(deps(dearer), dearer, again);
  expect([made.amount, made.recomputed, apart.map(({ amount }) => amount)]).toEqual(['2.00', 1, ['-12.50']]);
  await expect(correctStatement(deps(dearer), dearer, again)).rejects.toMatchObject({
    message: expect.stringContaining('nothing to correct: by ledger and configuration'),
    hint: expect.stringContaining('an outage'),
  });
  // withdrawn, it is missing again; the withdrawal is in no sum
  await withdrawCorrection(deps(dearer), { correction: made.correction, reason: 'no', who: 'paul' });
  const third = await correctStatement(deps(dearer), dearer, again);
  expect(third.made.amount).toBe('2.00');
  clock.setWall('2026-05-01T08:00:00Z');
  const { statement } = await issueStatement(deps(dearer), dearer, '2026-04', 'marie');
  expect(statement.lines.map(({ amount, kind }) => [kind, amount])).toEqual([
    ['subscribed', '24.00'],
    ['variable', '24.00'],
    ['correction', '-12.50'],
    ['correction', '2.00'],
  ]);
  expect(await proved(contract)).toEqual([]);
});

test('a credit beyond what was billed, less earlier credits - refused unless that is meant', async () => {
  const { deps } = await place('2026-04-01T08:00:00Z', [['2026-01-01T00:00:00Z', 1]]);
  const own = deps(contract);
  await issueStatement(own, contract, '2026-03', 'marie');
  const credit = async (amount: string, beyond = false) => await correctStatement(own, contract, { ...order, amount, reason: 'x', beyond });
  await expect(credit('-23.01')).rejects.toMatchObject({
    code: 'E_USAGE',
    message: expect.stringContaining('billed: 23.00 EUR before tax'),
  });
  await credit('-20');
  await expect(credit('-3.01')).rejects.toMatchObject({ code: 'E_USAGE', message: expect.stringContaining('corrections 3.00 EUR') });
  await credit('-3.00');
  await credit('-300', true);
  await expect(credit('0')).rejects.toThrow(/an amount of 0/);
  // what is charged needs nothing
  await credit('5');
});

test('an index that is not known any more - nothing is recomputed with the price before', async () => {
  const { deps } = await place('2026-04-01T08:00:00Z', [['2026-01-01T00:00:00Z', 1]]);
  const index = { s0: 100, anniversary: '2026-01-01', values: [{ date: '2025-12-01', value: 110 }] };
  const indexed = { ...contract, index };
  await issueStatement(deps(indexed), indexed, '2026-03', 'marie');
  const lost = { ...contract, index: { ...index, values: [] } };
  await expect(correctStatement(deps(lost), lost, { ...order, amount: null, reason: 'x' })).rejects.toMatchObject({
    code: 'E_STATEMENT_INDEX',
  });
});

test('withdrawn before any statement carried it - no statement does; a second time, or after issue, it is refused; a rebuilt machine knows it', async () => {
  const { catalog, deps, dir, proved } = await place('2026-04-01T08:00:00Z', [['2026-01-01T00:00:00Z', 1]]);
  const own = deps(contract);
  await issueStatement(own, contract, '2026-03', 'marie');
  const { made: first } = await correctStatement(own, contract, { ...order, amount: '-5', reason: 'wrong one' });
  const { made: second } = await correctStatement(own, contract, { ...order, amount: '-7', reason: 'right one' });
  const withdraw = async (correction: string) => await withdrawCorrection(own, { correction, reason: 'a slip', who: 'paul' });
  const opposite = await withdraw(first.correction);
  expect(opposite).toMatchObject({ amount: '5.00', withdraws: first.correction, who: 'paul' });
  expect((await waitingCorrections(catalog.db)).map(({ correction }) => correction)).toEqual([second.correction]);
  for (const id of [first.correction, opposite.correction])
    await expect(withdraw(id)).rejects.toMatchObject({ code: 'E_CORRECTION_STATE', message: expect.stringContaining('withdrawn') });
  await expect(withdraw('nothing')).rejects.toMatchObject({ code: 'E_UNKNOWN_CORRECTION' });

  const drafts = await draftCorrections(own, contract);
  expect(drafts).toMatchObject([{ kind: 'correction', state: 'draft', number: null, period: null, net: '-7.00' }]);
  const issued = await issueCorrections(own, contract, 'marie');
  expect(issued).toMatchObject([{ state: 'issued', number: 'csi-001-2026-0002', period: null, lines: [{ id: second.correction }] }]);
  await expect(withdraw(second.correction)).rejects.toThrow(/csi-001-2026-0002 carries it/);
  expect(await issueCorrections(own, contract, 'marie')).toEqual([]);
  expect(await proved(contract)).toEqual([]);
  // of corrections no period is told
  const [head = '', line = ''] = statementsCsv(issued, 'en').split('\r\n');
  const cells = Object.fromEntries(head.split(',').map((name, i) => [name, line.split(',')[i]]));
  expect(cells).toMatchObject({ row: 'correction', from: '', to: '', amount: '-7.00' });

  await using rebuilt = await openCatalog(await tempDir());
  const { positions, tables } = await readTables(catalog.db, {}, 100);
  const { audit = [], corrections = [], statements = [] } = tables;
  await rebuilt.transaction(async (tx) => void (await insertTables(tx, { audit, corrections, statements })));
  expect(await checkStatements(rebuilt.db)).toEqual(await checkStatements(catalog.db));
  expect(positions).toMatchObject(await billingEnd(catalog.db));
  expect(await untoldVaults(catalog.db, ['nas'], await billingEnd(catalog.db))).toEqual(['nas']);

  // somebody takes the withdrawal away, or puts it on something else
  const raw = new DatabaseSync(`${dir}/catalog.db`);
  raw.exec(`drop trigger "correctionsNoUpdate"; update "corrections" set "withdraws" = '${second.correction}' where "id" = ${opposite.id}`);
  raw.close();
  expect((await checkStatements(catalog.db)).findings.map(({ what }) => what)).toEqual(
    expect.arrayContaining([
      expect.stringContaining('and is not its opposite'),
      expect.stringContaining('is on csi-001-2026-0002, and was withdrawn'),
      expect.stringContaining('was altered'),
    ]),
  );
});

test('the tax rate changes with the year - each line has the rate of the last day of what it bills', async () => {
  const { catalog, clock, deps, proved } = await place('2027-01-02T08:00:00Z', [['2026-01-01T00:00:00Z', 1.5 * TB]]);
  const taxed = { ...contract, taxPercent: '20', taxRates: [{ from: '2027-01-01', percent: '21.5' }] };
  const arrears = await readStatement(deps(taxed), taxed, '2026-12');
  expect([arrears.tax, arrears.taxes?.length, arrears.terms.taxPercent]).toEqual([{ percent: '20', amount: '9.20' }, 1, '20']);
  // paid in advance: January's volume, and what was used in December
  const advance = { ...taxed, name: 'csi-002', paid: 'advance' as const };
  const { statement } = await issueStatement(deps(advance), advance, '2027-01', 'marie');
  expect(statement.taxes).toEqual([
    { percent: '21.5', net: '23.00', amount: '4.95' },
    { percent: '20', net: '23.00', amount: '4.60' },
  ]);
  expect([statement.tax, statement.total]).toEqual([{ percent: null, amount: '9.55' }, '55.55']);
  expect(statementsHtml([statement], 'fr')).toContain('TVA 21,5\u202f% sur 23,00\u00a0€');
  const rows = statementsCsv([statement], 'fr', ';')
    .split('\r\n')
    .map((row) => row.split(';'));
  const at = (name: string): number => rows[0]?.indexOf(name) ?? -1;
  const amounts = rows.slice(1, -1).map((row) => [row[at('row')], row[at('tax_percent')], row[at('amount')]]);
  expect(amounts.slice(2, 6)).toEqual([
    ['net', '', '46,00'],
    ['tax', '21,5', '4,95'],
    ['tax', '20', '4,60'],
    ['total', '', '55,55'],
  ]);
  clock.setWall('2027-02-01T08:00:00Z');
  const february = (await issueStatement(deps(advance), advance, '2027-02', 'marie')).statement;
  expect(february.tax).toEqual({ percent: '21.5', amount: '9.89' });
  expect([await proved(advance), (await checkStatements(catalog.db)).findings]).toEqual([[], []]);
});

test('before the ledger began - nothing is told as measured, and the statement says so; in the month in which it began it says since when', async () => {
  const { catalog, clock, deps, proved } = await place('2026-03-20T08:00:00Z', [['2026-03-10T09:00:00Z', 1.5 * TB]]);
  const auto = { ...contract, issue: 'auto' as const };
  // February ended before anything was measured: nobody issues it unasked
  expect(await issueDue(deps(auto), 'coffre')).toEqual({ issued: [], failed: [] });
  const { statement } = await issueStatement(deps(contract), contract, '2026-02', 'marie');
  expect(statement).toMatchObject({ measured: null, net: '23.00', notices: [{ code: 'unmeasured', day: '2026-02-28' }] });
  expect(statementsHtml([statement], 'fr')).toContain('jusqu’au 28 février 2026\u202f: l’utilisation variable n’est pas connue');
  expect(statementsHtml([statement], 'fr')).toContain('à parts égales, faute d’occupation mesurée');
  expect(statementsHtml([statement], 'fr')).not.toContain('0 octet');
  clock.setWall('2026-04-01T08:00:00Z');
  const { issued } = await issueDue(deps(auto), 'coffre');
  expect(issued).toMatchObject([{ measured: { peakBytes: 1.5 * TB }, net: '46.00', notices: [{ code: 'unmeasured', day: '2026-03-09' }] }]);
  expect(statementsHtml([...issued], 'fr')).toContain('Les mesures commencent le 10 mars 2026\u202f: l’occupation antérieure');
  expect((await readStatement(deps(contract), contract, '2026-04')).notices).toEqual([]);
  expect([await proved(contract), (await checkStatements(catalog.db)).findings]).toEqual([[], []]);
});

test('before its start, after its end - said so, however long ago', async () => {
  const { deps } = await place('2026-04-01T08:00:00Z', []);
  const term = { ...contract, start: '2025-06-02', end: '2026-02-10' };
  const said = async (month: string) => await issueStatement(deps(term), term, month, 'marie').catch((error: Error) => error.message);
  expect(await said('2024-01')).toBe('contract csi-001 begins on 2025-06-02: it owes nothing for 2024-01-01 to 2024-01-31');
  expect(await said('2026-03')).toBe('contract csi-001 ended on 2026-02-10: it owes nothing for 2026-03-01 to 2026-03-31');
});

test.each(['anniversary-in-a-quarter', 'correction-in-month-6', 'statement-of-corrections'])(
  '%s, issued by an older coffre - computed again it is the same document',
  (name) => {
    const statement: Statement = JSON.parse(readFileSync(join(import.meta.dirname, 'golden/version-1', `${name}.json`), 'utf8'));
    // one of corrections is divided as the one that it corrects was
    const ofCorrected = [
      { name: 'dupont', weight: 1.5 * TB },
      { name: 'martin', weight: 0.5 * TB },
    ];
    const own = (statement.rebilling?.shops ?? []).map(({ shop, weight }) => ({ name: shop, weight }));
    const weights = statement.kind === 'correction' ? ofCorrected : own;
    expect(bodyText(recomputed(statement, null, () => weights))).toBe(bodyText(statement));
    expect(statementsCsv([statement], 'en')).toContain(',net,');
  },
);

test('asked of what is to come, or of what was before the ledger began - no level is told', async () => {
  const { catalog, clock } = await place('2026-04-01T08:00:00Z', [['2026-03-10T09:00:00Z', 5]]);
  const known = async (at: string) => await requireKnown(catalog.db, Temporal.Instant.from(at), clock.now());
  await known('2026-03-10T09:00:00Z');
  await known('2026-04-01T08:00:30Z');
  await expect(known('2026-04-01T08:02:00Z')).rejects.toThrow(/still to come/);
  await expect(known('2026-03-10T08:59:59Z')).rejects.toThrow(/nothing was measured by then: the ledger begins at 2026-03-10T09:00:00Z/);
});

test('a contract that is declared no more, and a correction of it - proved all the same unless others are named', async () => {
  const { catalog, clock, deps } = await place('2026-04-01T08:00:00Z', [['2026-01-01T00:00:00Z', 1.5 * TB]]);
  await issueStatement(deps(contract), contract, '2026-03', 'marie');
  clock.setWall('2026-07-01T08:00:00Z');
  await correctStatement(deps(contract), contract, { ...order, amount: '-5', reason: 'x' });
  await issueCorrections(deps(contract), contract, 'marie');
  const period = billingPeriod(contract, '2026-03');
  const proved = async (names: readonly string[] | null) =>
    (await proveStatements(catalog, { contracts: names, period, isSound: true })).map(({ detail }) => detail).slice(1);
  expect(await proved(null)).toEqual([
    'statement csi-001-2026-0001: computed again from the ledger',
    'statement csi-001-2026-0002: computed again from its corrections',
  ]);
  expect(await proved(['csi-002'])).toEqual([]);
});
