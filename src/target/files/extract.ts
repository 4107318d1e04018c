// Extracts one tar through GNU tar, letting through only admitted and wanted members, under their wanted names and times.
import { CoffreError } from '../../errors.ts';
import { type Complaint, feed, printable, startTar, XATTR_ARGUMENTS } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { END_OF_ARCHIVE, type MemberDecision, type MemberType, type TarMember, TarMembers } from '../../host/tar-members.ts';
import type { BytePath } from '../../source/source.ts';
import type { Admission, WantedMember } from '../target.ts';
import { ChosenMembers } from './chosen-members.ts';

/** Where an archive is extracted. */
export interface Place {
  readonly host: Host;
  readonly directory: string;
  /** Whether owners can be set there. Default: whether this process is root. */
  readonly owners?: boolean;
}

export interface Extracted {
  readonly path: BytePath;
  readonly type: MemberType;
}

export interface Extraction {
  readonly place: Place;
  /** null: every member. */
  readonly wanted: readonly WantedMember[] | null;
  /** Called before a batch of members is written. Throws E_FORMAT for what may not be. */
  readonly admit: (members: readonly Admission[]) => Promise<void> | void;
  /** What goes to tar before a member that comes out under these paths: whole members, for directories that it needs. */
  readonly ahead?: (paths: readonly BytePath[]) => Buffer | null;
  readonly signal: AbortSignal;
}

/**
 * Owners come back as numbers when the process may give files away, else everything belongs to it. Directories get mode and
 * times at the end, when nothing more is written into them. Attributes and ACLs cost a call for each file, so they are only asked for
 * where there are some. tar reads in steps of the blocking factor: 64 KiB instead of 10.
 */
export function extractArguments({ directory, owners = process.geteuid?.() === 0 }: Place, extended: boolean): string[] {
  return [
    `--directory=${directory}`,
    '--extract',
    '--file=-',
    '--blocking-factor=128',
    '--preserve-permissions',
    '--numeric-owner',
    owners ? '--same-owner' : '--no-same-owner',
    '--delay-directory-restore',
    ...(extended ? XATTR_ARGUMENTS : []),
    '--quoting-style=escape',
  ];
}

/**
 * Extracts; returns what came out, in order. Throws E_FORMAT for an archive that is not coffre's or lacks a wanted member,
 * E_TARGET_SPACE, E_TARGET_WRITE, E_TOOL_MISSING, what `plaintext` and `admit` throw, or the signal's reason.
 */
export async function extractTar(
  plaintext: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { place, wanted, admit, ahead, signal }: Extraction,
): Promise<readonly Extracted[]> {
  signal.throwIfAborted();
  const { host, directory } = place;
  const extracted = new Map<BytePath, MemberType>();
  const walk = new MemberWalk(wanted, ahead);
  const checked = async function* (): AsyncGenerator<Uint8Array> {
    // Also what follows the end marker is read: the plaintext's own check comes with its end.
    for await (const chunk of plaintext) {
      signal.throwIfAborted();
      const admissible = walk.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      const batch = walk.takeAdmissions();
      for (const { path, type } of batch) extracted.set(path, type);
      if (batch.length > 0) await admit(batch);
      yield* admissible;
    }
    walk.demandWhole();
    yield END_OF_ARCHIVE;
  };
  const bytes = checked();
  // Started with the first bytes that it gets: an archive that is refused at once needs none.
  const first = await bytes.next();
  if (first.done) throw new CoffreError('E_INTERNAL', 'an archive without an end was taken for whole');
  const tar = startTar(host, extractArguments(place, true), signal);
  // Nobody reads it otherwise, and a full pipe would stop tar.
  tar.stdout.resume();
  try {
    await feed(tar.stdin, resumed(first.value, bytes));
    const exit = await tar.ended;
    signal.throwIfAborted();
    if (exit.status !== 0) throw complaintsOf(directory, exit.status, exit.complaints);
  } catch (error) {
    // Without its end marker tar would take a cut-off archive for a whole one: it must not see the end of its input.
    tar.kill();
    await tar.ended.catch(() => {});
    throw signal.aborted ? signal.reason : error;
  }
  return [...extracted].map(([path, type]) => ({ path, type }));
}

async function* resumed(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

/** The members of one archive as its bytes pass by: which come out, and what has to be asked before they may. */
export class MemberWalk {
  readonly #chosen: ChosenMembers | null;
  readonly #members: TarMembers;
  #admissions: Admission[] = [];
  #extended = false;

  /** As `Extraction` has them. */
  constructor(wanted: readonly WantedMember[] | null, ahead?: Extraction['ahead']) {
    this.#chosen = wanted && new ChosenMembers(wanted);
    this.#members = new TarMembers({
      member: (member): MemberDecision => {
        const before = this.#admissions.length;
        const decision = this.#decide(member);
        if (ahead === undefined || decision === 'drop') return decision;
        const needed = ahead(this.#admissions.slice(before).map(({ path }) => path));
        if (needed === null) return decision;
        return decision === 'pass' ? { ahead: needed } : { ...decision, ahead: needed };
      },
    });
  }

  /** Whether a member that comes out has extended attributes or an ACL. */
  get extended(): boolean {
    return this.#extended;
  }

  /** What tar gets of these bytes, once `takeAdmissions` was admitted; no end marker. Throws E_FORMAT. */
  push(chunk: Buffer): Buffer[] {
    return this.#members.push(chunk);
  }

  takeAdmissions(): readonly Admission[] {
    const admissions = this.#admissions;
    this.#admissions = [];
    return admissions;
  }

  /** Throws E_FORMAT when the archive did not end, or a wanted member did not come. */
  demandWhole(): void {
    if (!this.#members.ended) throw new CoffreError('E_FORMAT', 'tar: the archive has no end');
    this.#chosen?.demandAll();
  }

  #decide(member: TarMember): MemberDecision {
    if (this.#chosen) return this.#chosen.decide(member, this.#note, () => (this.#extended ||= member.extended));
    this.#extended ||= member.extended;
    this.#note(member, member.path, member.linkPath);
    return 'pass';
  }

  readonly #note = ({ type }: TarMember, path: BytePath, linkPath: BytePath): void => {
    this.#admissions.push({ type, path, linkPath });
  };
}

export function complaintsOf(directory: string, status: number | null, complaints: readonly Complaint[]): CoffreError {
  const said = complaints.map(({ path, message }) => (path === null ? message : `${printable(path)}: ${message}`));
  const what = `tar ended ${status === null ? 'by a signal' : `with status ${status}`} in ${directory}: ${said.slice(0, 3).join('; ') || 'no message'}`;
  // A write that the file system cut short is how tar meets the end of space in the middle of a file.
  const full = complaints.some(({ message }) => /No space left on device|Disk quota exceeded|^Wrote only /.test(message));
  return new CoffreError(full ? 'E_TARGET_SPACE' : 'E_TARGET_WRITE', what);
}

/** A file system's error on the way into the target. */
export function writeFailed(where: string, cause: unknown): CoffreError {
  const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new CoffreError(full ? 'E_TARGET_SPACE' : 'E_TARGET_WRITE', `${where} cannot be written: ${code}`, { cause });
}
