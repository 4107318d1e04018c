import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { plannedBackups } from '../../src/report/planned-backups.ts';

const ms = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
const period = { fromMs: ms('2026-10-01T00:00:00Z'), toMs: ms('2026-11-24T00:00:00Z'), timezone: 'UTC' };
const nightly = new Map([['files', ['30 2 * * *']]]);
const at = (...days: readonly string[]) => days.map((day) => ({ source: 'files', startedAt: ms(`2026-${day}T09:00:00Z`) }));

test('two backups in 54 days of a plan for every night - the others are missed, but for the slot that is not over', () => {
  const done = [...at('10-02', '11-01'), { source: 'database', startedAt: ms('2026-10-05T09:00:00Z') }];
  expect(plannedBackups({ ...period, schedules: nightly, done, off: [] })).toEqual({ expected: 53, done: 2, missed: 51 });
});

test('while nothing was to be taken - nothing is missed; two in one slot are one; full and incremental slots are of one source', () => {
  const off = [{ fromMs: ms('2026-10-04T00:00:00Z'), toMs: Number.POSITIVE_INFINITY }];
  const schedules = new Map([['files', ['30 2 * * 5', '30 2 * * 0-4,6']]]);
  expect(plannedBackups({ ...period, schedules, done: at('10-01', '10-01', '10-02'), off })).toEqual({ expected: 3, done: 2, missed: 1 });
  expect(plannedBackups({ ...period, schedules: new Map([['files', ['* * * * *']]]), done: [], off: [] })).toBeNull();
});
