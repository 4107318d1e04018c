// Extracts one tar through GNU tar, letting through only admitted and wanted members.
import { CoffreError } from '../../errors.ts';
import { type Complaint, feed, printable, startTar, XATTR_ARGUMENTS } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { END_OF_ARCHIVE, type MemberType, TarMembers } from '../../host/tar-members.ts';
import type { BytePath } from '../../source/source.ts';
import type { MemberGuard } from './member-guard.ts';

/** Where an archive is extracted. */
export interface Place {
  readonly host: Host;
  readonly directory: string;
}

export interface Extracted {
  readonly path: BytePath;
  readonly type: MemberType;
}

/**
 * Owners come back as numbers when the process may give files away, else everything belongs to it. Directories get mode and
 * times at the end, when nothing more is written into them.
 */
function extractArguments(directory: string): string[] {
  return [
    `--directory=${directory}`,
    '--extract',
    '--file=-',
    '--preserve-permissions',
    '--numeric-owner',
    process.geteuid?.() === 0 ? '--same-owner' : '--no-same-owner',
    '--delay-directory-restore',
    ...XATTR_ARGUMENTS,
    '--quoting-style=escape',
  ];
}

/**
 * Extracts into `directory`; `wanted` null means every member. Returns what came out, in order. Throws E_FORMAT for an archive
 * that is not coffre's or lacks a wanted member, E_TARGET_SPACE, E_TARGET_WRITE, E_TOOL_MISSING, what `plaintext` throws,
 * or the signal's reason.
 */
export async function extractTar(
  { host, directory }: Place,
  plaintext: AsyncIterable<Uint8Array>,
  wanted: ReadonlySet<BytePath> | null,
  guard: MemberGuard,
  signal: AbortSignal,
): Promise<readonly Extracted[]> {
  signal.throwIfAborted();
  const extracted = new Map<BytePath, MemberType>();
  const members = new TarMembers({
    member(member) {
      if (wanted && !wanted.has(member.path)) return 'drop';
      guard.admit(member);
      extracted.set(member.path, member.type);
      return 'pass';
    },
  });
  const tar = startTar(host, extractArguments(directory), signal);
  // Nobody reads it otherwise, and a full pipe would stop tar.
  tar.stdout.resume();
  try {
    await feed(tar.stdin, checked(plaintext, members, signal));
    const exit = await tar.ended;
    signal.throwIfAborted();
    if (exit.status !== 0) throw complaintsOf(directory, exit.status, exit.complaints);
  } catch (error) {
    // Without its end marker tar would take a cut-off archive for a whole one: it must not see the end of its input.
    tar.kill();
    await tar.ended.catch(() => {});
    throw signal.aborted ? signal.reason : error;
  }
  for (const path of wanted ?? []) {
    if (!extracted.has(path)) throw new CoffreError('E_FORMAT', `tar: member ${printable(path)} is missing from its segment`);
  }
  return [...extracted].map(([path, type]) => ({ path, type }));
}

async function* checked(plaintext: AsyncIterable<Uint8Array>, members: TarMembers, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  // Also what follows the end marker is read: the plaintext's own check comes with its end.
  for await (const chunk of plaintext) {
    signal.throwIfAborted();
    yield* members.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  }
  if (!members.ended) throw new CoffreError('E_FORMAT', 'tar: the archive has no end');
  yield END_OF_ARCHIVE;
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
