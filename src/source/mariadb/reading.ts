// What the parts of one reading share: connections into one snapshot, counts, and the parts that are still to be read.
import { CoffreError } from '../../errors.ts';
import { accessCode, asServerError, type Session } from '../../target/mariadb/session.ts';
import type { Part, Warning } from '../source.ts';
import type { Sizes, TablePlan } from './plan.ts';
import { sameDefinition, showCreate } from './schema.ts';

/** A table, column or key is gone, or the table is another one than when the snapshot was opened. */
// 1213: the shop waits for a table that we read, and we for one that it has locked; the server chose us. Reading anew is the way out.
const CHANGED_ERRNOS = new Set([1051, 1054, 1146, 1176, 1412, 1213, 1932]);
export const SAVEPOINT = 'coffre';

/** What a server error means while a dump is read; `what` says in words what was read, `table` which one, where it is one. */
export function readError(error: unknown, what: string, table?: string): CoffreError {
  if (error instanceof CoffreError) return error;
  const server = asServerError(error);
  const code = CHANGED_ERRNOS.has(server.errno) ? 'E_DB_CHANGED' : (accessCode(server.errno) ?? 'E_DB_READ');
  return new CoffreError(code, `reading ${what}: ${server.message}`, { cause: server, ...(table === undefined ? {} : { where: table }) });
}

/** A part that notes when it was handed out. */
export interface TrackedPart extends Part {
  /** Of tables that a lock holds still. */
  readonly locked: boolean;
  handOut(): Part;
}

/** How fast may be read. */
export interface Pace {
  /** What was read; a promise when reading has to wait until it resolves, null when it may go on. */
  spend(rows: number, bytes: number): Promise<void> | null;
}

/** A connection that nobody else uses until `release`. */
export interface Lease {
  readonly session: Session;
  /** Gives it back; a second call does nothing. */
  release(): void;
}

export class ReadContext {
  readonly sessions: readonly Session[];
  /** Largest packet that the server sends: no row, and no piece of one, may be longer. */
  readonly maxAllowedPacket: number;
  readonly sizes: Sizes;
  readonly pace: Pace | null;
  readonly warnings: Warning[] = [];
  /** Whole tables, or ranges of them, in the middle of being read: their metadata locks are held from segment to segment. */
  readonly openTables = new Set<{ readonly plan: TablePlan }>();
  rows = 0;
  /** Reads the tables that it holds locked; null when none are. */
  readonly #lockSession: Session | null;
  readonly #free: Session[];
  readonly #waiting: { readonly take: (session: Session) => void; readonly fail: (error: CoffreError) => void }[] = [];
  readonly #ready: TrackedPart[] = [];
  #running = 0;
  #lockedRunning = 0;
  #lockedOpen = 0;
  #onChange: (() => void)[] = [];
  #closed: CoffreError | null = null;

  constructor(sessions: readonly Session[], maxAllowedPacket: number, sizes: Sizes, pace: Pace | null, lockSession: Session | null = null) {
    this.sessions = sessions;
    this.maxAllowedPacket = maxAllowedPacket;
    this.sizes = sizes;
    this.pace = pace;
    this.#lockSession = lockSession;
    this.#free = [...sessions];
  }

  /** A part known from the start: after those that were. */
  add(part: TrackedPart): void {
    if (part.locked) this.#lockedOpen++;
    this.#ready.push(part);
  }

  /**
   * A part that turned up while another was read: the rest of a table, a row too large. It comes next, for it may hold a
   * connection from one part to the next, and a table that is read to its end is let go soonest.
   */
  find(part: TrackedPart): void {
    if (part.locked) this.#lockedOpen++;
    this.#ready.unshift(part);
  }

  /** Of locked tables one part at a time, for one connection reads them all. */
  nextReady(): TrackedPart | undefined {
    return this.#ready[0]?.locked && this.#lockedRunning > 0 ? undefined : this.#ready.shift();
  }

  /** Parts that were handed out and not read to their end: more may turn up. */
  get busy(): boolean {
    return this.#running > 0;
  }

  /** Parts of locked tables that are not read yet. */
  get lockedOpen(): number {
    return this.#lockedOpen;
  }

  /** Resolves when a part was read. Throws E_INTERRUPTED when the reading is closed meanwhile. */
  async change(): Promise<void> {
    await new Promise<void>((resolve) => this.#onChange.push(resolve));
    if (this.#closed) throw this.#closed;
  }

  /** Notes that a part was handed out; the function says that it was read, or given up. */
  handOut(part: TrackedPart): () => void {
    this.#running++;
    if (part.locked) this.#lockedRunning++;
    let done = false;
    return () => {
      if (done) return;
      done = true;
      this.#running--;
      if (part.locked) {
        this.#lockedRunning--;
        this.#lockedOpen--;
      }
      this.#changed();
    };
  }

  #changed(): void {
    const waiting = this.#onChange;
    this.#onChange = [];
    for (const resolve of waiting) resolve();
  }

  /**
   * To be called after rows of a table were read and before its metadata lock is let go: the server reports only alterations
   * that rebuild a table, and an instant one may have put other values under an old name. Throws E_DB_CHANGED, ServerError.
   */
  async demandSameDefinition(session: Session, plan: TablePlan): Promise<void> {
    if (sameDefinition(plan.create, await showCreate(session, 'TABLE', plan.name))) return;
    throw new CoffreError('E_DB_CHANGED', `the table ${plan.name} was altered during the dump`, { where: plan.name });
  }

  /** Lets go of the metadata locks: an ALTER, and the site's queries behind it, need not wait for the whole dump. */
  async letGo(session: Session): Promise<void> {
    // the locks on tables end together, when all of them were read
    if (session !== this.#lockSession) await session.run(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`);
  }

  /** Waits for a free connection, for a locked table the one that holds it. Throws E_INTERRUPTED when the reading is closed. */
  async lease(locked: boolean): Promise<Lease> {
    if (this.#closed) throw this.#closed;
    if (locked && this.#lockSession) return { session: this.#lockSession, release: () => {} };
    const session = this.#free.shift() ?? (await new Promise<Session>((take, fail) => this.#waiting.push({ take, fail })));
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      const next = this.#waiting.shift();
      if (next) next.take(session);
      else this.#free.push(session);
    };
    return { session, release };
  }

  /** Runs `produce` alone on a connection. An abort drops the connection: the server ends the query and the snapshot. */
  async *exclusively(
    what: string,
    signal: AbortSignal,
    locked: boolean,
    produce: (session: Session) => AsyncGenerator<Buffer, void, undefined>,
    table?: string,
  ): AsyncGenerator<Buffer, void, undefined> {
    const { session, release } = await this.lease(locked);
    const drop = (): void => session.destroy();
    signal.addEventListener('abort', drop, { once: true });
    try {
      signal.throwIfAborted();
      yield* produce(session);
      await this.letGo(session);
    } catch (error) {
      signal.throwIfAborted();
      throw readError(error, what, table);
    } finally {
      signal.removeEventListener('abort', drop);
      release();
    }
  }

  close(): void {
    this.#closed ??= new CoffreError('E_INTERRUPTED', 'the reading of the database was closed');
    for (const { fail } of this.#waiting.splice(0)) fail(this.#closed);
    this.#changed();
    for (const session of this.sessions) session.destroy();
    this.#lockSession?.destroy();
  }
}
