// Runs jobs when they are due: catch-up first, some at once, never two for one shop.
import { Temporal } from 'temporal-polyfill';
import type { RunLog } from '../backup/log.ts';
import type { Clock, Timer } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { newestDue } from './due.ts';
import { backupOf, type Job, type JobName } from './jobs.ts';
import { retryAfterMs } from './retry.ts';
import type { SlotStore } from './slots.ts';

export interface SchedulerOptions {
  readonly clock: Clock;
  readonly log: RunLog;
  readonly jobs: readonly Job[];
  readonly slots: SlotStore;
  /** Jobs under way at once, over all shops. */
  readonly concurrency: number;
  /** Whether the shop has any snapshot of what this job reads. */
  readonly hasSnapshot: (job: Job) => Promise<boolean>;
  /** Whether there is anything to do for a job that gives way: asked each time that it is due. */
  readonly isNeeded: (job: Job) => Promise<boolean>;
  /** Does the work. Throws when it did not succeed; must end soon after `signal` aborts. */
  readonly work: (job: Job, dueAt: Temporal.Instant, signal: AbortSignal) => Promise<void>;
  /** How long a job under way may go on after the order to stop, before it is interrupted. */
  readonly graceMs?: number;
  /** How long an interrupted job may take to end, before the scheduler leaves without it. */
  readonly leaveMs?: number;
}

/** A backup that is about to commit may do so; the rest is taken up by the next run anyway. */
const GRACE_MS = 5_000;
/** Well below systemd's 90 s. */
const LEAVE_MS = 30_000;
/** Wall clocks jump (suspended machines, repaired time): look at least this often. */
const LONGEST_NAP_MS = 60_000;
/** A slot taken further in the future than this means that the clock was wrong when it was written down. */
const CLOCK_WAS_WRONG_MS = 3_600_000;

/** What gives way and a person must help is tried again this often all the same. */
const AGAIN_MS = 3_600_000;

/** At the same instant, what is small and urgent goes first, and what looks at its results last. */
const ORDER: readonly JobName[] = [
  ...(['probe', 'database', 'files', 'increments', 'server', 'prune'] as const),
  ...(['reconcile', 'checkpoint', 'catch-up', 'read'] as const),
];

/** What it does is not urgent and may take days: it gives way to whatever is due, and goes on where it was. */
const givesWay = (job: Job): boolean => job.name === 'catch-up' || job.name === 'read';

interface Entry {
  readonly job: Job;
  /** Slots up to here are taken care of. */
  takenUpTo: Temporal.Instant;
  /** First slot after `takenUpTo`; null: there is none. */
  next: Temporal.Instant | null;
  /** The slot that waits for its run, or is being run. */
  due: Temporal.Instant | null;
  running: boolean;
  failures: number;
  /** Not before. */
  retryAt: Temporal.Instant | null;
}

