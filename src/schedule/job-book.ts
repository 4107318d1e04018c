// Where each job stands: which slot it has taken, which is due, when it may be tried again. No clock, no work: it is told the time.
import { Temporal } from 'temporal-polyfill';
import { newestDue } from './due.ts';
import { backedUpBy, type Job, type JobName } from './jobs.ts';
import { slotKey } from './slots.ts';
import { closedUntil } from './start.ts';

/** A slot taken further in the future than this means that the clock was wrong when it was written down. */
const CLOCK_WAS_WRONG_MS = 3_600_000;

/** At the same instant, what is small and urgent goes first, and what looks at its results last. */
const ORDER: readonly JobName[] = [
  ...(['probe', 'database', 'files', 'increments', 'server', 'prune'] as const),
  ...(['reconcile', 'checkpoint', 'drill', 'catch-up', 'read'] as const),
];

/** What it does is not urgent and may take days: it gives way to whatever is due, and goes on where it was. */
export const givesWay = (name: JobName): boolean => name === 'catch-up' || name === 'read';

/** Instants are epoch milliseconds: thousands of these are gone through at each wake. */
export interface Entry {
  job: Job;
  /** Slots up to here are taken care of. */
  takenUpToMs: number;
  /** First slot after `takenUpToMs`; null: there is none. */
  nextMs: number | null;
  /** The slot that waits for its run, or is being run. */
  dueMs: number | null;
  running: boolean;
  failures: number;
  /** Not before, by the monotonic clock: a wall clock that is set back must not put a second try off by a day. */
  retryAtMs: number | null;
}

export interface BookEvents {
  /** A slot in the future was written down as taken. */
  readonly onClock: (job: Job, takenUpTo: Temporal.Instant) => void;
  readonly onMissed: (job: Job, since: Temporal.Instant) => void;
}

