import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import type { MaintenanceWindow } from '../../src/config/maintenance.ts';
import { closedUntil, jitterOf, plannedStart } from '../../src/schedule/start.ts';

const ALL = [1, 2, 3, 4, 5, 6, 7];
const at = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
const until = (windows: readonly MaintenanceWindow[], text: string): string | null => {
  const end = closedUntil(windows, 'Europe/Paris', at(text));
  return end === null ? null : Temporal.Instant.fromEpochMilliseconds(end).toString();
};

describe('jitter', () => {
  test('300 shops over five minutes - every minute has its part, the same shop always the same', () => {
    const spreadMs = 300_000;
    const jitters = Array.from({ length: 300 }, (_, i) => jitterOf(`shop-${i} database`, spreadMs));
    const minutes = [0, 1, 2, 3, 4].map((minute) => jitters.filter((ms) => Math.floor(ms / 60_000) === minute).length);
    for (const count of minutes) expect(count).toBeGreaterThan(35);
    expect(minutes.reduce((a, b) => a + b)).toBe(300);
    // no more than some begin within any second
    const seconds = new Map<number, number>();
    for (const ms of jitters) seconds.set(Math.floor(ms / 1000), (seconds.get(Math.floor(ms / 1000)) ?? 0) + 1);
    expect(Math.max(...seconds.values())).toBeLessThan(9);
    expect(jitters[7]).toBe(jitterOf('shop-7 database', spreadMs));
  });

  test('none is wanted - none', () => {
    expect(jitterOf('dupont files', 0)).toBe(0);
  });
});

describe('maintenance windows, Europe/Paris', () => {
  const OFFICE = { fromMinute: 8 * 60, toMinute: 20 * 60, days: [1, 2, 3, 4, 5] };
  const NIGHT = { fromMinute: 22 * 60, toMinute: 6 * 60, days: ALL };

  test.each([
    ['before it - open', '2026-11-23T06:59:59Z', null],
    ['its first moment - closed until its end', '2026-11-23T07:00:00Z', '2026-11-23T19:00:00Z'],
    ['its last moment - closed', '2026-11-23T18:59:59Z', '2026-11-23T19:00:00Z'],
    ['its end - open', '2026-11-23T19:00:00Z', null],
    ['a Sunday - open', '2026-11-22T12:00:00Z', null],
  ])('on weekdays, %s', (_title, instant, end) => {
    expect(until([OFFICE], instant)).toBe(end);
  });

  test('over midnight - both sides of it are closed; on Saturdays alone it ends on Sunday', () => {
    expect(until([NIGHT], '2026-11-23T22:30:00Z')).toBe('2026-11-24T05:00:00Z');
    expect(until([NIGHT], '2026-11-24T03:00:00Z')).toBe('2026-11-24T05:00:00Z');
    const saturday = { ...NIGHT, days: [6] };
    expect(until([saturday], '2026-11-22T03:00:00Z')).toBe('2026-11-22T05:00:00Z');
    expect(until([saturday], '2026-11-23T03:00:00Z')).toBeNull();
  });

  test('one that follows on another - both ends', () => {
    expect(until([OFFICE, { fromMinute: 19 * 60, toMinute: 23 * 60, days: [1] }], '2026-11-23T12:00:00Z')).toBe('2026-11-23T22:00:00Z');
  });

  test('whole weekdays - closed from Monday to Saturday', () => {
    const days = { fromMinute: 0, toMinute: 1440, days: [1, 2, 3, 4, 5] };
    expect(until([days], '2026-11-23T12:00:00Z')).toBe('2026-11-27T23:00:00Z');
  });

  test('when the clocks change - from one time on the clock to the other: an hour less in March, one more in October', () => {
    expect(until([NIGHT], '2026-03-28T22:00:00Z')).toBe('2026-03-29T04:00:00Z');
    expect(until([NIGHT], '2026-10-24T22:00:00Z')).toBe('2026-10-25T05:00:00Z');
    // from and to within an hour that is skipped, or comes twice: rather longer
    const within = { fromMinute: 150, toMinute: 240, days: ALL };
    expect(until([within], '2026-03-29T01:00:00Z')).toBe('2026-03-29T02:00:00Z');
    expect(until([{ fromMinute: 60, toMinute: 150, days: ALL }], '2026-10-24T23:30:00Z')).toBe('2026-10-25T01:30:00Z');
  });

  test('a slot inside begins with the end of the window; jitter may carry it into one', () => {
    const rules = { jitterMs: 10 * 60_000, windows: [OFFICE], timezone: 'Europe/Paris' };
    expect(plannedStart(at('2026-11-23T09:00:00Z'), rules)).toBe(at('2026-11-23T19:00:00Z'));
    expect(plannedStart(at('2026-11-23T06:55:00Z'), rules)).toBe(at('2026-11-23T19:00:00Z'));
    expect(plannedStart(at('2026-11-23T06:45:00Z'), rules)).toBe(at('2026-11-23T06:55:00Z'));
  });
});
