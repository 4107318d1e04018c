// One reading of a tree: the walk becomes carries (unchanged files) and parts (everything else), directories last.
import { lstat } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Temporal } from 'temporal-polyfill';
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import { ExtendedFiles } from '../../host/extended.ts';
import {
  type BytePath,
  type Carry,
  type FileEntry,
  isFileEntry,
  LARGE_PART_BYTES,
  type OpenOptions,
  type Part,
  type PartOutcome,
  type Reading,
  SEGMENT_TARGET_BYTES,
  type SourceSummary,
  type Warning,
} from '../source.ts';
import { hashFile } from './hash-file.ts';
import { MovedPart } from './moved-part.ts';
import { placeOf, type Stored } from './older-entries.ts';
import { FilesPart, isSimple, racyFrom } from './part.ts';
import { LONG_PATH_BYTES, type Scratch } from './scratch.ts';
import { DIRECTORIES_PER_TAIL, TailPart } from './tail-part.ts';
import type { Tree } from './tar-pack.ts';
import { absolutePath, type Found, type FoundDirectory, type FoundFiles } from './walk.ts';

/** Bounds what a part holds in memory besides its bytes. */
const FILES_PER_PART = 4096;
const ENTRIES_PER_CARRY = 1024;
/** Header, extended header and its records, half a block of padding. */
const BYTES_PER_MEMBER = 1792;
/** Warnings kept; beyond this they are counted. */
const MOST_WARNINGS = 10_000;

/** A tree on some host, and the way to scan it. */
export interface TreeToRead extends Tree {
  /** How many parts may be read at the same time; one when it does not say. */
  readonly parallel?: number;
  /** What is mounted below its root is not looked at. */
  readonly oneFileSystem?: boolean;
  /** When the scan began, where that was before it is asked for. */
  readonly asOf?: Temporal.Instant;
  /** Ends a scan that has begun. Idempotent. */
  close?(): Promise<void>;
  /** As `walk` gives them: depth first, a directory after its files and before its subdirectories, names in byte order, no excluded ones. */
  scan(warn: (warning: Warning) => void, signal: AbortSignal): AsyncIterable<FoundFiles | FoundDirectory>;
}

export class FilesReading implements Reading {
  readonly asOf: Temporal.Instant;
  /** A scan before the scan would cost as much as the scan. */
  readonly expectedBytes = null;
  readonly parallel: number;
  readonly #reread: boolean;
  readonly #extended: ExtendedFiles | null;
  /** Parts that were handed out and did not come to an outcome yet. */
  #unread = 0;
  #closed = false;
  #wake: () => void = () => {};
  readonly #tree: TreeToRead;
  readonly #scratch: Scratch;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #warnings: Warning[] = [];
  #warningsLeftOut = 0;
  #complete = true;
  #files = 0;
  #directories = 0;
  #pending: Found[] = [];
  #pendingBytes = 0;

  constructor(tree: TreeToRead, scratch: Scratch, clock: Clock, { signal, reread = false }: Pick<OpenOptions, 'signal' | 'reread'>) {
    this.#reread = reread;
    const sweeps = tree.oneFileSystem !== true;
    this.#extended = tree.host.type === 'local' ? new ExtendedFiles(tree.host, tree.root, clock, { sweeps }) : null;
    this.#tree = tree;
    this.#scratch = scratch;
    this.#clock = clock;
    this.#signal = signal;
    this.parallel = tree.parallel ?? 1;
    this.asOf = tree.asOf ?? clock.now();
  }

