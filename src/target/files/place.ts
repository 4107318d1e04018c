// Where GNU tar extracts, how it is started there, and what becomes of its complaints.
import { CoffreError } from '../../errors.ts';
import { type Complaint, printable, XATTR_ARGUMENTS } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';

/** Where an archive is extracted. */
export interface Place {
  readonly host: Host;
  readonly directory: string;
  /** Whether owners can be set there. Default: whether this process is root. */
  readonly owners?: boolean;
  /** Without setuid and setgid bits, file capabilities and devices. Default: as they are in the archive. */
  readonly dropsPrivileges?: boolean;
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
