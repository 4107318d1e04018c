// Locks between processes that end with the process that holds them, however it ends.
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { createPrivateFile, ownAs } from './private-file.ts';
import { isBusy, sqliteError } from './sqlite.ts';

/** A held lock. Keep a reference for as long as it must hold: a collected one is a released one. */
export interface StateLock extends Disposable {
  readonly name: string;
  /** Idempotent, never throws. */
  release(): void;
}

/** What the holder of a lock said of itself when it took it. */
export interface LockHolder {
  readonly pid: number;
  /** In words: `a backup of files`. */
  readonly doing: string;
  /** Wall clock, epoch milliseconds. */
  readonly sinceMs: number;
}

/**
 * Takes the lock `name`, or returns null at once when another process, or this one, holds it. Throws E_STATE, E_STATE_SPACE.
 * `told` is what `lockHolder` then tells others.
 * Node has no flock(2). An exclusive transaction on an SQLite file of its own is a set of fcntl locks that the kernel frees when
 * the process dies, SIGKILL included, and SQLite keeps apart two connections of one process, which bare fcntl does not.
 */
export async function acquireLock(
  stateDir: string,
  name: string,
  told?: { readonly doing: string; readonly clock: Clock },
): Promise<StateLock | null> {
  const path = lockPath(stateDir, name);
  try {
    const made = await mkdir(join(stateDir, 'locks'), { recursive: true, mode: 0o700 });
    if (made !== undefined) await ownAs(made, stateDir);
    await createPrivateFile(path, stateDir);
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot make ${path}`);
  }
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('begin exclusive');
  } catch (error) {
    database?.close();
    if (isBusy(error)) return null;
    throw sqliteError(error, path);
  }
  if (told) {
    const holder: LockHolder = { pid: process.pid, doing: told.doing, sinceMs: told.clock.nowMs() };
    // a courtesy to whoever is refused: a full disk is found out by those who need it
    await writeHolder(stateDir, name, holder).catch(() => {});
  }
  return new HeldLock(name, database);
}

async function writeHolder(stateDir: string, name: string, holder: LockHolder): Promise<void> {
  const path = holderPath(stateDir, name);
  await createPrivateFile(path, stateDir);
  await writeFile(path, JSON.stringify(holder));
}

/** What the last holder said of itself: to be asked after a refusal, since it is not withdrawn. null: it said nothing that can be read. */
export async function lockHolder(stateDir: string, name: string): Promise<LockHolder | null> {
  try {
    const { pid, doing, sinceMs } = JSON.parse(await readFile(holderPath(stateDir, name), 'utf8')) as Partial<LockHolder>;
    return typeof pid === 'number' && typeof doing === 'string' && typeof sinceMs === 'number' ? { pid, doing, sinceMs } : null;
  } catch {
    return null;
  }
}

/** Whether anybody ever took this lock; asking makes nothing. */
export async function wasEverTaken(stateDir: string, name: string): Promise<boolean> {
  return await access(lockPath(stateDir, name)).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
  );
}

/** Removes the file of a lock that nobody will ever take again. The file of any other lock stays: unlinking it would split it in two. */
export async function forgetLock(stateDir: string, name: string): Promise<void> {
  await rm(lockPath(stateDir, name), { force: true });
  await rm(holderPath(stateDir, name), { force: true });
}

function lockPath(stateDir: string, name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) throw new CoffreError('E_INTERNAL', `no name for a lock: ${JSON.stringify(name)}`);
  return join(stateDir, 'locks', `${name}.lock`);
}

function holderPath(stateDir: string, name: string): string {
  return lockPath(stateDir, name).replace(/\.lock$/, '.holder');
}

class HeldLock implements StateLock {
  readonly name: string;
  readonly #database: DatabaseSync;

  constructor(name: string, database: DatabaseSync) {
    this.name = name;
    this.#database = database;
  }

  release(): void {
    // Closing rolls the transaction back, and with it go the locks.
    if (this.#database.isOpen) this.#database.close();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