const isAfter = (a: Temporal.Instant, b: Temporal.Instant): boolean => Temporal.Instant.compare(a, b) > 0;

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #entries: Entry[] = [];
  readonly #running = new Map<string, Promise<void>>();
  /** By shop: stops what is under way there and gives way. */
  readonly #yielding = new Map<string, AbortController>();
  readonly #interrupt = new AbortController();
  #wake: () => void = () => {};

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /**
   * Runs until `signal` aborts, then stops: nothing new is started, what runs may finish within the grace time and is interrupted
   * after it. Resolves with true when everything had ended, false when it left something behind.
   */
  async run(signal: AbortSignal): Promise<boolean> {
    const onAbort = (): void => this.#wake();
    signal.addEventListener('abort', onAbort);
    try {
      await this.#load();
      while (!signal.aborted) {
        const now = this.#options.clock.now();
        this.#collectDue(now);
        this.#startReady(now);
        await this.#nap(now, signal);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    return await this.#stop();
  }

  /** Where each job stands: from its record, or, the first time, from now on; at once when its shop has nothing yet. */
  async #load(): Promise<void> {
    const { clock, hasSnapshot, jobs, log, slots } = this.#options;
    for (const job of jobs) {
      const now = clock.now();
      // nothing is missed with its slots: what lacks is looked up, now and then
      const last = givesWay(job) ? now : await slots.lastTaken(job.shop, job.name);
      const entry: Entry = {
        job,
        takenUpTo: last ?? now,
        next: job.schedule.next(last ?? now),
        due: givesWay(job) ? now : null,
        running: false,
        failures: 0,
        retryAt: null,
      };
      this.#entries.push(entry);
      if (last !== null) continue;
      if (this.#isFirstOfSource(job) && !(await hasSnapshot(job))) {
        log.info({ shop: job.shop, job: job.name, event: 'job.first' }, 'no snapshot yet: backed up at once');
        entry.due = now;
      } else {
        // written down now, so that a first slot missed while the daemon is down is known to be missed
        await slots.taken(job.shop, job.name, now);
      }
    }
  }

  /** The job that makes a shop's first snapshot of a source: increments only where no full archive is planned. */
  #isFirstOfSource(job: Job): boolean {
    if (backupOf(job.name) === null) return false;
    return job.name !== 'increments' || !this.#options.jobs.some((other) => other.shop === job.shop && other.name === 'files');
  }

  #collectDue(now: Temporal.Instant): void {
    const { log } = this.#options;
    for (const entry of this.#entries) {
      if (isAfter(entry.takenUpTo, now.add({ milliseconds: CLOCK_WAS_WRONG_MS }))) {
        log.warn(
          { shop: entry.job.shop, job: entry.job.name, event: 'job.clock', takenUpTo: entry.takenUpTo.toString() },
          'a slot in the future was written down as taken: the clock was wrong then; scheduled from now',
        );
        this.#settle(entry, now);
      }
      if (entry.running || entry.next === null || isAfter(entry.next, now)) continue;
      const slot = newestDue(entry.job.schedule, entry.takenUpTo, now);
      if (slot === null) continue;
      // a newer slot takes over from one that waits or failed
      if (entry.due === null || isAfter(slot, entry.due)) {
        if (entry.due === null && isAfter(slot, entry.next) && !givesWay(entry.job)) {
          log.info(
            { shop: entry.job.shop, job: entry.job.name, event: 'job.missed', since: entry.next.toString() },
            'slots were missed: one run makes up for them',
          );
        }
        entry.due = slot;
        // its slots are more frequent than its pauses
        if (!givesWay(entry.job)) {
          entry.failures = 0;
          entry.retryAt = null;
        }
      }
      entry.next = entry.job.schedule.next(slot);
    }
  }

  #startReady(now: Temporal.Instant): void {
    const ready = this.#entries
      .filter((entry) => entry.due !== null && !entry.running && (entry.retryAt === null || !isAfter(entry.retryAt, now)))
      .sort(
        (a, b) =>
          Number(givesWay(a.job)) - Number(givesWay(b.job)) ||
          Temporal.Instant.compare(a.due as Temporal.Instant, b.due as Temporal.Instant) ||
          ORDER.indexOf(a.job.name) - ORDER.indexOf(b.job.name),
      );
    for (const entry of ready) {
      const { shop } = entry.job;
      const isFull = this.#running.size >= this.#options.concurrency;
      if (!givesWay(entry.job)) this.#makeWay(shop, isFull);
      if (this.#running.has(shop)) continue;
      if (isFull) return;
      // a full archive makes the increment beside it pointless
      const full =
        entry.job.name === 'increments' ? ready.find((other) => other.job.shop === shop && other.job.name === 'files') : undefined;
      const started = this.#start(full ?? entry).finally(() => {
        this.#running.delete(shop);
        this.#wake();
      });
      this.#running.set(shop, started);
    }
  }

  /** Stops what gives way and a job waits for: its own shop's, or any when there is no place and none is about to be free. */
  #makeWay(shop: string, isFull: boolean): void {
    const stops = [...this.#yielding.values()];
    const any = isFull && !stops.some((stop) => stop.signal.aborted) ? stops[0] : undefined;
    const inTheWay = this.#running.has(shop) ? this.#yielding.get(shop) : any;
    inTheWay?.abort(new CoffreError('E_INTERRUPTED', 'it gives way to what is due'));
  }

  /** One run of one job, from start to what follows from its end. Never throws. */
  async #start(entry: Entry): Promise<void> {
    const { clock, isNeeded, log, slots, work } = this.#options;
    const { job } = entry;
    const dueAt = entry.due as Temporal.Instant;
    const told = { shop: job.shop, job: job.name, due: dueAt.toString() };
    const increments =
      job.name === 'files' ? this.#entries.find((other) => other.job.shop === job.shop && other.job.name === 'increments') : undefined;
    const covered = increments?.due ?? null;
    entry.running = true;
    const stop = new AbortController();
    if (givesWay(job)) this.#yielding.set(job.shop, stop);
    try {
      if (givesWay(job) && !(await isNeeded(job))) {
        this.#settle(entry, dueAt);
        return;
      }
      log.info({ ...told, event: 'job.started' }, 'job started');
      await work(job, dueAt, AbortSignal.any([this.#interrupt.signal, stop.signal]));
      // Recorded after the work: killed in between, the work is done a second time, never not at all.
      if (!givesWay(job)) await slots.taken(job.shop, job.name, dueAt);
      if (increments && covered) {
        await slots.taken(job.shop, 'increments', covered);
        this.#settle(increments, covered);
      }
      this.#settle(entry, dueAt);
      log.info({ ...told, event: 'job.done' }, 'job done');
    } catch (error) {
      const failure = asCoffreError(error);
      if (this.#interrupt.signal.aborted) {
        log.info({ ...told, event: 'job.interrupted', code: failure.code }, 'job interrupted: taken up again at the next start');
        return;
      }
      if (stop.signal.aborted) {
        log.info({ ...told, event: 'job.gaveWay' }, 'interrupted for what is due: taken up again after it');
        return;
      }
      if (failure.code === 'E_DEGRADED' && !givesWay(job)) {
        // Kept, and complete: no second snapshot would be better, a catch-up brings this one where it lacks.
        log.error({ ...told, event: 'job.degraded', code: failure.code, hint: failure.hint }, failure.message);
        await slots.taken(job.shop, job.name, dueAt);
        this.#settle(entry, dueAt);
        return;
      }
      entry.failures += 1;
      const waitMs = retryAfterMs(failure.code, entry.failures) ?? (givesWay(job) ? AGAIN_MS : null);
      const retryAt = waitMs === null ? null : clock.now().add({ milliseconds: waitMs });
      log.error(
        { ...told, event: 'job.failed', code: failure.code, hint: failure.hint, retryAt: retryAt?.toString() ?? null },
        failure.message,
      );
      if (retryAt === null) this.#settle(entry, dueAt);
      else entry.retryAt = retryAt;
    } finally {
      entry.running = false;
      if (givesWay(job)) this.#yielding.delete(job.shop);
      else this.#look(job.shop, clock.now());
    }
  }

  /** A run may have left something lacking, or shown that a vault is back: the catalog is asked at once. */
  #look(shop: string, now: Temporal.Instant): void {
    const entry = this.#entries.find((other) => other.job.shop === shop && other.job.name === 'catch-up');
    if (!entry || entry.running) return;
    entry.due ??= now;
    entry.retryAt = null;
  }

  #settle(entry: Entry, takenUpTo: Temporal.Instant): void {
    entry.takenUpTo = takenUpTo;
    entry.next = entry.job.schedule.next(takenUpTo);
    entry.due = null;
    entry.failures = 0;
    entry.retryAt = null;
  }

  /** Sleeps until something may be due, a job ends or the order to stop comes. */
  #nap(now: Temporal.Instant, signal: AbortSignal): Promise<void> {
    let napMs = LONGEST_NAP_MS;
    for (const entry of this.#entries) {
      if (entry.running) continue;
      // what is due already waits for a place or its shop: the end of a job wakes us
      const at = entry.due === null ? entry.next : entry.retryAt;
      if (at === null) continue;
      const leftMs = at.epochMilliseconds - now.epochMilliseconds;
      if (leftMs > 0) napMs = Math.min(napMs, leftMs);
    }
    return new Promise((resolve) => {
      let timer: Timer | null = null;
      this.#wake = () => {
        this.#wake = () => {};
        timer?.cancel();
        resolve();
      };
      if (signal.aborted) this.#wake();
      else timer = this.#options.clock.after(napMs, () => this.#wake());
    });
  }

  async #stop(): Promise<boolean> {
    const { clock, graceMs = GRACE_MS, leaveMs = LEAVE_MS } = this.#options;
    if (await this.#allEnd(clock, graceMs)) return true;
    this.#interrupt.abort(new CoffreError('E_INTERRUPTED', 'the daemon stops'));
    return await this.#allEnd(clock, leaveMs);
  }

  /** Whether everything under way ends within `limitMs`. */
  async #allEnd(clock: Clock, limitMs: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    const late = Promise.withResolvers<boolean>();
    const timer = clock.after(limitMs, () => late.resolve(false));
    const ended = Promise.all(this.#running.values()).then(() => true);
    try {
      return await Promise.race([ended, late.promise]);
    } finally {
      timer.cancel();
    }
  }
}
