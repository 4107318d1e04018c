// Packs chosen paths of a tree through GNU tar on its host; a connection that breaks in the middle is mended within the archive.
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import { isDeep } from '../../host/deep-path.ts';
import { type Complaint, deepPackArguments, feed, packArguments, printable, startTar, type TarExit } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import type { TarMember } from '../../host/tar-headers.ts';
import { TarMembers, type TarVisitor } from '../../host/tar-members.ts';
import type { BytePath } from '../source.ts';
import { DeepNames } from './deep-names.ts';
import { connectionLost, Reconnects } from './reconnect.ts';

/** What writes an archive: GNU tar on the host, or whatever stands in for it. */
export interface Archiver {
  readonly stdout: AsyncIterable<Buffer>;
  /** After all output was read. */
  readonly ended: Promise<TarExit>;
  kill(): void;
}

/** Where a part is read. */
export interface Tree {
  readonly host: Host;
  readonly root: string;
  /** A ctime from here on may not be the last of its file, in nanoseconds by the host's clock; by ours when it does not say. */
  racyFromNs?(): bigint;
  /** On hosts that tell no ctime: a file written from here on may change again unnoticed, by its mtime in nanoseconds. */
  youngFromNs?(): bigint;
  /** Writes an archive as GNU tar with `packArguments` would, for hosts that have none. Default: GNU tar. */
  startArchiver?(paths: Iterable<BytePath>, signal: AbortSignal): Archiver;
}

export interface PackOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What must be packed together when it is packed again: links of one inode give the same key. */
  readonly together?: (path: BytePath) => string;
}

/**
 * Packs exactly `paths` (under `root`, no recursion, each once); yields the archive without its end marker. When the connection to the
 * host breaks, the member under way is filled up with zeros and comes again, whole, behind it: the last copy wins when the archive
 * is extracted. Then the visitor sees it twice, and `memberEnd` only for the whole one.
 * Throws E_TOOL_MISSING, E_FILES_ROOT, E_FILES_READ, E_SSH_…, or the signal's reason.
 */
export async function* packWithTar(
  tree: Tree,
  paths: Iterable<BytePath>,
  visitor: TarVisitor,
  { clock, signal, together }: PackOptions,
): AsyncGenerator<Buffer, readonly Complaint[]> {
  const reconnects = new Reconnects(clock);
  const complaints: Complaint[] = [];
  const packed = new Set<BytePath>();
  let all: readonly BytePath[] = [...paths];
  let deep = tree.startArchiver === undefined ? deepAmong(tree, all) : new Set<BytePath>();
  let wanted = all;
  for (;;) {
    const names = deep.size > 0 ? new DeepNames(tree.root) : null;
    const watched = new WatchedMembers(visitor, packed, names);
    const said: Complaint[] = [];
    try {
      yield* packOnce(tree, wanted, names, watched.members, said, signal);
      return [...complaints, ...said];
    } catch (error) {
      if (watched.any) reconnects.progress();
      if (!watched.canBeFilled) throw error;
      if (isUnreachable(error) && deep.size > 0 && !watched.isWithin(deep) && !areLinked(deep, all, together)) {
        // a directory on the way is gone: the others are packed without all that is deep
        for (const path of deep) if (!packed.has(path)) complaints.push({ path, message: `Cannot be reached: ${error.message}` });
        all = all.filter((path) => !deep.has(path));
        deep = new Set();
      } else await reconnects.after(error, signal);
      yield* zeros(watched.members.owedBytes);
      wanted = stillWanted(all, packed, together);
      const again = new Set(wanted);
      complaints.push(...said.filter(({ path }) => path === null || !again.has(path)));
      for (const path of again) packed.delete(path);
    }
  }
}

function deepAmong({ root }: Tree, paths: readonly BytePath[]): ReadonlySet<BytePath> {
  const rootBytes = Buffer.byteLength(root);
  return new Set(paths.filter((path) => isDeep(rootBytes, path)));
}

function isUnreachable(error: unknown): error is CoffreError {
  return error instanceof CoffreError && (error.code === 'E_FILES_READ' || error.code === 'E_FILES_ROOT');
}

/** Whether one of `some` must be packed together with another path. */
function areLinked(some: ReadonlySet<BytePath>, all: readonly BytePath[], together?: (path: BytePath) => string): boolean {
  if (!together) return false;
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const key of all.map(together)) (seen.has(key) ? twice : seen).add(key);
  return [...some].some((path) => twice.has(together(path)));
}

