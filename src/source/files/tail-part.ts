// The last part of a tree: its directories' metadata, with the names each holds, so that extraction can also remove what is gone.
import { CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { MemberDecision, TarVisitor } from '../../host/tar-members.ts';
import { END_OF_ARCHIVE, paxRecordOf } from '../../host/ustar.ts';
import type { BytePath, FileEntry, Part, PartOutcome, Warning } from '../source.ts';
import { entryOf, type PartDeps, warningKind } from './part.ts';
import { headerBlocks, type PaxMember } from './pax-header.ts';
import type { ScannedDirectory, Scratch } from './scratch.ts';
import { packWithTar } from './tar-pack.ts';
import type { Found } from './walk.ts';

/**
 * Directories whose entries one tail part holds in memory; larger trees get several, to be extracted one after the other. So few that
 * their part is no large one as a rule: that would be streamed, and stored again each time.
 */
export const DIRECTORIES_PER_TAIL = 16_384;
/** Header, extended header and its records. */
const BYTES_PER_DIRECTORY = 1536 + 512;

/** As any part of a tree, but for contents that are stored already: a directory has none. */
export interface TailDeps extends Omit<PartDeps, 'stored'> {
  readonly scratch: Scratch;
}

/**
 * Directories `from` to before `to` of the walk, parents first, each with a `GNU.dumpdir` record: `tar -x -G` of this archive
 * removes every name that the record does not list. A later tail repeats the ancestors of its first directory,
 * because making a missing subdirectory has changed their times.
 */
export class TailPart implements Part {
  readonly type = 'part';
  readonly kind = 'tar';
  readonly phase = 'tail';
  readonly name: string;
  readonly estimatedBytes: number;
  readonly #deps: TailDeps;
  readonly #scratch: Scratch;
  readonly #from: number;
  readonly #to: number;
  readonly #racyFromNs: bigint;
  #outcome: PartOutcome | null = null;

  /** `racyFromNs`: a directory with a ctime from here on may change without a new one. */
  constructor(deps: TailDeps, from: number, to: number, racyFromNs: bigint) {
    this.#deps = deps;
    this.#scratch = deps.scratch;
    this.#from = from;
    this.#to = to;
    this.#racyFromNs = racyFromNs;
    this.name = from === 0 ? 'directories' : `directories/${from}`;
    this.estimatedBytes = (to - from) * BYTES_PER_DIRECTORY + this.#scratch.dumpdirBytes(from, to) + this.#scratch.longPathBytes;
  }

  async *read(signal: AbortSignal): AsyncGenerator<Buffer> {
    const extended = await this.#extended(signal);
    const entries = extended.size === 0 && this.#deps.extended ? yield* this.#packPlain(signal) : null;
    const outcome = entries ? { entries, warnings: [] } : yield* this.#packWithTar(extended, signal);
    yield END_OF_ARCHIVE;
    this.#outcome = outcome;
    this.#deps.onOutcome(outcome);
  }

  /** Those with extended attributes or an ACL. What did not change since the last reading need not be asked. */
  async #extended(signal: AbortSignal): Promise<ReadonlySet<BytePath>> {
    const found = new Set<BytePath>();
    const unknown: BytePath[] = [];
    for (const directory of this.#scratch.listDirectories(this.#from, this.#to)) {
      if (directory.extended === null) unknown.push(directory.found.path);
      else if (directory.extended) found.add(directory.found.path);
    }
    for (const path of (await this.#deps.extended?.amongFew(unknown, signal)) ?? []) found.add(path);
    return found;
  }

  /** As the scan saw them. */
  async *#packPlain(signal: AbortSignal): AsyncGenerator<Buffer, FileEntry[]> {
    const entries: FileEntry[] = [];
    for (const block of headerBlocks(this.#members(entries))) {
      signal.throwIfAborted();
      yield block;
    }
    return entries;
  }

  /** The ancestors of the first one, then those whose entries it adds to `entries`. */
  *#members(entries: FileEntry[]): Generator<PaxMember> {
    for (const ancestor of this.#ancestorsOfFirst()) yield memberOf(ancestor, null);
    for (const { found, dumpdir } of this.#scratch.listDumpdirs(this.#from, this.#to)) {
      entries.push(this.#entry(found));
      yield memberOf(found, dumpdir);
    }
  }

  #entry({ path, mode, uid, gid, mtimeNs, ctimeNs, inode }: Found): FileEntry {
    const racy = ctimeNs >= this.#racyFromNs;
    return { type: 'directory', path, sizeBytes: 0, mode, uid, gid, mtimeNs, ctimeNs: racy ? 0n : ctimeNs, inode };
  }

  async *#packWithTar(extended: ReadonlySet<BytePath>, signal: AbortSignal): AsyncGenerator<Buffer, PartOutcome> {
    const rows = this.#scratch.listDumpdirs(this.#from, this.#to);
    const entries: FileEntry[] = [];
    const warnings: Warning[] = [];
    const repeated = new Set(this.#ancestorsOfFirst().map(({ path }) => path));
    /** Could not be listed, and the scan has said so. */
    const unlisted = new Set<BytePath>();
    const leftOut = ({ found, dumpdir }: ScannedDirectory & { dumpdir: Buffer | null }): void => {
      if (!dumpdir) unlisted.add(found.path);
    };
    const racyFromNs = this.#racyFromNs;
    const visitor: TarVisitor = {
      member(member): MemberDecision {
        if (member.type !== 'directory') {
          warnings.push({ kind: 'changed', where: printable(member.path), message: `became a ${member.type} after the scan` });
          return 'drop';
        }
        if (repeated.delete(member.path)) return 'pass';
        // tar leaves out what it cannot read, and keeps the order.
        for (let row = rows.next(); !row.done; row = rows.next()) {
          const { found, dumpdir } = row.value;
          if (found.path !== member.path) {
            leftOut(row.value);
            continue;
          }
          const entry = entryOf(member, found, null, racyFromNs);
          entries.push(extended.has(found.path) ? { ...entry, extended: true } : entry);
          return dumpdir ? { addRecords: paxRecordOf('GNU.dumpdir', dumpdir) } : 'pass';
        }
        throw new CoffreError('E_INTERNAL', `tar packed a directory it was not given: ${printable(member.path)}`);
      },
    };
    const complaints = yield* packWithTar(this.#deps.tree, this.#paths(), visitor, { clock: this.#deps.clock, signal });
    for (const row of rows) leftOut(row);
    const stored = new Set(entries.map((entry) => entry.path));
    for (const complaint of complaints) {
      const path = complaint.path ?? '.';
      const kind = warningKind(complaint, stored.has(path));
      // A directory that gets a file while tar looks at it is an ordinary thing in a living shop.
      if (kind !== 'changed' && !unlisted.has(path)) warnings.push({ kind, where: printable(path), message: complaint.message });
    }
    return { entries, warnings };
  }

  outcome(): PartOutcome {
    if (!this.#outcome) throw new CoffreError('E_INTERNAL', `part ${this.name} was not read to its end`);
    return this.#outcome;
  }

  *#paths(): Generator<BytePath> {
    for (const { path } of this.#ancestorsOfFirst()) yield path;
    for (const { found } of this.#scratch.listDirectories(this.#from, this.#to)) yield found.path;
  }

  #ancestorsOfFirst(): Found[] {
    if (this.#from === 0) return [];
    const [first] = this.#scratch.listDirectories(this.#from, this.#from + 1);
    const components = first?.found.path.split('/').slice(0, -1) ?? [];
    const paths = new Set(['.', ...components.map((_, index) => components.slice(0, index + 1).join('/'))]);
    const ancestors: Found[] = [];
    for (const { found } of this.#scratch.listDirectories(0, this.#from)) if (paths.has(found.path)) ancestors.push(found);
    return ancestors;
  }
}

function memberOf(found: Found, dumpdir: Buffer | null): PaxMember {
  const list = dumpdir === null ? {} : { dumpdir: dumpdir.toString('latin1') };
  const { path, mode, uid, gid, mtimeNs } = found;
  return { type: 'directory', path: `${path}/`, target: '', sizeBytes: 0, mode, uid, gid, mtimeNs, ...list };
}
