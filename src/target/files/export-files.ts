// A shop's tree as members of one plain archive: segments pass by, each member under its new name, its checksum beside.
import { createHash, type Hash } from 'node:crypto';
import { CoffreError } from '../../errors.ts';
import { CAPABILITY_RECORD, type TarMember } from '../../host/tar-headers.ts';
import { type MemberDecision, type Rewrite, TarMembers } from '../../host/tar-members.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import type { FrameFile } from '../frame-file.ts';
import { modeWithoutPrivileges } from '../privileges.ts';
import type { FilesTarget, IncomingSegment, WantedMember } from '../target.ts';
import { ChosenMembers } from './chosen-members.ts';
import { ContentSum } from './content-sum.ts';

/** What plain `tar x` needs no more, and what would remove files with `--incremental`. */
const DUMPDIR_RECORD = 'GNU.dumpdir';

/** A member that was written under one or more names. */
interface Written {
  readonly member: TarMember;
  readonly paths: readonly { readonly path: BytePath; readonly linkPath: BytePath }[];
  /** Of its content; null: it has none, or its stored form is not its content. */
  readonly hash: Hash | null;
}

export class ExportFiles implements FilesTarget {
  readonly dropsPrivileges = true;
  readonly #archive: FrameFile;
  readonly #sums: FrameFile;
  readonly #prefix: string;
  readonly #written = new ContentSum();
  /** Their content is not what is stored, so their checksum is the index's. */
  readonly #sparse = new Set<BytePath>();
  #files = 0;
  /** Segments are written one after the other; fetching goes on meanwhile. */
  #turn: Promise<void> = Promise.resolve();

  constructor(archive: FrameFile, sums: FrameFile, prefix: string) {
    this.#archive = archive;
    this.#sums = sums;
    this.#prefix = prefix;
  }

  /** Files and links written so far. */
  get files(): number {
    return this.#files;
  }

  async prepare(): Promise<{ readonly everythingMissing: true }> {
    return { everythingMissing: true };
  }

  missing(entries: AsyncIterable<FileEntry>): AsyncIterable<FileEntry> {
    return entries;
  }

  async extract(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    const before = this.#turn;
    const mine = Promise.withResolvers<void>();
    this.#turn = mine.promise;
    try {
      await before;
      signal.throwIfAborted();
      await this.#append(segment, members, signal);
    } finally {
      mine.resolve();
    }
  }

  /** Nothing of a segment stays that turns out wrong at its end: another vault's copy may follow. */
  async #append(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    const at = await this.#archive.mark();
    try {
      const walk = new Renaming(this.#prefix, members);
      for await (const chunk of segment.plaintext) {
        signal.throwIfAborted();
        for (const bytes of walk.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))) await this.#archive.write(bytes);
      }
      walk.demandWhole();
      await this.#note(walk.written());
    } catch (error) {
      await this.#archive.takeBack(at);
      throw error;
    }
  }

  async #note(written: Iterable<readonly [path: BytePath, one: Written, linkPath: BytePath]>): Promise<void> {
    const lines: Buffer[] = [];
    for (const [path, { member, hash }, linkPath] of written) {
      if (member.type === 'directory') continue;
      this.#files += 1;
      if (member.sparse) this.#sparse.add(path);
      const sha256 = hash?.copy().digest('hex') ?? null;
      this.#written.add(textOf(member.type, path, member.sizeBytes, linkPath, sha256));
      if (sha256 !== null) lines.push(sumLine(sha256, `${this.#prefix}${path}`));
    }
    await this.#sums.write(Buffer.concat(lines));
  }

  /** The index against what was written: each file's size and content, each link's end; checksums of sparse files come from the index. */
  async compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
    const expected = new ContentSum();
    for await (const { type, path, sizeBytes, target, sha256 } of entries) {
      if (type === 'directory') continue;
      const isSparse = this.#sparse.has(path);
      expected.add(textOf(type, path, sizeBytes, target ?? '', type === 'file' && !isSparse ? (sha256 ?? null) : null));
      if (isSparse && sha256 !== undefined) await this.#sums.write(sumLine(sha256, `${this.#prefix}${path}`));
    }
    const differs = this.#written.differsFrom(expected);
    return differs === null ? [] : [differs];
  }

  async close(): Promise<void> {}
}

