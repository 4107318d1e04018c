// A clock that moves only when a test says so: wall time, monotonic time and timers together.
import { Temporal } from 'temporal-polyfill';
import { type Clock, sleepOn, type Timer } from '../src/clock.ts';

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #order = 0;
  readonly #timers = new Set<Pending>();

  /** Starts at `start`, RFC 3339 text or epoch milliseconds. */
  constructor(start: string | number = '2026-03-02T02:30:00Z') {
    this.#wallMs = typeof start === 'number' ? start : Temporal.Instant.from(start).epochMilliseconds;
  }

  now(): Temporal.Instant {
    return Temporal.Instant.fromEpochMilliseconds(this.#wallMs);
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer: Pending = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  /** Moves time on, firing what comes due in its order, each at its own time; timers set meanwhile count too. */
  advance(ms: number): void {
    const endMs = this.#monotonicMs + ms;
    for (;;) {
      const next = [...this.#timers].filter((t) => t.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
      if (!next) break;
      this.#timers.delete(next);
      this.#move(next.dueMs - this.#monotonicMs);
      next.callback();
    }
    this.#move(endMs - this.#monotonicMs);
  }

  /** Sets the wall clock alone, backwards too, as an operator or NTP does; timers and durations do not notice. */
  setWall(to: string | number): void {
    this.#wallMs = typeof to === 'number' ? to : Temporal.Instant.from(to).epochMilliseconds;
  }

  #move(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }
}
