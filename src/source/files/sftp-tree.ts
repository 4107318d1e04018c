// A tree on a host that gives nothing but SFTP: scanned by listing its directories, packed by us. Good enough, and never silently so.
import { constants } from 'node:fs';
import { CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import { type SftpAttributes, type SftpName, SftpRefusal, SftpSession } from '../../host/sftp-session.ts';
import { compilePatterns, type PathMatch } from '../path-pattern.ts';
import type { BytePath, Finding, Warning } from '../source.ts';
import type { TreeToRead } from './reading.ts';
import { isLostConnection, Reconnects } from './reconnect.ts';
import type { RemotePlace } from './remote-place.ts';
import { sampleFinding } from './sample-finding.ts';
import { startSftpArchiver } from './sftp-archive.ts';
import { bytePath, describe } from './sftp-entry.ts';
import type { Found, FoundDirectory, FoundFiles } from './walk.ts';

/** A second channel hides the time that the first one waits. */
const PARTS_AT_ONCE = 2;
const GROUP = 256;
/** Within a second a file may change again unnoticed, and how far the host's clock is off ours SFTP does not tell. */
const YOUNG_SECONDS = 60;

/** `why`: the tool that is missing. Throws E_FILES_ROOT, E_SSH_…. */
export async function openSftpTree(tree: RemotePlace, why: CoffreError): Promise<TreeToRead> {
  const { host, clock } = tree;
  const excluded = compilePatterns(tree.exclude);
  const { root, rootFound } = await withSession(tree, (session) => openRoot(session, tree));
  const limits: Warning = {
    kind: 'other',
    where: root,
    message:
      `${why.message}: read by SFTP, which knows times in whole seconds and no hard links, attributes, ACLs, holes or devices; ` +
      'links of one file are stored as files of their own',
  };
  return {
    host,
    root,
    parallel: PARTS_AT_ONCE,
    youngFromNs: () => BigInt(Math.floor(clock.nowMs() / 1000) - YOUNG_SECONDS) * 1_000_000_000n,
    startArchiver: (paths, signal) => startSftpArchiver({ host, root, clock }, paths, signal),
    async *scan(warn, signal) {
      warn(limits);
      yield* scan(tree, root, rootFound, excluded, warn, signal);
    },
  };
}

/** Tries to open the first entries. Throws what openSftpTree throws. */
export async function sampleBySftp(tree: RemotePlace, entries: number): Promise<Finding> {
  const excluded = compilePatterns(tree.exclude);
  const { root, rootFound } = await withSession(tree, (session) => openRoot(session, tree));
  return await withSession(tree, async (session) => {
    const unreadable: Warning[] = [];
    const warn = (warning: Warning): void => {
      if (warning.kind === 'unreadable') unreadable.push(warning);
    };
    let seen = 0;
    for await (const step of scan(tree, root, rootFound, excluded, warn, new AbortController().signal)) {
      if (step.type === 'directory') continue;
      for (const { path, type } of step.files) {
        if (type !== 'file') continue;
        try {
          await session.closeHandle(await session.open(bytePath(root, path)));
        } catch (error) {
          warn(warningOf(path, error));
        }
      }
      seen += step.files.length;
      if (seen >= entries) break;
    }
    return sampleFinding(root, seen, unreadable);
  });
}

async function withSession<T>({ host, clock }: RemotePlace, work: (session: SftpSession) => Promise<T>): Promise<T> {
  const session = await SftpSession.open(host, clock);
  try {
    return await work(session);
  } finally {
    session.close();
  }
}

async function openRoot(session: SftpSession, { host, root: configured }: RemotePlace): Promise<{ root: string; rootFound: Found }> {
  try {
    const real = Buffer.from(await session.realpath(Buffer.from(configured).toString('latin1')), 'latin1');
    const root = Buffer.from(real.toString()).equals(real) ? real.toString() : configured;
    const rootFound = describe('.', await session.lstat(bytePath(root, '.')));
    if (rootFound?.type !== 'directory') throw new CoffreError('E_FILES_ROOT', `${host.name}: ${root} is not a directory`);
    await session.closeHandle(await session.opendir(bytePath(root, '.')));
    return { root, rootFound };
  } catch (error) {
    if (!(error instanceof SftpRefusal)) throw error;
    throw new CoffreError('E_FILES_ROOT', `${host.name}: ${configured} cannot be read: ${error.code}`, { cause: error });
  }
}

/** As `walk`, one directory after the other. A lost connection is opened again for the directory that was being listed. */
async function* scan(
  tree: RemotePlace,
  root: string,
  rootFound: Found,
  excluded: PathMatch,
  warn: (warning: Warning) => void,
  signal: AbortSignal,
): AsyncGenerator<FoundFiles | FoundDirectory> {
  const listing = new Listing(tree);
  try {
    const waiting: Found[] = [rootFound];
    for (let directory = waiting.pop(); directory; directory = waiting.pop()) {
      const prefix = directory.path === '.' ? '' : `${directory.path}/`;
      let names: readonly SftpName[] | null = null;
      try {
        names = await listing.of(bytePath(root, directory.path), signal);
      } catch (error) {
        if (!(error instanceof SftpRefusal)) throw error;
        warn(warningOf(directory.path, error));
      }
      const subdirectories: Found[] = [];
      const dumpdir: Buffer[] = [];
      for (let at = 0; names && at < names.length; at += GROUP) {
        signal.throwIfAborted();
        const files: Found[] = [];
        let listed = '';
        for (const { name, attributes } of names.slice(at, at + GROUP)) {
          const path = prefix + name;
          const found = describe(path, attributes);
          if (excluded(path, found?.type === 'directory')) continue;
          if (!found) {
            warn(leftOut(path, attributes));
            continue;
          }
          listed += `${found.type === 'directory' ? 'D' : 'Y'}${name}\0`;
          (found.type === 'directory' ? subdirectories : files).push(found);
        }
        dumpdir.push(Buffer.from(listed, 'latin1'));
        yield { type: 'files', files, last: at + GROUP >= names.length };
      }
      yield { type: 'directory', directory, dumpdir: names && Buffer.concat([...dumpdir, Buffer.alloc(1)]) };
      for (const one of subdirectories.reverse()) waiting.push(one);
    }
  } finally {
    listing.close();
  }
}

/** Lists directories over one session, and over a new one when that was lost. */
class Listing {
  readonly #tree: RemotePlace;
  readonly #reconnects: Reconnects;
  #session: SftpSession | null = null;

  constructor(tree: RemotePlace) {
    this.#tree = tree;
    this.#reconnects = new Reconnects(tree.clock);
  }

  /** Sorted by bytes. Throws SftpRefusal, E_SSH_…. */
  async of(path: BytePath, signal: AbortSignal): Promise<readonly SftpName[]> {
    for (;;) {
      signal.throwIfAborted();
      try {
        this.#session ??= await SftpSession.open(this.#tree.host, this.#tree.clock, signal);
        const names = await list(this.#session, path);
        this.#reconnects.progress();
        return names;
      } catch (error) {
        if (!isLostConnection(error)) throw error;
        this.close();
        await this.#reconnects.after(error, signal);
      }
    }
  }

  close(): void {
    this.#session?.close();
    this.#session = null;
  }
}

async function list(session: SftpSession, path: BytePath): Promise<readonly SftpName[]> {
  const handle = await session.opendir(path);
  const names: SftpName[] = [];
  try {
    for (let some = await session.readdir(handle); some !== null; some = await session.readdir(handle)) names.push(...some);
  } finally {
    await session.closeHandle(handle).catch(() => {});
  }
  return names.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function leftOut(path: BytePath, { mode }: SftpAttributes): Warning {
  const where = printable(path);
  // Without its kind nothing can be said of it, and it may be a file.
  if (mode === null) return { kind: 'unreadable', where, message: 'the server does not say what it is' };
  const kind = mode & constants.S_IFMT;
  if (kind === constants.S_IFSOCK) return { kind: 'skipped', where, message: 'a socket' };
  return kind === constants.S_IFBLK || kind === constants.S_IFCHR
    ? { kind: 'skipped', where, message: 'a device, which SFTP cannot describe' }
    : { kind: 'skipped', where, message: 'an unknown kind of file' };
}

export function warningOf(path: BytePath, error: unknown): Warning {
  if (!(error instanceof SftpRefusal)) throw error;
  return error.code === 'ENOENT'
    ? { kind: 'vanished', where: printable(path), message: 'gone before it was read' }
    : { kind: 'unreadable', where: printable(path), message: error.code };
}
