// The only user of Date.now and timers: locks, RTO clocks and billing months hang on it.
import { Temporal } from 'temporal-polyfill';

/** A pending timer; `cancel` is idempotent and never throws. */
export interface Timer {
  cancel(): void;
}

/** Where time comes from. Everything that decides by time takes one of these. */
export interface Clock {
  /** Wall clock, as an instant. */
  now(): Temporal.Instant;
  /** Wall clock, in milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Monotonic clock in milliseconds: for durations only, never compared with `nowMs`. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs`. The timer keeps the process alive unless `unref` is set. */
  after(delayMs: number, callback: () => void, options?: { unref?: boolean }): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** setTimeout fires at once beyond this; longer waits are made of several. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Temporal.Instant.fromEpochMilliseconds(Date.now()),
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback, options) {
    let handle: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, LONGEST_TIMER_MS);
      handle = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : callback()), stepMs);
      if (options?.unref) handle.unref();
    };
    arm(Math.max(0, delayMs));
    return { cancel: () => clearTimeout(handle) };
  },
  sleep: (delayMs, signal) => sleepOn(systemClock, delayMs, signal),
};

/** `Clock.sleep` of a clock that has timers. */
export function sleepOn(clock: Pick<Clock, 'after'>, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Runs `work` with a signal that aborts after `limitMs` (with `makeError`'s error) or when `parent` does. `uncountedMs` tells how many
 * milliseconds so far do not count, because they were our own doing.
 */
export async function withDeadline<T>(
  clock: Clock,
  limitMs: number,
  makeError: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
  parent?: AbortSignal,
  uncountedMs: () => number = () => 0,
): Promise<T> {
  const controller = new AbortController();
  const onParent = (): void => controller.abort(parent?.reason);
  if (parent?.aborted) onParent();
  parent?.addEventListener('abort', onParent, { once: true });
  let rejectLate: (reason: unknown) => void = () => {};
  const late = new Promise<never>((_, reject) => {
    rejectLate = reject;
  });
  late.catch(() => {});
  const onAbort = (): void => rejectLate(controller.signal.reason);
  controller.signal.addEventListener('abort', onAbort, { once: true });
  if (controller.signal.aborted) onAbort();
  const startedMs = clock.monotonicMs();
  const onTimer = (): void => {
    const uncounted = uncountedMs();
    const leftMs = uncounted > 0 ? limitMs + uncounted - (clock.monotonicMs() - startedMs) : 0;
    if (leftMs > 0) timer = clock.after(Math.ceil(leftMs), onTimer);
    else controller.abort(makeError());
  };
  let timer = clock.after(limitMs, onTimer);
  try {
    return await Promise.race([work(controller.signal), late]);
  } finally {
    timer.cancel();
    parent?.removeEventListener('abort', onParent);
  }
}

/** The Date that a library wants (the AWS SDK). A Date holds milliseconds: what is finer is cut off. */
export function toDate(instant: Temporal.Instant): Date {
  return new Date(instant.epochMilliseconds);
}

/** The instant in a Date that a library gave. */
export function fromDate(date: Date): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(date.getTime());
}

/** The instant of an HTTP date (RFC 9110, `Sun, 06 Nov 1994 08:49:37 GMT`); null when it is none. */
export function parseHttpDate(text: string): Temporal.Instant | null {
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : Temporal.Instant.fromEpochMilliseconds(atMs);
}

/** Lets what is waiting on this thread (messages, sockets) be dealt with first. Not for waiting: it takes no time. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Waits until `work` is settled, however, but no longer than `limitMs`: false when it is not by then, and goes on without anybody waiting. */
export async function settledWithin(work: Promise<unknown>, limitMs: number, clock: Clock): Promise<boolean> {
  const enough = new AbortController();
  const settled = work.then(
    () => true,
    () => true,
  );
  const late = clock.sleep(limitMs, enough.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([settled, late]);
  } finally {
    enough.abort();
  }
}
