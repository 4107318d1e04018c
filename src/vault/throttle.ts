// limits.bandwidth: the pace at which bytes leave for all S3 vaults of a process together, and how long it held each of them back.
import type { Clock } from '../clock.ts';

/** What was not sent is kept this long: a second never sees more than 1.1 times its share. */
const BURST_MS = 100;
/** A shorter wait is owed instead: a timer for every piece would cost more than it slows down. */
const SHORTEST_WAIT_MS = 10;
/** A piece takes this long at the full pace: short, so that many uploads that share it all keep moving. */
const PIECE_MS = 25;
const SMALLEST_PIECE_BYTES = 1024;
const LARGEST_PIECE_BYTES = 256 * 1024;

/**
 * How long one piece of work was held back by our own limit, several of its requests at a time counted once: what its deadline must
 * not count, since a deadline is for a store that does not move.
 */
export class HeldBack {
  readonly #clock: Clock;
  #now = 0;
  #sinceMs = 0;
  #sumMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds so far; grows while something is held back. */
  get ms(): number {
    return this.#sumMs + (this.#now > 0 ? this.#clock.monotonicMs() - this.#sinceMs : 0);
  }

  async during(wait: Promise<void>): Promise<void> {
    if (this.#now++ === 0) this.#sinceMs = this.#clock.monotonicMs();
    try {
      await wait;
    } finally {
      if (--this.#now === 0) this.#sumMs += this.#clock.monotonicMs() - this.#sinceMs;
    }
  }
}

/** A budget that fills with time and is spent in advance: whoever asks first is served first, a piece each. */
export class Bandwidth {
  readonly bytesPerSecond: number;
  /** What to ask for at once. */
  readonly pieceBytes: number;
  readonly #clock: Clock;
  /** Monotonic instant until which everything that was taken is paid for. */
  #paidAtMs = Number.NEGATIVE_INFINITY;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    const piece = Math.round((bytesPerSecond * PIECE_MS) / 1000);
    this.pieceBytes = Math.min(LARGEST_PIECE_BYTES, Math.max(SMALLEST_PIECE_BYTES, piece));
  }

  /**
   * Resolves when `bytes` may leave; `held` learns how long that took. Rejects with the signal's reason: what was asked for is spent
   * all the same, since others were given their turns behind it.
   */
  async take(bytes: number, signal: AbortSignal, held: readonly HeldBack[] = []): Promise<void> {
    signal.throwIfAborted();
    const nowMs = this.#clock.monotonicMs();
    this.#paidAtMs = Math.max(this.#paidAtMs, nowMs - BURST_MS) + (bytes * 1000) / this.bytesPerSecond;
    const waitMs = this.#paidAtMs - nowMs;
    if (waitMs < SHORTEST_WAIT_MS) return;
    await held.reduce((wait, one) => one.during(wait), this.#clock.sleep(waitMs, signal));
  }
}

/** Gives all vaults of a process the same Bandwidth. */
export class SharedBandwidth {
  readonly #clock: Clock;
  #shared: Bandwidth | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** null: no limit. A process has one configuration, so one rate; should it change, vaults opened from then on share the new one. */
  at(bytesPerSecond: number | null): Bandwidth | null {
    if (bytesPerSecond === null) return null;
    if (this.#shared?.bytesPerSecond !== bytesPerSecond) this.#shared = new Bandwidth(bytesPerSecond, this.#clock);
    return this.#shared;
  }
}
