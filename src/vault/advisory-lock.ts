// Locks of a filesystem vault: one small file per object, outside the tree of objects. They stop coffre and nobody else.
import { lstat, mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../errors.ts';
import { makeFolders, replaceFile, syncFolder } from './durable-file.ts';
import { errnoOf } from './filesystem-errors.ts';
import type { Lock } from './vault.ts';
import { LOCKS_FOLDER, lockPath, nameOfTemporary } from './vault-path.ts';

interface LockFile {
  readonly versionId: string;
  readonly retainUntil: string;
}

/** The lock of exactly this version; null when it has none. Throws E_OBJECT_ALTERED when the lock file is damaged. */
export async function readAdvisoryLock(root: string, key: string, versionId: string): Promise<Lock | null> {
  const path = lockPath(root, key);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return null;
    throw error;
  }
  try {
    const value = JSON.parse(text) as LockFile;
    const retainUntil = Temporal.Instant.from(value.retainUntil);
    // A file that took the place of ours is not what was locked.
    return value.versionId === versionId ? { mode: 'advisory', retainUntil } : null;
  } catch (error) {
    throw new CoffreError('E_OBJECT_ALTERED', `the lock file ${path} is damaged`, { cause: error });
  }
}

/** Durable on return. */
export async function writeAdvisoryLock(root: string, key: string, versionId: string, retainUntil: Temporal.Instant): Promise<void> {
  const path = lockPath(root, key);
  const content: LockFile = { versionId, retainUntil: retainUntil.toString() };
  await makeFolders(join(root, LOCKS_FOLDER), dirname(path));
  await replaceFile(path, `${JSON.stringify(content)}\n`);
}

export async function removeAdvisoryLock(root: string, key: string): Promise<void> {
  const path = lockPath(root, key);
  try {
    await unlink(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return;
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Removes what killed processes left among the locks, last written before `beforeMs` (epoch milliseconds): unfinished ones, and those whose
 * object went without them. No deletion of an object finds these.
 */
export async function sweepLocks(root: string, beforeMs: number): Promise<void> {
  const folder = join(root, LOCKS_FOLDER);
  const locks = await filesBelow(folder);
  if (locks.length === 0) return;
  // listed after the locks: an object is there before its lock
  const objects = new Set(await filesBelow(root, LOCKS_FOLDER));
  for (const lock of locks) {
    if (nameOfTemporary(basename(lock)) === null && objects.has(lock.replace(/\.json$/, ''))) continue;
    const path = join(folder, lock);
    const written = await lstat(path).catch(() => null);
    if (written !== null && written.mtimeMs < beforeMs) await unlink(path);
  }
}

/** Paths of files below `folder`, relative to it, but for what is in its `except`. */
async function filesBelow(folder: string, except?: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name === except) continue;
    if (entry.isDirectory()) found.push(...(await filesBelow(join(folder, entry.name))).map((name) => `${entry.name}/${name}`));
    else if (entry.isFile()) found.push(entry.name);
  }
  return found;
}

/** Makes the folder of locks in a new vault. */
export async function makeLocksFolder(root: string): Promise<void> {
  const path = join(root, LOCKS_FOLDER);
  const there = await lstat(path).catch(() => null);
  if (there?.isDirectory()) return;
  await mkdir(path, 0o700);
  await syncFolder(root);
}
