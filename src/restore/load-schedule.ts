// Which load or key build comes next when a connection is free: the one with the longest way still to go.
import type { LoadedTable } from '../target/target.ts';
import type { Load } from './load-plan.ts';

export type Job = { readonly kind: 'load'; readonly load: Load } | { readonly kind: 'finish'; readonly tables: readonly LoadedTable[] };

/**
 * Building a table's keys takes about as long as this part of loading its rows. Tried on MariaDB 10.11 with tables shaped like
 * PrestaShop's: 0.9 for order_detail with five keys, 0.6 for connections with three, 0.1 for product_lang, 0.54 for all three.
 */
const KEYS_SHARE = 0.5;
/** Tables below this are finished several at a time: each on its own would be little but round trips. */
const SMALL_TABLE_BYTES = 4 * 1024 * 1024;
const SMALL_TABLES_TOGETHER = 24;

interface Waiting {
  readonly job: Job;
  /** Work from here to the end of its chain, in bytes of plaintext. */
  readonly left: number;
}

/** Keeps the order, runs nothing: `next` gives a job, `done` says that it is done and may free others. */
export class LoadSchedule {
  readonly #waiting: Waiting[];

  constructor(loads: readonly Load[]) {
    this.#waiting = loads.map((load) => ({ job: { kind: 'load', load }, left: load.bytes * (1 + KEYS_SHARE) }));
  }

  /** Null: nothing can begin now; when nothing runs either, everything is done. */
  next(): Job | null {
    let best = 0;
    for (const [at, { left }] of this.#waiting.entries()) if (left > (this.#waiting[best] as Waiting).left) best = at;
    return this.#waiting.splice(best, 1)[0]?.job ?? null;
  }

  done(job: Job): void {
    if (job.kind !== 'load') return;
    const { tables, bytes } = job.load;
    const left = (bytes * KEYS_SHARE) / Math.max(1, tables.length);
    const together = bytes / Math.max(1, tables.length) < SMALL_TABLE_BYTES ? SMALL_TABLES_TOGETHER : 1;
    for (let at = 0; at < tables.length; at += together) {
      const some = tables.slice(at, at + together);
      this.#waiting.push({ job: { kind: 'finish', tables: some }, left: left * some.length });
    }
  }
}

/**
 * Runs what the schedule gives, at most `width` jobs at a time. The first failure aborts the signal that `run` was given, and is
 * thrown once every job has stopped.
 */
export async function runSchedule(
  schedule: LoadSchedule,
  width: number,
  signal: AbortSignal,
  run: (job: Job, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, failure.signal]);
  const running = new Set<Promise<void>>();
  let first: { readonly error: unknown } | null = null;
  const start = (job: Job): void => {
    const work = run(job, stop)
      .then(() => schedule.done(job))
      .catch((error: unknown) => {
        first ??= { error };
        failure.abort(error);
      })
      .finally(() => running.delete(work));
    running.add(work);
  };
  for (;;) {
    while (running.size < width && !stop.aborted) {
      const job = schedule.next();
      if (!job) break;
      start(job);
    }
    if (running.size === 0) break;
    await Promise.race(running);
  }
  signal.throwIfAborted();
  if (first) throw (first as { readonly error: unknown }).error;
}
