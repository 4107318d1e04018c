// Scans a tree by GNU find, on any host: one program and one stream for a million files, brought into the order of the walk.
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import { LONGEST_PATH_BYTES } from '../../host/deep-path.ts';
import { printable, unescapeName } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { NulRecords } from '../../host/nul-records.ts';
import { compilePatterns, type PathMatch, type PathPattern } from '../path-pattern.ts';
import type { BytePath, Warning } from '../source.ts';
import { pruneArguments } from './prune.ts';
import { connectionLost, Reconnects } from './reconnect.ts';
import { ScanSort } from './scan-sort.ts';
import { type Found, type FoundDirectory, type FoundFiles, warningOf } from './walk.ts';

export interface TreeToFind {
  readonly host: Host;
  /** Absolute, without a trailing slash, its symbolic links followed. */
  readonly root: string;
  readonly exclude: readonly PathPattern[];
  /** Stays on the root's file system: what is mounted below is an empty directory. */
  readonly oneFileSystem?: boolean;
  readonly clock: Clock;
  /** Takes what does not fit into memory. */
  readonly scratchDir: string;
  /** Entries held in memory at once, in bytes. Default: 8 MiB. */
  readonly memoryBytes?: number;
}

/** type, size, blocks of 512, mode, uid, gid, mtime, ctime, inode, device, links, path: one entry, as `-printf` gives it. */
const FORMAT = '%y %s %b %m %U %G %T@ %C@ %i %D %n %P\\0';
const FIELDS = 11;
/** Names of one directory that are reported at once. */
const GROUP = 256;
/** Said at the end, when everything was seen, to a user who may not enter his own home. */
const HOMELESS = /^find: Failed to restore initial working directory: /;
/** A tree with more trouble than this is not read: what find says of it is held in memory. */
const MOST_COMPLAINTS = 100_000;

/** What a scan knows of a path that find complained about. */
interface Trouble {
  readonly path: BytePath;
  readonly message: string;
}

interface Listing {
  readonly lines: ScanSort;
  /** In the order in which they came. */
  readonly troubles: readonly Trouble[];
  /** Said by something else than find (a login script), or about no path. */
  readonly remarks: readonly string[];
}

/** The version of the host's GNU find. Throws E_TOOL_MISSING when it is absent or another find, and what reaching the host throws. */
export async function gnuFindVersion(host: Host, signal?: AbortSignal): Promise<string> {
  const { out } = await outputOf(host, ['find', '--version'], signal);
  const version = /^find \(GNU findutils\) (\S+)/.exec(out)?.[1];
  if (version !== undefined) return version;
  const where = host.type === 'local' ? '' : `${host.name}: `;
  throw new CoffreError('E_TOOL_MISSING', `${where}there is no GNU find`, { hint: 'install GNU find: apt-get install findutils' });
}

/** The root itself. Throws E_FILES_ROOT, E_SSH_…. */
export async function findRoot(host: Host, root: string, signal?: AbortSignal): Promise<Found> {
  const { out, said } = await outputOf(host, ['find', root, '-maxdepth', '0', '-printf', FORMAT], signal);
  const found = out.endsWith('\0') ? parse(out.slice(0, -1)) : null;
  if (!found) throw new CoffreError('E_FILES_ROOT', `${host.name}: ${root} cannot be read: ${rootTrouble(said)}`);
  if (found.type !== 'directory') throw new CoffreError('E_FILES_ROOT', `${host.name}: ${root} is not a directory`);
  return { ...found, path: '.' };
}

/** `path` with its symbolic links followed; itself when that cannot be said. */
export async function resolveRoot(host: Host, path: string, signal?: AbortSignal): Promise<string> {
  const { out, status } = await outputOf(host, ['readlink', '-f', path], signal);
  const real = Buffer.from(out.replace(/\n$/, ''), 'latin1');
  const text = real.toString();
  return status === 0 && text.startsWith('/') && Buffer.from(text).equals(real) ? text : path;
}

