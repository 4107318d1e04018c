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
  /** The plaintext comes as one chunk, so that what it needs of tar can be seen before tar starts. */
  readonly whole?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Owners come back as numbers when the process may give files away, else everything belongs to it. Directories get mode and
 * times at the end, when nothing more is written into them. Attributes and ACLs cost a call for each file, so they are only asked for
 * where there are some. tar reads in steps of the blocking factor: 64 KiB instead of 10.
 */
function extractArguments({ directory, owners = process.geteuid?.() === 0 }: Place, extended: boolean): string[] {
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
  { place, wanted, admit, ahead, whole, signal }: Extraction,
): Promise<readonly Extracted[]> {
  signal.throwIfAborted();
  const { host, directory } = place;
  const chosen = wanted && new ChosenMembers(wanted);
  const extracted = new Map<BytePath, MemberType>();
  const batch: Admission[] = [];
  let extended = !whole;
  const note = ({ type }: TarMember, path: BytePath, linkPath: BytePath): void => {
    batch.push({ type, path, linkPath });
    extracted.set(path, type);
  };
  const members = new TarMembers({
    member(member): MemberDecision {
      const before = batch.length;
      const decision = decide(member);
      const needed = ahead?.(batch.slice(before).map(({ path }) => path)) ?? null;
      if (needed === null || decision === 'drop') return decision;
      return decision === 'pass' ? { ahead: needed } : { ...decision, ahead: needed };
    },
  });
  const decide = (member: TarMember): MemberDecision => {
    if (chosen) return chosen.decide(member, note, () => (extended ||= member.extended));
    extended ||= member.extended;
    note(member, member.path, member.linkPath);
    return 'pass';
  };
  const checked = async function* (): AsyncGenerator<Uint8Array> {
    // Also what follows the end marker is read: the plaintext's own check comes with its end.
    for await (const chunk of plaintext) {
      signal.throwIfAborted();
      const admissible = members.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      if (batch.length > 0) await admit(batch.splice(0));
      yield* admissible;
    }
    if (!members.ended) throw new CoffreError('E_FORMAT', 'tar: the archive has no end');
    chosen?.demandAll();
    yield END_OF_ARCHIVE;
  };
  const bytes = checked();
  // Started with the first bytes that it gets: by then a whole archive's members are known.
  const first = await bytes.next();
  if (first.done) throw new CoffreError('E_INTERNAL', 'an archive without an end was taken for whole');
  const tar = startTar(host, extractArguments(place, extended), signal);
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

function complaintsOf(directory: string, status: number | null, complaints: readonly Complaint[]): CoffreError {
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
