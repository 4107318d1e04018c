// In which words what stands in a tree differs from an entry of an index, whoever looked at it; contents are not read.

import type { BigIntStats } from 'node:fs';
import { printable } from '../../host/gnu-tar.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';

/** What stands at a path. */
export interface Seen {
  /** As find's `%y` has it: f, d, l, p, b, c, s; `?` for what it has no letter for. */
  readonly type: string;
  readonly sizeBytes: number;
  /** Its lower twelve bits count. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Of a symbolic link; empty, as none is, when it could not be read. */
  readonly target: BytePath;
}

const TYPES: Readonly<Record<FileEntry['type'], string>> = {
  file: 'f',
  // a link to whatever its target is: the inode is compared elsewhere
  hardlink: 'flpbcs',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  device: 'bc',
};

/**
 * How `seen` differs from `entry`, printable; nothing when it does not. `owners`: they count too. What the index does not know is not
 * looked at: extended attributes, ACLs, numbers of devices; nor which inode a hard link has.
 */
export function differencesOf(entry: FileEntry, seen: Seen, owners: boolean): string[] {
  if (!TYPES[entry.type].includes(seen.type)) return [`is no ${entry.type}`];
  const wrong: string[] = [];
  const expect = (what: string, is: unknown, wanted: unknown): void => {
    if (is !== wanted) wrong.push(`${what} ${is}, not ${wanted}`);
  };
  if (seen.type === 'f') expect('size', seen.sizeBytes, entry.sizeBytes);
  // A symbolic link has no mode of its own.
  if (seen.type !== 'l') expect('mode', octal(seen.mode), octal(entry.mode));
  expect('mtime', seen.mtimeNs, entry.mtimeNs);
  if (owners) {
    expect('owner', seen.uid, entry.uid);
    expect('group', seen.gid, entry.gid);
  }
  if (entry.type === 'symlink' && seen.target !== entry.target) {
    wrong.push(`target ${printable(seen.target)}, not ${printable(entry.target ?? '')}`);
  }
  return wrong;
}

/** What lstat says, as find would say it; `readTarget` is asked of a symbolic link. */
export function seenBy(stats: BigIntStats, readTarget: () => BytePath): Seen {
  return {
    type: letterOf(stats),
    sizeBytes: Number(stats.size),
    mode: Number(stats.mode),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeNs: stats.mtimeNs,
    target: stats.isSymbolicLink() ? readTarget() : '',
  };
}

/** Whether this process can set owners, so that those of a restored tree must be right. */
export const setsOwners = (): boolean => process.geteuid?.() === 0;

function letterOf(stats: BigIntStats): string {
  if (stats.isFile()) return 'f';
  if (stats.isDirectory()) return 'd';
  if (stats.isSymbolicLink()) return 'l';
  if (stats.isFIFO()) return 'p';
  if (stats.isBlockDevice()) return 'b';
  if (stats.isCharacterDevice()) return 'c';
  return stats.isSocket() ? 's' : '?';
}

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');
