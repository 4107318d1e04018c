import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { keepUntil, segmentHorizon, snapshotHorizon } from '../../src/retention/horizon.ts';
import { horizonMarginMs, newestGoodMarginMs, orphanMarginMs, provisionalLockMs } from '../../src/retention/margins.ts';

const DAY = 86_400_000;
const now = Temporal.Instant.from('2026-03-02T02:40:00Z');
const plus = (ms: number): Temporal.Instant => now.add({ milliseconds: ms });

test('a fresh segment of a 14 day window - locked for the window and ten minutes, no further', () => {
  const need = segmentHorizon({ completedAt: now, retentionMs: 14 * DAY, now, ceilingMs: 90 * DAY, reused: null });
  expect(need.atLeast.toString()).toBe('2026-03-16T02:50:00Z');
  expect(need.extendTo).toEqual(need.atLeast);
});

test('the first reuse - one step that covers every increment until the next full', () => {
  const reused = { lastAt: plus(6 * DAY), createdAt: plus(-DAY), maxAgeMs: 7 * DAY };
  const need = segmentHorizon({ completedAt: now, retentionMs: 14 * DAY, now, ceilingMs: 90 * DAY, reused });
  expect(need.atLeast.toString()).toBe('2026-03-16T02:50:00Z');
  expect(need.extendTo.toString()).toBe('2026-03-22T02:50:00Z');
});

test('no full scheduled, or later than the maximum age - the maximum age bounds the step', () => {
  for (const nextFullAt of [null, plus(30 * DAY)]) {
    const reused = { lastAt: nextFullAt, createdAt: plus(-5 * DAY), maxAgeMs: 7 * DAY };
    const need = segmentHorizon({ completedAt: now, retentionMs: 14 * DAY, now, ceilingMs: 90 * DAY, reused });
    expect(need.extendTo.toString()).toBe('2026-03-18T02:50:00Z');
  }
});

test('a ceiling between need and step - the step is cut, the need is not', () => {
  const reused = { lastAt: plus(6 * DAY), createdAt: now, maxAgeMs: 7 * DAY };
  const need = segmentHorizon({ completedAt: now, retentionMs: 14 * DAY, now, ceilingMs: 15 * DAY, reused });
  expect(need.extendTo).toEqual(plus(15 * DAY));
});

test('a ceiling below the need - E_LOCK_CEILING and not a shorter lock', () => {
  expect(() => snapshotHorizon({ completedAt: now, retentionMs: 91 * DAY, now, ceilingMs: 90 * DAY })).toThrow(
    expect.objectContaining({ code: 'E_LOCK_CEILING' }),
  );
});

test('whatever the input - never shorter than the promise, never beyond the ceiling, never earlier than needed', () => {
  const ms = fc.integer({ min: 1000, max: 100 * DAY });
  fc.assert(
    fc.property(ms, ms, ms, ms, fc.integer({ min: 0, max: 7 * DAY }), (retentionMs, ceilingMs, fullMs, maxAgeMs, ageMs) => {
      const reused = { lastAt: plus(fullMs), createdAt: plus(-ageMs), maxAgeMs };
      const input = { completedAt: now, retentionMs, now, ceilingMs, reused };
      const ceiling = plus(ceilingMs).epochMilliseconds;
      let need: ReturnType<typeof segmentHorizon>;
      try {
        need = segmentHorizon(input);
      } catch {
        expect(now.epochMilliseconds + retentionMs + horizonMarginMs(retentionMs)).toBeGreaterThan(ceiling);
        return;
      }
      expect(need.atLeast.epochMilliseconds).toBeGreaterThan(keepUntil(now, retentionMs).epochMilliseconds);
      expect(need.extendTo.epochMilliseconds).toBeGreaterThanOrEqual(need.atLeast.epochMilliseconds);
      expect(need.extendTo.epochMilliseconds).toBeLessThanOrEqual(ceiling);
    }),
  );
});

test('a window of ten seconds - margins of seconds', () => {
  const window = 10_000;
  expect([horizonMarginMs(window), newestGoodMarginMs(window), orphanMarginMs(window), provisionalLockMs(20_000, window)]).toEqual([
    1000, 5000, 10_000, 30_000,
  ]);
});
