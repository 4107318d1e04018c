// Contract C's worked examples: what each costs is worked out by hand here; the whole documents are in golden/.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect, onTestFinished, test } from 'vitest';
import { checkStatements } from '../../src/billing/check-statements.ts';
import { correctStatement } from '../../src/billing/corrections.ts';
import { duePeriods } from '../../src/billing/due-statements.ts';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { type BillingDeps, statementRow } from '../../src/billing/statement-rows.ts';
import { type Statement, statementJsonSchema } from '../../src/billing/statement-schema.ts';
import { issueCorrections, issueStatement, readStatement } from '../../src/billing/statements.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import type { ContractConfig } from '../../src/config/config.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { contractC } from './contract.ts';

const TB = 1_000_000_000_000;
type Row = readonly [at: string, shop: string, bytes: number, vault?: string];
/** Somebody measured since then. */
const BEGINNING: Row = ['2025-01-01T00:00:00Z', 'dupont', 1, 'nas'];

async function catalogWith(rows: readonly Row[]): Promise<Catalog> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  for (const [at, shop, bytes, vault = 'offsite'] of rows) {
    const event = bytes > 0 ? ('put' as const) : ('release' as const);
    const values = { at: Date.parse(at), vault, shop, bytes, key: 'k', versionId: 'v', event, cause: null, hash: '' };
    await catalog.db.insertInto('ledger').values(values).execute();
  }
  return catalog;
}

/** At a day after the period, with a ledger. */
async function billing(contract: ContractConfig, now: string, rows: readonly Row[]): Promise<BillingDeps & { readonly clock: FakeClock }> {
  return {
    catalog: await catalogWith([BEGINNING, ...rows]),
    clock: new FakeClock(now),
    config: { contracts: new Map([[contract.name, contract]]), shops: new Map() },
    peaks: contractPeaks,
  };
}

/** Amounts and what they come from, line by line. */
const gist = ({ lines, measured, net, rebilling }: Statement) => ({
  billedTB: measured?.billedTB,
  lines: lines.map((line) =>
    line.kind === 'correction' ? `${line.of} ${line.amount}` : `${line.kind} ${line.quantityTB} x ${line.unitPrice} = ${line.amount}`,
  ),
  net,
  shops: Object.fromEntries(rebilling?.shops.map(({ amount, shop }) => [shop, amount]) ?? []),
});

async function golden(name: string, statement: Statement): Promise<void> {
  await expect(`${JSON.stringify(statement, null, 2)}\n`).toMatchFileSnapshot(`golden/${name}.json`);
}

const SHOPS = ['dupont', 'martin'];

test('peak 0 - the subscription alone, the same for each shop', async () => {
  const contract = contractC({ shops: SHOPS });
  const statement = await readStatement(await billing(contract, '2026-04-02T08:00:00Z', []), contract, '2026-03');
  expect(gist(statement)).toEqual({
    billedTB: '1',
    lines: ['subscribed 1 x 23 = 23.00'],
    net: '23.00',
    shops: { dupont: '11.50', martin: '11.50' },
  });
  expect(statement.state).toBe('draft');
  await golden('peak-0', statement);
});

test('exactly on a step - that step and no more', async () => {
  const contract = contractC({ shops: SHOPS });
  const rows: Row[] = [
    ['2026-03-10T01:00:00Z', 'dupont', 2 * TB],
    ['2026-03-20T01:00:00Z', 'martin', TB],
    ['2026-03-25T01:00:00Z', 'martin', -TB],
  ];
  const statement = await readStatement(await billing(contract, '2026-04-02T08:00:00Z', rows), contract, '2026-03');
  expect(gist(statement)).toEqual({
    billedTB: '3',
    lines: ['subscribed 1 x 23 = 23.00', 'variable 2 x 23 = 46.00'],
    net: '69.00',
    shops: { dupont: '46.00', martin: '23.00' },
  });
  await golden('on-a-step', statement);
});

test('one byte over - the next step is begun', async () => {
  const contract = contractC({ shops: SHOPS });
  const rows: Row[] = [
    ['2026-03-10T01:00:00Z', 'dupont', 2 * TB],
    ['2026-03-20T01:00:00Z', 'martin', TB + 1],
  ];
  const statement = await readStatement(await billing(contract, '2026-04-02T08:00:00Z', rows), contract, '2026-03');
  expect(gist(statement)).toMatchObject({ billedTB: '4', net: '92.00' });
  // 61.333… and 30.666…: the cent goes to the larger remainder
  expect(gist(statement).shops).toEqual({ dupont: '61.33', martin: '30.67' });
  await golden('one-byte-over', statement);
});

test('2 TB subscribed, a peak of 1.2 TB - 2 TB are due', async () => {
  const contract = contractC({ subscribedTB: 2, shops: SHOPS });
  const rows: Row[] = [['2026-03-10T01:00:00Z', 'dupont', 1.2 * TB]];
  const statement = await readStatement(await billing(contract, '2026-04-02T08:00:00Z', rows), contract, '2026-03');
  expect(gist(statement)).toEqual({
    billedTB: '2',
    lines: ['subscribed 2 x 23 = 46.00'],
    net: '46.00',
    shops: { dupont: '46.00', martin: '0.00' },
  });
  await golden('below-subscription', statement);
});

