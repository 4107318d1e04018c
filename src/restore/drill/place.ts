// The scratch folder of a drill: made, measured, and removed, by the next drill too when its own could not.
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock, type StateLock } from '../../catalog/state-lock.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';

const PREFIX = 'drill-';
/** How each database begins that a drill makes in a configured server. */
export const DATABASE_PREFIX = 'coffre_drill_';
/** Beyond what is restored: what a file takes beside its content, and what a folder does. */
const BYTES_PER_FILE = 4096;
/** Rows with their keys, what sorts them, and the log: of the text that was dumped. */
const DATABASE_FACTOR = 2.5;
/** What an empty server of our own takes. */
const SERVER_BYTES = 320 * 1024 * 1024;
/** Left to others. */
const RESERVE_BYTES = 64 * 1024 * 1024;

/** Of drills alone: it is hidden from the daemon, which has exports beside it to hand out. Throws E_TARGET_WRITE. */
export async function makeDrillsDir(scratchDir: string): Promise<string> {
  const folder = join(scratchDir, 'drills');
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  } catch (cause) {
    throw new CoffreError('E_TARGET_WRITE', `cannot make ${folder}`, { cause });
  }
}

/** Held for the whole drill, on this machine one at a time: another would take the space that was counted on. */
export async function lockDrills(drillsDir: string): Promise<StateLock> {
  const lock = await acquireLock(drillsDir, 'drill');
  if (lock === null) {
    throw new CoffreError('E_BUSY', `another drill is under way in ${drillsDir}`, { hint: 'one at a time: it waits for its turn' });
  }
  return lock;
}

/** The drill's own folder. Throws E_TARGET_SPACE, E_TARGET_WRITE. */
export async function makePlace(drillsDir: string, drill: string): Promise<string> {
  const folder = join(drillsDir, `${PREFIX}${drill}`);
  try {
    await mkdir(folder, { mode: 0o700 });
    return folder;
  } catch (cause) {
    const failure = asCoffreError(cause);
    const code = failure.code === 'E_STATE_SPACE' ? 'E_DRILL_SPACE' : 'E_TARGET_WRITE';
    throw new CoffreError(code, `cannot make ${folder}`, { cause });
  }
}

/** Of the database that a drill makes in a configured server. */
export const scratchDatabase = (drill: string): string => `${DATABASE_PREFIX}${drill}`;

/**
 * Removes what drills left that were killed: under `lockDrills` none is alive. Their servers first, found by the folder in their command line.
 * Returns the drills. Throws E_TARGET_WRITE for what cannot be removed.
 */
export async function sweep(drillsDir: string): Promise<readonly string[]> {
  const left: string[] = [];
  for (const name of await readdir(drillsDir)) {
    if (!name.startsWith(PREFIX)) continue;
    await clearPlace(join(drillsDir, name));
    left.push(name.slice(PREFIX.length));
  }
  return left;
}

/** Whatever is in it, and whatever still writes there. Throws E_TARGET_WRITE. */
export async function clearPlace(folder: string): Promise<void> {
  await killServers(folder);
  await removeTree(folder);
}

/** Servers whose data are in this folder, and nothing else. */
async function killServers(folder: string): Promise<void> {
  const sign = `--datadir=${folder}/`;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    // gone meanwhile, or not ours to look at
    const argv = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
    if (!argv.split('\0').some((argument) => argument.startsWith(sign))) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // it ended by itself
    }
  }
}

/** Names are bytes, and folders of a shop may be closed to their owner: rm knows the first, chmod the second. Throws E_TARGET_WRITE. */
async function removeTree(folder: string): Promise<void> {
  if (await run('rm', ['-rf', '--one-file-system', '--', folder])) return;
  await run('chmod', ['-R', 'u+rwX', '--', folder]);
  // a server that was killed a moment ago may have made a file in between
  for (let tries = 0; tries < 3; tries++) if (await run('rm', ['-rf', '--one-file-system', '--', folder])) return;
  throw new CoffreError('E_TARGET_WRITE', `${folder} cannot be removed`, { hint: `as root: rm -rf ${folder}` });
}

function run(program: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore', env: { PATH: process.env.PATH, LC_ALL: 'C' } });
    child.once('error', () => resolve(false));
    child.once('close', (status) => resolve(status === 0));
  });
}

export interface Needs {
  /** Plaintext of a tree, and how many files and folders it has. */
  readonly fileBytes: number;
  readonly files: number;
  /** Plaintext of a database that goes into a server of our own; null: into another one, or none. */
  readonly databaseBytes: number | null;
}

/** Bytes that a drill takes, at most, as far as can be said beforehand. Pure. */
export function spaceNeeded({ fileBytes, files, databaseBytes }: Needs): number {
  const ofDatabase = databaseBytes === null ? 0 : SERVER_BYTES + databaseBytes * DATABASE_FACTOR;
  return Math.ceil(fileBytes + files * BYTES_PER_FILE + ofDatabase + RESERVE_BYTES);
}

/** Throws E_DRILL_SPACE before anything is written. */
export async function demandSpace(drillsDir: string, needs: Needs): Promise<void> {
  const { bavail, bsize, ffree, files } = await statfs(drillsDir);
  const [needed, free] = [spaceNeeded(needs), bavail * bsize];
  if (free < needed) {
    throw new CoffreError('E_DRILL_SPACE', `${drillsDir} has ${free} bytes free, and the drill takes up to ${needed}`);
  }
  // some file systems do not count them
  if (files > 0 && ffree < needs.files) {
    throw new CoffreError('E_DRILL_SPACE', `${drillsDir} has room for ${ffree} more files, and the drill makes ${needs.files}`);
  }
}

/** Whether a drill may go on writing: what is left belongs to others, and a database server would wait for space for ever. */
export async function isNearlyFull(drillsDir: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(drillsDir);
  return bavail * bsize < RESERVE_BYTES / 2;
}
