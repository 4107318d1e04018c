// Puts jobs into the book, each where it stands: when the daemon starts, and when a reload brings others.
import type { Temporal } from 'temporal-polyfill';
import { nextTurn } from '../clock.ts';
import { givesWay, type JobBook } from './job-book.ts';
import { backedUpBy, type Job } from './jobs.ts';
import type { SchedulerOptions } from './scheduler-ports.ts';
import { slotKey } from './slots.ts';

export type LoadOptions = Pick<SchedulerOptions, 'clock' | 'hasSnapshot' | 'log' | 'slots'>;

/** A daemon that starts has better to do than to look after hundreds of shops at once. */
const FIRST_LOOKS_APART_MS = 50;
/** Some milliseconds' worth: whoever asks the daemon meanwhile is answered in between. */
const JOBS_A_TURN = 20;

/** Where each job stands: from its record, or, the first time, from now on; at once when its shop has nothing yet. */
export async function loadJobs(book: JobBook, jobs: readonly Job[], options: LoadOptions): Promise<void> {
  const { clock, hasSnapshot, log, slots } = options;
  const taken = await slots.allTaken();
  const now = clock.now();
  const nowMs = now.epochMilliseconds;
  const withFull = new Set(jobs.filter(({ name }) => name === 'files').map(({ shop }) => shop));
  let looks = 0;
  const from: { shop: string; job: Job['name']; dueAt: Temporal.Instant }[] = [];
  for (const [at, job] of jobs.entries()) {
    if (at % JOBS_A_TURN === 0) await nextTurn();
    if (givesWay(job.name)) {
      // nothing is missed with its slots: what lacks is looked up, now and then; not all shops at once
      book.add(job, nowMs, nowMs).retryAtMs = clock.monotonicMs() + looks * FIRST_LOOKS_APART_MS;
      looks++;
      continue;
    }
    const last = taken.get(slotKey(job.shop, job.name));
    if (last !== undefined) {
      book.add(job, last.epochMilliseconds, null);
      continue;
    }
    // a shop's first snapshot of a source is made by increments only where no full archive is planned
    const isFirst = backedUpBy(job.name) !== null && !(job.name === 'increments' && withFull.has(job.shop));
    if (isFirst && !(await hasSnapshot(job))) {
      log.info({ shop: job.shop, job: job.name, event: 'job.first' }, 'no snapshot yet: backed up at once');
      book.add(job, nowMs, nowMs);
    } else {
      book.add(job, nowMs, null);
      // written down now, so that a first slot missed while the daemon is down is known to be missed
      from.push({ shop: job.shop, job: job.name, dueAt: now });
    }
  }
  if (from.length > 0) await slots.takenTogether(from);
}
