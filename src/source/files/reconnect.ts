// A connection to a host that broke is not the end of a reading: what was under way is begun again, some times, with longer and longer waits.
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';

/** Before each new attempt: a router that restarts is back after a minute. */
export const RECONNECT_WAITS_MS: readonly number[] = [500, 2_000, 5_000, 15_000, 30_000, 60_000];

export function connectionLost(host: Host): CoffreError {
  return new CoffreError('E_SSH_LOST', `${host.name}: the connection was lost while the files were being read`);
}

/** Whether the same may succeed over a new connection. */
export function isLostConnection(error: unknown): boolean {
  return error instanceof CoffreError && (error.code === 'E_SSH_LOST' || error.code === 'E_SSH_CONNECT');
}

/** Counts the attempts of one piece of work; progress makes them count anew. */
export class Reconnects {
  readonly #clock: Clock;
  readonly #waitsMs: readonly number[];
  #failures = 0;

  constructor(clock: Clock, waitsMs: readonly number[] = RECONNECT_WAITS_MS) {
    this.#clock = clock;
    this.#waitsMs = waitsMs;
  }

  progress(): void {
    this.#failures = 0;
  }

  /** Waits before the next attempt. Throws `error` when it is no lost connection or was the last one, and the signal's reason. */
  async after(error: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const waitMs = this.#waitsMs[this.#failures];
    if (!isLostConnection(error) || waitMs === undefined) throw error;
    this.#failures += 1;
    await this.#clock.sleep(waitMs, signal);
  }
}
