// Whether what is on disk is what an entry of an index says.

import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { nextTurn } from '../../clock.ts';
import type { Anchored } from '../../host/anchored.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import { differencesOf, seenBy, setsOwners } from './entry-differences.ts';

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
export function stateDifferences(entry: FileEntry, stats: BigIntStats, tree: Anchored): string[] {
  return differencesOf(
    entry,
    seenBy(stats, () => linkText(tree, entry.path)),
    setsOwners(),
  );
}

function linkText(tree: Anchored, path: BytePath): BytePath {
  const name = tree.at(path);
  try {
    return name === null ? '' : readlinkSync(name, { encoding: 'latin1' });
  } catch {
    return '';
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
