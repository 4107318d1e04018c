// A year of 200 shops, with a leap day and a month that ends on the day the clocks change: peaks to the byte and statements to the cent, in
// every month, against an implementation that has nothing in common with ours.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anchorLedger } from '../../src/billing/anchors.ts';
import { CHAIN_START, chainHash } from '../../src/billing/chain.ts';
import { checkStatements } from '../../src/billing/check-statements.ts';
import { billingPeriod, periodBefore } from '../../src/billing/period.ts';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { prepareProof } from '../../src/billing/prepare-proof.ts';
import type { Statement } from '../../src/billing/statement-schema.ts';
import { issueStatement } from '../../src/billing/statements.ts';
import { type Catalog, catalogPath, openCatalog } from '../../src/catalog/open.ts';
import type { ContractConfig } from '../../src/config/config.ts';
import { FakeClock } from '../fake-clock.ts';
import { Random } from '../shop/random.ts';
import { type BruteTerms, bruteLines, brutePeak, bruteShares, bruteVariable, type Happening } from './brute-force.ts';
import { contractC } from './contract.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SHOPS = Array.from({ length: 200 }, (_, i) => `shop${String(i).padStart(3, '0')}`);
const FIRST = Date.UTC(2023, 8, 20);
const END = Date.UTC(2025, 0, 3);
const YEAR = 2024;

/** Instants at which the months of 2024 begin, by hand: Paris is 2 h ahead from 31 March to 27 October, New York 4 h behind from 10 March. */
const paris = (year: number, month: number): number => Date.UTC(year, month - 1, 1) - (month >= 4 && month <= 10 ? 2 : 1) * HOUR;
const newYork = (year: number, month: number): number => Date.UTC(year, month - 1, 1) + (month >= 4 && month <= 11 ? 4 : 5) * HOUR;

/** What 200 shops do: nightly backups, failures, prunes, suspensions, objects that are lost, and some that come just where a month ends. */
function happenings(): Happening[] {
  const all: Happening[] = [];
  for (const [i, shop] of [...SHOPS, '_coffre'].entries()) {
    const random = new Random(`billed/${shop}`);
    const size = shop === '_coffre' ? 2_000 : 1_000_000 + random.int(0, 30_000_000) * (i % 7 === 0 ? 5 : 1);
    const keptDays = i % 3 === 0 ? 30 : 14;
    const suspended = i % 17 === 0 ? FIRST + (100 + random.int(0, 150)) * DAY : null;
    const begins = FIRST + (i % 10 === 0 ? random.int(0, 200) : random.int(0, 5)) * DAY;
    const every = i % 4 === 0 ? 1 : i % 4 === 1 ? 2 : 3;
    for (const vault of i % 2 === 0 ? ['offsite', 'nas'] : ['offsite']) {
      const put = (at: number, bytes: number): void => void all.push({ at, vault, shop, bytes });
      for (let night = begins; night < END; night += every * DAY) {
        if (suspended !== null && night > suspended && night < suspended + 45 * DAY) continue;
        let at = night + 2 * HOUR + random.int(0, 2 * HOUR);
        const bytes = size + random.int(0, size);
        if (random.int(0, 20) === 0) {
          // an upload that was cut off: its parts are there until somebody aborts it
          put(at, Math.floor(bytes / 2));
          put(at + random.int(1, 3 * DAY), -Math.floor(bytes / 2));
          continue;
        }
        if (random.int(0, 5) === 0) {
          // parts that become an object within one millisecond
          put(at, Math.floor(bytes / 3));
          at += random.int(1, HOUR);
          put(at, -Math.floor(bytes / 3));
        }
        put(at, bytes);
        const lost = random.int(0, 100) === 0;
        const gone = lost ? at + random.int(1, 10 * DAY) : night + keptDays * DAY + 6 * HOUR + random.int(0, HOUR);
        put(gone, -bytes);
      }
    }
  }
  for (let month = 1; month <= 12; month++) {
    for (const start of [paris(YEAR, month), newYork(YEAR, month)]) {
      // the last millisecond of one month, the first of the next, and what is gone as soon as the month began
      for (const [shop, at, bytes] of [
        ['shop001', start - 1, 77_000_003],
        ['shop001', start + 1, -77_000_003],
        ['shop003', start, 55_000_001],
        ['shop003', start + DAY, -55_000_001],
      ] as const) {
        all.push({ at, vault: 'offsite', shop, bytes });
        all.push({ at, vault: 'nas', shop, bytes });
      }
    }
  }
  const order = all.map((one, place) => ({ one, place }));
  return order.sort((a, b) => a.one.at - b.one.at || a.place - b.place).map(({ one }) => one);
}

