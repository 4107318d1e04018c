// The longest way first, keys as soon as rows are in, and a failure that stops the rest.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Load } from '../../src/restore/load-plan.ts';
import { type Job, LoadSchedule, runSchedule } from '../../src/restore/load-schedule.ts';

const MiB = 1024 * 1024;
const load = (table: string, megabytes: number): Load => ({ steps: [], tables: [{ table, rows: 1 }], bytes: megabytes * MiB });
const never = new AbortController().signal;
const named = (job: Job): string =>
  job.kind === 'load' ? `load ${job.load.tables[0]?.table}` : `finish ${job.tables.map((t) => t.table)}`;

describe('the order', () => {
  test('the largest table comes first, whatever the order given', () => {
    const schedule = new LoadSchedule([load('a', 10), load('b', 100), load('c', 50)]);
    expect([schedule.next(), schedule.next(), schedule.next(), schedule.next()].map((job) => job && named(job))).toEqual([
      'load b',
      'load c',
      'load a',
      null,
    ]);
  });

  test('keys of a large table come before the rows of a smaller one', () => {
    const schedule = new LoadSchedule([load('big', 100), load('small', 20)]);
    const big = schedule.next() as Job;
    schedule.done(big);
    expect(named(schedule.next() as Job)).toBe('finish big');
    expect(named(schedule.next() as Job)).toBe('load small');
  });

  test('keys of a small table wait for the rows of a larger one', () => {
    const schedule = new LoadSchedule([load('x', 30), load('y', 29)]);
    schedule.done(schedule.next() as Job);
    expect(named(schedule.next() as Job)).toBe('load y');
  });

  test('small tables that came together are finished several at a time, large ones each alone', () => {
    const tables = Array.from({ length: 50 }, (_, at) => ({ table: `t${at}`, rows: 1 }));
    const schedule = new LoadSchedule([{ steps: [], tables, bytes: MiB }]);
    schedule.done(schedule.next() as Job);
    const jobs: Job[] = [];
    for (let job = schedule.next(); job; job = schedule.next()) jobs.push(job);
    expect(jobs.map((job) => (job.kind === 'finish' ? job.tables.length : 0))).toEqual([24, 24, 2]);
  });

  test('any tables: each is loaded once, then finished once, never more than the width at a time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        async (sizes, width) => {
          const log: string[] = [];
          let running = 0;
          const loads = sizes.map((size, at) => load(`t${at}`, size));
          await runSchedule(new LoadSchedule(loads), width, never, async (job) => {
            running++;
            expect(running).toBeLessThanOrEqual(width);
            await Promise.resolve();
            log.push(...(job.kind === 'load' ? job.load.tables : job.tables).map(({ table }) => `${job.kind} ${table}`));
            running--;
          });
          for (const at of sizes.keys()) {
            expect(log.filter((line) => line === `load t${at}`)).toHaveLength(1);
            expect(log.filter((line) => line === `finish t${at}`)).toHaveLength(1);
            expect(log.indexOf(`load t${at}`)).toBeLessThan(log.indexOf(`finish t${at}`));
          }
        },
      ),
    );
  });
});

describe('a job that fails', () => {
  test('the others hear of it by their signal, nothing new begins, and its error comes out last', async () => {
    const began: string[] = [];
    const reason = new Error('the server said no');
    const running = runSchedule(new LoadSchedule([load('a', 30), load('b', 20), load('c', 10)]), 2, never, async (job, signal) => {
      began.push(named(job));
      if (began.length === 2) throw reason;
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      began.push('a was stopped');
    });
    await expect(running).rejects.toBe(reason);
    expect(began).toEqual(['load a', 'load b', 'a was stopped']);
  });

  test('an abort from outside stops all of it with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('stopped');
    const running = runSchedule(new LoadSchedule([load('a', 30), load('b', 20)]), 1, controller.signal, async (_, signal) => {
      controller.abort(reason);
      signal.throwIfAborted();
    });
    await expect(running).rejects.toBe(reason);
  });
});
