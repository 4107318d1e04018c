// Rows and bytes a second over all connections of a reading: a budget that fills with time and is spent in advance.
import type { Clock } from '../../clock.ts';

/** What was not spent is kept this long: a second never sees more than 1.2 times its share. */
const BURST_MS = 200;
/** A shorter wait is owed instead: a timer for every packet would cost more than it slows down. */
const SHORTEST_WAIT_MS = 20;

export interface Rates {
  readonly rowsPerSecond: number | null;
  readonly bytesPerSecond: number | null;
}

export class Throttle {
  readonly #clock: Clock;
  readonly #rowsPerMs: number | null;
  readonly #bytesPerMs: number | null;
  /** Monotonic instants until which what was spent is paid for. */
  #rowsPaidAtMs = Number.NEGATIVE_INFINITY;
  #bytesPaidAtMs = Number.NEGATIVE_INFINITY;

  constructor(rates: Rates, clock: Clock) {
    this.#clock = clock;
    this.#rowsPerMs = rates.rowsPerSecond === null ? null : rates.rowsPerSecond / 1000;
    this.#bytesPerMs = rates.bytesPerSecond === null ? null : rates.bytesPerSecond / 1000;
  }

  /** Takes what was read from the budget, and tells how many milliseconds the one who read it has to wait; 0: none. */
  charge(rows: number, bytes: number): number {
    const nowMs = this.#clock.monotonicMs();
    let waitMs = 0;
    if (this.#rowsPerMs !== null) {
      this.#rowsPaidAtMs = Math.max(this.#rowsPaidAtMs, nowMs - BURST_MS) + rows / this.#rowsPerMs;
      waitMs = Math.max(waitMs, this.#rowsPaidAtMs - nowMs);
    }
    if (this.#bytesPerMs !== null) {
      this.#bytesPaidAtMs = Math.max(this.#bytesPaidAtMs, nowMs - BURST_MS) + bytes / this.#bytesPerMs;
      waitMs = Math.max(waitMs, this.#bytesPaidAtMs - nowMs);
    }
    return waitMs < SHORTEST_WAIT_MS ? 0 : waitMs;
  }
}
