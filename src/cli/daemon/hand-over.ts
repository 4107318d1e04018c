// What root makes for a daemon that is not root belongs to the owner of the state directory, or the daemon could not write there.
import { lchown, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asCoffreError } from '../../errors.ts';

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Who is to own it: null where nobody but root works, or we are not root. A state directory that is not there yet is nobody's. */
export async function ownerOfState(stateDir: string): Promise<Owner | null> {
  if (process.geteuid?.() !== 0) return null;
  const state = await lstat(stateDir).catch(() => null);
  return state === null || state.uid === 0 ? null : { uid: state.uid, gid: state.gid };
}

/** Gives whatever in `folders` is root's to `owner`; what is somebody else's stays theirs, and links are not followed. Throws E_STATE. */
export async function handOver(folders: readonly string[], owner: Owner): Promise<void> {
  for (const folder of folders) {
    try {
      await give(folder, owner);
      for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }))
        await give(join(entry.parentPath, entry.name), owner);
    } catch (error) {
      throw asCoffreError(error, 'E_STATE', `cannot give ${folder} to the owner of the state directory`);
    }
  }
}

async function give(path: string, { uid, gid }: Owner): Promise<void> {
  if ((await lstat(path)).uid === 0) await lchown(path, uid, gid);
}
