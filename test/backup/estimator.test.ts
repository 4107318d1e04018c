// Rates and time left: of the last quarter of a minute, of real work alone, and unknown rather than made up.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Estimator, type Mark } from '../../src/backup/estimator.ts';

const MB = 1_000_000;

/** Tells `estimator` each 100 ms from `fromMs` to `toMs` what `at` gives. */
function tell(estimator: Estimator, fromMs: number, toMs: number, at: (ms: number) => Partial<Mark> & { doneBytes: number }): void {
  for (let ms = fromMs; ms <= toMs; ms += 100)
    estimator.add({ atMs: ms, carriedBytes: 0, totalBytes: null, totalIsGuess: false, ...at(ms) });
}

describe('rate', () => {
  it('in the first second and a half - unknown', () => {
    const estimator = new Estimator();
    expect(estimator.rate(0)).toBeNull();
    tell(estimator, 0, 1_400, (ms) => ({ doneBytes: ms * 1000 }));
    expect(estimator.rate(1_400)).toBeNull();
    tell(estimator, 1_500, 1_600, (ms) => ({ doneBytes: ms * 1000 }));
    expect(estimator.rate(1_600)).toBeCloseTo(MB, -4);
  });

  it('a steady pace - is that pace, for ever', () => {
    const estimator = new Estimator();
    tell(estimator, 0, 120_000, (ms) => ({ doneBytes: 5_000 * ms }));
    expect(estimator.rate(120_000)).toBeCloseTo(5 * MB, -4);
  });

  it('a pace that changed - is forgotten after a quarter of a minute', () => {
    const estimator = new Estimator();
    tell(estimator, 0, 60_000, (ms) => ({ doneBytes: 100_000 * ms }));
    tell(estimator, 60_100, 76_000, (ms) => ({ doneBytes: 6_000 * MB + 1_000 * (ms - 60_000) }));
    expect(estimator.rate(76_000)).toBeCloseTo(MB, -5);
  });

  it('a standstill - falls to nothing without being told anything', () => {
    const estimator = new Estimator();
    tell(estimator, 0, 10_000, (ms) => ({ doneBytes: 1_000 * ms, totalBytes: 100 * MB }));
    expect(estimator.rate(15_000)).toBeCloseTo(MB * (10 / 15), -4);
    expect(estimator.rate(30_000)).toBe(0);
    expect(estimator.leftMs(30_000)).toBeNull();
  });

  it('what is carried over - is no work: a jump of 60 GB leaves the rate as it was', () => {
    const estimator = new Estimator();
    tell(estimator, 0, 20_000, (ms) => {
      const carriedBytes = ms >= 10_000 ? 60_000 * MB : 0;
      return { doneBytes: carriedBytes + 10_000 * ms, carriedBytes };
    });
    expect(estimator.rate(20_000)).toBeCloseTo(10 * MB, -4);
  });

  it('a reading that starts over, or another source - starts over too', () => {
    const estimator = new Estimator();
    tell(estimator, 0, 10_000, (ms) => ({ doneBytes: 50_000 * ms }));
    tell(estimator, 10_100, 11_000, (ms) => ({ doneBytes: 1_000 * (ms - 10_100) }));
    expect(estimator.rate(11_000)).toBeNull();
    tell(estimator, 11_100, 20_000, (ms) => ({ doneBytes: 1_000 * (ms - 10_100) }));
    expect(estimator.rate(20_000)).toBeCloseTo(MB, -4);
    estimator.restart();
    expect(estimator.rate(20_000)).toBeNull();
  });
});

describe('time left', () => {
  it('a known total - what is left at the rate', () => {
    const estimator = new Estimator();
    tell(estimator, 0, 10_000, (ms) => ({ doneBytes: 1_000 * ms, totalBytes: 70 * MB }));
    expect(estimator.leftMs(10_000)).toBeCloseTo(60_000, -3);
  });

  it('an increment, one byte in fifty changed - counts a fiftieth of what is left as work', () => {
    const estimator = new Estimator();
    tell(estimator, 0, 10_000, (ms) => ({ doneBytes: 50_000 * ms, carriedBytes: 49_000 * ms, totalBytes: 1_000 * MB, totalIsGuess: true }));
    // half of it done in 10 s
    expect(estimator.leftMs(10_000)).toBeCloseTo(10_000, -3);
  });

  it('a guessed total - unknown at first and beyond it', () => {
    const estimator = new Estimator();
    tell(estimator, 0, 4_000, (ms) => ({ doneBytes: 1_000 * ms, totalBytes: 100 * MB, totalIsGuess: true }));
    expect(estimator.leftMs(4_000)).toBeNull();
    tell(estimator, 4_100, 10_000, (ms) => ({ doneBytes: 1_000 * ms, totalBytes: 100 * MB, totalIsGuess: true }));
    expect(estimator.leftMs(10_000)).toBeCloseTo(90_000, -3);
    tell(estimator, 10_100, 101_000, (ms) => ({ doneBytes: 1_000 * ms, totalBytes: 100 * MB, totalIsGuess: true }));
    expect(estimator.leftMs(101_000)).toBeNull();
  });

  it('no total, or nothing but carried files so far - unknown', () => {
    const unknown = new Estimator();
    tell(unknown, 0, 10_000, (ms) => ({ doneBytes: 1_000 * ms }));
    expect(unknown.leftMs(10_000)).toBeNull();
    const carried = new Estimator();
    tell(carried, 0, 10_000, (ms) => ({ doneBytes: 1_000 * ms, carriedBytes: 1_000 * ms, totalBytes: 100 * MB }));
    expect(carried.rate(10_000)).toBe(0);
    expect(carried.leftMs(10_000)).toBeNull();
  });

  it('whatever is told - never negative, never infinite, and at most what is left at the rate', () => {
    const step = fc.record({
      afterMs: fc.integer({ min: 0, max: 20_000 }),
      work: fc.integer({ min: 0, max: 1e9 }),
      carried: fc.integer({ min: 0, max: 1e12 }),
      total: fc.option(fc.integer({ min: 0, max: 1e12 })),
      guess: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const estimator = new Estimator();
        let [atMs, work, carried] = [0, 0, 0];
        for (const one of steps) {
          atMs += one.afterMs;
          work += one.work;
          carried += one.carried;
          estimator.add({ atMs, doneBytes: work + carried, carriedBytes: carried, totalBytes: one.total, totalIsGuess: one.guess });
          const rate = estimator.rate(atMs);
          const left = estimator.leftMs(atMs);
          if (rate !== null) expect(rate).toBeGreaterThanOrEqual(0);
          if (left === null) continue;
          expect(Number.isFinite(left)).toBe(true);
          expect(left).toBeGreaterThanOrEqual(0);
          expect(left).toBeLessThanOrEqual((Math.max(0, (one.total as number) - work - carried) * 1000) / (rate as number) + 1);
        }
      }),
    );
  });
});
