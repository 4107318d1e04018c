// One run from its row to what follows from its end: its slot is taken or tried again, an order is closed or waits again.
import { Temporal } from 'temporal-polyfill';
import { asCoffreError, type CoffreError } from '../errors.ts';
import { DrillVerdict } from '../restore/drill/verdict.ts';
import type { NewRunEvent, RunProgress } from './feed.ts';
import { type Entry, givesWay, type JobBook } from './job-book.ts';
import type { Job } from './jobs.ts';
import { retryAfterMs } from './retry.ts';
import type { Order, SchedulerOptions } from './scheduler-ports.ts';
import { sourceOf } from './task.ts';
import { endState, type UnderWay } from './under-way.ts';

/** What gives way and a person must help is tried again this often all the same. */
const AGAIN_MS = 3_600_000;

export interface PerformerOptions extends Pick<SchedulerOptions, 'books' | 'clock' | 'isNeeded' | 'log' | 'publish' | 'slots' | 'work'> {
  readonly book: JobBook;
  /** The order's shop is held by another process: it is tried again soon, before the others. */
  readonly putOff: (order: Order) => void;
  /** What goes on with an order that gave way waits behind the others. */
  readonly again: (order: Order) => void;
  /** The catalog is not what it was. */
  readonly broken: (failure: CoffreError) => void;
}

export class Performer {
  readonly #options: PerformerOptions;
  readonly #book: JobBook;

  constructor(options: PerformerOptions) {
    this.#options = options;
    this.#book = options.book;
  }

