// What a reading asks before it goes on: whether it keeps to its rows and bytes a second, and whether the shop's server has room for it.
import type { Clock } from '../../clock.ts';
import type { GentleLimits } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import { asServerError, connect, type ServerAddress, type Session } from '../../target/mariadb/session.ts';
import { Throttle } from './gentle-throttle.ts';
import { LoadWatch } from './gentle-watch.ts';
import { readError } from './reading.ts';

export interface Gentle {
  /**
   * To be told what was just read, by every connection. Null: go on at once. A promise: read no further until it resolves;
   * it rejects with E_DB_BUSY, E_DB_CONNECT, E_DB_READ, E_INTERRUPTED (closed meanwhile) or the signal's reason.
   * `spend(0, 0)` before a snapshot is opened waits for a quiet server without holding anything.
   * Not to be asked while tables without transactions are locked: the shop's writers wait for their end, and count as load.
   */
  spend(rows: number, bytes: number, signal?: AbortSignal): Promise<void> | null;
  /** How long the server's load held the reading so far, in milliseconds. */
  readonly heldMs: number;
  /** Never throws; may be called twice. */
  close(): Promise<void>;
}

export interface GentleOptions {
  readonly limits: GentleLimits;
  readonly address: ServerAddress;
  readonly clock: Clock;
  /** Thread ids of the connections that read, asked anew each time: their own queries are not the shop's load. */
  readonly ownThreads: () => readonly number[];
  /**
   * Tables that are being read now, quoted with their database (`shop`.`orders`), asked anew each time. A read in progress holds
   * the table's metadata lock: when somebody waits to alter one of them, the whole site queues behind and counts as load, so
   * reading goes on. Without it such a queue lasts until the watch gives up.
   */
  readonly tablesHeld?: () => readonly string[];
}

const LOCK_WAIT_TIMEOUT = 1205;

/** Connects only when `maxRunningQueries` is given. Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE, E_DB_READ. */
export async function makeGentle(options: GentleOptions): Promise<Gentle> {
  const { limits, clock } = options;
  const throttle = limits.rowsPerSecond === null && limits.bytesPerSecond === null ? null : new Throttle(limits, clock);
  if (limits.maxRunningQueries === null) return new Gentleness(clock, throttle, null, null);
  const counter = new QueryCounter(options.address, options.ownThreads, options.tablesHeld ?? (() => []));
  const watch = new LoadWatch({
    clock,
    maxRunningQueries: limits.maxRunningQueries,
    count: (signal) => counter.count(signal),
    inTheWay: (signal) => counter.inTheWay(signal),
  });
  try {
    await watch.start();
  } catch (error) {
    counter.close();
    throw error;
  }
  return new Gentleness(clock, throttle, watch, counter);
}

class Gentleness implements Gentle {
  readonly #clock: Clock;
  readonly #throttle: Throttle | null;
  readonly #watch: LoadWatch | null;
  readonly #counter: QueryCounter | null;
  readonly #closed = new AbortController();

  constructor(clock: Clock, throttle: Throttle | null, watch: LoadWatch | null, counter: QueryCounter | null) {
    this.#clock = clock;
    this.#throttle = throttle;
    this.#watch = watch;
    this.#counter = counter;
  }

  spend(rows: number, bytes: number, signal?: AbortSignal): Promise<void> | null {
    const waitMs = this.#throttle?.charge(rows, bytes) ?? 0;
    const held = this.#watch?.wait() ?? null;
    if (waitMs === 0 && held === null) return null;
    return this.#pause(waitMs, held, signal);
  }

  async #pause(waitMs: number, held: Promise<void> | null, signal?: AbortSignal): Promise<void> {
    const either = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    if (held) await orAborted(held, either);
    if (waitMs > 0) await this.#clock.sleep(waitMs, either);
  }

  get heldMs(): number {
    return this.#watch?.heldMs ?? 0;
  }

  async close(): Promise<void> {
    const reason = new CoffreError('E_INTERRUPTED', 'the reading was closed');
    this.#watch?.close(reason);
    this.#closed.abort(reason);
    this.#counter?.close();
  }
}

/** `promise`, or the signal's reason when that aborts first. */
async function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A connection of its own that asks the server what it is running; made anew when it was lost. */
class QueryCounter {
  readonly #address: ServerAddress;
  readonly #ownThreads: () => readonly number[];
  readonly #tablesHeld: () => readonly string[];
  #session: Session | null = null;
  #closed = false;

  constructor(address: ServerAddress, ownThreads: () => readonly number[], tablesHeld: () => readonly string[]) {
    this.#address = address;
    this.#ownThreads = ownThreads;
    this.#tablesHeld = tablesHeld;
  }

  /** Queries that run on the server without ours. An abort drops the connection: the next call makes another. */
  count(signal: AbortSignal): Promise<number> {
    return this.#ask(signal, async (session) => {
      const [row] = await session.texts("SHOW GLOBAL STATUS LIKE 'Threads_running'");
      const running = Number(row?.[1]);
      if (!Number.isSafeInteger(running)) throw new CoffreError('E_DB_READ', 'the server does not say how many queries it runs');
      return Math.max(0, running - 1 - (await this.#ownRunning(session)));
    });
  }

  /** Whether a query of a table that we read would have to wait: somebody else's waits already, or is about to. */
  inTheWay(signal: AbortSignal): Promise<boolean> {
    return this.#ask(signal, async (session) => {
      for (const table of this.#tablesHeld()) {
        try {
          await session.cells(`SELECT HIGH_PRIORITY 1 FROM ${table} LIMIT 0`);
        } catch (error) {
          const { errno, fatal } = asServerError(error);
          if (errno === LOCK_WAIT_TIMEOUT) return true;
          // a table that is gone or was altered is the reading's business
          if (fatal) throw error;
        }
      }
      return false;
    });
  }

  async #ask<T>(signal: AbortSignal, question: (session: Session) => Promise<T>): Promise<T> {
    try {
      const session = await this.#open(signal);
      const drop = (): void => session.destroy();
      signal.addEventListener('abort', drop, { once: true });
      try {
        return await question(session);
      } finally {
        signal.removeEventListener('abort', drop);
      }
    } catch (error) {
      signal.throwIfAborted();
      throw readError(error, 'how many queries the server runs');
    }
  }

  /** A user sees its own threads without any privilege. */
  async #ownRunning(session: Session): Promise<number> {
    const ids = this.#ownThreads().filter((id) => Number.isSafeInteger(id) && id > 0);
    if (ids.length === 0) return 0;
    const sql = `SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID IN (${ids.join(',')}) AND COMMAND<>'Sleep'`;
    return Number(await session.text(sql));
  }

  async #open(signal: AbortSignal): Promise<Session> {
    if (this.#session && !this.#session.lost) return this.#session;
    const session = await connect(this.#address, { localInfile: false });
    if (this.#closed || signal.aborted) {
      session.destroy();
      signal.throwIfAborted();
      throw new CoffreError('E_INTERRUPTED', 'the reading was closed');
    }
    this.#session = session;
    // not waiting for a table that somebody alters; MySQL takes no less than a second
    await session.run('SET SESSION lock_wait_timeout=0');
    return session;
  }

  close(): void {
    this.#closed = true;
    this.#session?.destroy();
  }
}
