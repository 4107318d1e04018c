// Walks a tree depth first, names in byte order, holding one directory at a time.
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { CoffreError } from '../../errors.ts';
import { Anchored } from '../../host/anchored.ts';
import { isDeep, LONGEST_PATH_BYTES } from '../../host/deep-path.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { PathMatch } from '../path-pattern.ts';
import type { BytePath, FileEntry, Warning } from '../source.ts';

/** What lstat says of one path; a hard link has the type of its inode. */
export interface Found {
  readonly type: Exclude<FileEntry['type'], 'hardlink'>;
  readonly path: BytePath;
  readonly sizeBytes: number;
  /** What its content occupies on disk: less than `sizeBytes` where there are holes. */
  readonly occupiedBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  readonly device: bigint;
  readonly links: number;
}

/** Some of the entries of one directory that are no directories, in order. */
export interface FoundFiles {
  readonly type: 'files';
  readonly files: readonly Found[];
  /** True for the last group of its directory. */
  readonly last: boolean;
}

/** A directory, reported after its files and before its subdirectories. */
export interface FoundDirectory {
  readonly type: 'directory';
  readonly directory: Found;
  /**
   * Its content in the form of GNU tar's `GNU.dumpdir` record: for each name `Y` or, for directories, `D`, the name, NUL;
   * one more NUL at the end. Null when it could not be listed, or is a mount point and not to be.
   */
  readonly dumpdir: Buffer | null;
}

/** Files of one step at most. */
const GROUP = 256;

export function absolutePath(root: string, path: BytePath): Buffer {
  return path === '.' ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}