/**
 * Yields what `walk` yields, once find has seen everything. A lost connection begins the scan anew, some times.
 * Throws E_FILES_ROOT, E_FILES_READ, E_SSH_…, or the signal's reason; everything else becomes a warning.
 */
export async function* findScan(
  tree: TreeToFind,
  warn: (warning: Warning) => void,
  signal: AbortSignal,
): AsyncGenerator<FoundFiles | FoundDirectory> {
  const excluded = compilePatterns(tree.exclude);
  const reconnects = new Reconnects(tree.clock);
  for (;;) {
    const lines = new ScanSort(tree.scratchDir, tree.memoryBytes);
    try {
      let listed: { rootFound: Found; listing: Listing };
      try {
        listed = await look(tree, lines, excluded, signal);
      } catch (error) {
        await reconnects.after(error, signal);
        continue;
      }
      yield* inOrder(tree, listed.rootFound, listed.listing, excluded, warn, signal);
      return;
    } finally {
      await lines.close();
    }
  }
}

/** Root and listing at once: on a line that is far each program costs some round trips. What is wrong with the root is what is told. */
async function look(
  tree: TreeToFind,
  lines: ScanSort,
  excluded: PathMatch,
  signal: AbortSignal,
): Promise<{ readonly rootFound: Found; readonly listing: Listing }> {
  const stop = new AbortController();
  const listing = list(tree, lines, excluded, AbortSignal.any([signal, stop.signal]));
  listing.catch(() => {});
  try {
    return { rootFound: await findRoot(tree.host, tree.root, signal), listing: await listing };
  } catch (error) {
    // `lines` are closed by whoever made them: not while they are written to
    stop.abort(error);
    await listing.catch(() => {});
    throw error;
  }
}

async function list(tree: TreeToFind, lines: ScanSort, excluded: PathMatch, signal: AbortSignal): Promise<Listing> {
  signal.throwIfAborted();
  const { host, root } = tree;
  const oneFileSystem = tree.oneFileSystem ? ['-xdev'] : [];
  const tests = [...oneFileSystem, ...pruneArguments(root, tree.exclude)];
  const find = host.start(['find', root, '-mindepth', '1', ...tests, '-printf', FORMAT], signal);
  find.stdin.end();
  const troubles: Trouble[] = [];
  const remarks: string[] = [];
  let complaints = 0;
  createInterface({ input: find.stderr.setEncoding('latin1') }).on('line', (line) => {
    if (line.startsWith('find: ')) complaints += 1;
    if (remarks.length + complaints > MOST_COMPLAINTS) return;
    const trouble = parseTrouble(root, line);
    if (!trouble && HOMELESS.test(line)) return;
    if (!trouble) remarks.push(line);
    // Of what is excluded nothing need be readable.
    else if (!isExcluded(trouble.path, excluded)) troubles.push(trouble);
  });
  try {
    const records = new NulRecords();
    for await (const chunk of find.stdout.setEncoding('latin1')) {
      for (const record of records.take(chunk)) await lines.add(sortable(record));
    }
    const { status, lost } = await find.ended;
    signal.throwIfAborted();
    if (lost) throw connectionLost(host);
    if (status === 127) throw new CoffreError('E_TOOL_MISSING', `${host.name}: there is no find`);
    const [said] = remarks;
    // find ends with 1 when it complained about anything.
    if (records.unfinished || status === null || status > 1 || (status === 1 && complaints === 0) || complaints > MOST_COMPLAINTS) {
      const how = status === null ? 'by a signal' : `with status ${status}`;
      throw new CoffreError('E_FILES_READ', `find in ${root} ended ${how} after ${complaints} complaints: ${said ?? 'no message'}`);
    }
  } finally {
    find.kill();
  }
  return { lines, troubles, remarks };
}

