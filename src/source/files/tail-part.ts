// The last part of a tree: its directories' metadata, with the names each holds, so that extraction can also remove what is gone.
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import { END_OF_ARCHIVE, type MemberDecision, paxRecord, type TarVisitor } from '../../host/tar-members.ts';
import type { BytePath, FileEntry, Part, PartOutcome, Warning } from '../source.ts';
import { entryOf, type OnOutcome, warningKind } from './part.ts';
import type { Scratch } from './scratch.ts';
import { packWithTar, type Tree } from './tar-pack.ts';

/** Directories whose entries one tail part holds in memory; larger trees get several, to be extracted one after the other. */
export const DIRECTORIES_PER_TAIL = 32_768;
/** Header, extended header and its records. */
const BYTES_PER_DIRECTORY = 1536 + 512;

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
  readonly #tree: Tree;
  readonly #scratch: Scratch;
  readonly #from: number;
  readonly #to: number;
  readonly #clock: Clock;
  readonly #onOutcome: OnOutcome;
  #outcome: PartOutcome | null = null;

  constructor(tree: Tree, scratch: Scratch, from: number, to: number, clock: Clock, onOutcome: OnOutcome) {
    this.#tree = tree;
    this.#scratch = scratch;
    this.#from = from;
    this.#to = to;
    this.#clock = clock;
    this.#onOutcome = onOutcome;
    this.name = from === 0 ? 'directories' : `directories/${from}`;
    this.estimatedBytes = (to - from) * BYTES_PER_DIRECTORY + scratch.dumpdirBytes(from, to);
  }

  async *read(signal: AbortSignal): AsyncGenerator<Buffer> {
    const rows = this.#scratch.listDumpdirs(this.#from, this.#to);
    const entries: FileEntry[] = [];
    const warnings: Warning[] = [];
    const repeated = new Set(this.#ancestorsOfFirst());
    /** Could not be listed, and the scan has said so. */
    const unlisted = new Set<BytePath>();
    const leftOut = ({ path, dumpdir }: { path: BytePath; dumpdir: Buffer | null }): void => {
      if (!dumpdir) unlisted.add(path);
    };
    const visitor: TarVisitor = {
      member(member): MemberDecision {
        if (member.type !== 'directory') {
          warnings.push({ kind: 'changed', where: printable(member.path), message: `became a ${member.type} after the scan` });
          return 'drop';
        }
        if (repeated.delete(member.path)) return 'pass';
        // tar leaves out what it cannot read, and keeps the order.
        for (let row = rows.next(); !row.done; row = rows.next()) {
          if (row.value.path !== member.path) {
            leftOut(row.value);
            continue;
          }
          entries.push(entryOf(member, { ...row.value, ctimeNs: 0n, sizeBytes: 0 }, null, 0n));
          return row.value.dumpdir ? { addRecords: paxRecord('GNU.dumpdir', row.value.dumpdir) } : 'pass';
        }
        throw new CoffreError('E_INTERNAL', `tar packed a directory it was not given: ${printable(member.path)}`);
      },
    };
    const complaints = yield* packWithTar(this.#tree, this.#paths(), visitor, { clock: this.#clock, signal });
    yield END_OF_ARCHIVE;
    for (const row of rows) leftOut(row);
    const stored = new Set(entries.map((entry) => entry.path));
    for (const complaint of complaints) {
      const path = complaint.path ?? '.';
      const kind = warningKind(complaint, stored.has(path));
      // A directory that gets a file while tar looks at it is an ordinary thing in a living shop.
      if (kind !== 'changed' && !unlisted.has(path)) warnings.push({ kind, where: printable(path), message: complaint.message });
    }
    this.#outcome = { entries, warnings };
    this.#onOutcome(this.#outcome);
  }

  outcome(): PartOutcome {
    if (!this.#outcome) throw new CoffreError('E_INTERNAL', `part ${this.name} was not read to its end`);
    return this.#outcome;
  }

  *#paths(): Generator<BytePath> {
    yield* this.#ancestorsOfFirst();
    for (const { path } of this.#scratch.listDirectories(this.#from, this.#to)) yield path;
  }

  #ancestorsOfFirst(): BytePath[] {
    if (this.#from === 0) return [];
    const [first] = this.#scratch.listDirectories(this.#from, this.#from + 1);
    const components = first?.path.split('/').slice(0, -1) ?? [];
    return ['.', ...components.map((_, index) => components.slice(0, index + 1).join('/'))];
  }
}