interface Case {
  readonly contract: ContractConfig;
  readonly terms: BruteTerms;
  readonly starts: (year: number, month: number) => number;
  readonly months: number;
  readonly covers: (shop: string) => boolean;
}

const index = {
  s0: 299.3,
  anniversary: '2023-06-02',
  values: [
    { date: '2023-05-20', value: 303.1 },
    { date: '2024-05-22', value: 311.7 },
  ],
};
const bruteIndex = {
  s0: '299.3',
  anniversary: '2023-06-02',
  values: [
    { date: '2023-05-20', value: '303.1' },
    { date: '2024-05-22', value: '311.7' },
  ],
};
const GB = 1_000_000_000n;
const some = SHOPS.slice(0, 80);
const others = SHOPS.slice(80);

const CASES: readonly Case[] = [
  {
    contract: contractC({
      ...{
        name: 'all-monthly',
        subscribedTB: 0.05,
        price: { perTBMonth: '23.00', currency: 'EUR', stepTB: 0.01 },
        taxPercent: '20',
        index,
      },
      prices: [{ from: '2024-05-15', perTBMonth: '24.35', s0: null }],
    }),
    terms: {
      subscribedBytes: 50n * GB,
      stepBytes: 10n * GB,
      price: '23.00',
      prices: [{ from: '2024-05-15', price: '24.35' }],
      index: bruteIndex,
      tax: 20n,
    },
    ...{ starts: paris, months: 1, covers: () => true },
  },
  {
    contract: contractC({
      ...{ name: 'some-quarterly', vault: 'nas', period: 'quarter', shops: some, rebill: 'peak', timezone: 'America/New_York', index },
      ...{ subscribedTB: 0.004, price: { perTBMonth: '31.57', currency: 'EUR', stepTB: 0.001 } },
    }),
    terms: { subscribedBytes: 4n * GB, stepBytes: GB, price: '31.57', prices: [], index: bruteIndex, tax: null },
    ...{ starts: newYork, months: 3, covers: (shop) => some.includes(shop) },
  },
  {
    contract: contractC({
      ...{ name: 'others-advance', vault: 'nas', shops: others, rebill: 'flat', paid: 'advance' },
      ...{ subscribedTB: 0.002, price: { perTBMonth: '19.99', currency: 'EUR', stepTB: 0.003 } },
    }),
    terms: { subscribedBytes: 2n * GB, stepBytes: 3n * GB, price: '19.99', prices: [], index: null, tax: null },
    ...{ starts: paris, months: 1, covers: (shop) => others.includes(shop) },
  },
  {
    contract: contractC({
      ...{ name: 'others-yearly', period: 'year', shops: others, rebill: 'share' },
      ...{ subscribedTB: 0.01, price: { perTBMonth: '23.00', currency: 'EUR', stepTB: 0.01 } },
      prices: [{ from: '2024-02-29', perTBMonth: '22.10', s0: null }],
    }),
    terms: {
      subscribedBytes: 10n * GB,
      stepBytes: 10n * GB,
      price: '23.00',
      prices: [{ from: '2024-02-29', price: '22.10' }],
      index: null,
      tax: null,
    },
    ...{ starts: paris, months: 12, covers: (shop) => others.includes(shop) },
  },
];

const cents = (text: string): bigint => BigInt(text.replace('.', ''));
const iso = (year: number, month: number): string =>
  `${month > 12 ? year + 1 : month < 1 ? year - 1 : year}-${String(((month + 11) % 12) + 1).padStart(2, '0')}`;

