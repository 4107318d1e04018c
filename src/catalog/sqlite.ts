// Kysely's SQLite dialect on node:sqlite: one connection, immediate transactions, waits that leave the event loop free.
import type { AsyncLocalStorage } from 'node:async_hooks';
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteDialect,
  type TransactionSettings,
} from 'kysely';
import { systemClock } from '../clock.ts';
import { CoffreError, type ErrorCode } from '../errors.ts';
import type { WalFlush } from './wal-flush.ts';

/** Before it, a WAL file could be corrupted by a checkpoint that met a writer. */
const OLDEST_SQLITE = [3, 51, 3] as const;
/** SQLite's own wait blocks the event loop, so it is short and the long wait is ours, between statements. */
const BLOCKING_WAIT_MS = 20;
const RETRY_EVERY_MS = 15;
/** Our transactions hold no network call: who waits longer than this waits for something broken. */
const LONGEST_WAIT_MS = 30_000;

// Primary result codes, from https://www.sqlite.org/rescode.html
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;
/** perm, readonly, ioerr, cantopen, nolfs: the machine, not the data. */
const MACHINE_CODES = new Set([3, 8, 10, 14, 22]);

/** Primary SQLite result code of an error of node:sqlite, null for any other error. */
export function sqliteCode(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return null;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : null;
}

export function isBusy(error: unknown): boolean {
  return sqliteCode(error) === SQLITE_BUSY;
}

/** The CoffreError for what node:sqlite threw about the file `path`. */
export function sqliteError(error: unknown, path: string): CoffreError {
  if (error instanceof CoffreError) return error;
  const code = sqliteCode(error);
  const text = error instanceof Error ? error.message : String(error);
  const fail = (kind: ErrorCode, what: string): CoffreError => new CoffreError(kind, `${what} ${path}: ${text}`, { cause: error });
  if (code === SQLITE_FULL) return fail('E_STATE_SPACE', 'no space to write');
  if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB) return fail('E_CATALOG', 'damaged catalog');
  if (code === SQLITE_BUSY) return fail('E_STATE', 'another process held for too long');
  // A file that cannot grow (shared memory of the WAL) is an I/O error to SQLite, whatever the reason.
  if (code !== null && MACHINE_CODES.has(code))
    return isFull(path) ? fail('E_STATE_SPACE', 'no space to use') : fail('E_STATE', 'cannot use');
  return fail('E_INTERNAL', 'refused statement on');
}

/** Asked after an error only, so what is nearly full counts as the reason. */
const AS_GOOD_AS_FULL_BYTES = 1024 * 1024;

function isFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return bavail * bsize < AS_GOOD_AS_FULL_BYTES;
  } catch {
    return false;
  }
}

/** Opens the file with the pragmas that every connection needs. Throws E_STATE, E_CATALOG, E_STATE_SPACE. */
export function openSqlite(path: string, { readOnly = false } = {}): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: BLOCKING_WAIT_MS, enableForeignKeyConstraints: true, readOnly });
    // not asked with a statement: preparing one reads the file, which another process may just switch to WAL
    const version = process.versions.sqlite ?? '0';
    if (isOlder(version)) {
      throw new CoffreError('E_STATE', `SQLite ${version} is older than ${OLDEST_SQLITE.join('.')}, whose fix for WAL files is needed`, {
        hint: 'start coffre with bin/coffre: it brings its own Node and SQLite',
      });
    }
    return database;
  } catch (error) {
    database?.close();
    throw sqliteError(error, path);
  }
}

/**
 * To be called before anything else. Throws E_STATE when the file stays busy. Separate from opening: the first switch to WAL needs
 * the file alone for a moment, and while another process does it even a pragma that reads the file finds it busy.
 */
export async function switchToWal(database: DatabaseSync, path: string): Promise<void> {
  await patiently(path, () => database.prepare('pragma journal_mode = wal').get());
  // FULL, not NORMAL: in WAL mode NORMAL loses the last commits at a power cut. A lost intent row is a version in a vault
  // that nobody knows of; a lost manifest row is a snapshot that exists and is not listed. (Once it is open, commits are flushed by WalFlush.)
  await patiently(path, () => database.exec('pragma synchronous = full'));
}

/** From here on each commit is flushed by a WalFlush. */
export async function leaveFlushing(database: DatabaseSync, path: string): Promise<void> {
  await patiently(path, () => database.exec('pragma synchronous = normal'));
}

