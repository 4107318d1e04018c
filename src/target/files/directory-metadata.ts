// Gives the directories of a live tree their owners, modes, times, attributes and ACLs from a tail segment, whatever leads where.
import { closeSync, readFileSync } from 'node:fs';
import { CoffreError } from '../../errors.ts';
import { feed, printable, startTar, type TarProcess, XATTR_ARGUMENTS } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { TarMembers } from '../../host/tar-members.ts';
import { END_OF_ARCHIVE } from '../../host/ustar.ts';
import type { BytePath } from '../../source/source.ts';

/** Directories that one tar is given, held open until it has ended. */
const MOST_HELD = 4096;
/** Where so many may not be open at once. */
const FEW_HELD = 512;
/** A piece this small has few members, so that a tar is never given many more than it should. */
const PIECE_BYTES = 32 * 1024;

/**
 * Node cannot set nanoseconds, nor attributes or ACLs, and tar follows whatever symbolic link somebody puts on the way to a directory. So tar
 * is not given paths: each member is renamed to `N/.`, where N is the descriptor under which this process holds the directory, and tar
 * works in /proc/PID/fd. `hold` makes or opens the directory of a path and gives a descriptor, which this closes.
 * `wanted` null: every member. Throws E_FORMAT, E_TARGET_WRITE, E_TOOL_MISSING, what `plaintext` throws, or the signal's reason.
 */
export async function setDirectories(
  host: Host,
  plaintext: AsyncIterable<Uint8Array>,
  wanted: ReadonlySet<BytePath> | null,
  hold: (path: BytePath) => number,
  signal: AbortSignal,
): Promise<void> {
  const seen = new Set<BytePath>();
  const held = new Map<number, BytePath>();
  const members = new TarMembers({
    member({ type, path }) {
      if (type !== 'directory') throw refused(path, 'is no directory, in a segment of directories');
      if (wanted && !wanted.has(path)) return 'drop';
      checkPath(path);
      const fd = hold(path);
      held.set(fd, path);
      seen.add(path);
      return { headerName: `${fd}/.` };
    },
  });
  const mostHeld = mayOpen(MOST_HELD) ? MOST_HELD : FEW_HELD;
  let tar: TarProcess | null = null;
  const finish = async (): Promise<void> => {
    if (tar !== null) {
      await feed(tar.stdin, [END_OF_ARCHIVE]);
      const { status, complaints } = await tar.ended;
      signal.throwIfAborted();
      if (status !== 0) {
        const said = complaints.map(({ path, message }) => `${where(path, held)}${message}`).slice(0, 3);
        throw new CoffreError(
          'E_TARGET_WRITE',
          `directories cannot be given their modes and times: ${said.join('; ') || `tar ended with ${status}`}`,
        );
      }
      tar = null;
    }
    for (const fd of held.keys()) closeSync(fd);
    held.clear();
  };
  try {
    for await (const chunk of plaintext) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        signal.throwIfAborted();
        const out = members.push(Buffer.from(chunk.buffer, chunk.byteOffset + at, Math.min(PIECE_BYTES, chunk.length - at)));
        if (out.length > 0) {
          tar ??= startTar(host, setArguments(), signal);
          tar.stdout.resume();
          // what the caller reuses must have left before it does
          for (const piece of out) if (!tar.stdin.destroyed) tar.stdin.write(Buffer.from(piece));
        }
        if (held.size >= mostHeld) await finish();
      }
    }
    if (!members.ended) throw new CoffreError('E_FORMAT', 'tar: the archive has no end');
    await finish();
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    const left = tar as TarProcess | null;
    left?.kill();
    await left?.ended.catch(() => {});
    for (const fd of held.keys()) closeSync(fd);
  }
  for (const path of wanted ?? []) {
    if (!seen.has(path)) throw new CoffreError('E_FORMAT', `tar: member ${printable(path)} is missing from its segment`);
  }
}

/** Twice as many: this process has other files open. */
function mayOpen(files: number): boolean {
  const limit = /^Max open files +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return limit === 'unlimited' || Number(limit) >= 2 * files;
}

function setArguments(): string[] {
  return [
    `--directory=/proc/${process.pid}/fd`,
    '--extract',
    '--file=-',
    '--preserve-permissions',
    '--numeric-owner',
    process.geteuid?.() === 0 ? '--same-owner' : '--no-same-owner',
    ...XATTR_ARGUMENTS,
    '--quoting-style=escape',
  ];
}

function where(path: BytePath | null, held: ReadonlyMap<number, BytePath>): string {
  if (path === null) return '';
  const directory = held.get(Number.parseInt(path, 10));
  return `${printable(directory ?? path)}: `;
}

function checkPath(path: BytePath): void {
  if (path === '.') return;
  if (path.includes('\0') || path.split('/').some((component) => component === '' || component === '.' || component === '..')) {
    throw refused(path, 'is no plain path below the root');
  }
}

function refused(path: BytePath, why: string): CoffreError {
  return new CoffreError('E_FORMAT', `tar: member ${printable(path)} ${why}`, {
    hint: 'coffre writes no such archive: the segment was made by someone else',
  });
}