/** What was not packed, with everything that belongs to it. */
function stillWanted(all: readonly BytePath[], packed: ReadonlySet<BytePath>, together?: (path: BytePath) => string): readonly BytePath[] {
  if (!together) return all.filter((path) => !packed.has(path));
  const keys = new Set(all.filter((path) => !packed.has(path)).map(together));
  return all.filter((path) => keys.has(together(path)));
}

const ZEROS = Buffer.alloc(256 * 1024);

function* zeros(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left);
}

/** Passes everything on to a visitor, and knows which members came whole. */
class WatchedMembers {
  readonly members: TarMembers;
  /** Whether any member came whole. */
  any = false;
  /** The member whose content has not all come. */
  #open: TarMember | null = null;
  /** The beginning of a sparse member, as long as its map is incomplete. */
  #map: string | null = null;

  /** `names`: what tar calls the members; null: by their paths. */
  constructor(visitor: TarVisitor, packed: Set<BytePath>, names: DeepNames | null) {
    this.members = new TarMembers({
      member: (read) => {
        const member = names === null ? read : names.member(read);
        this.#open = member;
        this.#map = member.sparse ? '' : null;
        const decision = visitor.member(member);
        return names === null ? decision : names.decision(decision, member);
      },
      data: (bytes) => {
        if (this.#map !== null) this.#readMap(bytes);
        visitor.data?.(bytes);
      },
      memberEnd: () => {
        if (this.#open) packed.add(this.#open.path);
        this.#open = null;
        this.#map = null;
        this.any = true;
        visitor.memberEnd?.();
      },
    });
  }

  /** Zeros in place of the content are harmless, in the map of a sparse member they would be damage. */
  get canBeFilled(): boolean {
    return this.#map === null;
  }

  /** Whether the member that is under way is one of these. */
  isWithin(paths: ReadonlySet<BytePath>): boolean {
    return this.#open !== null && paths.has(this.#open.path);
  }

  /** Lines of decimal numbers: how many regions there are, then offset and length of each. */
  #readMap(bytes: Buffer): void {
    this.#map += bytes.toString('latin1');
    const lines = (this.#map as string).split('\n');
    if (lines.length > 1 && lines.length > 1 + 2 * Number(lines[0])) this.#map = null;
  }
}

async function* packOnce(
  tree: Tree,
  paths: Iterable<BytePath>,
  names: DeepNames | null,
  members: TarMembers,
  complaints: Complaint[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  signal.throwIfAborted();
  const archiver = tree.startArchiver?.(paths, signal) ?? startGnuTar(tree, paths, names, signal);
  try {
    for await (const chunk of archiver.stdout) yield* members.push(chunk);
    const exit = await archiver.ended;
    signal.throwIfAborted();
    for (const complaint of exit.complaints) complaints.push(names === null ? complaint : names.complaint(complaint));
    if (exit.lost) throw connectionLost(tree.host);
    if (!members.ended || exit.status === null || exit.status > 2) throw readingFailed(tree.root, exit);
  } finally {
    archiver.kill();
  }
}

function startGnuTar({ host, root }: Tree, paths: Iterable<BytePath>, names: DeepNames | null, signal: AbortSignal): Archiver {
  const tar = startTar(host, names === null ? packArguments(root) : deepPackArguments(), signal);
  const fed = feed(tar.stdin, names === null ? nulTerminated(paths) : names.list(paths));
  fed.catch(() => tar.kill());
  const ended = tar.ended.then(async (exit) => {
    await fed;
    return exit;
  });
  ended.catch(() => {});
  return { stdout: tar.stdout, ended, kill: () => tar.kill() };
}

function readingFailed(root: string, exit: TarExit): CoffreError {
  const said = exit.complaints.map(({ path, message }) => `${path === null ? '' : `${printable(path)}: `}${message}`);
  const text = `tar ended ${exit.status === null ? 'by a signal' : `with status ${exit.status}`}: ${said.slice(-3).join('; ') || 'no message'}`;
  const lostRoot = exit.complaints.some(({ path }) => path === Buffer.from(root).toString('latin1'));
  return new CoffreError(lostRoot ? 'E_FILES_ROOT' : 'E_FILES_READ', text);
}

function* nulTerminated(paths: Iterable<BytePath>): Generator<Buffer> {
  let text = '';
  for (const path of paths) {
    text += `${path}\0`;
    if (text.length >= 64 * 1024) {
      yield Buffer.from(text, 'latin1');
      text = '';
    }
  }
  yield Buffer.from(text, 'latin1');
}