test('a lock that ended in March, an object released in April after its successor came - both are in April’s peak', async () => {
  const contract = contractC({ shops: SHOPS });
  const rows: Row[] = [
    // locked until 31 March 12:00 in Paris; prune comes on 1 April
    ['2026-03-17T02:00:00Z', 'dupont', 1.5 * TB],
    ['2026-04-01T02:00:00Z', 'dupont', 1.5 * TB],
    ['2026-04-01T04:30:00Z', 'dupont', -1.5 * TB],
    // what comes and goes in one instant was never there twice
    ['2026-04-20T02:00:00Z', 'dupont', 1.5 * TB],
    ['2026-04-20T02:00:00Z', 'dupont', -1.5 * TB],
  ];
  const deps = await billing(contract, '2026-05-02T08:00:00Z', rows);
  expect(gist(await readStatement(deps, contract, '2026-03'))).toMatchObject({ billedTB: '2', net: '46.00' });
  const april = await readStatement(deps, contract, '2026-04');
  expect(gist(april)).toMatchObject({ billedTB: '3', net: '69.00' });
  expect(april.measured).toMatchObject({ peakBytes: 3 * TB, peakAt: '2026-04-01T02:00:00Z' });
  await golden('lock-expiry-and-release', april);
});

test('the anniversary in the middle of a quarter - days before it at the old price, days from it on at the indexed one', async () => {
  const contract = contractC({
    ...{ period: 'quarter', taxPercent: '20', shops: SHOPS, title: 'Stockage immuable' },
    index: {
      ...{ s0: 299.3, anniversary: '2026-06-02' },
      values: [
        { date: '2026-04-30', value: 304.2 },
        { date: '2026-05-29', value: 305.1 },
        { date: '2026-06-30', value: 306 },
      ],
    },
  });
  const rows: Row[] = [
    ['2026-04-10T01:00:00Z', 'dupont', 2 * TB],
    ['2026-05-10T01:00:00Z', 'martin', TB / 2],
  ];
  const statement = await readStatement(await billing(contract, '2026-07-02T08:00:00Z', rows), contract, '2026-05');
  // April, May, one day of June: 61/30 months at 23; 29/30 at 23 x 305.1 / 299.3 = 23.44570…
  expect(gist(statement)).toEqual({
    billedTB: '3',
    lines: ['subscribed 1 x 23 = 46.77', 'subscribed 1 x 23.4457 = 22.66', 'variable 2 x 23 = 93.53', 'variable 2 x 23.4457 = 45.33'],
    net: '208.29',
    shops: { dupont: '166.63', martin: '41.66' },
  });
  expect([statement.tax, statement.total]).toEqual([{ percent: '20', amount: '41.66' }, '249.95']);
  await golden('anniversary-in-a-quarter', statement);
});

test('a contract that begins on 15 March and ends on 3 April - both months are due whole, May is not', async () => {
  const contract = contractC({ start: '2026-03-15', end: '2026-04-03', shops: SHOPS });
  const deps = await billing(contract, '2026-05-02T08:00:00Z', [['2026-03-20T01:00:00Z', 'dupont', 0.3 * TB]]);
  const march = await readStatement(deps, contract, '2026-03');
  expect(gist(march)).toMatchObject({ billedTB: '1', net: '23.00' });
  await golden('started-period', march);
  expect(gist(await readStatement(deps, contract, '2026-04'))).toMatchObject({ net: '23.00' });
  for (const month of ['2026-02', '2026-05']) {
    await expect(readStatement(deps, contract, month)).rejects.toMatchObject({ code: 'E_STATEMENT_NONE' });
  }
});

