import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MovesBuilder, packMoves, unpackMoves } from '../../src/billing/moves.ts';
import { PeakScan, type Peaks } from '../../src/billing/peaks.ts';

interface LevelChange {
  readonly at: number;
  readonly shop: string;
  readonly bytes: number;
}

function scanned(startMs: number, opening: ReadonlyMap<string, number>, pages: readonly (readonly LevelChange[])[]): Peaks {
  const scan = new PeakScan(startMs, [{ vault: 'offsite', covers: () => true }]);
  scan.open([...opening].map(([name, bytes]) => ['offsite', name, bytes] as const));
  const builder = new MovesBuilder();
  for (const [i, page] of pages.entries()) {
    for (const row of page) builder.add({ ...row, vault: 'offsite' });
    const moves = builder.take();
    // as rows come from the ledger, and as they come from where a day is packed
    const packed = packMoves(moves);
    scan.add(i % 2 === 0 ? moves : unpackMoves(moves.pairs, packed), 0, moves.length);
  }
  return scan.end()[0] as Peaks;
}

/** The definition, written out: for each instant the sum of everything up to it. Quadratic, and none of the code under test. */
function replay(startMs: number, opening: ReadonlyMap<string, number>, rows: readonly LevelChange[]) {
  const names = [...new Set([...opening.keys(), ...rows.map((row) => row.shop)])].sort();
  const levelAt = (shop: string, at: number): number =>
    (opening.get(shop) ?? 0) + rows.filter((row) => row.shop === shop && row.at <= at).reduce((sum, row) => sum + row.bytes, 0);
  const instants = [...new Set(rows.map((row) => row.at))];
  const highest = (levelOf: (at: number) => number, openingLevel: number) => {
    const candidates = [{ peakBytes: openingLevel, at: startMs }, ...instants.map((at) => ({ peakBytes: levelOf(at), at }))];
    const peakBytes = Math.max(...candidates.map((candidate) => candidate.peakBytes));
    return candidates.find((candidate) => candidate.peakBytes === peakBytes) as { peakBytes: number; at: number };
  };
  const sumAt = (at: number): number => names.reduce((sum, shop) => sum + levelAt(shop, at), 0);
  const openingSum = [...opening.values()].reduce((a, b) => a + b, 0);
  const sum = highest(sumAt, openingSum);
  const atOpening = sum.peakBytes === openingSum;
  return {
    sum,
    shops: names.map((shop) => ({
      shop,
      ...highest((at) => levelAt(shop, at), opening.get(shop) ?? 0),
      shareBytes: atOpening ? (opening.get(shop) ?? 0) : levelAt(shop, sum.at),
    })),
  };
}

function pagesOf(rows: readonly LevelChange[], size: number): LevelChange[][] {
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size));
}

const shop = fc.constantFrom('dupont', 'martin', '_coffre');

test('any history - the same peaks, instants and shares as a replay of the definition, however it is cut into pages', () => {
  const history = fc.record({
    opening: fc.array(fc.tuple(shop, fc.integer({ min: 1, max: 50 })), { maxLength: 3 }),
    rows: fc.array(fc.record({ gap: fc.nat({ max: 2 }), shop, bytes: fc.integer({ min: -40, max: 40 }) }), { maxLength: 60 }),
    pageSize: fc.integer({ min: 1, max: 7 }),
  });
  fc.assert(
    fc.property(history, ({ opening, rows, pageSize }) => {
      const startMs = 1000;
      let at = startMs;
      const levels = new Map(opening);
      const held = new Map(levels);
      const changes: LevelChange[] = [];
      for (const row of rows) {
        at += row.gap;
        // nothing goes that is not there
        const bytes = Math.max(row.bytes, -(held.get(row.shop) ?? 0));
        held.set(row.shop, (held.get(row.shop) ?? 0) + bytes);
        if (bytes !== 0) changes.push({ at, shop: row.shop, bytes });
      }
      expect(scanned(startMs, levels, pagesOf(changes, pageSize))).toEqual(replay(startMs, levels, changes));
    }),
    { numRuns: 500 },
  );
});

test('two shops that peak on different days - the contract’s peak is the highest sum and not the sum of the peaks', () => {
  const rows = [
    { at: 10, shop: 'dupont', bytes: 100 },
    { at: 20, shop: 'dupont', bytes: -90 },
    { at: 30, shop: 'martin', bytes: 70 },
  ];
  const peaks = scanned(0, new Map(), [rows]);
  expect(peaks.sum).toEqual({ peakBytes: 100, at: 10 });
  expect(peaks.shops).toEqual([
    { shop: 'dupont', peakBytes: 100, at: 10, shareBytes: 100 },
    { shop: 'martin', peakBytes: 70, at: 30, shareBytes: 0 },
  ]);
});

test('nothing happened - the opening level, at the start', () => {
  const peaks = scanned(5, new Map([['dupont', 7]]), []);
  expect(peaks).toEqual({ sum: { peakBytes: 7, at: 5 }, shops: [{ shop: 'dupont', peakBytes: 7, at: 5, shareBytes: 7 }] });
});