const instant = (ms: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(ms);
const jitterMs = (job: Job): number => job.start?.jitterMs ?? 0;

/** What comes after everything else, and is stopped for it. A drill has its slots all the same: it is begun anew, and missed when it does not come. */
export const comesLast = (name: JobName): boolean => givesWay(name) || name === 'drill';

/** What no scheduled backup begins in. */
export interface Holding {
  /** Some shop is being restored: no drill begins beside it. */
  readonly restoring?: boolean;
  /** Shops whose backups wait. */
  readonly shops: ReadonlySet<string>;
  readonly nowMs: number;
}

export class JobBook {
  readonly #events: BookEvents;
  readonly #entries = new Map<string, Entry>();

  constructor(events: BookEvents) {
    this.#events = events;
  }

  get size(): number {
    return this.#entries.size;
  }

  find(shop: string, name: JobName): Entry | undefined {
    return this.#entries.get(slotKey(shop, name));
  }

  /** Adds a job that has taken what is up to then, and is due at once if `dueMs` says so. */
  add(job: Job, takenUpToMs: number, dueMs: number | null): Entry {
    const entry: Entry = {
      job,
      takenUpToMs,
      nextMs: nextSlot(job, takenUpToMs),
      dueMs,
      running: false,
      failures: 0,
      retryAtMs: null,
    };
    this.#entries.set(slotKey(job.shop, job.name), entry);
    return entry;
  }

  /**
   * Puts a new list of jobs in the place of the old one. Returns those that were not known. What is the same goes on where it was, and so
   * does what waits or runs; a job whose schedule is another one is scheduled from now, and told through `onChanged`.
   */
  replace(jobs: readonly Job[], nowMs: number, onChanged: (job: Job) => void): Job[] {
    const fresh: Job[] = [];
    const keys = new Set<string>();
    for (const job of jobs) {
      const key = slotKey(job.shop, job.name);
      keys.add(key);
      const entry = this.#entries.get(key);
      if (entry === undefined) {
        fresh.push(job);
        continue;
      }
      const { expression, timezone } = entry.job.schedule;
      const isSame = expression === job.schedule.expression && timezone === job.schedule.timezone;
      entry.job = job;
      if (isSame) continue;
      if (entry.dueMs === null) {
        entry.takenUpToMs = nowMs;
        onChanged(job);
      }
      entry.nextMs = nextSlot(job, Math.max(entry.takenUpToMs, nowMs));
    }
    for (const key of [...this.#entries.keys()]) if (!keys.has(key)) this.#entries.delete(key);
    return fresh;
  }

  /** Finds what has become due. A newer slot takes over from one that waits or failed. */
  collectDue(nowMs: number): void {
    for (const entry of this.#entries.values()) {
      const { job } = entry;
      if (entry.takenUpToMs > nowMs + CLOCK_WAS_WRONG_MS) {
        this.#events.onClock(job, instant(entry.takenUpToMs));
        // what waits, or is to be tried again, stays so
        entry.takenUpToMs = nowMs;
        entry.nextMs = nextSlot(job, nowMs);
      }
      const untilMs = nowMs - jitterMs(job);
      if (entry.running || entry.nextMs === null || entry.nextMs > untilMs) continue;
      const slot = newestDue(job.schedule, instant(entry.takenUpToMs), instant(untilMs));
      if (slot === null) continue;
      const slotMs = slot.epochMilliseconds;
      if (entry.dueMs === null || slotMs > entry.dueMs) {
        if (entry.dueMs === null && slotMs > entry.nextMs && !givesWay(job.name)) this.#events.onMissed(job, instant(entry.nextMs));
        entry.dueMs = slotMs;
        // its slots are more frequent than its pauses
        if (!givesWay(job.name)) {
          entry.failures = 0;
          entry.retryAtMs = null;
        }
      }
      entry.nextMs = nextSlot(job, slotMs);
    }
  }

  /** Entries whose run may begin, in the order in which they should. */
  ready(monotonicMs: number, holding: Holding): Entry[] {
    const closed = new Map<unknown, boolean>();
    const isClosed = ({ start }: Job): boolean => {
      if (start === undefined || start.windows.length === 0) return false;
      const known = closed.get(start.windows) ?? closedUntil(start.windows, start.timezone, holding.nowMs) !== null;
      closed.set(start.windows, known);
      return known;
    };
    const ready: Entry[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.dueMs === null || entry.running || (entry.retryAtMs !== null && entry.retryAtMs > monotonicMs)) continue;
      if (entry.job.name === 'drill' && (holding.restoring || isClosed(entry.job))) continue;
      if (backedUpBy(entry.job.name) !== null && (holding.shops.has(entry.job.shop) || isClosed(entry.job))) continue;
      ready.push(entry);
    }
    return ready.sort(
      (a, b) =>
        Number(givesWay(a.job.name)) - Number(givesWay(b.job.name)) ||
        Number(comesLast(a.job.name)) - Number(comesLast(b.job.name)) ||
        (a.dueMs as number) - (b.dueMs as number) ||
        ORDER.indexOf(a.job.name) - ORDER.indexOf(b.job.name),
    );
  }

  /** Slots that wait, what gives way left out. */
  waiting(): number {
    let count = 0;
    for (const { dueMs, job, running } of this.#entries.values()) if (dueMs !== null && !running && !givesWay(job.name)) count++;
    return count;
  }

  /** Whether any backup is due, or a drill: only then it matters who is paused, or being restored. */
  hasDueBackup(): boolean {
    for (const { dueMs, job, running } of this.#entries.values()) {
      if (dueMs !== null && !running && (backedUpBy(job.name) !== null || job.name === 'drill')) return true;
    }
    return false;
  }

  settle(entry: Entry, takenUpToMs: number): void {
    entry.takenUpToMs = takenUpToMs;
    entry.nextMs = nextSlot(entry.job, takenUpToMs);
    entry.dueMs = null;
    entry.failures = 0;
    entry.retryAtMs = null;
  }

  /** A run may have left something lacking, or shown that a vault is back: the catalog is asked at once. */
  lookForGaps(shop: string, nowMs: number): void {
    const entry = this.find(shop, 'catch-up');
    if (!entry || entry.running) return;
    entry.dueMs ??= nowMs;
    entry.retryAtMs = null;
  }

  /** How long nothing can become due or be tried again, at most `longestMs`. */
  quietMs(nowMs: number, monotonicMs: number, longestMs: number): number {
    let quietMs = longestMs;
    for (const entry of this.#entries.values()) {
      if (entry.running) continue;
      // what is due already waits for a place or its shop: the end of a run wakes us
      const leftMs =
        entry.dueMs === null
          ? entry.nextMs === null
            ? 0
            : entry.nextMs + jitterMs(entry.job) - nowMs
          : entry.retryAtMs === null
            ? 0
            : entry.retryAtMs - monotonicMs;
      if (leftMs > 0 && leftMs < quietMs) quietMs = leftMs;
    }
    return quietMs;
  }
}

function nextSlot(job: Job, afterMs: number): number | null {
  return job.schedule.next(instant(afterMs))?.epochMilliseconds ?? null;
}