test('a correction in the sixth month after it - a line of the next statement; in the seventh it is refused', async () => {
  const contract = contractC({ shops: SHOPS });
  const rows: Row[] = [
    ['2026-03-10T01:00:00Z', 'dupont', 2 * TB],
    ['2026-03-10T01:00:00Z', 'martin', TB],
  ];
  const deps = await billing(contract, '2026-04-01T07:00:00Z', rows);
  const { clock, catalog } = deps;
  const { statement: march } = await issueStatement(deps, contract, '2026-03', 'marie');
  expect(march).toMatchObject({ number: 'csi-001-2026-0001', state: 'issued', net: '69.00' });
  await golden('corrected', march);
  const order = { statement: 'csi-001-2026-0001', amount: '-10.00', shop: null, reason: 'geste commercial', who: 'marie' };
  // the last instant of September in Paris
  clock.setWall('2026-09-30T21:59:59Z');
  const { correction } = (await correctStatement(deps, contract, order)).made;
  const august = (await issueStatement(deps, contract, '2026-08', 'marie')).statement;
  expect(gist(august)).toEqual({
    billedTB: '3',
    lines: ['subscribed 1 x 23 = 23.00', 'variable 2 x 23 = 46.00', 'csi-001-2026-0001 -10.00'],
    net: '59.00',
    // 46.00 - 6.67, 23.00 - 3.33
    shops: { dupont: '39.33', martin: '19.67' },
  });
  expect(august.lines.at(-1)).toMatchObject({ id: correction, reason: 'geste commercial' });
  // ids are random
  await golden('correction-in-month-6', {
    ...august,
    hash: null,
    lines: august.lines.map((line) => (line.kind === 'correction' ? { ...line, id: '' } : line)),
  });
  clock.setWall('2026-09-30T22:00:00Z');
  await expect(correctStatement(deps, contract, order)).rejects.toMatchObject({ code: 'E_STATEMENT_LATE' });
  // what was issued is as it was, and carried once
  expect(JSON.parse((await statementRow(catalog.db, 'csi-001-2026-0001')).document)).toMatchObject({ net: '69.00' });
  const september = (await issueStatement(deps, contract, '2026-09', 'marie')).statement;
  expect(gist(september)).toMatchObject({ net: '69.00' });
  expect(await checkStatements(catalog.db)).toEqual({ statements: 3, head: september.hash, findings: [] });
});

test('every golden file is a document of the published schema, to an independent validator; the schema is the one in use', async () => {
  const schema = JSON.parse(await readFile(join(import.meta.dirname, '../../config/statement.schema.json'), 'utf8'));
  expect(schema).toEqual(statementJsonSchema());
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  const validate = ajv.compile(schema);
  const folder = join(import.meta.dirname, 'golden');
  // version-1: as an older coffre issued them
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.json'));
  expect(files.length).toBeGreaterThanOrEqual(11);
  for (const file of files) {
    validate(JSON.parse(await readFile(join(folder, file), 'utf8')));
    expect([file, validate.errors]).toEqual([file, null]);
  }
  expect(validate({})).toBe(false);
});

test('a period to come - refused in arrears; in advance the volume alone, divided equally, and no peak', async () => {
  const rows: Row[] = [['2026-02-10T01:00:00Z', 'dupont', 2 * TB]];
  const arrears = contractC({ shops: SHOPS });
  const deps = await billing(arrears, '2026-03-10T08:00:00Z', rows);
  await expect(readStatement(deps, arrears, '2999-12')).rejects.toMatchObject({
    code: 'E_USAGE',
    message: expect.stringContaining('not begun'),
  });
  const advance = contractC({ shops: SHOPS, paid: 'advance', name: 'csi-002' });
  const ahead = await readStatement(deps, advance, '2026-05');
  expect(gist(ahead)).toMatchObject({ billedTB: undefined, net: '23.00', shops: { dupont: '11.50', martin: '11.50' } });
  expect([ahead.state, ahead.measured, ahead.notices]).toEqual(['provisional', null, []]);
  // of what is under way the peak so far
  expect((await readStatement(deps, advance, '2026-04')).measured?.peakBytes).toBe(2 * TB);
});

test('due and not issued - each period with its last day; what was issued, is not over, or was before the contract is none', async () => {
  const contract = contractC({ shops: SHOPS, start: '2026-02-05' });
  const deps = await billing(contract, '2026-06-10T08:00:00Z', [['2026-02-10T01:00:00Z', 'dupont', TB]]);
  await issueStatement(deps, contract, '2026-03', 'marie');
  const days = async (from?: string) => (await duePeriods(deps, contract, from)).map((one) => `${one.from} ${one.until}`);
  expect(await days()).toEqual(['2026-02-01 2026-08-31', '2026-04-01 2026-10-31', '2026-05-01 2026-11-30']);
  expect(await days('2026-04-01')).toEqual(['2026-02-01 2026-08-31']);
  await expect(issueStatement(deps, contract, '2026-06', 'marie')).rejects.toThrow(/from 2026-07-01 on \(Europe\/Paris\)/);
});

test('a statement of corrections - the weights of what it corrects, and computed again they are the same', async () => {
  const contract = contractC({ shops: SHOPS });
  const rows: Row[] = [
    ['2026-03-10T01:00:00Z', 'dupont', 3000],
    ['2026-03-10T01:00:00Z', 'martin', 1000],
  ];
  const deps = await billing(contract, '2026-04-02T08:00:00Z', rows);
  await issueStatement(deps, contract, '2026-03', 'marie');
  await correctStatement(deps, contract, { statement: 'csi-001-2026-0001', amount: '-4.00', shop: null, reason: 'x', who: 'marie' });
  const [own] = await issueCorrections(deps, contract, 'marie');
  expect(own?.rebilling?.shops).toEqual([
    { shop: 'dupont', weight: 3000, amount: '-3.00' },
    { shop: 'martin', weight: 1000, amount: '-1.00' },
  ]);
  expect((await checkStatements(deps.catalog.db)).findings).toEqual([]);
});
