// Whether what is on disk is what an entry of an index says.

import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { nextTurn } from '../../clock.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import type { Anchored } from './anchored.ts';

const READ_BYTES = 1024 * 1024;
/** Read before a signal has its turn. */
const TURN_BYTES = 64n * 1024n * 1024n;

/** What lstat says of `path`, or null when nothing is there. */
export function statOf(tree: Anchored, path: BytePath): BigIntStats | null {
  const name = tree.at(path);
  if (name === null) return null;
  return lstatSync(name, { bigint: true, throwIfNoEntry: false }) ?? null;
}

/**
 * How `entry` differs from what is there, printable; none when it does not, contents not read. Owners count when this process could set
 * them. What the index does not know is not looked at: extended attributes, ACLs, numbers of devices.
 */
export function differencesOf(entry: FileEntry, stats: BigIntStats, tree: Anchored): string[] {
  if (!hasType(stats, entry.type)) return [`is no ${entry.type}`];
  const wrong: string[] = [];
  const expect = (what: string, is: unknown, wanted: unknown): void => {
    if (is !== wanted) wrong.push(`${what} ${is}, not ${wanted}`);
  };
  if (stats.isFile()) expect('size', stats.size, BigInt(entry.sizeBytes));
  // A symbolic link has no mode of its own.
  if (!stats.isSymbolicLink()) expect('mode', octal(Number(stats.mode) & 0o7777), octal(entry.mode));
  expect('mtime', stats.mtimeNs, entry.mtimeNs);
  if (process.geteuid?.() === 0) {
    expect('owner', Number(stats.uid), entry.uid);
    expect('group', Number(stats.gid), entry.gid);
  }
  if (entry.type === 'symlink') {
    const text = linkText(tree, entry.path);
    if (text !== entry.target) wrong.push(`target ${printable(text ?? '')}, not ${printable(entry.target ?? '')}`);
  }
  return wrong;
}

function linkText(tree: Anchored, path: BytePath): BytePath | null {
  const name = tree.at(path);
  try {
    return name && readlinkSync(name, { encoding: 'latin1' });
  } catch {
    return null;
  }
}

/** The SHA-256 of a regular file, hex; null when it cannot be read, or is longer than `stats` say. */
export async function hashOf(tree: Anchored, path: BytePath, stats: BigIntStats): Promise<string | null> {
  const name = tree.at(path);
  if (name === null) return null;
  let fd: number;
  try {
    // a fifo put there meanwhile must not hold us up
    fd = openSync(name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(Number(stats.size < BigInt(READ_BYTES) ? stats.size + 1n : BigInt(READ_BYTES)));
    let left = stats.size;
    for (let read = readSync(fd, buffer); read > 0; read = readSync(fd, buffer)) {
      left -= BigInt(read);
      // it grows, or is something else by now that has no end
      if (left < 0n) return null;
      hash.update(buffer.subarray(0, read));
      if (left % TURN_BYTES < BigInt(read)) await nextTurn();
    }
    return hash.digest('hex');
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

function hasType(stats: BigIntStats, type: FileEntry['type']): boolean {
  switch (type) {
    case 'file':
      return stats.isFile();
    // A link to whatever its target is: the inode is compared.
    case 'hardlink':
      return !stats.isDirectory();
    case 'directory':
      return stats.isDirectory();
    case 'symlink':
      return stats.isSymbolicLink();
    case 'fifo':
      return stats.isFIFO();
    case 'device':
      return stats.isBlockDevice() || stats.isCharacterDevice();
  }
}

const octal = (mode: number): string => mode.toString(8).padStart(4, '0');
