import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { plannedBackups, termsOf } from '../../src/report/planned-backups.ts';

const ms = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
const period = { fromMs: ms('2026-10-01T00:00:00Z'), toMs: ms('2026-11-24T00:00:00Z'), timezone: 'UTC' };
const nightly = new Map([['files', termsOf([], '30 2 * * *')]]);
const at = (...days: readonly string[]) => days.map((day) => ({ source: 'files', startedAt: ms(`2026-${day}T09:00:00Z`) }));

test('two backups in 54 days of a plan for every night - the others are missed, but for the slot that is not over', () => {
  const done = [...at('10-02', '11-01'), { source: 'database', startedAt: ms('2026-10-05T09:00:00Z') }];
  expect(plannedBackups({ ...period, schedules: nightly, done, off: [] })).toEqual({ expected: 53, done: 2, missed: 51 });
});

test('while nothing was to be taken - nothing is missed; two in one slot are one; full and incremental slots are of one source', () => {
  const off = [{ fromMs: ms('2026-10-04T00:00:00Z'), toMs: Number.POSITIVE_INFINITY }];
  const schedules = new Map([['files', [...termsOf([], '30 2 * * 5'), ...termsOf([], '30 2 * * 0-4,6')]]]);
  expect(plannedBackups({ ...period, schedules, done: at('10-01', '10-01', '10-02'), off })).toEqual({ expected: 3, done: 2, missed: 1 });
  expect(plannedBackups({ ...period, schedules: new Map([['files', termsOf([], '* * * * *')]]), done: [], off: [] })).toBeNull();
});

test('a plan was changed in the period - each time counts by the schedule that was noted for it, the time before the first note by that one', () => {
  const noted = [
    { at: ms('2026-10-03T12:00:00Z'), value: '30 2 * * *' },
    { at: ms('2026-10-11T12:00:00Z'), value: 'off' },
    { at: ms('2026-11-18T12:00:00Z'), value: '30 2,14 * * *' },
  ];
  const schedules = new Map([['files', termsOf(noted, '* * * * *')]]);
  // eleven nights, none while it was off, then twelve slots of which the last is not over
  expect(plannedBackups({ ...period, schedules, done: [], off: [] })).toEqual({ expected: 21, done: 0, missed: 21 });
  expect([termsOf([], null), termsOf([{ at: 5, value: 'off' }], '30 2 * * *')]).toEqual([[], []]);
});