/** The root itself, symbolic links followed. Throws E_FILES_ROOT. */
export async function statRoot(root: string): Promise<Found> {
  let found: Found | null;
  try {
    found = describe('.', await stat(root, { bigint: true }));
    // Listing now tells a missing right before anything else is begun.
    await readdir(root);
  } catch (cause) {
    throw new CoffreError('E_FILES_ROOT', `${root} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
  if (found?.type !== 'directory') throw new CoffreError('E_FILES_ROOT', `${root} is not a directory`);
  return found;
}

/**
 * Opens a directory of the tree to be listed; the caller closes it. Throws ENOENT when it is reached through a symbolic link by now: whoever
 * owns the tree could show somebody else's files that way to a reader with all rights.
 */
function hold(root: string, path: BytePath): number {
  const absolute = absolutePath(root, path);
  const fd = openSync(absolute, constants.O_RDONLY | constants.O_DIRECTORY | (path === '.' ? 0 : constants.O_NOFOLLOW));
  if (path === '.') return fd;
  const real = readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'latin1' });
  if (real === absolute.toString('latin1').replace(/^\/\//, '/')) return fd;
  closeSync(fd);
  throw Object.assign(new Error('reached through a symbolic link'), { code: 'ENOENT' });
}

/** Directories whose path no system call takes, by way of those above them: none is a symbolic link, whoever swaps them meanwhile. */
class DeepDirectories {
  readonly #root: string;
  #anchored: Anchored | null = null;

  constructor(root: string) {
    this.#root = root;
  }

  /** As `hold`. */
  hold(path: BytePath): number {
    if (path.length > LONGEST_PATH_BYTES) throw Object.assign(new Error('too deep'), { code: 'ENAMETOOLONG' });
    this.#anchored ??= new Anchored(this.#root);
    // the way to the root too
    const isRoot = readlinkSync(this.#anchored.directory('.') as string) === this.#root;
    const name = isRoot ? this.#anchored.directory(path) : null;
    if (name === null) throw Object.assign(new Error('reached through a symbolic link'), { code: 'ENOENT' });
    return openSync(name, constants.O_RDONLY | constants.O_DIRECTORY);
  }

  [Symbol.dispose](): void {
    this.#anchored?.close();
  }
}

/** `name` is for system calls. null: gone, or a kind of file that cannot be kept (`warn` was told). */
function look(name: string, path: BytePath, warn: (warning: Warning) => void): Found | null {
  let stats: BigIntStats;
  try {
    stats = lstatSync(Buffer.from(name, 'latin1'), { bigint: true });
  } catch (cause) {
    warn(warningOf(path, cause));
    return null;
  }
  const found = describe(path, stats);
  if (!found) warn({ kind: 'skipped', where: printable(path), message: stats.isSocket() ? 'a socket' : 'an unknown kind of file' });
  return found;
}

export function warningOf(path: BytePath, cause: unknown): Warning {
  const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
  return code === 'ENOENT' || code === 'ENOTDIR'
    ? { kind: 'vanished', where: printable(path), message: 'gone before it was read' }
    : { kind: 'unreadable', where: printable(path), message: code };
}

function describe(path: BytePath, stats: BigIntStats): Found | null {
  const type = typeOf(stats);
  if (!type) return null;
  return {
    type,
    path,
    sizeBytes: type === 'file' ? Number(stats.size) : 0,
    occupiedBytes: type === 'file' ? Math.min(Number(stats.size), Number(stats.blocks) * 512) : 0,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    inode: stats.ino,
    device: stats.dev,
    links: Number(stats.nlink),
  };
}

function typeOf(stats: BigIntStats): Found['type'] | null {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isBlockDevice() || stats.isCharacterDevice()) return 'device';
  return null;
}

export interface WalkOptions {
  /** A directory on another device than the root is a mount point: reported, not listed. */
  readonly oneFileSystem?: boolean;
}

/** Whatever goes wrong becomes a warning. Waits for the file system: for a thread that nobody waits for (scan-in-thread.ts), or for few steps. */
export function* walkSync(
  root: string,
  rootFound: Found,
  excluded: PathMatch,
  warn: (warning: Warning) => void,
  { oneFileSystem = false }: WalkOptions = {},
): Generator<FoundFiles | FoundDirectory> {
  const rootBytes = Buffer.byteLength(root);
  using deep = new DeepDirectories(root);
  const waiting: Found[] = [rootFound];
  for (let directory = waiting.pop(); directory; directory = waiting.pop()) {
    const prefix = directory.path === '.' ? '' : `${directory.path}/`;
    if (oneFileSystem && directory.device !== rootFound.device) {
      // No list of names: a restore would take one for a reason to remove what is mounted there.
      yield { type: 'directory', directory, dumpdir: null };
      continue;
    }
    let held: number | null = null;
    let names: string[] | null = null;
    const subdirectories: Found[] = [];
    const dumpdir: Buffer[] = [];
    try {
      try {
        held = isDeep(rootBytes, directory.path) ? deep.hold(directory.path) : hold(root, directory.path);
        // latin1 keeps one character per byte, and its order as strings is the order of bytes.
        names = readdirSync(`/proc/self/fd/${held}`, { encoding: 'latin1' }).sort(byBytes);
      } catch (cause) {
        warn(warningOf(directory.path, cause));
      }
      for (let at = 0; names && at < names.length; at += GROUP) {
        const group = names.slice(at, at + GROUP);
        const found = group.map((name) => look(`/proc/self/fd/${held}/${name}`, prefix + name, warn));
        const files: Found[] = [];
        let listed = '';
        for (const [index, one] of found.entries()) {
          if (!one || excluded(one.path, one.type === 'directory')) continue;
          listed += `${one.type === 'directory' ? 'D' : 'Y'}${group[index]}\0`;
          (one.type === 'directory' ? subdirectories : files).push(one);
        }
        dumpdir.push(Buffer.from(listed, 'latin1'));
        yield { type: 'files', files, last: at + GROUP >= names.length };
      }
    } finally {
      if (held !== null) closeSync(held);
    }
    yield { type: 'directory', directory, dumpdir: names && Buffer.concat([...dumpdir, Buffer.alloc(1)]) };
    for (const one of subdirectories.reverse()) waiting.push(one);
  }
}

const byBytes = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
