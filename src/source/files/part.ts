// Parts of a tree: a group of files that becomes one tar segment, read through GNU tar, with what tar really stored as outcome.
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import { isDeep } from '../../host/deep-path.ts';
import type { ExtendedFiles } from '../../host/extended.ts';
import { type Complaint, printable } from '../../host/gnu-tar.ts';
import type { TarMember } from '../../host/tar-headers.ts';
import type { MemberDecision, TarVisitor } from '../../host/tar-members.ts';
import { END_OF_ARCHIVE } from '../../host/ustar.ts';
import { type BytePath, type FileEntry, LARGE_PART_BYTES, type Part, type PartOutcome, type ThreadWork, type Warning } from '../source.ts';
import type { Stored } from './older-entries.ts';
import { pack, type TreeToPack } from './pack-tree.ts';
import { PlainFiles, type PlainOutcome } from './plain-files.ts';
import { type ContentHash, contentHash } from './sparse-hash.ts';
import { packWithTar, type Tree } from './tar-pack.ts';
import type { Found } from './walk.ts';

const NOTHING: PlainOutcome = { done: new Set(), entries: new Map() };

/**
 * The kernel stamps ctime in ticks of up to 10 ms: a file changed this shortly before it was read may change again without a
 * new ctime. Its entry gets a ctime of 0, which no file has, so that the next reading reads it again.
 */
const RACY_NS = 20_000_000n;

/** From this ctime on a file may change again unnoticed. */
export function racyFrom(tree: Tree, clock: Clock): bigint {
  return tree.racyFromNs?.() ?? BigInt(clock.nowMs()) * 1_000_000n - RACY_NS;
}

/** Holes smaller than this are not worth a sparse member: they are read, and compress to nothing. */
const SMALLEST_HOLES_BYTES = 64 * 1024;

/** Whether a pax header says all there is to say, attributes aside. */
export function isSimple(found: Found): boolean {
  if (found.links !== 1) return false;
  return found.type === 'symlink' || (found.type === 'file' && found.sizeBytes - found.occupiedBytes < SMALLEST_HOLES_BYTES);
}

/** Characters of a part's name: of a path as long as that, the beginning. */
const LONGEST_NAME = 1024;

/** What a part tells its reading when it was read to its end. */
export type OnOutcome = (outcome: PartOutcome) => void;

/** What a complaint means for the file it names; `stored` says whether the archive holds it. */
export function warningKind({ message }: Complaint, stored: boolean): Warning['kind'] {
  if (/^(file changed as we read it$|File shrank by )/.test(message)) return 'changed';
  if (/^(Warning: )?Read error /.test(message)) return 'unreadable';
  if (/^File removed before we read it$|: No such file or directory$|: Not a directory$/.test(message)) return 'vanished';
  if (stored) return 'other';
  if (/^(socket ignored|Unknown file type; file ignored)$/.test(message)) return 'skipped';
  return 'unreadable';
}

/** What a part of a tree is made with. */
export interface PartDeps {
  readonly tree: Tree;
  readonly clock: Clock;
  /** Tells which files GNU tar must pack for their attributes; null: it packs them all, since the tree is on another machine. */
  readonly extended: ExtendedFiles | null;
  /** Contents that are stored already and may be this file's; null: nothing is. */
  readonly stored: ((found: Found) => Promise<readonly Stored[]>) | null;
  readonly onOutcome: OnOutcome;
}

/** Some files of a tree. All links of an inode must be in one part. */
export class FilesPart implements Part {
  readonly type = 'part';
  readonly kind = 'tar';
  readonly phase = 'files';
  readonly name: string;
  readonly estimatedBytes: number;
  readonly #deps: PartDeps;
  readonly #files: readonly Found[];
  /** Those that are packed without GNU tar, once it was asked which. */
  #plain: PlainFiles | null = null;
  #awkward: readonly Found[];
  /** Files that GNU tar packs although a plain header says all of them, with the ctime until which that is so. */
  #bare: ReadonlyMap<BytePath, bigint> = new Map();
  #outcome: PartOutcome | null = null;

  constructor(deps: PartDeps, files: readonly Found[], estimatedBytes: number) {
    this.#deps = deps;
    this.#files = files;
    this.#awkward = files;
    this.estimatedBytes = estimatedBytes;
    this.name = printable((files[0] as Found).path).slice(0, LONGEST_NAME);
  }

