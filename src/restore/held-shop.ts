// A shop's lock while it is restored, let go for the time of its safety snapshot, which is a backup like any other.
import { lockShop } from '../catalog/shop-lock.ts';
import type { StateLock } from '../catalog/state-lock.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError } from '../errors.ts';

/** Between two looks at whether somebody who has the shop for a moment is done. */
const AGAIN_MS = 5_000;

export class HeldShop implements Disposable {
  readonly #config: Pick<Config, 'stateDir' | 'timezone'>;
  readonly #clock: Clock;
  readonly #shop: string;
  readonly #signal: AbortSignal;
  #lock: StateLock | null = null;

  constructor(config: Pick<Config, 'stateDir' | 'timezone'>, clock: Clock, shop: string, signal: AbortSignal) {
    this.#config = config;
    this.#clock = clock;
    this.#shop = shop;
    this.#signal = signal;
  }

  /** Throws E_BUSY. */
  async take(): Promise<void> {
    this.#lock = await lockShop(this.#config.stateDir, this.#clock, this.#shop, 'a restore in place', this.#config.timezone);
  }

  /** What takes the lock itself; whoever comes in between is waited for. Throws the signal's reason. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    this.release();
    const result = await waitingForOthers(this.#clock, this.#signal, work);
    await waitingForOthers(this.#clock, this.#signal, () => this.take());
    return result;
  }

  release(): void {
    this.#lock?.release();
    this.#lock = null;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

async function waitingForOthers<T>(clock: Clock, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (asCoffreError(error).code !== 'E_BUSY') throw error;
      await clock.sleep(AGAIN_MS, signal);
    }
  }
}
