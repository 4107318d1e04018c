// Watches how many queries the server runs, and says when reading has to wait for the shop.
import { type Clock, type Timer, withDeadline } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';

const POLL_EVERY_MS = 1000;
/** A server that does not answer so small a question is busy beyond telling. */
const ANSWER_WITHIN_MS = 5000;
/** A held reading keeps its snapshot open, and the shop's undo log grows with it: it must end. */
export const GIVE_UP_AFTER_MS = 10 * 60_000;
/** How long the count may stay unknown: a server that restarts is back by then, and its snapshots are lost anyway. */
const UNKNOWN_FOR_MS = 15_000;

export interface LoadWatchOptions {
  readonly clock: Clock;
  /** Reading waits while more than this are running. */
  readonly maxRunningQueries: number;
  /** How many queries of others the server runs now. */
  readonly count: (signal: AbortSignal) => Promise<number>;
  /** Whether somebody waits for what the reading holds: asked when the server is busy. */
  readonly inTheWay: (signal: AbortSignal) => Promise<boolean>;
}

/** Holds a reading while the server is busy. What it does not know it takes for busy. */
export class LoadWatch {
  readonly #options: LoadWatchOptions;
  /** Settles when reading may go on, or must end; null while it may. */
  #hold: { readonly until: Promise<void>; readonly release: (error?: CoffreError) => void; readonly sinceMs: number } | null = null;
  #failed: CoffreError | null = null;
  #knownAtMs: number;
  #last = 0;
  #heldMs = 0;
  #timer: Timer | null = null;
  readonly #closed = new AbortController();

  constructor(options: LoadWatchOptions) {
    this.#options = options;
    this.#knownAtMs = options.clock.monotonicMs();
  }

  /** Asks once, and from then on every second. Throws what `count` throws the first time: a watch that cannot see is none. */
  async start(): Promise<void> {
    await this.#look();
    this.#next();
  }

  /** Null: go on at once. A promise resolves when fewer are running, and rejects with E_DB_BUSY or what the last question threw. */
  wait(): Promise<void> | null {
    return this.#failed ? refused(this.#failed) : (this.#hold?.until ?? null);
  }

  /** How long reading was held, in milliseconds. */
  get heldMs(): number {
    return this.#heldMs + (this.#hold === null ? 0 : this.#options.clock.monotonicMs() - this.#hold.sinceMs);
  }

  /** Ends the watch; who still waits is refused with `reason`. */
  close(reason: CoffreError): void {
    this.#timer?.cancel();
    this.#fail(reason);
    this.#closed.abort(reason);
  }

  #next(): void {
    if (this.#failed) return;
    this.#timer = this.#options.clock.after(POLL_EVERY_MS, () => void this.#poll(), { unref: true });
  }

  async #poll(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      this.#noteUnknown(error);
    }
    this.#next();
  }

  async #look(): Promise<void> {
    const { clock, count, inTheWay, maxRunningQueries } = this.#options;
    const late = (): CoffreError => new CoffreError('E_DB_READ', 'the server did not say how many queries it runs');
    const ask = <T>(question: (signal: AbortSignal) => Promise<T>): Promise<T> =>
      withDeadline(clock, ANSWER_WITHIN_MS, late, question, this.#closed.signal);
    const running = await ask(count);
    // Who waits for us, and the queue behind that one, is load that only ends when we go on.
    const mayRead = running <= maxRunningQueries || (await ask(inTheWay));
    const nowMs = clock.monotonicMs();
    this.#knownAtMs = nowMs;
    this.#last = running;
    if (mayRead) this.#letGo();
    else this.#holdOn(nowMs);
  }

  #noteUnknown(error: unknown): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#knownAtMs < UNKNOWN_FOR_MS) this.#holdOn(nowMs);
    else if (error instanceof CoffreError) this.#fail(error);
    else this.#fail(new CoffreError('E_DB_READ', 'cannot learn how many queries the server runs', { cause: error }));
  }

  #holdOn(nowMs: number): void {
    if (this.#failed) return;
    if (this.#hold === null) {
      let release: (error?: CoffreError) => void = () => {};
      const until = new Promise<void>((resolve, reject) => {
        release = (error) => (error ? reject(error) : resolve());
      });
      // nobody may be waiting when it fails
      until.catch(() => {});
      this.#hold = { until, release, sinceMs: nowMs };
    } else if (nowMs - this.#hold.sinceMs >= GIVE_UP_AFTER_MS) {
      const { maxRunningQueries } = this.#options;
      const minutes = GIVE_UP_AFTER_MS / 60_000;
      this.#fail(
        new CoffreError('E_DB_BUSY', `the server ran more than ${maxRunningQueries} queries for ${minutes} minutes, ${this.#last} at last`),
      );
    }
  }

  #letGo(error?: CoffreError): void {
    if (this.#hold === null) return;
    this.#heldMs += this.#options.clock.monotonicMs() - this.#hold.sinceMs;
    this.#hold.release(error);
    this.#hold = null;
  }

  #fail(error: CoffreError): void {
    this.#failed ??= error;
    this.#letGo(this.#failed);
  }
}

function refused(error: CoffreError): Promise<void> {
  const promise = Promise.reject(error);
  // whoever was told to wait may be gone before it looks
  promise.catch(() => {});
  return promise;
}
