import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, onTestFinished, test } from 'vitest';
import { anchorLedger, DAY_MS, packDays } from '../../src/billing/anchors.ts';
import { checkChain } from '../../src/billing/chain.ts';
import { appendAt } from '../../src/billing/entries.ts';
import { ledgerPage } from '../../src/billing/ledger-page.ts';
import { levels } from '../../src/billing/level.ts';
import { contractPeaks, rowPeaks } from '../../src/billing/period-peaks.ts';
import { prepareProof } from '../../src/billing/prepare-proof.ts';
import { countFindings, proveLedger } from '../../src/billing/prove-ledger.ts';
import { purgeLedger, unbilledFrom } from '../../src/billing/purge.ts';
import { addPage, openLedger, sayLost } from '../../src/billing/recovered.ts';
import { insertTables, readTables } from '../../src/catalog/checkpoint-tables.ts';
import { type Catalog, catalogPath, openCatalog } from '../../src/catalog/open.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { contractC } from './contract.ts';

const START = Date.UTC(2025, 0, 1);
const SHOPS = ['dupont', 'martin', '_coffre'];

async function open(): Promise<Catalog> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  return catalog;
}

interface Step {
  readonly atMs: number;
  readonly shop: string;
  readonly bytes: number;
}

async function write(catalog: Catalog, steps: readonly Step[]): Promise<void> {
  await catalog.transaction(async (tx) => {
    for (const { atMs, bytes, shop } of steps) {
      const event = bytes > 0 ? 'put' : 'release';
      await appendAt(tx, atMs, { vault: 'offsite', shop, key: 'k', versionId: 'v', event, bytes, cause: null });
    }
  });
}

/** Two years, a few rows each day. */
function steps(days: number, everyDays = 1): Step[] {
  const all: Step[] = [];
  for (let day = 0; day < days; day += everyDays) {
    for (const [i, shop] of SHOPS.entries()) {
      const bytes = ((day * 7919 + i * 104_729) % 997) + 1;
      all.push({ atMs: START + day * DAY_MS + (i + 1) * 3_600_000, shop, bytes });
      if (day % 3 === 2) all.push({ atMs: START + day * DAY_MS + 5 * 3_600_000 + i, shop, bytes: -bytes });
    }
  }
  return all.sort((a, b) => a.atMs - b.atMs);
}

/** What is altered behind everybody's back. */
function tamper(catalog: Catalog, sql: string): void {
  const raw = new DatabaseSync(catalogPath(catalog.stateDir));
  const triggers = ['ledgerNoUpdate', 'ledgerNoDelete', 'anchorsNoUpdate', 'anchorsNoDelete'];
  for (const name of triggers) raw.exec(`drop trigger if exists ${name}`);
  raw.exec(sql);
  raw.close();
}

const findings = async (catalog: Catalog): Promise<string[]> => (await proveLedger(catalog)).flatMap((one) => one.findings);

