// Key files on this machine: written once and durably, read only while nobody else can.
import { randomBytes } from 'node:crypto';
import { link, open, readdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CoffreError } from '../errors.ts';

/**
 * Writes a file that must not exist yet, whole or not at all, durable on return.
 * Throws E_KEY when it exists, E_STATE when it cannot be written.
 */
export async function writeNewFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.chmod(mode); // whatever the umask
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    // link, not rename: it fails when the name is taken. A key that was replaced is a shop that cannot be restored.
    await link(temporary, path);
  } catch (error) {
    if (isCode(error, 'EEXIST')) throw new CoffreError('E_KEY', `${path} exists already and is not overwritten`, { cause: error });
    throw new CoffreError('E_STATE', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  } finally {
    await unlink(temporary).catch(() => {});
  }
  await syncFolder(folder);
  await sweepUnfinished(folder);
}

const UNFINISHED = /^\..+\.(\d+)-[0-9a-f]{12}\.tmp$/;

/** Removes what writers that were killed left in a folder of key files: it may be a secret. Never throws. */
export async function sweepUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = UNFINISHED.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await unlink(join(folder, name)).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isCode(error, 'ESRCH');
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Adds a line to a file, made when missing; durable on return. Throws E_STATE. */
export async function addLine(path: string, line: string, mode: number): Promise<void> {
  try {
    const file = await open(path, 'a', mode);
    try {
      await file.writeFile(`${line}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await syncFolder(dirname(path));
  } catch (error) {
    throw new CoffreError('E_STATE', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Text of a secret file. Throws E_KEY when it cannot be read, E_SECRET_MODE when its group or others have any right to it. */
export async function readSecretFile(path: string): Promise<string> {
  const file = await openFile(path);
  try {
    // The mode of the file that was opened, not of whatever the name points at a moment later.
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0) {
      throw new CoffreError(
        'E_SECRET_MODE',
        `${path} has mode ${(mode & 0o7777).toString(8).padStart(4, '0')}, 0600 is the most it may have`,
      );
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** A file that is no secret. Throws E_KEY when it cannot be read. */
export async function readPublicFile(path: string): Promise<Buffer> {
  const file = await openFile(path);
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<Awaited<ReturnType<typeof open>>> {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw new CoffreError('E_KEY', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
