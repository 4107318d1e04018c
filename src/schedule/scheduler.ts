// Runs what is due and what was asked for: orders first, catch-up after downtime, some at once, never two for one shop.
import type { Timer } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import { comesLast, type Entry, JobBook } from './job-book.ts';
import { type Job, taskOf } from './jobs.ts';
import { loadJobs } from './load-jobs.ts';
import { Performer } from './performer.ts';
import type { Hindrance, Order, SchedulerOptions } from './scheduler-ports.ts';
import type { RunningNow } from './service.ts';
import { sourceOf, type TaskRequest } from './task.ts';
import { allEnd, type Stopped, UnderWay } from './under-way.ts';

/** A backup that is about to commit may do so; the rest is taken up by the next run anyway. */
const GRACE_MS = 5_000;
/** Well below systemd's 90 s. */
const LEAVE_MS = 30_000;
/** Wall clocks jump (suspended machines, repaired time), windows and pauses end: look at least this often. */
const LONGEST_NAP_MS = 60_000;
/** That a run hangs is said again at most this often. */
const LONGEST_PAUSE_MS = 3_600_000;
/** An order whose shop is held by another process is tried again this often. */
const BUSY_MS = 15_000;
const SCHEDULE = 'schedule';
const NO_HINDRANCE: Hindrance = { shops: new Set(), restores: 0 };

/** A look for what lacks, or for what is to be read, goes on where it was, a drill is begun anew: whatever is due may interrupt it. */
const yields = (task: TaskRequest): boolean => task.kind === 'catch-up' || task.kind === 'drill' || (task.kind === 'verify' && !task.all);

/** Somebody waits for it, against a clock: before everything else, without a place of its own, and without a deadline. */
const isRestore = (task: TaskRequest): boolean => task.kind === 'restore';

/**
 * No reason for a client to wait whose shop is down, whoever's shop it is of: it reads the same vaults and writes the same disks, and nobody
 * counts its hours. It waits while anything is restored, and begins anew after it.
 */
const waitsForRestores = (task: TaskRequest): boolean => task.kind === 'drill' || task.kind === 'export';