test('any history, any period - the same peaks from packed days, from the ledger itself, and from half of each', async () => {
  const step = fc.record({
    gap: fc.nat({ max: 20 * 3_600_000 }),
    shop: fc.constantFrom(...SHOPS),
    bytes: fc.integer({ min: -400, max: 500 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), fc.nat(30), fc.nat(30), async (raw, a, b) => {
      let atMs = START;
      const history = raw
        .map(({ gap, shop, bytes }) => {
          atMs += gap;
          return { atMs, shop, bytes };
        })
        .filter(({ bytes }) => bytes !== 0);
      const period = {
        start: Temporal.Instant.fromEpochMilliseconds(START + Math.min(a, b) * 7 * 3_600_000),
        end: Temporal.Instant.fromEpochMilliseconds(START + (Math.max(a, b) + 1) * 7 * 3_600_000),
      };
      const contract = { vault: 'offsite', shops: null };
      await using catalog = await openCatalog(await tempDir());
      await write(catalog, history);
      const plain = await contractPeaks(catalog, contract, period);
      await anchorLedger(catalog, new FakeClock(START + 4 * DAY_MS));
      expect(await contractPeaks(catalog, contract, period)).toEqual(plain);
      await anchorLedger(catalog, new FakeClock(START + 40 * DAY_MS));
      expect(await contractPeaks(catalog, contract, period)).toEqual(plain);
    }),
    { numRuns: 10, endOnFailure: true },
  );
});

test('levels at any instant - the same with anchors and without', async () => {
  const catalog = await open();
  await write(catalog, steps(9));
  const instants = [undefined, ...[0, 1, 2.5, 5, 7, 8.99, 30].map((day) => Temporal.Instant.fromEpochMilliseconds(START + day * DAY_MS))];
  const all = async () => {
    const found = [];
    for (const at of instants) {
      for (const filter of [{}, { vault: 'offsite' }, { shop: 'dupont' }, { vault: 'nas' }]) {
        found.push((await levels(catalog, { ...filter, at })).filter(({ levelBytes }) => levelBytes !== 0));
      }
    }
    return found;
  };
  const plain = await all();
  await anchorLedger(catalog, new FakeClock(START + 7 * DAY_MS));
  expect(await all()).toEqual(plain);
});

test('a clock set back behind an anchored day - the row is dated at that day’s end, and the day’s peak stays', async () => {
  const catalog = await open();
  await write(catalog, steps(2));
  await anchorLedger(catalog, new FakeClock(START + 5 * DAY_MS));
  await write(catalog, [{ atMs: START, shop: 'dupont', bytes: 1_000_000 }]);
  const last = await catalog.db.selectFrom('ledger').select('at').orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow();
  expect(last.at).toBe(START + 5 * DAY_MS);
});

describe('what was altered is found and named', () => {
  async function anchored(): Promise<Catalog> {
    const catalog = await open();
    await write(catalog, steps(12));
    expect(await anchorLedger(catalog, new FakeClock(START + 10 * DAY_MS + 1))).toBe(10);
    expect(await findings(catalog)).toEqual([]);
    return catalog;
  }

  test.each([
    ['a row altered', 'update ledger set bytes = bytes + 1 where id = 7', /^row 7: it was altered/],
    ['a row removed', 'delete from ledger where id = 7', /^row 8: row 7 is missing before it/],
    [
      'two rows reordered',
      'update ledger set id = -1 where id = 7; update ledger set id = 7 where id = 8; update ledger set id = 8 where id = -1',
      /^row 7: it was altered/,
    ],
    ['the last rows cut off', 'delete from ledger where id > 30', /^anchor 9 .*it knows row 3\d, the ledger has none/],
    ['an anchor altered', 'update anchors set rows = rows + 1 where id = 4', /^anchor 4 .*it was altered/],
    ['an anchor removed', 'delete from anchors where id = 4', /^anchor 5 .*anchors 4 to 4 are missing/],
    ['an anchor’s levels altered', `update anchors set levels = '[]' where id = 4`, /^anchor 4 .*its levels were altered/],
    [
      'a packed day altered',
      `update ledgerMoves set pairs = replace(pairs, 'dupont', 'durand') where anchorId = 4`,
      /^anchor 4 .*packed for it are not those/,
    ],
    [
      'rows removed as if they had been purged',
      "insert into ledgerStarts (at, row, hash, until, openings, cause) select until + 1000, row, head, until, 0, 'purged' from anchors where id = 2; delete from ledger where id <= (select row from anchors where id = 2)",
      /before they were 12 months old/,
    ],
  ])('%s', async (_name, sql, expected) => {
    const catalog = await anchored();
    tamper(catalog, sql);
    const found = await findings(catalog);
    expect(
      found.some((text) => expected.test(text)),
      found.join('\n'),
    ).toBe(true);
  });

  test('one row altered - one finding of the chain, one of all anchors behind it, one of its day; the peak from rows is another one', async () => {
    const catalog = await anchored();
    const contract = { vault: 'offsite', shops: null };
    const period = {
      start: Temporal.Instant.fromEpochMilliseconds(START),
      end: Temporal.Instant.fromEpochMilliseconds(START + 9 * DAY_MS),
    };
    const peak = (await rowPeaks(catalog, contract, period)).sum;
    expect((await contractPeaks(catalog, contract, period)).sum).toEqual(peak);
    tamper(catalog, 'update ledger set bytes = bytes + 5000 where id = 7');
    const checks = await proveLedger(catalog);
    expect(checks.flatMap((one) => one.findings)).toEqual([
      'row 7: it was altered, or a row before it was removed or moved',
      expect.stringMatching(/^anchor 3 .*dupont: it says .*\(see row 7\); anchors 4 to 10 follow from it$/),
      expect.stringMatching(/^anchor 3 .*the rows packed for it are not those of the ledger \(see row 7\)$/),
    ]);
    expect(countFindings(checks)).toBe(3);
    expect((await contractPeaks(catalog, contract, period)).sum).toEqual(peak);
    expect((await rowPeaks(catalog, contract, period)).sum.peakBytes).toBe(peak.peakBytes + 5000);
    // where the ledger is broken, no peak is called proven: neither the packed one nor what the rows say now
    const { peaks } = await prepareProof(catalog, { month: '2025-01', contracts: [contractC({ timezone: 'UTC' })], isNamed: true });
    expect(peaks.map(({ why }) => why)).toEqual(['the ledger is broken, and no peak follows from it']);
  });

  test('the newest row removed, which no anchor knows - missed by its number, also once others stand behind it', async () => {
    const catalog = await anchored();
    const { id } = await catalog.db.selectFrom('ledger').select('id').orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow();
    tamper(catalog, `delete from ledger where id = ${id}`);
    expect(await findings(catalog)).toEqual([`row ${id} is missing: the ledger has none behind row ${id - 1}`]);
    expect(await checkChain(catalog)).toMatchObject({ brokenAt: id });
    await write(catalog, [{ atMs: START + 12 * DAY_MS, shop: 'dupont', bytes: 1 }]);
    expect(await findings(catalog)).toEqual([`row ${id + 1}: row ${id} is missing before it`]);
    expect(await checkChain(catalog)).toMatchObject({ brokenAt: id });
  });

  test('a row altered and every later hash made to fit - the anchors know', async () => {
    const catalog = await anchored();
    const rows = await catalog.db.selectFrom('ledger').selectAll().orderBy('id').execute();
    const { chainHash } = await import('../../src/billing/chain.ts');
    let head = rows[5]?.hash ?? '';
    const sql = rows.slice(6).map((row) => {
      const altered = { ...row, bytes: row.id === 7 ? row.bytes - 1 : row.bytes };
      head = chainHash(head, altered);
      return `update ledger set bytes = ${altered.bytes}, hash = '${head}' where id = ${row.id}`;
    });
    tamper(catalog, sql.join(';'));
    expect(await checkChain(catalog)).toMatchObject({ brokenAt: null });
    expect((await findings(catalog))[0]).toMatch(/^anchor 3 .*it says that row 12 has the hash/);
  });
});

test('after 12 months - detail goes, levels, later peaks and the chain stay; the month before says plainly that it is gone', async () => {
  const catalog = await open();
  await write(catalog, steps(460, 4));
  const clock = new FakeClock('2026-03-15T07:30:00Z');
  await anchorLedger(catalog, clock);
  const before = await levels(catalog);
  const contract = { vault: 'offsite', shops: null };
  const march = { start: Temporal.Instant.from('2025-03-16T00:00:00Z'), end: Temporal.Instant.from('2025-04-01T00:00:00Z') };
  const peaks = await contractPeaks(catalog, contract, march);
  const then = await levels(catalog, { at: Temporal.Instant.from('2025-06-01T12:00:00Z') });
  const gone = await purgeLedger(catalog, clock);
  expect(gone).toBeGreaterThan(50);
  expect(await levels(catalog)).toEqual(before);
  expect(await findings(catalog)).toEqual([]);
  expect(await checkChain(catalog)).toMatchObject({ brokenAt: null });
  expect(await contractPeaks(catalog, contract, march)).toEqual(peaks);
  // a level of that time: at the end of a day, not within it
  const at = (text: string) => ({ at: Temporal.Instant.from(text) });
  expect((await levels(catalog, at('2025-02-01T23:59:59.999Z'))).map(({ shop }) => shop)).toEqual(['_coffre', 'dupont', 'martin']);
  await expect(levels(catalog, at('2025-02-01T12:00:00Z'))).rejects.toMatchObject({ code: 'E_LEDGER_PURGED' });
  expect(await levels(catalog, at('2025-06-01T12:00:00Z'))).toEqual(then);
  const oldest = await catalog.db.selectFrom('ledger').select('at').orderBy('id').executeTakeFirstOrThrow();
  expect(oldest.at).toBeLessThan(Date.UTC(2025, 2, 15));
  const february = { start: Temporal.Instant.from('2025-02-01T00:00:00Z'), end: Temporal.Instant.from('2025-03-01T00:00:00Z') };
  await expect(contractPeaks(catalog, contract, february)).rejects.toMatchObject({ code: 'E_LEDGER_PURGED' });
  // four days later one more goes; nothing else is touched
  clock.advance(4 * DAY_MS);
  await anchorLedger(catalog, clock);
  expect(await purgeLedger(catalog, clock)).toBeGreaterThan(0);
  expect(await purgeLedger(catalog, clock)).toBe(0);
  expect(await findings(catalog)).toEqual([]);
  await expect(catalog.db.deleteFrom('ledger').where('id', '>', 350).execute()).rejects.toThrow(/append-only/);
});

test('a year that nobody has billed yet - its rows stay', async () => {
  const catalog = await open();
  await write(catalog, steps(400, 5));
  const clock = new FakeClock('2026-02-15T07:30:00Z');
  await anchorLedger(catalog, clock);
  const yearly = contractC({ period: 'year', timezone: 'UTC' });
  const from = (now: string) => unbilledFrom(catalog.db, [yearly, contractC()], Temporal.Instant.from(now));
  expect([await from('2026-01-01T00:00:00Z'), await from('2026-01-31T00:00:00Z'), await from('2026-02-15T07:30:00Z')]).toEqual([
    START,
    START,
    null,
  ]);
  expect(await purgeLedger(catalog, clock, await from('2026-01-31T00:00:00Z'))).toBe(0);
});

test.each([
  ['in the middle of a day', 20],
  ['behind every anchor', 31],
])(
  'rebuilt without its oldest rows, %s - levels, later peaks and the chain are what they were, and days are anchored on',
  async (_name, lost) => {
    const catalog = await open();
    await write(catalog, steps(10));
    await anchorLedger(catalog, new FakeClock(START + 8 * DAY_MS));
    const page = await ledgerPage(catalog.db, { row: lost, hash: (await rowOf(catalog, lost)).hash }, 1000);
    const rebuilt = await open();
    await rebuilt.transaction(async (tx) => {
      const { tables } = await readTables(catalog.db, {}, 100);
      await insertTables(tx, { anchors: tables.anchors ?? [] });
      const since = page.rows[0]?.at ?? 0;
      await addPage(tx, page, await openLedger(tx, page, since));
      await sayLost(tx, page.after, since, START + 11 * DAY_MS);
    });
    expect(await levels(rebuilt)).toEqual(await levels(catalog));
    await anchorLedger(catalog, new FakeClock(START + 12 * DAY_MS));
    await anchorLedger(rebuilt, new FakeClock(START + 12 * DAY_MS));
    const told = async (from: Catalog) => (await from.db.selectFrom('anchors').select(['until', 'hash']).orderBy('id').execute()).slice(-4);
    expect(await told(rebuilt)).toEqual(await told(catalog));
    const contract = { vault: 'offsite', shops: null };
    const last = {
      start: Temporal.Instant.fromEpochMilliseconds(START + 8.5 * DAY_MS),
      end: Temporal.Instant.fromEpochMilliseconds(START + 11 * DAY_MS),
    };
    expect(await contractPeaks(rebuilt, contract, last)).toEqual(await contractPeaks(catalog, contract, last));
    expect(await findings(rebuilt)).toEqual([]);
    expect([await packDays(rebuilt), await packDays(rebuilt)]).toEqual([lost === 20 ? 3 : 0, 0]);
    expect(await contractPeaks(rebuilt, contract, last)).toEqual(await contractPeaks(catalog, contract, last));
    expect(await findings(rebuilt)).toEqual([]);
    await expect(contractPeaks(rebuilt, contract, { ...last, start: Temporal.Instant.fromEpochMilliseconds(START) })).rejects.toMatchObject(
      {
        code: 'E_LEDGER_PURGED',
        message: expect.stringMatching(/lost with the machine/),
      },
    );
  },
);

const rowOf = async (catalog: Catalog, id: number) =>
  await catalog.db.selectFrom('ledger').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