function isOlder(version: string): boolean {
  const parts = version.split('.').map(Number);
  for (const [i, least] of OLDEST_SQLITE.entries()) {
    const part = parts[i] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}

/**
 * Runs a statement, again and again while another process holds the file. A statement that ended with SQLITE_BUSY has done
 * nothing, and since transactions begin as writers none fails half-way, so running it again is safe.
 */
async function patiently<T>(path: string, statement: () => T): Promise<T> {
  const giveUpAt = systemClock.monotonicMs() + LONGEST_WAIT_MS;
  for (;;) {
    try {
      return statement();
    } catch (error) {
      if (!isBusy(error) || systemClock.monotonicMs() >= giveUpAt) throw sqliteError(error, path);
    }
    await systemClock.sleep(RETRY_EVERY_MS);
  }
}

/** Marks the code that runs inside a transaction. */
export interface TransactionMark {
  open: boolean;
}

/** Kysely dialect for one open node:sqlite database. */
export class NodeSqliteDialect extends SqliteDialect {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #inside: AsyncLocalStorage<TransactionMark>;

  readonly #wal: WalFlush;

  constructor(database: DatabaseSync, path: string, inside: AsyncLocalStorage<TransactionMark>, wal: WalFlush) {
    super({ database: () => Promise.reject(new CoffreError('E_INTERNAL', 'the own driver opens nothing')) });
    this.#database = database;
    this.#path = path;
    this.#inside = inside;
    this.#wal = wal;
  }

  override createDriver(): Driver {
    return new NodeSqliteDriver(this.#database, this.#path, this.#inside, this.#wal);
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalDdl();
  }
}

/** SQLite's DDL is transactional; saying so makes the Migrator run in one (immediate) transaction, so two processes may start at once. */
class TransactionalDdl extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class NodeSqliteDriver implements Driver {
  readonly #database: DatabaseSync;
  readonly #connection: NodeSqliteConnection;
  readonly #inside: AsyncLocalStorage<TransactionMark>;
  readonly #wal: WalFlush;
  #last: Promise<void> = Promise.resolve();
  #release: () => void = () => {};

  constructor(database: DatabaseSync, path: string, inside: AsyncLocalStorage<TransactionMark>, wal: WalFlush) {
    this.#database = database;
    this.#connection = new NodeSqliteConnection(database, path, wal);
    this.#inside = inside;
    this.#wal = wal;
  }

  async init(): Promise<void> {}

  /** One at a time, first come first served. */
  async acquireConnection(): Promise<DatabaseConnection> {
    // It would wait for its own end: better a defect that shows than one that hangs.
    if (this.#inside.getStore()?.open) {
      throw new CoffreError('E_INTERNAL', 'the catalog was used from inside a transaction without its tx');
    }
    const before = this.#last;
    let release: () => void = () => {};
    this.#last = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    this.#release = release;
    return this.#connection;
  }

  /** What was committed is on the disk when this returns; meanwhile others may go on, and what they commit comes after it in the log. */
  async releaseConnection(): Promise<void> {
    const committed = this.#connection.takeCommitted();
    this.#release();
    if (committed) await this.#wal.flush();
  }

  async beginTransaction(connection: DatabaseConnection, _settings: TransactionSettings): Promise<void> {
    // Immediate: a transaction that reads and then writes takes the write lock at its start. A deferred one would die with
    // SQLITE_BUSY_SNAPSHOT when another process wrote in between, and waiting does not cure that.
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // After a full disk SQLite may have rolled back by itself; a second rollback would hide the first error.
    if (this.#database.isTransaction) await connection.executeQuery(CompiledQuery.raw('rollback'));
  }

  async destroy(): Promise<void> {
    await this.#wal.close();
    if (this.#database.isOpen) this.#database.close();
  }
}

/** Preparing takes as long as a small query itself. Lists of values make ever new texts: only so many are kept, some kilobytes each. */
const PREPARED_KEPT = 150;

/** A statement with `returning` has rows to tell, and has changed something all the same. */
const CHANGES = /^\s*(insert|update|delete|replace)\b/i;

class NodeSqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #path: string;
  /** By their text, those used last at the end. SQLite prepares them anew by itself when a table has changed. */
  readonly #prepared = new Map<string, StatementSync>();

  readonly #wal: WalFlush;
  /** The open transaction has changed something. */
  #changed = false;
  #committed = false;

  constructor(database: DatabaseSync, path: string, wal: WalFlush) {
    this.#database = database;
    this.#path = path;
    this.#wal = wal;
  }

  /** Whether anything was committed since this was asked last. */
  takeCommitted(): boolean {
    const committed = this.#committed;
    this.#committed = false;
    return committed;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const parameters = query.parameters as readonly SQLInputValue[];
    const wasOpen = this.#database.isTransaction;
    const result = await patiently(this.#path, (): QueryResult<R> & { readonly wrote: boolean } => {
      const statement = this.#prepare(query.sql);
      if (statement.columns().length > 0) return { rows: statement.all(...parameters) as R[], wrote: CHANGES.test(query.sql) };
      const { changes, lastInsertRowid } = statement.run(...parameters);
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid), wrote: true };
    });
    if (this.#database.isTransaction) {
      // the statement that opens it changes nothing
      this.#changed = wasOpen && (this.#changed || result.wrote);
    } else if (wasOpen ? this.#changed : result.wrote) {
      this.#wal.committed();
      this.#committed = true;
    }
    return result;
  }

  #prepare(text: string): StatementSync {
    const known = this.#prepared.get(text);
    const statement = known ?? this.#database.prepare(text);
    if (known !== undefined) this.#prepared.delete(text);
    this.#prepared.set(text, statement);
    const [oldest] = this.#prepared.keys();
    if (this.#prepared.size > PREPARED_KEPT && oldest !== undefined) this.#prepared.delete(oldest);
    return statement;
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    // A stream would hold the only connection while its reader does something else. Large tables are read in pages by key.
    throw new CoffreError('E_INTERNAL', 'the catalog does not stream: read in pages');
  }
}