  /** One run of one job, from start to what follows from its end. Never throws. */
  async slot(entry: Entry, underWay: UnderWay): Promise<void> {
    const { clock, isNeeded, log, slots } = this.#options;
    const { job } = entry;
    const { run } = underWay;
    const dueMs = entry.dueMs as number;
    const dueAt = Temporal.Instant.fromEpochMilliseconds(dueMs);
    const told = { shop: job.shop, job: job.name, due: dueAt.toString(), run };
    const increments = job.name === 'files' ? this.#book.find(job.shop, 'increments') : undefined;
    const coveredMs = increments?.dueMs ?? null;
    try {
      if (givesWay(job.name) && !(await isNeeded(job))) {
        this.#book.settle(entry, dueMs);
        return;
      }
      if (!givesWay(job.name)) await slots.begin({ run, task: underWay.task, job: job.name, dueAt });
      underWay.begun = true;
      log.info({ ...told, event: 'job.started' }, 'job started');
      this.publish(underWay, 'started', 'running');
      await this.#work(underWay, job, dueAt);
      // Recorded after the work: killed in between, the row of the run says that this slot was taken.
      if (!givesWay(job.name)) await slots.taken(job.shop, job.name, dueAt, run);
      if (increments && coveredMs !== null) {
        await slots.taken(job.shop, 'increments', Temporal.Instant.fromEpochMilliseconds(coveredMs));
        this.#book.settle(increments, coveredMs);
      }
      this.#book.settle(entry, dueMs);
      log.info({ ...told, event: 'job.done' }, 'job done');
      this.publish(underWay, 'ended', 'done');
    } catch (error) {
      const failure = asCoffreError(error);
      if (underWay.begun) this.publish(underWay, 'ended', endState(failure, underWay.stopped), { error: failure });
      await this.#slotFailed(entry, underWay, dueAt, failure).catch((unwritten: unknown) => {
        // what could not be written down is tried again as if it had not been done
        this.#failed(entry, asCoffreError(unwritten), told);
      });
    } finally {
      entry.running = false;
      if (!givesWay(job.name)) this.#book.lookForGaps(job.shop, clock.nowMs());
    }
  }

  async #slotFailed(entry: Entry, { run, stopped }: UnderWay, dueAt: Temporal.Instant, failure: CoffreError): Promise<void> {
    const { books, log, slots } = this.#options;
    const { job } = entry;
    const told = { shop: job.shop, job: job.name, due: dueAt.toString(), run };
    const dueMs = dueAt.epochMilliseconds;
    if (stopped === 'daemon stops') {
      log.info({ ...told, event: 'job.interrupted', code: failure.code }, 'job interrupted: taken up again at the next start');
      return;
    }
    if (stopped === 'gave way' || (stopped === 'deadline' && givesWay(job.name))) {
      // of a drill its slot is still to be taken, by another run
      if (!givesWay(job.name)) await slots.leave(run);
      log.info({ ...told, event: 'job.gaveWay' }, 'interrupted for what is due: taken up again after it');
      return;
    }
    if (stopped === 'cancelled' || (failure.code === 'E_DEGRADED' && !givesWay(job.name))) {
      if (stopped === 'cancelled') log.info({ ...told, event: 'job.cancelled' }, 'cancelled: it comes again at its next slot');
      // Kept, and complete: no second snapshot would be better, a catch-up brings this one where it lacks.
      else log.error({ ...told, event: 'job.degraded', code: failure.code, hint: failure.hint }, failure.message);
      if (!givesWay(job.name)) await slots.taken(job.shop, job.name, dueAt, run);
      this.#book.settle(entry, dueMs);
      return;
    }
    if (failure instanceof DrillVerdict) {
      // it was done, and is evidence: done again it would find the same
      log.error({ ...told, event: 'drill.failed', code: failure.code, hint: failure.hint }, failure.message);
      await slots.taken(job.shop, job.name, dueAt, run);
      this.#book.settle(entry, dueMs);
      return;
    }
    this.#failed(entry, failure, told);
    if (givesWay(job.name)) return;
    // of a shop that is held by another process nothing is to be told: it is tried again
    if (failure.code !== 'E_BUSY') await books.close(run, failure).catch(() => {});
    await slots.leave(run).catch(() => {});
  }

  #failed(entry: Entry, failure: CoffreError, told: { shop: string; job: string; due: string; run: string }): void {
    const { clock, log } = this.#options;
    entry.failures += 1;
    const waitMs = retryAfterMs(failure.code, entry.failures, entry.job.name) ?? (givesWay(entry.job.name) ? AGAIN_MS : null);
    const retryAt = waitMs === null ? null : clock.now().add({ milliseconds: waitMs });
    log.error(
      { ...told, event: 'job.failed', code: failure.code, hint: failure.hint, retryAt: retryAt?.toString() ?? null },
      failure.message,
    );
    if (waitMs === null) this.#book.settle(entry, entry.dueMs as number);
    else entry.retryAtMs = clock.monotonicMs() + waitMs;
    if (failure.code === 'E_CATALOG') this.#options.broken(failure);
  }

  /** One run that somebody asked for. Never throws. */
  async order(order: Order, underWay: UnderWay): Promise<void> {
    const { books, clock, log } = this.#options;
    const { run, task, who } = order;
    const told = { run, shop: task.shop, kind: task.kind, who };
    let failure: CoffreError | null = null;
    underWay.begun = true;
    log.info({ ...told, event: 'order.started' }, 'an order is begun');
    this.publish(order, 'started', 'running');
    try {
      await this.#work(underWay, null, null);
    } catch (error) {
      failure = asCoffreError(error);
    }
    try {
      if (failure?.code === 'E_BUSY' && underWay.stopped === null) {
        // another process has the shop: its row still waits
        this.#options.putOff(order);
        this.publish(order, 'queued', 'queued', { error: failure });
        return;
      }
      await books.close(run, failure);
      this.publish(order, 'ended', failure === null ? 'done' : endState(failure, underWay.stopped), failure ? { error: failure } : {});
      if (failure === null) log.info({ ...told, event: 'order.done' }, 'an order is done');
      else if (underWay.stopped === 'daemon stops')
        log.info({ ...told, event: 'order.interrupted', code: failure.code }, 'taken up again at the next start');
      else if (underWay.stopped === 'gave way') this.#options.again(await books.again(order));
      else if (failure.code === 'E_CANCELLED') log.info({ ...told, event: 'order.cancelled' }, failure.message);
      else log.error({ ...told, event: 'order.failed', code: failure.code, hint: failure.hint }, failure.message);
    } catch (error) {
      failure = asCoffreError(error);
      log.error({ ...told, event: 'order.failed', code: failure.code, hint: failure.hint }, failure.message);
    }
    if (failure?.code === 'E_CATALOG') this.#options.broken(failure);
    this.#book.lookForGaps(task.shop, clock.nowMs());
  }

  #work(underWay: UnderWay, job: Job | null, dueAt: Temporal.Instant | null): Promise<void> {
    const { run, task, who } = underWay;
    let step: string | null = null;
    let last: RunProgress | null = null;
    const publish = (type: 'step' | 'progress'): void => this.publish(underWay, type, 'running', { step, progress: last });
    return this.#options.work({
      ...{ run, task, who, job, dueAt, signal: underWay.stop.signal },
      step: (name) => {
        step = name;
        publish('step');
      },
      progress: (figures) => {
        last = figures;
        publish('progress');
      },
    });
  }

  publish(
    { run, task, who }: Order | UnderWay,
    type: NewRunEvent['type'],
    state: NewRunEvent['state'],
    more: { step?: string | null; progress?: RunProgress | null; error?: CoffreError } = {},
  ): void {
    const { step = null, progress = null, error } = more;
    this.#options.publish?.({
      ...{ run, kind: task.kind, shop: task.shop, source: sourceOf(task), who, type, state, step, progress },
      error: error ? { code: error.code, message: error.message } : null,
    });
  }
}
