import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Throttle } from '../../../src/source/mariadb/gentle-throttle.ts';
import { FakeClock } from '../../fake-clock.ts';

describe('rows and bytes a second', () => {
  test('no limit - nobody waits', () => {
    const throttle = new Throttle({ rowsPerSecond: null, bytesPerSecond: null }, new FakeClock());
    expect(throttle.charge(1e9, 1e12)).toBe(0);
  });

  test('a thousand rows a second - after 500 rows at once, what a fifth of a second saves up is free and the rest is waited for', () => {
    const clock = new FakeClock();
    const throttle = new Throttle({ rowsPerSecond: 1000, bytesPerSecond: null }, clock);
    expect(throttle.charge(500, 1e12)).toBe(300);
    expect(throttle.charge(100, 0), 'another connection, at the same time').toBe(400);
    clock.advance(400);
    expect(throttle.charge(0, 0)).toBe(0);
    expect(throttle.charge(100, 0)).toBe(100);
  });

  test('rows and bytes both - the one that takes longer counts', () => {
    const clock = new FakeClock();
    const throttle = new Throttle({ rowsPerSecond: 1000, bytesPerSecond: 1000 }, clock);
    expect(throttle.charge(300, 1200)).toBe(1000);
    clock.advance(1000);
    expect(throttle.charge(1200, 1)).toBe(1000);
  });

  test('a pause of an hour - saves up no more than a fifth of a second', () => {
    const clock = new FakeClock();
    const throttle = new Throttle({ rowsPerSecond: 1000, bytesPerSecond: null }, clock);
    throttle.charge(200, 0);
    clock.advance(3600_000);
    expect(throttle.charge(400, 0)).toBe(200);
  });

  test('the wall clock set back an hour - changes nothing', () => {
    const clock = new FakeClock();
    const throttle = new Throttle({ rowsPerSecond: 1000, bytesPerSecond: null }, clock);
    throttle.charge(200, 0);
    clock.setWall(clock.nowMs() - 3600_000);
    clock.advance(200);
    expect(throttle.charge(300, 0)).toBe(100);
  });

  test('any connections reading any amounts - together never above the rate, and not far below it', () => {
    const reads = fc.array(fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 20, maxLength: 40 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(reads, (connections) => {
        const clock = new FakeClock();
        const throttle = new Throttle({ rowsPerSecond: 1000, bytesPerSecond: null }, clock);
        let total = 0;
        let runningEndsAtMs = 0;
        const step = (rows: readonly number[], at: number): void => {
          const next = rows[at];
          if (next === undefined) return;
          total += next;
          const waitMs = throttle.charge(next, 0);
          const elapsedMs = clock.monotonicMs();
          // who reads before the wait is over has at most what was free, one read each, and the shortest wait
          expect(total).toBeLessThanOrEqual(elapsedMs + 200 + 20 + connections.length * 500);
          clock.after(waitMs, () => step(rows, at + 1));
          runningEndsAtMs = Math.max(runningEndsAtMs, elapsedMs + waitMs);
        };
        for (const rows of connections) step(rows, 0);
        clock.advance(3600_000);
        expect(total).toBe(connections.flat().reduce((sum, rows) => sum + rows, 0));
        expect(runningEndsAtMs).toBeGreaterThanOrEqual(total - 200 - 20);
        expect(runningEndsAtMs).toBeLessThanOrEqual(total);
      }),
      { numRuns: 50 },
    );
  });
});