describe('a year of 200 shops', () => {
  const history = happenings();
  let catalog: Catalog;
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'coffre-test-'));
    catalog = await openCatalog(dir);
    const raw = new DatabaseSync(catalogPath(catalog.stateDir));
    const insert = raw.prepare(
      'insert into ledger (at, vault, shop, key, versionId, event, bytes, cause, hash) values (?, ?, ?, ?, ?, ?, ?, null, ?)',
    );
    raw.exec('begin');
    let head = CHAIN_START;
    for (const [i, { at, bytes, shop, vault }] of history.entries()) {
      const row = {
        at,
        vault,
        shop,
        key: `${shop}/${i}`,
        versionId: 'v',
        event: bytes > 0 ? ('put' as const) : ('release' as const),
        bytes,
        cause: null,
      };
      head = chainHash(head, row);
      insert.run(at, vault, shop, row.key, 'v', row.event, bytes, head);
    }
    raw.exec('commit');
    raw.close();
    // the last days are not anchored: their rows are read as they are
    await anchorLedger(catalog, new FakeClock('2024-12-20T12:00:00Z'));
  }, 120_000);
  afterAll(async () => {
    await catalog.close();
    await rm(dir, { recursive: true });
  });

  test.each(CASES)('$contract.name - peaks and statements, in every period', async ({ contract, covers, months, starts, terms }) => {
    const shops = new Map(SHOPS.map((name) => [name, { name, vaults: ['offsite', 'nas'] }])) as never;
    const config = { contracts: new Map([[contract.name, contract]]), shops };
    for (let month = 1; month <= 12; month += months) {
      const name = iso(YEAR, month);
      const period = billingPeriod(contract, name);
      const measured = contract.paid === 'advance' ? periodBefore(contract, period) : period;
      const first = contract.paid === 'advance' ? month - months : month;
      const [from, to] = [first, first + months].map((m) => starts(m < 1 ? YEAR - 1 : m > 12 ? YEAR + 1 : YEAR, ((m + 11) % 12) + 1)) as [
        number,
        number,
      ];
      expect([measured.start.epochMilliseconds, measured.end.epochMilliseconds], name).toEqual([from, to]);

      const peak = brutePeak(history, contract.vault, covers, from, to);
      const found = await contractPeaks(catalog, contract, measured);
      expect(found.sum, name).toEqual({ peakBytes: peak.peakBytes, at: peak.at });
      expect(new Map(found.shops.map(({ at, peakBytes, shareBytes, shop }) => [shop, { share: shareBytes, peakBytes, at }])), name).toEqual(
        new Map([...peak.shops].sort(([a], [b]) => (a < b ? -1 : 1))),
      );

      const ready = contract.paid === 'advance' ? period.start : period.end;
      const deps = { catalog, clock: new FakeClock(ready.epochMilliseconds + DAY), config, peaks: contractPeaks };
      const { statement } = await issueStatement(deps, contract, name, 'a test');
      checkAmounts(statement, { contract, covers, months, starts, terms }, peak, month);
    }
  });

  function checkAmounts(
    statement: Statement,
    { contract, terms, months, covers }: Case,
    peak: ReturnType<typeof brutePeak>,
    month: number,
  ): void {
    const name = `${contract.name} ${iso(YEAR, month)}`;
    const days = (first: number): [string, string] => {
      const end = new Date(Date.UTC(YEAR, first - 1 + months, 0)).toISOString().slice(0, 10);
      return [`${iso(YEAR, first)}-01`, end];
    };
    const variable = bruteVariable(terms, peak.peakBytes);
    const lines = [
      ...bruteLines(terms, terms.subscribedBytes, ...days(month)),
      ...bruteLines(terms, variable, ...days(contract.paid === 'advance' ? month - months : month)),
    ];
    expect(
      statement.lines.map(({ amount }) => cents(amount)),
      name,
    ).toEqual(lines);
    // what is compared is not nothing
    expect([variable > 0n, lines.length > 1, peak.shops.size > 30], name).toEqual([true, true, true]);
    const net = lines.reduce((a, b) => a + b, 0n);
    const tax = terms.tax === null ? 0n : (net * terms.tax * 2n + 100n) / 200n;
    expect([cents(statement.net), cents(statement.total)], name).toEqual([net, net + tax]);
    const weights = new Map<string, bigint>(SHOPS.filter(covers).map((shop) => [shop, contract.rebill === 'flat' ? 1n : 0n]));
    for (const [shop, { peakBytes, share }] of peak.shops) {
      if (shop !== '_coffre') weights.set(shop, contract.rebill === 'flat' ? 1n : BigInt(contract.rebill === 'peak' ? peakBytes : share));
    }
    const parts = new Map(statement.rebilling?.shops.map(({ amount, shop }) => [shop, cents(amount)]));
    expect(parts, name).toEqual(bruteShares(net, weights));
    expect(
      [...parts.values()].reduce((a, b) => a + b, 0n),
      name,
    ).toBe(net);
  }

  test('enough happened for all of this to mean something', () => {
    expect(history.length).toBeGreaterThan(80_000);
  });

  test('all of it is proved: chain, anchors, packed days, statements', async () => {
    await anchorLedger(catalog, new FakeClock('2025-01-03T12:00:00Z'));
    const { checks } = await prepareProof(catalog, { month: '2024', contracts: CASES.map(({ contract }) => contract), isNamed: false });
    // the history is of rows alone: the catalog has no objects to them
    expect(checks.filter(({ name }) => name !== 'objects').flatMap(({ findings }) => findings)).toEqual([]);
    expect(await checkStatements(catalog.db)).toMatchObject({ statements: 12 + 4 + 12 + 1, findings: [] });
    expect(checks.filter(({ name, outcome }) => name === 'peaks' && outcome === 'proven')).toHaveLength(12 + 4 + 12 + 1);
  });
});