const textOf = (type: string, path: BytePath, sizeBytes: number, linkPath: BytePath, sha256: string | null): string =>
  `${type}\0${path}\0${type === 'file' ? sizeBytes : ''}\0${type === 'symlink' || type === 'hardlink' ? linkPath : ''}\0${sha256 ?? ''}`;

/** A line of sha256sum: a name with a newline or a backslash is escaped, and the line says so. */
export function sumLine(sha256: string, path: BytePath): Buffer {
  const escaped = path.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return Buffer.from(`${escaped === path ? '' : '\\'}${sha256}  ${escaped}\n`, 'latin1');
}

/** The members of one segment, each below the prefix, without privileges. */
class Renaming {
  readonly #prefix: string;
  readonly #chosen: ChosenMembers | null;
  readonly #members: TarMembers;
  readonly #devices = new Set<BytePath>();
  /** By path: one that occurs twice was changed while it was read, and the last one counts. */
  readonly #written = new Map<BytePath, readonly [Written, BytePath]>();
  #open: Written | null = null;

  constructor(prefix: string, wanted: readonly WantedMember[] | null) {
    this.#prefix = prefix;
    this.#chosen = wanted && new ChosenMembers(wanted);
    this.#members = new TarMembers({
      member: (member) => this.#decide(member),
      data: (bytes) => void this.#open?.hash?.update(bytes),
      memberEnd: () => this.#end(),
    });
  }

  push(chunk: Buffer): Buffer[] {
    return this.#members.push(chunk);
  }

  demandWhole(): void {
    if (!this.#members.ended) throw new CoffreError('E_FORMAT', 'tar: the archive has no end');
    this.#chosen?.demandAll();
  }

  *written(): Generator<readonly [BytePath, Written, BytePath]> {
    for (const [path, [one, linkPath]] of this.#written) yield [path, one, linkPath];
  }

  #decide(member: TarMember): MemberDecision {
    this.#open = null;
    if (member.type === 'device' || (member.type === 'hardlink' && this.#devices.has(member.linkPath))) {
      this.#devices.add(member.path);
      return 'drop';
    }
    const paths: { path: BytePath; linkPath: BytePath }[] = [];
    const note = (_: TarMember, path: BytePath, linkPath: BytePath): void => void paths.push({ path, linkPath });
    const decision = this.#chosen ? this.#chosen.decide(member, note, () => {}) : 'pass';
    if (decision === 'drop') return 'drop';
    if (this.#chosen === null) note(member, member.path, member.linkPath);
    const hash = member.type === 'file' && !member.sparse ? createHash('sha256') : null;
    this.#open = { member, paths, hash };
    const { again = [], ...first }: Rewrite = decision === 'pass' ? {} : decision;
    return { ...this.#renamed(member, first), again: again.map((other) => this.#renamed(member, other)) };
  }

  #renamed(member: TarMember, rewrite: Rewrite): Rewrite {
    const path = rewrite.path ?? member.path;
    const linkPath = rewrite.linkPath ?? member.linkPath;
    return {
      ...rewrite,
      path: path === '.' ? this.#prefix.slice(0, -1) : `${this.#prefix}${path}`,
      ...(member.type === 'hardlink' ? { linkPath: `${this.#prefix}${linkPath}` } : {}),
      mode: modeWithoutPrivileges(member.type, member.mode),
      dropRecords: [CAPABILITY_RECORD, DUMPDIR_RECORD],
    };
  }

  #end(): void {
    if (this.#open === null) return;
    for (const { path, linkPath } of this.#open.paths) this.#written.set(path, [this.#open, linkPath]);
    this.#open = null;
  }
}