  async threadWork(signal: AbortSignal): Promise<ThreadWork | null> {
    const { tree, clock, extended, stored } = this.#deps;
    if (extended === null) return null;
    // what does not fit into memory is streamed
    if (this.estimatedBytes > LARGE_PART_BYTES) {
      const contents = this.#files.filter((found) => found.type === 'file' && isSimple(found));
      const paths = contents.map((found) => found.path);
      const special = await extended.amongFew(paths, signal);
      this.#bare = new Map(contents.filter(({ path }) => !special.has(path)).map(({ path, ctimeNs }) => [path, ctimeNs]));
      return null;
    }
    const racyFromNs = racyFrom(tree, clock);
    const simple = this.#files.filter(isSimple);
    const contents = simple.filter((found) => found.type === 'file');
    const special = await extended.among(contents, signal);
    const rootBytes = Buffer.byteLength(tree.root);
    const isPlain = ({ path }: Found): boolean => !special.has(path) && !isDeep(rootBytes, path);
    const plain = simple.filter(isPlain);
    if (plain.length === 0) return null;
    const known = new Map<number, readonly Stored[]>();
    for (const [i, found] of plain.entries()) {
      if (stored === null || found.type !== 'file') continue;
      const candidates = await stored(found);
      if (candidates.length > 0) known.set(i, candidates);
    }
    this.#plain = new PlainFiles(tree.root, plain, known, racyFromNs);
    this.#awkward = this.#files.filter((found) => !isSimple(found) || !isPlain(found));
    return this.#plain;
  }

