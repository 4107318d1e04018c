// Where the archives of exports lie between their making and their end: one file each, named by its run, in the scratch folder.
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CoffreError } from '../errors.ts';
import { isId } from '../segment/id.ts';
import { writeFailure } from '../target/frame-file.ts';

const SUFFIX = '.tar.zst';
/** Left to others. */
const RESERVE_BYTES = 512 * 1024 * 1024;

const folderOf = (scratchDir: string): string => join(scratchDir, 'exports');

export const exportFile = (scratchDir: string, run: string): string => join(folderOf(scratchDir), `${run}${SUFFIX}`);

/** The folder; only its owner and who may read everything sees into it. Throws E_TARGET_WRITE, E_TARGET_SPACE. */
export async function makeExportFolder(scratchDir: string): Promise<void> {
  try {
    await mkdir(folderOf(scratchDir), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw writeFailure(folderOf(scratchDir), error);
  }
}

/** Throws E_TARGET_SPACE when an archive of this many bytes would fill the scratch folder's file system. */
export async function demandRoom(scratchDir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(scratchDir);
  const free = bavail * bsize;
  if (free >= bytes + RESERVE_BYTES) return;
  throw new CoffreError('E_TARGET_SPACE', `${scratchDir} has ${free} bytes left, an export needs about ${bytes}`, {
    hint: 'restore.scratchDir names another folder; exports that are not needed any more end with restore.keepExports',
  });
}

/** Removes archives of runs that are not in `keep`, and what killed ones left beside. Returns the runs. Throws E_TARGET_WRITE. */
export async function sweepExports(scratchDir: string, keep: ReadonlySet<string>): Promise<readonly string[]> {
  const removed = new Set<string>();
  for (const name of await readdir(folderOf(scratchDir)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw writeFailure(folderOf(scratchDir), error);
  })) {
    const run = /^\.?([0-9a-z]{26})\.tar\.zst(?:\.coffre-(?:part|sums|sql))?$/.exec(name)?.[1];
    if (run === undefined || !isId(run) || keep.has(run)) continue;
    try {
      await unlink(join(folderOf(scratchDir), name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw writeFailure(join(folderOf(scratchDir), name), error);
    }
    removed.add(run);
  }
  return [...removed];
}

/** Opened for reading, with its size; null: it is not there, or is no plain file. */
export async function openExportFile(
  scratchDir: string,
  run: string,
): Promise<{ readonly file: FileHandle; readonly sizeBytes: number } | null> {
  let file: FileHandle;
  try {
    file = await open(exportFile(scratchDir, run), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new CoffreError('E_STATE', `${exportFile(scratchDir, run)} cannot be read: ${(error as NodeJS.ErrnoException).code}`, {
      cause: error,
    });
  }
  const stats = await file.stat();
  if (stats.isFile()) return { file, sizeBytes: stats.size };
  await file.close();
  return null;
}