/** Puts the listing into the order of the walk, as `walk` would have told it. */
async function* inOrder(
  tree: TreeToFind,
  rootFound: Found,
  { lines, troubles, remarks }: Listing,
  excluded: PathMatch,
  warn: (warning: Warning) => void,
  signal: AbortSignal,
): AsyncGenerator<FoundFiles | FoundDirectory> {
  const { root } = tree;
  for (const message of remarks) {
    // Only find itself may say that something is missing from its listing.
    warn({ kind: message.startsWith('find: ') ? 'unreadable' : 'other', where: root, message });
  }
  const unlisted = new Set<BytePath>();
  for (const { path, message } of troubles) {
    unlisted.add(path);
    if (path === '.') throw new CoffreError('E_FILES_ROOT', `${root} cannot be read: ${CODES[message] ?? message}`);
    warn(warningFor(path, message));
  }
  const sorted = lines.sorted();
  let next = await sorted.next();
  const waiting: Found[] = [rootFound];
  for (let directory = waiting.pop(); directory; directory = waiting.pop()) {
    signal.throwIfAborted();
    if (directory.path.length > LONGEST_PATH_BYTES) {
      warn(warningFor(directory.path, 'ENAMETOOLONG'));
      yield { type: 'directory', directory, dumpdir: null };
      continue;
    }
    const prefix = directory.path === '.' ? '' : `${directory.path}/`;
    const key = groupOf(directory.path);
    // What lies in a directory that is not kept comes before the next one that is.
    while (!next.done && next.value < key) next = await sorted.next();
    const subdirectories: Found[] = [];
    const dumpdir: Buffer[] = [];
    let names = 0;
    let files: Found[] = [];
    let listed = '';
    let lastName = '';
    while (!next.done && next.value.startsWith(key)) {
      const { name, found, kind } = fromSortable(next.value, key, prefix);
      next = await sorted.next();
      // A file that is renamed to and fro meanwhile may be met twice.
      if (name === lastName) continue;
      lastName = name;
      const path = prefix + name;
      if (!found) warn({ kind: 'skipped', where: printable(path), message: kind === 's' ? 'a socket' : 'an unknown kind of file' });
      else if (!excluded(path, found.type === 'directory')) {
        listed += `${found.type === 'directory' ? 'D' : 'Y'}${name}\0`;
        (found.type === 'directory' ? subdirectories : files).push(found);
      }
      names += 1;
      if (names % GROUP === 0 && !next.done && next.value.startsWith(key)) {
        dumpdir.push(Buffer.from(listed, 'latin1'));
        yield { type: 'files', files, last: false };
        files = [];
        listed = '';
      }
    }
    if (names > 0) yield { type: 'files', files, last: true };
    dumpdir.push(Buffer.from(`${listed}\0`, 'latin1'));
    const isListed = !unlisted.has(directory.path) && !(tree.oneFileSystem && directory.device !== rootFound.device);
    yield { type: 'directory', directory, dumpdir: isListed ? Buffer.concat(dumpdir) : null };
    for (const one of subdirectories.reverse()) waiting.push(one);
  }
}

/** What sorts before everything in a directory and after everything in the directories before it: no name holds a NUL. */
function groupOf(directory: BytePath): string {
  return directory === '.' ? '\0\0' : `${directory.replaceAll('/', '\0')}\0\0`;
}

/** `GROUP NAME NUL FIELDS`: sorted by these bytes, entries stand in the order of the walk. */
function sortable(record: string): string {
  const at = pathStart(record);
  const slash = record.lastIndexOf('/');
  const group = slash < at ? groupOf('.') : groupOf(record.slice(at, slash));
  return `${group}${record.slice(Math.max(at, slash + 1))}\0${record.slice(0, at)}`;
}

function fromSortable(line: string, group: string, prefix: BytePath): { name: string; kind: string; found: Found | null } {
  const end = line.indexOf('\0', group.length);
  const name = line.slice(group.length, end);
  return { name, kind: line[end + 1] as string, found: parse(`${line.slice(end + 1)}${prefix}${name}`) };
}