  async *read(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (this.#plain === null) {
      const work = await this.threadWork(signal);
      if (work !== null) work.done(yield* pack(work.input as TreeToPack));
    }
    const entries = new Map<BytePath, FileEntry>();
    const complaints: Complaint[] = [];
    if (this.#awkward.length > 0) complaints.push(...(yield* this.#packAwkward(entries, signal)));
    yield END_OF_ARCHIVE;
    this.#outcome = this.#conclude(entries, complaints);
    this.#deps.onOutcome(this.#outcome);
  }

  outcome(): PartOutcome {
    if (!this.#outcome) throw new CoffreError('E_INTERNAL', `part ${this.name} was not read to its end`);
    return this.#outcome;
  }

  async *#packAwkward(entries: Map<BytePath, FileEntry>, signal: AbortSignal): AsyncGenerator<Buffer, readonly Complaint[]> {
    const wanted = new Map(this.#awkward.map((found) => [found.path, found]));
    const first = yield* this.#round(wanted, entries, signal);
    const torn = first.filter((complaint) => warningKind(complaint, true) === 'changed');
    // A second copy of a member follows the first, and the last one wins when the archive is extracted. Very large files
    // are not doubled for that.
    if (torn.length === 0 || this.estimatedBytes > LARGE_PART_BYTES) return first;
    const second = yield* this.#round(withLinks(torn, wanted), entries, signal);
    return [...first.filter((complaint) => !torn.includes(complaint)), ...second];
  }

  async *#round(
    wanted: ReadonlyMap<BytePath, Found>,
    entries: Map<BytePath, FileEntry>,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, readonly Complaint[]> {
    const racyFromNs = racyFrom(this.#deps.tree, this.#deps.clock);
    const youngFromNs = this.#deps.tree.youngFromNs?.() ?? null;
    const replaced: Complaint[] = [];
    let open: { member: TarMember; found: Found; hash: ContentHash | null } | null = null;
    const visitor: TarVisitor = {
      member(member): MemberDecision {
        const found = wanted.get(member.path);
        if (!found || (member.type !== found.type && member.type !== 'hardlink')) {
          open = null;
          replaced.push({ path: member.path, message: `became a ${member.type} after the scan` });
          return 'drop';
        }
        // A directory on the way that was swapped for a symbolic link leads tar, with all rights, to somebody else's file.
        if (member.uid !== found.uid || member.gid !== found.gid) {
          open = null;
          replaced.push({ path: member.path, message: 'belongs to somebody else by now: not stored' });
          return 'drop';
        }
        open = { member, found, hash: member.type === 'file' ? contentHash(member) : null };
        return member.sparse ? { headerName: sparseName(member.path) } : 'pass';
      },
      data(bytes) {
        open?.hash?.update(bytes);
      },
      memberEnd() {
        if (!open) return;
        const { member, found, hash } = open;
        // see RACY_NS
        const young = youngFromNs !== null && member.mtimeNs >= youngFromNs;
        const entry = entryOf(member, found, hash?.digest() ?? null, young ? 0n : racyFromNs);
        const carrier = entry.type === 'hardlink' ? entries.get(member.linkPath) : undefined;
        entries.set(found.path, carrier ? { ...entry, sizeBytes: carrier.sizeBytes } : entry);
      },
    };
    const { tree, clock } = this.#deps;
    const together = (path: BytePath): string => inode(wanted.get(path) as Found);
    const complaints = yield* packWithTar(tree, wanted.keys(), visitor, { clock, signal, together });
    return [...complaints, ...replaced];
  }

  #conclude(entries: ReadonlyMap<BytePath, FileEntry>, complaints: readonly Complaint[]): PartOutcome {
    const warnings: Warning[] = [];
    const unstable = new Set<BytePath>();
    const explained = new Set<BytePath>();
    for (const complaint of complaints) {
      const { path, message } = complaint;
      if (path === null || !this.#isMine(path)) {
        warnings.push({ kind: 'other', where: path === null ? this.#deps.tree.root : printable(path), message });
        continue;
      }
      const kind = message.startsWith('became a ') ? 'changed' : warningKind(complaint, entries.has(path));
      if (kind === 'changed' || kind === 'unreadable') unstable.add(path);
      // tar may say twice of one file that it changed (shrank, and its ctime).
      if (explained.has(path) && kind === 'changed') continue;
      explained.add(path);
      warnings.push({ kind, where: printable(path), message });
    }
    const stored: FileEntry[] = [];
    const plain = this.#plain?.outcome(warnings) ?? NOTHING;
    for (const { path } of this.#files) {
      if (plain.done.has(path)) {
        const entry = plain.entries.get(path);
        if (entry) stored.push(entry);
        continue;
      }
      const packed = entries.get(path);
      const entry = packed && this.#bare.get(path) === packed.ctimeNs ? withoutExtended(packed) : packed;
      if (entry)
        stored.push(
          unstable.has(path) || (entry.target !== undefined && unstable.has(entry.target)) ? { ...entry, unstable: true } : entry,
        );
      else if (!explained.has(path)) warnings.push({ kind: 'unreadable', where: printable(path), message: 'tar did not store it' });
    }
    return { entries: stored, warnings };
  }

  #isMine(path: BytePath): boolean {
    return this.#awkward.some((found) => found.path === path);
  }
}

const inode = (found: Found): string => `${found.device}:${found.inode}`;

function withoutExtended({ extended: _, ...entry }: FileEntry): FileEntry {
  return entry;
}

/** The files complained about, with all other links of their inodes: the second copy of one would part it from the others. */
function withLinks(torn: readonly Complaint[], wanted: ReadonlyMap<BytePath, Found>): Map<BytePath, Found> {
  const inodes = new Set<string>();
  for (const { path } of torn) {
    const found = path === null ? undefined : wanted.get(path);
    if (found) inodes.add(inode(found));
  }
  return new Map([...wanted].filter(([, found]) => inodes.has(inode(found))));
}

/** tar puts its process id here, and the same tree would give other bytes. Readers that know GNU sparse members never see it. */
function sparseName(path: BytePath): BytePath {
  return `GNUSparseFile.0/${path.slice(path.lastIndexOf('/') + 1).slice(0, 80)}`;
}

export function entryOf(
  member: TarMember,
  found: Pick<Found, 'path' | 'inode' | 'ctimeNs' | 'sizeBytes'>,
  sha256: string | null,
  racyFromNs: bigint,
): FileEntry {
  const ctimeNs = member.ctimeNs ?? found.ctimeNs;
  return {
    type: member.type,
    path: found.path,
    sizeBytes: member.type === 'hardlink' ? found.sizeBytes : member.sizeBytes,
    mode: member.mode,
    uid: member.uid,
    gid: member.gid,
    mtimeNs: member.mtimeNs,
    ctimeNs: ctimeNs >= racyFromNs ? 0n : ctimeNs,
    inode: found.inode,
    ...(member.type === 'hardlink' || member.type === 'symlink' ? { target: member.linkPath } : {}),
    ...(sha256 === null ? {} : { sha256 }),
    ...(member.type === 'file' ? { extended: true as const } : {}),
  };
}
