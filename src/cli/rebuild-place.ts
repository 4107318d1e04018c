// Where a rebuild puts what it gives back: a working folder inside stateDir, moved up at the end, the catalog last. Until then a kill
// leaves an empty state, and the next call begins anew.
import { chown, lchown, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../backup/commit.ts';
import { catalogPath } from '../catalog/open.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { makeDirectory } from '../host/make-directory.ts';
import { isCode, syncFolder } from '../segment/key-file.ts';

const WORK = '.rebuild';
/** Names the vaults that the catalog was rebuilt from. */
const NOTE = 'rebuilt.json';

export interface RebuildPlace {
  /** The state directory to fill: the working folder, or the state itself when a further vault is added. */
  readonly stateDir: string;
  readonly isFirst: boolean;
  /** An addition of this vault was cut off: what it wrote is written once more. */
  readonly isResumed: boolean;
}

interface Note {
  /** Vaults that the catalog was rebuilt from. */
  readonly from: readonly string[];
  /** The one that is being added. */
  readonly adding?: string;
}

/** Throws E_STATE_NOT_EMPTY when there is a catalog that was not rebuilt, or from this very vault; E_STATE. */
export async function preparePlace(stateDir: string, vault: string): Promise<RebuildPlace> {
  const note = await readNote(stateDir);
  if (await exists(catalogPath(stateDir))) {
    if (note === null) throw new CoffreError('E_STATE_NOT_EMPTY', `${stateDir} holds a catalog already`);
    if (note.from.includes(vault)) throw new CoffreError('E_STATE_NOT_EMPTY', `${stateDir} was rebuilt from ${vault} already`);
    return { stateDir, isFirst: false, isResumed: note.adding === vault };
  }
  const work = join(stateDir, WORK);
  try {
    await makeDirectory(stateDir, 0o700);
    await rm(work, { recursive: true, force: true });
    await mkdir(work, { mode: 0o700 });
    // files in there are made by us and belong to whoever owns stateDir: the daemon
    const { uid, gid } = await stat(stateDir);
    if (process.geteuid?.() === 0) await chown(work, uid, gid);
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot use ${stateDir}`);
  }
  return { stateDir: work, isFirst: true, isResumed: false };
}

/** Says that this vault is being added, before anything of it is written. Throws E_STATE. */
export async function beginAddition(stateDir: string, vault: string): Promise<void> {
  await writeNote(stateDir, { from: (await readNote(stateDir))?.from ?? [], adding: vault });
}

/** Makes the rebuilt state the state. `place.stateDir` must not be in use any more. Throws E_STATE. */
export async function finishPlace(stateDir: string, place: RebuildPlace, vault: string): Promise<void> {
  // what an older state left behind says nothing of this one
  const before = place.isFirst ? [] : ((await readNote(stateDir))?.from ?? []);
  try {
    await writeNote(stateDir, { from: [...before, vault] });
    if (!place.isFirst) return;
    const work = place.stateDir;
    const { uid, gid } = await stat(stateDir);
    if (process.geteuid?.() === 0 && uid !== 0) await giveAll(work, uid, gid);
    for (const name of ['indexes', 'manifests']) {
      await rm(join(stateDir, name), { recursive: true, force: true });
      if (await exists(join(work, name))) await rename(join(work, name), join(stateDir, name));
    }
    await syncFolder(stateDir);
    // its presence makes it a state
    await rename(catalogPath(work), catalogPath(stateDir));
    await syncFolder(stateDir);
    await rm(work, { recursive: true, force: true });
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot finish the rebuild in ${stateDir}`);
  }
}

async function readNote(stateDir: string): Promise<Note | null> {
  try {
    return JSON.parse(await readFile(join(stateDir, NOTE), 'utf8')) as Note;
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return null;
    throw asCoffreError(error, 'E_STATE', `cannot read ${join(stateDir, NOTE)}`);
  }
}

async function writeNote(stateDir: string, note: Note): Promise<void> {
  try {
    await writeDurably(join(stateDir, NOTE), Buffer.from(`${JSON.stringify(note)}\n`));
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot write ${join(stateDir, NOTE)}`);
  }
}

async function giveAll(folder: string, uid: number, gid: number): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    await lchown(join(entry.parentPath, entry.name), uid, gid);
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
