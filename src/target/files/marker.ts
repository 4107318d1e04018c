// The folder inside a target that says a restore into it is not finished: of which snapshot, and who is at it.
import { randomBytes } from 'node:crypto';
import { closeSync, lstatSync, mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import { CoffreError } from '../../errors.ts';
import { openBelow } from '../../host/anchored.ts';
import { type Held, removeOthers } from './put-in-place.ts';

export const MARKER_PREFIX = '.coffre-restore-incomplete-';

export interface MarkerState {
  readonly snapshot: string;
  /** The tree held something before that restore: only --overwrite goes on with it. */
  readonly overwrite: boolean;
  /** The process at it, and when that was started, in ticks since boot: numbers of processes come again. */
  readonly pid: number;
  readonly started: string;
}

/** What the folder `name` in `root` says; null: it says nothing, or was not made by this user for himself alone. */
export function readMarker(root: Held, name: string): MarkerState | null {
  const fd = openBelow(root, name);
  if (fd === null) return null;
  try {
    const { uid, mode } = lstatSync(`/proc/self/fd/${fd}/.`);
    if (uid !== process.geteuid?.() || (mode & 0o077) !== 0) return null;
    const state = JSON.parse(readFileSync(`/proc/self/fd/${fd}/restore.json`, 'utf8')) as Partial<MarkerState>;
    if (typeof state.snapshot !== 'string' || typeof state.pid !== 'number') return null;
    return { snapshot: state.snapshot, overwrite: state.overwrite === true, pid: state.pid, started: String(state.started) };
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

/** Writes the state of this process' restore into the folder. Throws the file system's error. */
export function writeMarker(folder: Held, snapshot: string, overwrite: boolean): void {
  const state: MarkerState = { snapshot, overwrite, pid: process.pid, started: startOf(process.pid) ?? '' };
  writeFileSync(`${folder}/restore.json.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  renameSync(`${folder}/restore.json.new`, `${folder}/restore.json`);
}

/** Throws E_BUSY when the process that wrote it still lives. It is as good as process numbers are: on this machine, in this container. */
export function refuseBusy({ pid, started }: MarkerState, directory: string): void {
  if (pid === process.pid || startOf(pid) !== started) return;
  throw new CoffreError('E_BUSY', `another restore into ${directory} is running (process ${pid})`, { hint: 'wait for it, or stop it' });
}

/** When a process was started; null: it is not there. Its name may hold blanks and brackets, so fields are counted from the last bracket. */
function startOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** Makes a marker in `root` and returns its name and a descriptor for it, which the caller closes. */
export function makeMarker(root: Held): { readonly name: string; readonly fd: number } {
  const name = MARKER_PREFIX + randomBytes(6).toString('hex');
  mkdirSync(`${root}/${name}`, { mode: 0o700 });
  return { name, fd: openBelow(root, name) as number };
}

/** Removes the folder with all it holds, following nothing. */
export function removeMarker(root: Held, name: string): void {
  const fd = openBelow(root, name);
  if (fd === null) return;
  try {
    removeOthers(`/proc/self/fd/${fd}`, { belongs: () => false, stays: () => 'no', dry: false });
  } finally {
    closeSync(fd);
  }
  rmdirSync(`${root}/${name}`);
}
