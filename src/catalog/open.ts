// The catalog: the daemon's database in stateDir, opened by several processes at once (the CLI beside the daemon).
import { AsyncLocalStorage } from 'node:async_hooks';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { Kysely, Migrator, sql } from 'kysely';
import { asCoffreError, CoffreError } from '../errors.ts';
import { makeDirectory } from '../host/make-directory.ts';
import { MIGRATIONS } from './migrations/migrations.ts';
import { createPrivateFile } from './private-file.ts';
import { daemonRunning } from './shop-lock.ts';
import { leaveFlushing, NodeSqliteDialect, openSqlite, switchToWal, type TransactionMark } from './sqlite.ts';
import type { StateLock } from './state-lock.ts';
import type { Tables } from './tables.ts';
import { WalFlush } from './wal-flush.ts';
import { WalWriteBack } from './wal-write-back.ts';

/** An open catalog. One for each process and state directory is enough: its queries run one after the other. */
export class Catalog {
  readonly db: Kysely<Tables>;
  readonly stateDir: string;
  /** Locks by which other processes see that this process still works on a run: kept here, so that they live as long. */
  readonly runLocks = new Map<string, StateLock>();
  readonly #inside: AsyncLocalStorage<TransactionMark>;
  readonly #writeBack: WalWriteBack | null;

  /** `writeBack` null: it only reads. */
  constructor(db: Kysely<Tables>, stateDir: string, inside: AsyncLocalStorage<TransactionMark>, writeBack: WalWriteBack | null) {
    this.db = db;
    this.stateDir = stateDir;
    this.#inside = inside;
    this.#writeBack = writeBack;
  }

  /**
   * Runs `work` in one immediate transaction: all of it is on disk when this returns, or none of it is. Inside, only `tx` may be
   * used (anything else throws E_INTERNAL), and nothing may be awaited but `tx`: every other user of the catalog waits meanwhile.
   */
  async transaction<T>(work: (tx: Kysely<Tables>) => Promise<T>): Promise<T> {
    const result = await this.db.transaction().execute(async (tx) => {
      const mark: TransactionMark = { open: true };
      try {
        return await this.#inside.run(mark, () => work(tx));
      } finally {
        mark.open = false;
      }
    });
    this.#writeBack?.look();
    return result;
  }

  /** Idempotent. Runs started through this catalog and not finished count as dead from here on. */
  async close(): Promise<void> {
    for (const lock of this.runLocks.values()) lock.release();
    this.runLocks.clear();
    await this.#writeBack?.close();
    await this.db.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

export function catalogPath(stateDir: string): string {
  return join(stateDir, 'catalog.db');
}

/**
 * Opens `<stateDir>/catalog.db`, making both (0700, 0600) when missing, and brings its tables up to date.
 * Throws E_STATE, E_STATE_SPACE, E_CATALOG (damaged, or written by a newer coffre), E_DAEMON_VERSION (a daemon of an older version uses it).
 */
export async function openCatalog(stateDir: string): Promise<Catalog> {
  const path = catalogPath(stateDir);
  try {
    await makeDirectory(stateDir, 0o700);
    if (!(await createPrivateFile(path, stateDir))) await chmod(path, 0o600);
  } catch (error) {
    throw asCoffreError(error, isNoSpace(error) ? 'E_STATE_SPACE' : 'E_STATE', `cannot use ${stateDir}`);
  }
  const database = openSqlite(path);
  const inside = new AsyncLocalStorage<TransactionMark>();
  const wal = new WalFlush(`${path}-wal`);
  const db = new Kysely<Tables>({ dialect: new NodeSqliteDialect(database, path, inside, wal) });
  try {
    await switchToWal(database, path);
    if (!(await isMigrated(db))) {
      await refuseUnderDaemon(db, stateDir);
      await migrate(db, path);
    }
    await leaveFlushing(database, path);
    return new Catalog(db, stateDir, inside, new WalWriteBack(database, path));
  } catch (error) {
    await db.destroy();
    if (database.isOpen) database.close();
    throw error;
  }
}

/**
 * For a process that may read stateDir and not write there, while another one has the catalog open: without one SQLite would have to make the
 * files beside it. Throws E_STATE, E_CATALOG (damaged, missing, or of another version).
 */
export async function openCatalogToRead(stateDir: string): Promise<Catalog> {
  const path = catalogPath(stateDir);
  const database = openSqlite(path, { readOnly: true });
  const inside = new AsyncLocalStorage<TransactionMark>();
  const wal = new WalFlush(`${path}-wal`);
  const db = new Kysely<Tables>({ dialect: new NodeSqliteDialect(database, path, inside, wal) });
  try {
    if (await isMigrated(db)) return new Catalog(db, stateDir, inside, null);
    throw new CoffreError('E_CATALOG', `${path} is of another version of coffre`, {
      hint: 'start the daemon, or run any command as root, first',
    });
  } catch (error) {
    await db.destroy();
    if (database.isOpen) database.close();
    throw error;
  }
}

async function migrate(db: Kysely<Tables>, path: string): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  if (error instanceof CoffreError) throw error;
  throw new CoffreError('E_CATALOG', `${path}: ${error instanceof Error ? error.message : String(error)}`, {
    hint: 'a newer coffre may have written it: run that version; or move stateDir aside, then coffre catalog rebuild --from VAULT',
    cause: error,
  });
}

/** Tables are not changed under a daemon of an older version, which goes on with what it knows of them. */
async function refuseUnderDaemon(db: Kysely<Tables>, stateDir: string): Promise<void> {
  const there = await sql`select 1 from sqlite_master where name = 'kysely_migration'`.execute(db);
  if (there.rows.length === 0) return;
  const holder = await daemonRunning(stateDir);
  if (holder === null || holder.pid === process.pid) return;
  throw new CoffreError(
    'E_DAEMON_VERSION',
    `${holder.doing} (process ${holder.pid}) is of another version than this command, and uses ${stateDir}`,
    {
      hint: 'restart the daemon: systemctl restart coffre',
    },
  );
}

/** Asked first, because the Migrator writes even when nothing is to be done: who only reads would wait for whoever writes. */
async function isMigrated(db: Kysely<Tables>): Promise<boolean> {
  const known = await sql`select 1 from sqlite_master where name = 'kysely_migration'`.execute(db);
  if (known.rows.length === 0) return false;
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  const done = rows.map((row) => row.name);
  return done.join() === Object.keys(MIGRATIONS).sort().join();
}

function isNoSpace(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOSPC';
}