interface WaitingOrder {
  readonly order: Order;
  /** Not before, by the monotonic clock. */
  notBeforeMs: number;
}

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #book: JobBook;
  readonly #performer: Performer;
  /** In the order in which they were given. */
  readonly #orders: WaitingOrder[];
  /** By shop. */
  readonly #running = new Map<string, UnderWay>();
  #hindrance = NO_HINDRANCE;
  /** What is planned once it runs. */
  #jobs: readonly Job[];
  /** null: it does not run yet. */
  #loaded: Promise<void> | null = null;
  #isLoaded = false;
  #wake: () => void = () => {};
  #stopping = false;
  /** The catalog is not what it was: nothing can go on with it. */
  #broken: CoffreError | null = null;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#jobs = options.jobs;
    this.#orders = (options.orders ?? []).map((order) => ({ order, notBeforeMs: 0 }));
    const { log } = options;
    this.#book = new JobBook({
      onClock: ({ shop, name }, takenUpTo) =>
        log.warn(
          { shop, job: name, event: 'job.clock', takenUpTo: takenUpTo.toString() },
          'a slot in the future was written down as taken: the clock was wrong then; scheduled from now',
        ),
      onMissed: ({ shop, name }, since) =>
        log.info({ shop, job: name, event: 'job.missed', since: since.toString() }, 'slots were missed: one run makes up for them'),
    });
    const { books, clock, isNeeded, publish, slots, work } = options;
    this.#performer = new Performer({
      ...{ books, clock, isNeeded, log, slots, work, book: this.#book },
      ...(publish && { publish }),
      putOff: (order) => {
        this.#orders.unshift({ order, notBeforeMs: clock.monotonicMs() + BUSY_MS });
        clock.after(BUSY_MS, () => this.#wake());
      },
      again: (order) => void this.#orders.push({ order, notBeforeMs: 0 }),
      broken: (failure) => {
        this.#broken ??= failure;
      },
    });
  }

  /**
   * Runs until `signal` aborts, then stops: nothing new is started, what runs may finish within the grace time and is interrupted
   * after it. Resolves with true when everything had ended, false when it left something behind. Throws E_CATALOG, after having
   * stopped in the same way, when a run finds the catalog damaged. `onLoaded`: every job is known, and what is due begins.
   */
  async run(signal: AbortSignal, onLoaded: () => void = () => {}): Promise<boolean> {
    const onAbort = (): void => this.#wake();
    signal.addEventListener('abort', onAbort);
    let clean: boolean;
    try {
      this.#loaded = this.#options.slots.recover().then(() => loadJobs(this.#book, this.#jobs, this.#options));
      await this.#loaded;
      this.#isLoaded = true;
      onLoaded();
      while (!signal.aborted && this.#broken === null) {
        const now = this.#options.clock.now();
        this.#book.collectDue(now.epochMilliseconds);
        if (await this.#findHindrance()) this.#startReady(now.epochMilliseconds);
        // nothing is awaited between the look at what is ready and the nap: whatever ends or comes then wakes us
        await this.#nap(now.epochMilliseconds, signal);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      clean = await this.#stop();
    }
    if (this.#broken) throw this.#broken;
    return clean;
  }

  get running(): readonly RunningNow[] {
    const begun = [...this.#running.values()].filter((underWay) => underWay.begun);
    return begun.map(({ run, task, who, startedAt, hung }) => ({
      ...{ run, kind: task.kind, shop: task.shop, source: sourceOf(task), who, startedAt, hung },
    }));
  }

  get queued(): number {
    return this.#orders.length;
  }

  /** Slots that wait for a place, their shop, or the end of a window. */
  get due(): number {
    return this.#book.waiting();
  }

  /** Every job is known. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  get jobs(): number {
    return this.#book.size;
  }

  /** Whether an order for this request waits or is under way. */
  hasRestore(request: string): boolean {
    const isOf = (task: TaskRequest): boolean => task.kind === 'restore' && task.request === request;
    return this.#orders.some(({ order }) => isOf(order.task)) || [...this.#running.values()].some(({ task }) => isOf(task));
  }

  /** The run of an order for the same that has not begun. */
  waitingFor(task: TaskRequest): string | null {
    const text = JSON.stringify(task);
    return this.#orders.find(({ order }) => JSON.stringify(order.task) === text)?.order.run ?? null;
  }

  order(order: Order): void {
    this.#orders.push({ order, notBeforeMs: 0 });
    this.#performer.publish(order, 'queued', 'queued');
    this.#wake();
  }

  /** queued: taken out of the queue, its row is the caller's. running: told to stop. null: not here. */
  cancel(run: string, who: string): 'queued' | 'running' | null {
    const at = this.#orders.findIndex(({ order }) => order.run === run);
    if (at >= 0) {
      const [waiting] = this.#orders.splice(at, 1);
      if (waiting) this.#performer.publish(waiting.order, 'ended', 'cancelled');
      return 'queued';
    }
    const underWay = [...this.#running.values()].find((one) => one.run === run);
    if (!underWay) return null;
    this.#tellToStop(underWay, 'cancelled', new CoffreError('E_CANCELLED', `cancelled by ${who}`));
    return 'running';
  }

  /** Looks at once at what has changed outside: a pause that was ended, say. */
  look(): void {
    this.#wake();
  }

  /** Other jobs from now on. What is under way goes on. */
  async replaceJobs(jobs: readonly Job[]): Promise<void> {
    if (this.#loaded === null) {
      this.#jobs = jobs;
      return;
    }
    await this.#loaded;
    const { clock, slots } = this.#options;
    const now = clock.now();
    const changed: Job[] = [];
    const fresh = this.#book.replace(jobs, now.epochMilliseconds, (job) => changed.push(job));
    // written down, so that a restart does not take slots of the new schedule before now for missed ones
    await slots.takenTogether(changed.map(({ shop, name }) => ({ shop, job: name, dueAt: now })));
    await loadJobs(this.#book, fresh, this.#options);
    this.#wake();
  }

  /** false: it cannot be known now, and nothing begins. */
  async #findHindrance(): Promise<boolean> {
    this.#hindrance = NO_HINDRANCE;
    if (!this.#book.hasDueBackup() && !this.#orders.some(({ order }) => waitsForRestores(order.task))) return true;
    try {
      this.#hindrance = await this.#options.hindrance();
      return true;
    } catch (error) {
      const failure = asCoffreError(error);
      if (failure.code === 'E_CATALOG') this.#broken ??= failure;
      this.#options.log.error({ event: 'schedule.failed', code: failure.code, hint: failure.hint }, failure.message);
      return false;
    }
  }

  /** Orders, then what is due; what gives way comes last, else it would begin and be stopped again for ever. */
  #startReady(nowMs: number): void {
    const monotonicMs = this.#options.clock.monotonicMs();
    // one that waits for its shop counts: else what has just made way for it would begin once more
    const known = [...this.#running.values(), ...this.#orders.map(({ order }) => order)];
    const restoring = this.#hindrance.restores > 0 || known.some(({ task }) => isRestore(task));
    const orders = this.#orders.filter(
      ({ notBeforeMs, order }) => notBeforeMs <= monotonicMs && !(restoring && waitsForRestores(order.task)),
    );
    const entries = this.#book.ready(monotonicMs, { shops: this.#hindrance.shops, restoring, nowMs });
    const turns = [
      ...orders.filter(({ order }) => isRestore(order.task)),
      ...orders.filter(({ order }) => !yields(order.task) && !isRestore(order.task)),
      ...entries.filter(({ job }) => !comesLast(job.name)),
      ...orders.filter(({ order }) => yields(order.task)),
      ...entries.filter(({ job }) => comesLast(job.name)),
    ];
    for (const turn of turns) {
      const task = 'order' in turn ? turn.order.task : taskOf(turn.job);
      // they share one scratch space: the next one begins when this one ends
      if (task.kind === 'drill' && [...this.#running.values()].some((underWay) => underWay.task.kind === 'drill')) continue;
      const isFull = this.#isFull();
      if (!yields(task)) this.#makeWay(task, isFull && !isRestore(task));
      if (this.#running.has(task.shop)) continue;
      // whoever is next in turn waits for a place, and nobody overtakes it
      if (isFull && !isRestore(task)) return;
      if ('order' in turn) this.#beginOrder(turn, nowMs);
      else this.#beginSlot(turn, entries, nowMs);
    }
  }

  #beginOrder(waiting: WaitingOrder, nowMs: number): void {
    const { order } = waiting;
    this.#orders.splice(this.#orders.indexOf(waiting), 1);
    this.#launch(new UnderWay(order, nowMs, yields(order.task)), (underWay) => this.#performer.order(order, underWay));
  }

  #beginSlot(entry: Entry, ready: readonly Entry[], nowMs: number): void {
    const { shop, name } = entry.job;
    // a full archive makes the increment beside it pointless
    const full = name === 'increments' ? this.#book.find(shop, 'files') : undefined;
    const chosen = full && ready.includes(full) ? full : entry;
    chosen.running = true;
    const order = { run: newId(this.#options.clock), task: taskOf(chosen.job), who: SCHEDULE };
    this.#launch(new UnderWay(order, nowMs, yields(order.task)), (underWay) => this.#performer.slot(chosen, underWay));
  }

  #isFull(): boolean {
    const { concurrency } = this.#options.limits();
    let [busy, hung] = [0, 0];
    for (const underWay of this.#running.values()) {
      // the restore unit does its work, and the hindrance counts it among those of this machine
      if (!isRestore(underWay.task)) underWay.hung ? hung++ : busy++;
    }
    // a hung run does nothing and gives its place to the others, but no more of them than there are places: each holds memory
    const places = Math.max(1, concurrency - this.#hindrance.restores);
    return busy + Math.max(0, hung - concurrency) >= places;
  }

  /**
   * Stops what gives way and something waits for: its own shop's, or any when there is no place and none is about to be free. For a restore
   * everything of its own shop gives way: a promise in hours counts, and what a backup stored is taken up after it.
   */
  #makeWay(task: TaskRequest, isFull: boolean): void {
    const yielding = [...this.#running.values()].filter((underWay) => underWay.yields && !underWay.hung);
    const any = isFull && !yielding.some(({ stopped }) => stopped !== null) ? yielding[0] : undefined;
    const own = this.#running.get(task.shop);
    const ownYields = own !== undefined && (own.yields || (isRestore(task) && !isRestore(own.task) && !own.hung));
    const inTheWay = own === undefined ? any : ownYields ? own : undefined;
    const stop = (underWay: UnderWay): void =>
      this.#tellToStop(underWay, 'gave way', new CoffreError('E_INTERRUPTED', 'it gives way to what is due'));
    if (inTheWay) stop(inTheWay);
    if (!isRestore(task)) return;
    for (const underWay of this.#running.values()) if (waitsForRestores(underWay.task) && !underWay.hung) stop(underWay);
  }

  #launch(underWay: UnderWay, run: (underWay: UnderWay) => Promise<void>): void {
    const { clock, limits } = this.#options;
    const { shop } = underWay.task;
    this.#running.set(shop, underWay);
    const overdue = (): void =>
      this.#tellToStop(
        underWay,
        'deadline',
        new CoffreError('E_DEADLINE', `${shop}: the ${underWay.task.kind} took longer than limits.runDeadline`),
      );
    // a shop that is half restored is no better off when its restore is stopped
    if (!isRestore(underWay.task)) underWay.timer = clock.after(limits().deadlineMs, overdue);
    underWay.ended = run(underWay).finally(() => {
      underWay.timer?.cancel();
      this.#running.delete(shop);
      this.#wake();
    });
  }

  /** Once. A run that does not obey is called hung, and its shop stays taken: there are never two writers. */
  #tellToStop(underWay: UnderWay, why: Stopped, reason: CoffreError): void {
    if (underWay.stopped !== null) return;
    const { clock, limits } = this.#options;
    underWay.stopped = why;
    underWay.timer?.cancel();
    underWay.timer = clock.after(limits().hungAfterMs, () => void this.#callHung(underWay));
    underWay.stop.abort(reason);
  }

  async #callHung(underWay: UnderWay): Promise<void> {
    const { books, clock, log } = this.#options;
    underWay.hung = true;
    const minutes = Math.round(this.#options.limits().hungAfterMs / 60_000);
    const error = new CoffreError(
      'E_RUN_HUNG',
      `${underWay.task.shop}: the ${underWay.task.kind} was told to stop and has not ended for ${minutes} minutes`,
    );
    const { run, task } = underWay;
    log.error({ event: 'run.hung', run, shop: task.shop, kind: task.kind, code: error.code, hint: error.hint }, error.message);
    this.#performer.publish(underWay, 'step', 'running', { step: 'hung', error });
    this.#wake();
    // said again until it is written down: the disk may be what hangs
    for (let waitMs = 60_000; this.#running.get(task.shop) === underWay; waitMs = Math.min(waitMs * 2, LONGEST_PAUSE_MS)) {
      try {
        await books.hung(run, error.message);
        return;
      } catch {
        await clock.sleep(waitMs, underWay.stop.signal.aborted ? undefined : underWay.stop.signal);
      }
    }
  }

  /** Sleeps until something may be due, a run ends or the order to stop comes. */
  #nap(nowMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const napMs = this.#book.quietMs(nowMs, clock.monotonicMs(), LONGEST_NAP_MS);
    return new Promise((resolve) => {
      let timer: Timer | null = null;
      this.#wake = () => {
        this.#wake = () => {};
        timer?.cancel();
        resolve();
      };
      if (signal.aborted || this.#broken) this.#wake();
      else timer = clock.after(napMs, () => this.#wake());
    });
  }

  async #stop(): Promise<boolean> {
    const { clock, graceMs = GRACE_MS, leaveMs = LEAVE_MS } = this.#options;
    this.#stopping = true;
    if (await allEnd(this.#running.values(), graceMs, clock)) return true;
    for (const underWay of this.#running.values()) {
      this.#tellToStop(underWay, 'daemon stops', new CoffreError('E_INTERRUPTED', 'the daemon stops'));
    }
    return await allEnd(this.#running.values(), leaveMs, clock);
  }
}
