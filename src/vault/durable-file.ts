// Files that last: written under another name, synced, renamed, their folder synced, read-only. Dying at any point leaves all or nothing.
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { temporaryName } from './vault-path.ts';

const READ_ONLY = 0o444;
const FOLDER_MODE = 0o700;

/** Makes what was renamed, created or removed in a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Makes `path` and what is missing above it, but nothing at or above `root`, which must exist. Durable. */
export async function makeFolders(root: string, path: string): Promise<void> {
  if (path === root) return;
  try {
    await mkdir(path, FOLDER_MODE);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw error;
    await makeFolders(root, dirname(path));
    await mkdir(path, FOLDER_MODE).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== 'EEXIST') throw again;
    });
  }
  await syncFolder(dirname(path));
}

export interface UnfinishedFile {
  /** Name of the temporary file in the final file's folder. */
  readonly name: string;
  readonly file: FileHandle;
  /** Syncs, renames onto the final path and syncs the folder. Nothing of it is durable before it returns. */
  commit(): Promise<void>;
  /** Removes what was written. Idempotent, never throws. */
  discard(): Promise<void>;
}

/** Starts a file that will be `path`; its folder must exist. */
export async function startFile(path: string): Promise<UnfinishedFile> {
  const name = temporaryName(basename(path), randomBytes(8).toString('hex'));
  const temporary = join(dirname(path), name);
  const file = await open(temporary, 'wx', 0o600);
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await file.close();
  };
  return {
    name,
    file,
    async commit() {
      await file.chmod(READ_ONLY);
      await file.sync();
      await close();
      await rename(temporary, path);
      await syncFolder(dirname(path));
    },
    async discard() {
      await close().catch(() => {});
      await unlink(temporary).catch(() => {});
    },
  };
}

/** Writes a small file whole, replacing what is there. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const unfinished = await startFile(path);
  try {
    await unfinished.file.writeFile(content);
    await unfinished.commit();
  } catch (error) {
    await unfinished.discard();
    throw error;
  }
}
