// One budget of bytes in flight for all runs of a process (limits.memory), fair between them, so that none starves another.
import { bytesInFlight } from '../config/memory.ts';
import type { Release } from './slots.ts';

interface Waiter {
  readonly bytes: number;
  /** When it came, counted over all shares. */
  readonly order: number;
  readonly grant: () => void;
}

/** What one run holds, and what it waits for, first come first served. */
interface Account {
  heldBytes: number;
  readonly waiting: Waiter[];
}

/** One run's part of the budget. */
export interface MemoryShare {
  /**
   * Waits for `bytes` (more than the whole budget: for all of it). Rejects when `signal` aborts. Whoever holds some must be able to
   * finish with it: nobody may wait for more before it gives back what it has, since all may be waiting for that.
   */
  acquire(signal: AbortSignal, bytes: number): Promise<Release>;
}

export interface MemoryUse {
  readonly sizeBytes: number;
  readonly heldBytes: number;
  /** The most that was held at once so far. */
  readonly peakBytes: number;
  /** Requests that wait now. */
  readonly waiting: number;
}

/**
 * Who holds least is served next, of those the one that has waited longest; while that one does not fit, nobody else is served, so
 * what is given back gathers for it. So a run with many small parts does not keep one with a large part out, and every request is
 * served as long as holders end: its run holds nothing in the end, and of the runs that hold nothing it came first.
 */
export class MemoryBudget {
  #sizeBytes: number;
  readonly #accounts = new Set<Account>();
  #heldBytes = 0;
  #peakBytes = 0;
  #order = 0;

  /** `sizeBytes`: in flight at once, over all runs. */
  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  /** For a process that may take `memoryBytes` with `runs` runs at a time. */
  static forProcess(memoryBytes: number, runs: number): MemoryBudget {
    return new MemoryBudget(bytesInFlight(memoryBytes, runs));
  }

  get use(): MemoryUse {
    let waiting = 0;
    for (const account of this.#accounts) waiting += account.waiting.length;
    return { sizeBytes: this.#sizeBytes, heldBytes: this.#heldBytes, peakBytes: this.#peakBytes, waiting };
  }

  /** From now on; what is held beyond a smaller size is given back as runs go on. */
  resize(memoryBytes: number, runs: number): void {
    this.#sizeBytes = bytesInFlight(memoryBytes, runs);
    this.#serve();
  }

  /** A share for one run; it needs no closing, what it holds is given back piece by piece. */
  share(): MemoryShare {
    const account: Account = { heldBytes: 0, waiting: [] };
    return { acquire: (signal, bytes) => this.#acquire(account, signal, bytes) };
  }

  async #acquire(account: Account, signal: AbortSignal, bytes: number): Promise<Release> {
    signal.throwIfAborted();
    let held = Math.min(bytes, this.#sizeBytes);
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        account.waiting.splice(account.waiting.indexOf(waiter), 1);
        reject(signal.reason);
        this.#serve();
      };
      const waiter: Waiter = {
        bytes: held,
        order: this.#order++,
        grant: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      account.waiting.push(waiter);
      this.#accounts.add(account);
      this.#serve();
    });
    return (keep = 0) => {
      if (held <= keep) return;
      account.heldBytes -= held - keep;
      this.#heldBytes -= held - keep;
      held = keep;
      this.#serve();
    };
  }

  #serve(): void {
    for (;;) {
      const next = this.#next();
      const waiter = next?.waiting[0];
      if (!next || !waiter || waiter.bytes > this.#sizeBytes - this.#heldBytes) return;
      next.waiting.shift();
      next.heldBytes += waiter.bytes;
      this.#heldBytes += waiter.bytes;
      this.#peakBytes = Math.max(this.#peakBytes, this.#heldBytes);
      waiter.grant();
    }
  }

  #next(): Account | null {
    let best: Account | null = null;
    for (const account of this.#accounts) {
      const [first] = account.waiting;
      if (!first) {
        // a run that waits for nothing needs no place here; it comes back when it asks
        this.#accounts.delete(account);
        continue;
      }
      const better =
        best === null ||
        account.heldBytes < best.heldBytes ||
        (account.heldBytes === best.heldBytes && first.order < (best.waiting[0] as Waiter).order);
      if (better) best = account;
    }
    return best;
  }
}

/** For the log: what the budget was used for, and what the whole process took (bytes). */
export function memoryNow(budget: MemoryBudget) {
  const { sizeBytes, peakBytes } = budget.use;
  return {
    budgetBytes: sizeBytes,
    peakInFlightBytes: peakBytes,
    rssBytes: process.memoryUsage.rss(),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}
