// A few small files of a host that gives nothing but SFTP.
import { constants } from 'node:fs';
import { systemClock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Host } from './host.ts';
import { READ_BYTES, SftpRefusal, SftpSession } from './sftp-session.ts';

/** Whether `error` says that the host runs no programs, and it may give SFTP all the same. */
export function givesSftpAlone(host: Host, error: unknown): boolean {
  return error instanceof CoffreError && error.code === 'E_SSH_COMMAND' && host.subsystem !== undefined;
}

/** Content of a regular file, null when there is none. Throws E_CONFIG when it cannot be read or is longer than `mostBytes`, E_SSH_…. */
export async function readFileBySftp(host: Host, path: string, mostBytes: number, signal?: AbortSignal): Promise<Buffer | null> {
  return await withSession(host, signal, async (session) => {
    try {
      const { mode, sizeBytes } = await session.stat(bytes(path));
      if (mode === null || (mode & constants.S_IFMT) !== constants.S_IFREG) throw refused(host, path, 'is no regular file');
      if (sizeBytes > mostBytes) throw refused(host, path, "is too large to be a shop's configuration");
      const handle = await session.open(bytes(path));
      const content: Buffer[] = [];
      let at = 0;
      for (let piece = await session.read(handle, 0, READ_BYTES); piece?.length; piece = await session.read(handle, at, READ_BYTES)) {
        content.push(Buffer.from(piece));
        at += piece.length;
        if (at > mostBytes) throw refused(host, path, "is too large to be a shop's configuration");
      }
      return Buffer.concat(content);
    } catch (error) {
      if (!(error instanceof SftpRefusal)) throw error;
      if (error.code === 'ENOENT') return null;
      throw refused(host, path, `cannot be read: ${error.code}`);
    }
  });
}

/** Which of `paths` are there. */
export async function existingBySftp(host: Host, paths: readonly string[]): Promise<ReadonlySet<string>> {
  return await withSession(host, undefined, async (session) => {
    const answers = await Promise.all(paths.map(async (path) => ((await isThere(session, path)) ? path : null)));
    return new Set(answers.filter((path) => path !== null));
  });
}

/** Names in a directory that are directories, or links to one; none when it cannot be listed. */
export async function foldersBySftp(host: Host, path: string): Promise<readonly string[]> {
  return await withSession(host, undefined, async (session) => {
    const folders: string[] = [];
    try {
      const handle = await session.opendir(bytes(path));
      for (let names = await session.readdir(handle); names !== null; names = await session.readdir(handle)) {
        for (const { name } of names) {
          const mode = await session.stat(`${bytes(path)}/${name}`).then(
            (found) => found.mode,
            (error) => orThrow(error, null),
          );
          if (mode !== null && (mode & constants.S_IFMT) === constants.S_IFDIR) folders.push(Buffer.from(name, 'latin1').toString());
        }
      }
    } catch (error) {
      orThrow(error, null);
    }
    return folders.sort();
  });
}

async function isThere(session: SftpSession, path: string): Promise<boolean> {
  return await session.lstat(bytes(path)).then(
    () => true,
    (error) => orThrow(error, false),
  );
}

function orThrow<T>(error: unknown, otherwise: T): T {
  if (error instanceof SftpRefusal) return otherwise;
  throw error;
}

const bytes = (path: string): string => Buffer.from(path).toString('latin1');

function refused(host: Host, path: string, why: string): CoffreError {
  return new CoffreError('E_CONFIG', `${path} on ${host.name} ${why}`, {
    hint: 'give coffre the right to read it, as it reads the rest of the tree',
  });
}

async function withSession<T>(host: Host, signal: AbortSignal | undefined, work: (session: SftpSession) => Promise<T>): Promise<T> {
  const session = await SftpSession.open(host, systemClock, signal);
  try {
    return await work(session);
  } finally {
    session.close();
  }
}
