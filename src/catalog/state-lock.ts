// Locks between processes that end with the process that holds them, however it ends.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { asCoffreError, CoffreError } from '../errors.ts';
import { createPrivateFile } from './private-file.ts';
import { isBusy, sqliteError } from './sqlite.ts';

/** A held lock. Keep a reference for as long as it must hold: a collected one is a released one. */
export interface StateLock extends Disposable {
  readonly name: string;
  /** Idempotent, never throws. */
  release(): void;
}

/**
 * Takes the lock `name`, or returns null at once when another process, or this one, holds it. Throws E_STATE, E_STATE_SPACE.
 * Node has no flock(2). An exclusive transaction on an SQLite file of its own is a set of fcntl locks that the kernel frees when
 * the process dies, SIGKILL included, and SQLite keeps apart two connections of one process, which bare fcntl does not.
 */
export async function acquireLock(stateDir: string, name: string): Promise<StateLock | null> {
  const path = lockPath(stateDir, name);
  try {
    await mkdir(join(stateDir, 'locks'), { recursive: true, mode: 0o700 });
    await createPrivateFile(path, stateDir);
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot make ${path}`);
  }
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('begin exclusive');
    return new HeldLock(name, database);
  } catch (error) {
    database?.close();
    if (isBusy(error)) return null;
    throw sqliteError(error, path);
  }
}

/** Removes the file of a lock that nobody will ever take again. The file of any other lock stays: unlinking it would split it in two. */
export async function forgetLock(stateDir: string, name: string): Promise<void> {
  await rm(lockPath(stateDir, name), { force: true });
}

function lockPath(stateDir: string, name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) throw new CoffreError('E_INTERNAL', `no name for a lock: ${JSON.stringify(name)}`);
  return join(stateDir, 'locks', `${name}.lock`);
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
