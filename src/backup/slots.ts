// A counted gate: at most so much at once, first come first served.

/** Gives back what was acquired beyond `keep` (default 0: all of it). May be called more than once; what was given back stays so. */
export type Release = (keep?: number) => void;

interface Waiter {
  readonly weight: number;
  readonly grant: () => void;
}

export class Slots {
  #free: number;
  readonly #size: number;
  readonly #waiting: Waiter[] = [];

  constructor(size: number) {
    this.#free = size;
    this.#size = size;
  }

  /** Waits for `weight` places (more than there are: for all of them). Rejects when `signal` aborts. */
  async acquire(signal: AbortSignal, weight = 1): Promise<Release> {
    signal.throwIfAborted();
    let held = Math.min(weight, this.#size);
    // whoever came first and needs more is not overtaken: it would wait for ever
    if (this.#waiting.length === 0 && this.#free >= held) this.#free -= held;
    else {
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
          reject(signal.reason);
          this.#grant();
        };
        const waiter: Waiter = {
          weight: held,
          grant: () => {
            signal.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        signal.addEventListener('abort', onAbort, { once: true });
        this.#waiting.push(waiter);
      });
    }
    return (keep = 0) => {
      if (held <= keep) return;
      this.#free += held - keep;
      held = keep;
      this.#grant();
    };
  }

  #grant(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || next.weight > this.#free) return;
      this.#waiting.shift();
      this.#free -= next.weight;
      next.grant();
    }
  }

  /** Resolves when nobody holds a place any more. */
  async drained(): Promise<void> {
    const release = await this.acquire(new AbortController().signal, this.#size);
    release();
  }
}