  /** Directories are kept as the scan saw them: those that changed since it began may change again. */
  get #racyFromNs(): bigint {
    return this.#tree.racyFromNs?.() ?? BigInt(this.asOf.epochMilliseconds) * 1_000_000n - 20_000_000n;
  }

  async *items(): AsyncGenerator<Part | Carry> {
    let carried: FileEntry[] = [];
    for await (const step of this.#tree.scan(this.#warn, this.#signal)) {
      if (step.type === 'directory') {
        this.#scratch.addDirectory(step.directory, step.dumpdir);
        continue;
      }
      for (const found of step.files) {
        // The links of one inode are spread over the tree and must end in one segment: they come after the walk. (tar keeps no
        // hard links of fifos and devices.)
        if (found.links > 1 && (found.type === 'file' || found.type === 'symlink')) {
          this.#scratch.addLink(found);
          continue;
        }
        const same = this.#reread && found.type === 'file' ? null : this.#scratch.older.unchanged(found);
        if (same && same.type === found.type && (same.member === undefined || (await this.#staysInPlace(same)))) {
          this.#moved(same);
          carried.push(same);
          if (carried.length >= ENTRIES_PER_CARRY) yield this.#carry(carried.splice(0));
          continue;
        }
        const kept = await this.#keptLarge(found);
        if (kept) {
          this.#moved(kept);
          carried.push(kept);
          continue;
        }
        yield* this.#add([found]);
      }
      if (step.last && this.#isBoundary(step.files.at(-1))) yield* this.#flush();
    }
    for (const group of this.#scratch.linkGroups()) {
      const same = this.#reread ? null : unchangedGroup(group.map((found) => this.#scratch.older.unchanged(found)));
      if (!same) {
        yield* this.#add(group);
        continue;
      }
      carried.push(...same);
      if (carried.length >= ENTRIES_PER_CARRY) yield this.#carry(carried.splice(0));
    }
    if (carried.length > 0) yield this.#carry(carried);
    carried = [];
    yield* this.#flush();
    // what was moved, and what vanished, is known when the last part was read
    await this.#allRead();
    if (this.#scratch.moved > 0) yield new MovedPart(this.#scratch);
    for (let from = 0; from < this.#scratch.directories; from += DIRECTORIES_PER_TAIL) {
      const to = Math.min(from + DIRECTORIES_PER_TAIL, this.#scratch.directories);
      // one at a time: each holds the entries of its directories
      await this.#allRead();
      this.#unread += 1;
      const onOutcome = (outcome: PartOutcome): void => {
        this.#unread -= 1;
        this.#take(outcome);
        this.#wake();
      };
      const deps = { tree: this.#tree, scratch: this.#scratch, clock: this.#clock, extended: this.#extended, onOutcome };
      yield new TailPart(deps, from, to, this.#racyFromNs);
    }
  }

  summary(): SourceSummary {
    const left = this.#warningsLeftOut;
    const more: Warning[] = left > 0 ? [{ kind: 'other', where: this.#tree.root, message: `${left} more warnings were left out` }] : [];
    return {
      complete: this.#complete,
      warnings: [...this.#warnings, ...more],
      counts: { files: this.#files, directories: this.#directories },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    try {
      await this.#extended?.close();
      await this.#tree.close?.();
    } finally {
      this.#scratch.close();
    }
  }

  /** `files` go into one part together. */
  *#add(files: readonly Found[]): Generator<Part> {
    const bytes = files.reduce((sum, found) => sum + packedBytes(found), 0);
    if (bytes > LARGE_PART_BYTES) {
      yield this.#part(files, bytes);
      return;
    }
    if (this.#pendingBytes + bytes > LARGE_PART_BYTES || this.#pending.length + files.length > FILES_PER_PART) yield* this.#flush();
    this.#pending.push(...files);
    this.#pendingBytes += bytes;
    if (this.#pendingBytes >= SEGMENT_TARGET_BYTES) yield* this.#flush();
  }

  *#flush(): Generator<Part> {
    if (this.#pending.length > 0) yield this.#part(this.#pending, this.#pendingBytes);
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /**
   * Whether a part may end after the directory of `last`: when it is nearly full, or half-way at a directory whose name says
   * so, which makes later parts begin where they began in the last reading although files were added before them.
   */
  #isBoundary(last: Found | undefined): boolean {
    const filled = Math.max(this.#pendingBytes / SEGMENT_TARGET_BYTES, this.#pending.length / FILES_PER_PART);
    if (filled >= 0.75) return true;
    const directory = last?.path.slice(0, Math.max(0, last.path.lastIndexOf('/'))) ?? '';
    return filled >= 0.5 && crc32(Buffer.from(directory, 'latin1')) % 32 === 0;
  }

  #part(files: readonly Found[], bytes: number): FilesPart {
    this.#unread += 1;
    const onOutcome = (outcome: PartOutcome): void => {
      this.#unread -= 1;
      this.#take(outcome);
      for (const entry of outcome.entries) if (isFileEntry(entry)) this.#moved(entry);
      this.#wake();
    };
    const stored = this.#scratch.older.isEmpty ? null : (found: Found): Promise<readonly Stored[]> => this.#stored(found);
    return new FilesPart({ tree: this.#tree, clock: this.#clock, extended: this.#extended, stored, onOutcome }, files, bytes);
  }

  /** Contents of older segments that this regular file may have: its own before it was touched, or that of a path that is no more. */
  async #stored(found: Found): Promise<readonly Stored[]> {
    const own = this.#scratch.older.sameIfEqual(found);
    if (own) return own.member === found.path || (await this.#isFree(own.member)) ? [own] : [];
    const free: Stored[] = [];
    for (const stored of this.#scratch.older.movedFrom(found)) {
      if ((await this.#isFree(stored.path)) && (await this.#isFree(stored.member))) free.push(stored);
    }
    return free;
  }

  /**
   * Who restores by hand makes the new name of a moved file a link to the name that its segment has: nothing else may have taken that
   * one, or it would get the other's content. Then it is stored anew.
   */
  async #staysInPlace({ path, member }: FileEntry): Promise<boolean> {
    return member === undefined || member === path || (await this.#isFree(member));
  }

  /** Whether the tree has nothing of that path, nor anything but directories on the way to it. */
  async #isFree(path: BytePath): Promise<boolean> {
    if (this.#tree.host.type !== 'local') return false;
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const directory = await this.#typeAt(path.slice(0, slash));
      if (directory !== 'directory') return directory === null;
    }
    return (await this.#typeAt(path)) === null;
  }

  /** Not by this thread itself: a file system that hangs must not hold up the process. */
  async #typeAt(path: BytePath): Promise<'directory' | 'other' | null> {
    try {
      return (await lstat(absolutePath(this.#tree.root, path))).isDirectory() ? 'directory' : 'other';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : 'other';
    }
  }

  /** A file too large for memory whose content is stored already: found out before it is packed, since that cannot be taken back. */
  async #keptLarge(found: Found): Promise<FileEntry | null> {
    const { type, path, sizeBytes, mode, uid, gid, mtimeNs, ctimeNs, inode } = found;
    if (
      type !== 'file' ||
      !isSimple(found) ||
      packedBytes(found) <= LARGE_PART_BYTES ||
      this.#extended === null ||
      this.#scratch.older.isEmpty
    )
      return null;
    const candidates = await this.#stored(found);
    if (candidates.length === 0) return null;
    const racyFromNs = racyFrom(this.#tree, this.#clock);
    const sha256 = await hashFile(this.#tree.root, found, this.#signal);
    const stored = candidates.find((candidate) => candidate.sha256 === sha256);
    if (sha256 === null || !stored || (await this.#extended.amongFew([path], this.#signal)).size > 0) return null;
    return {
      ...{ type, path, sizeBytes, mode, uid, gid, mtimeNs, ctimeNs: ctimeNs >= racyFromNs ? 0n : ctimeNs, inode, sha256 },
      ...placeOf(stored, path, mtimeNs),
    };
  }

  #moved(entry: FileEntry): void {
    if (entry.member !== undefined && entry.member !== entry.path) this.#scratch.addMoved(entry.path, entry.member);
  }

  async #allRead(): Promise<void> {
    while (this.#unread > 0) {
      if (this.#closed) throw new CoffreError('E_INTERNAL', 'the reading was closed before its parts were read');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #carry(entries: readonly FileEntry[]): Carry {
    this.#files += entries.length;
    return { type: 'carry', entries };
  }

  readonly #take = (outcome: PartOutcome): void => {
    for (const entry of outcome.entries) {
      if (entry.type === 'directory') this.#directories += 1;
      else this.#files += 1;
    }
    for (const warning of outcome.warnings) this.#warn(warning);
  };

  readonly #warn = (warning: Warning): void => {
    if (warning.kind === 'unreadable') this.#complete = false;
    if (this.#warnings.length < MOST_WARNINGS) this.#warnings.push(warning);
    else this.#warningsLeftOut += 1;
  };
}

/** Upper estimate. Holes of large files are left out of it, but these stay large: what a file occupies may not be settled yet. */
function packedBytes(found: Found): number {
  const headerBytes = BYTES_PER_MEMBER + (found.path.length > LONG_PATH_BYTES ? found.path.length : 0);
  if (found.type !== 'file') return headerBytes;
  const large = found.sizeBytes > LARGE_PART_BYTES;
  return headerBytes + (large ? Math.max(found.occupiedBytes, LARGE_PART_BYTES) : found.sizeBytes);
}

/** The older entries of an inode's links when they still hang together: all in one segment, with the one that the others point to. */
function unchangedGroup(links: readonly (FileEntry | null)[]): readonly FileEntry[] | null {
  const same = links.filter((entry) => entry !== null);
  const carrier = same.find((entry) => entry.type !== 'hardlink');
  if (same.length < links.length || !carrier) return null;
  const together = same.every((entry) => entry.segment === carrier.segment && (entry === carrier || entry.target === carrier.path));
  return together ? same : null;
}