/** Where the path begins. Throws E_FILES_READ for what find never prints. */
function pathStart(record: string): number {
  let at = 0;
  for (let field = 0; field < FIELDS; field++) {
    at = record.indexOf(' ', at) + 1;
    if (at === 0) throw new CoffreError('E_FILES_READ', 'find printed something that is no entry');
  }
  return at;
}

const TYPES: Readonly<Record<string, Found['type']>> = { f: 'file', d: 'directory', l: 'symlink', p: 'fifo', b: 'device', c: 'device' };

/** null: a kind of file that cannot be kept. */
function parse(record: string): Found | null {
  const at = pathStart(record);
  const [kind = '', size, blocks, mode = '', uid, gid, mtime = '', ctime = '', inode = '', device = '', links] = record
    .slice(0, at)
    .split(' ');
  const type = TYPES[kind];
  if (type === undefined) return null;
  const sizeBytes = type === 'file' ? Number(size) : 0;
  return {
    type,
    path: record.slice(at),
    sizeBytes,
    occupiedBytes: type === 'file' ? Math.min(sizeBytes, Number(blocks) * 512) : 0,
    mode: Number.parseInt(mode, 8) & 0o7777,
    uid: Number(uid),
    gid: Number(gid),
    mtimeNs: nanoseconds(mtime),
    ctimeNs: nanoseconds(ctime),
    inode: BigInt(inode),
    device: BigInt(device),
    links: Number(links),
  };
}

/** `SECONDS.FRACTION`, where the fraction counts upwards before 1970 too: find prints the two halves of a timespec. */
function nanoseconds(text: string): bigint {
  const match = /^(-?\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) throw new CoffreError('E_FILES_READ', 'find printed a time that is no number');
  return BigInt(match[1] as string) * 1_000_000_000n + BigInt((match[2] ?? '').padEnd(9, '0').slice(0, 9));
}

/** `find: 'PATH': MESSAGE`, the path quoted; null for everything else. */
function parseTrouble(root: string, line: string): Trouble | null {
  const match = /^find: (?:File system loop detected; )?'((?:[^'\\]|\\.)*)'(?:: | )(.*)$/.exec(line);
  if (!match) return null;
  const path = unescapeName(match[1] as string);
  const base = Buffer.from(root).toString('latin1');
  if (path === base) return { path: '.', message: match[2] as string };
  const below = base === '/' ? base : `${base}/`;
  return path.startsWith(below) ? { path: path.slice(below.length), message: match[2] as string } : null;
}

const CODES: Readonly<Record<string, string>> = {
  'Permission denied': 'EACCES',
  'Operation not permitted': 'EPERM',
  'Input/output error': 'EIO',
  'No such file or directory': 'ENOENT',
  'Not a directory': 'ENOTDIR',
};

function warningFor(path: BytePath, message: string): Warning {
  return warningOf(path, { code: CODES[message] ?? message });
}

function isExcluded(path: BytePath, excluded: PathMatch): boolean {
  for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) if (excluded(path.slice(0, end), true)) return true;
  return excluded(path, true) || excluded(path, false);
}

/** A small program's whole output. Throws E_SSH_LOST, the signal's reason, and what starting it throws. */
export async function outputOf(
  host: Host,
  argv: readonly string[],
  signal?: AbortSignal,
): Promise<{ out: string; said: string; status: number | null }> {
  const { stdin, stdout, stderr, ended } = host.start(argv, signal);
  stdin.end();
  const [out, said, { status, lost }] = await Promise.all([text(stdout.setEncoding('latin1')), text(stderr.setEncoding('latin1')), ended]);
  signal?.throwIfAborted();
  if (lost) throw connectionLost(host);
  return { out, said, status };
}

function rootTrouble(said: string): string {
  const message = /^find: .*: (.*)$/m.exec(said)?.[1] ?? 'find did not print it';
  return CODES[message] ?? message;
}
