// Compares a restored tree with what its index says, without reading contents.
import { type BigIntStats, lstatSync, readlinkSync } from 'node:fs';
import { nextTurn } from '../../clock.ts';
import { Anchored } from '../../host/anchored.ts';
import { isDeep } from '../../host/deep-path.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import { differencesOf, seenBy, setsOwners } from './entry-differences.ts';

/** Entries looked at before others (a signal, a progress bar) have their turn. */
const GROUP = 512;
/** Where nothing is. */
const NOWHERE = Buffer.from('/proc/self/nothing');
/** Differences described; more are counted. */
const MOST_DIFFERENCES = 1000;

/**
 * Type, size, mode, mtime, link targets, and owners when this process could set them. Returns what differs, printable. Looks synchronously:
 * a round trip to another thread costs several times what an lstat does.
 */
export async function compareTree(directory: string, entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
  const differences: string[] = [];
  const owners = setsOwners();
  const name = Buffer.from(directory).toString('latin1');
  let deep: Anchored | null = null;
  let more = 0;
  let looked = 0;
  /** A name for system calls. */
  const at = (path: BytePath): Buffer => {
    if (!isDeep(name.length, path)) return path === '.' ? Buffer.from(directory) : Buffer.from(`${name}/${path}`, 'latin1');
    deep ??= new Anchored(directory);
    return deep.at(path) ?? NOWHERE;
  };
  try {
    for await (const entry of entries) {
      const found = compareEntry(at, entry, owners);
      if (found !== null && differences.length < MOST_DIFFERENCES) differences.push(found);
      else if (found !== null) more += 1;
      if (++looked % GROUP === 0) await nextTurn();
    }
  } finally {
    (deep as Anchored | null)?.close();
  }
  if (more > 0) differences.push(`${more} more differences`);
  return differences;
}

function compareEntry(at: (path: BytePath) => Buffer, entry: FileEntry, owners: boolean): string | null {
  const path = at(entry.path);
  let stats: BigIntStats;
  try {
    stats = lstatSync(path, { bigint: true });
  } catch (cause) {
    return `${printable(entry.path)}: ${(cause as NodeJS.ErrnoException).code}`;
  }
  const wrong = differencesOf(
    entry,
    seenBy(stats, () => linkText(path)),
    owners,
  );
  if (entry.type === 'hardlink') {
    const carrier = lstatSync(at(entry.target ?? '.'), { bigint: true, throwIfNoEntry: false });
    if (carrier?.ino !== stats.ino || carrier.dev !== stats.dev) wrong.push(`no hard link to ${printable(entry.target ?? '')}`);
  }
  return wrong.length === 0 ? null : `${printable(entry.path)}: ${wrong.join(', ')}`;
}

function linkText(path: Buffer): string {
  try {
    return readlinkSync(path, { encoding: 'latin1' });
  } catch {
    return '';
  }
}
