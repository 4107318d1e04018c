import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { expect, it } from 'vitest';
import type { RtoPromise } from '../../src/config/config.ts';
import { fitOf, hoursOf, mostCountedMs } from '../../src/restore/recovery-fit.ts';

const HOUR = 3_600_000;
// a Thursday noon
const NOW = Temporal.Instant.from('2026-11-19T12:00:00Z');
const promise = (calendar: RtoPromise['calendar'], targetMs = 4 * HOUR): RtoPromise => ({
  ...{ targetMs, calendar, country: 'FR', region: null, zone: 'Europe/Paris' },
  hours: { fromMinute: 540, toMinute: 1080, days: [1, 2, 3, 4, 5] },
});
const about = (expectedMs: number, highMs = expectedMs) => ({ expectedMs, lowMs: expectedMs, highMs });

it('around the clock - every millisecond counts', () => {
  expect(fitOf(promise('24x7'), about(4 * HOUR), NOW)).toBe('yes');
  expect(fitOf(promise('24x7'), about(4 * HOUR, 4 * HOUR + 1), NOW)).toBe('tight');
  expect(fitOf(promise('24x7'), about(4 * HOUR + 1), NOW)).toBe('no');
});

it('measured of others alone - it is said not to fit only when not even the least that is likely does', () => {
  const wide = { expectedMs: 5 * HOUR, lowMs: 2 * HOUR, highMs: 9 * HOUR };
  expect(fitOf(promise('24x7'), wide, NOW)).toBe('no');
  expect(fitOf(promise('24x7'), wide, NOW, false)).toBe('tight');
  expect(fitOf(promise('24x7'), { ...wide, lowMs: 4.5 * HOUR }, NOW, false)).toBe('no');
});

it('business hours - the approval that counts most decides: at an opening, for nine hours a day', () => {
  expect(fitOf(promise('business'), about(5 * HOUR), NOW)).toBe('no');
  // begun at nine, it counts until six in the evening, and the night does not
  expect(mostCountedMs(hoursOf(promise('business')), 20 * HOUR, NOW)).toBe(9 * HOUR);
  expect(fitOf(promise('business', 9 * HOUR), about(20 * HOUR), NOW)).toBe('yes');
  expect(fitOf(promise('business', 9 * HOUR), about(25 * HOUR), NOW)).toBe('no');
});

it('never more counts than it takes, and longer never counts less', () => {
  const ms = fc.integer({ min: 0, max: 200 * HOUR });
  fc.assert(
    fc.property(ms, ms, (one, other) => {
      const most = (durationMs: number): number => mostCountedMs(hoursOf(promise('business')), durationMs, NOW);
      expect(most(one)).toBeLessThanOrEqual(one);
      expect(most(Math.max(one, other))).toBeGreaterThanOrEqual(most(Math.min(one, other)));
    }),
  );
});
