// What the parts of one reading share: the connection and whose turn it is, counts, and parts that turn up on the way.
import { CoffreError } from '../../errors.ts';
import { accessCode, asServerError, type Session } from '../../target/mariadb/session.ts';
import type { Part, Warning } from '../source.ts';
import type { Sizes, TablePlan } from './plan.ts';
import { sameDefinition, showCreate } from './schema.ts';

const CHANGED_ERRNOS = new Set([1051, 1054, 1146, 1412, 1932]);
export const SAVEPOINT = 'coffre';

/** What a server error means while a dump is read; `what` names where. */
export function readError(error: unknown, what: string): CoffreError {
  if (error instanceof CoffreError) return error;
  const server = asServerError(error);
  const code = CHANGED_ERRNOS.has(server.errno) ? 'E_DB_CHANGED' : (accessCode(server.errno) ?? 'E_DB_READ');
  return new CoffreError(code, `reading ${what}: ${server.message}`, { cause: server });
}

/** A part that notes when it was handed out. */
export interface TrackedPart extends Part {
  handOut(): Part;
}

export class ReadContext {
  readonly session: Session;
  /** Largest packet that the server sends: no row, and no piece of one, may be longer. */
  readonly maxAllowedPacket: number;
  readonly sizes: Sizes;
  readonly warnings: Warning[] = [];
  rows = 0;
  /** Parts found while others were read: rest of a range, rows too large for it. They come before the phase post. */
  readonly #found: TrackedPart[] = [];
  readonly #running = new Set<Promise<void>>();
  #turn: Promise<void> = Promise.resolve();
  #closed: CoffreError | null = null;
  readonly #onClose: ((error: CoffreError) => void)[] = [];

  constructor(session: Session, maxAllowedPacket: number, sizes: Sizes) {
    this.session = session;
    this.maxAllowedPacket = maxAllowedPacket;
    this.sizes = sizes;
  }

  find(part: TrackedPart): void {
    this.#found.push(part);
  }

  nextFound(): TrackedPart | undefined {
    return this.#found.shift();
  }

  /** Notes that a part was handed out; the function says that it was read, or given up. */
  handOut(): () => void {
    let done = (): void => {};
    const running = new Promise<void>((resolve) => {
      done = resolve;
    });
    this.#running.add(running);
    running.then(() => this.#running.delete(running));
    return done;
  }

  /** Waits until every part handed out was read. Throws E_INTERRUPTED when the reading is closed meanwhile. */
  async settled(): Promise<void> {
    if (this.#closed) throw this.#closed;
    if (this.#running.size === 0) return;
    const closed = new Promise<never>((_, reject) => {
      this.#onClose.push(reject);
    });
    closed.catch(() => {});
    await Promise.race([Promise.all(this.#running), closed]);
  }

  /**
   * To be called after rows of a table were read and before its metadata lock is let go: the server reports only alterations
   * that rebuild a table, and an instant one may have put other values under an old name. Throws E_DB_CHANGED, ServerError.
   */
  async demandSameDefinition(plan: TablePlan): Promise<void> {
    if (sameDefinition(plan.create, await showCreate(this.session, 'TABLE', plan.name))) return;
    throw new CoffreError('E_DB_CHANGED', `the table ${plan.name} was altered during the dump`);
  }

  /** Waits for the connection; the function gives it back. */
  async takeTurn(): Promise<() => void> {
    const before = this.#turn;
    let release = (): void => {};
    this.#turn = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    if (this.#closed) {
      release();
      throw this.#closed;
    }
    return release;
  }

  /** Runs `produce` alone on the connection. An abort drops the connection: the server ends the query and the snapshot. */
  async *exclusively(
    what: string,
    signal: AbortSignal,
    produce: () => AsyncGenerator<Buffer, void, undefined>,
  ): AsyncGenerator<Buffer, void, undefined> {
    const release = await this.takeTurn();
    const drop = (): void => this.session.destroy();
    signal.addEventListener('abort', drop, { once: true });
    try {
      signal.throwIfAborted();
      yield* produce();
      // Lets go of the metadata lock: an ALTER, and the site's queries behind it, need not wait for the whole dump.
      await this.session.run(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`);
    } catch (error) {
      signal.throwIfAborted();
      throw readError(error, what);
    } finally {
      signal.removeEventListener('abort', drop);
      release();
    }
  }

  close(): void {
    this.#closed ??= new CoffreError('E_INTERRUPTED', 'the reading of the database was closed');
    for (const reject of this.#onClose.splice(0)) reject(this.#closed);
  }
}
