// Compares what find says of a tree on a host with the entries of an index; contents are not read.
import { printable } from '../../host/gnu-tar.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import { differencesOf } from './entry-differences.ts';
import type { RemoteScan } from './remote-scan.ts';

/** Differences described; more are counted. */
const MOST_DIFFERENCES = 1000;

/** How near to the newest change of a tree that was cut off a file counts as perhaps not finished. */
const NEWEST_NS = 2_000_000_000n;

export interface Looking {
  /** They count too. */
  readonly owners: boolean;
  /** Contents are compared, by the hashes that the scans have. */
  readonly checksum: boolean;
  /** The first tree is, or is a copy of, one that nobody was interrupted in writing. */
  readonly copy: boolean;
}

/** What was found; directories are not counted. Complete once `missingEntries` has ended. */
export interface Tally {
  written: number;
  writtenBytes: number;
  /** Right in the tree itself. */
  inPlace: number;
  /** Right beside it. */
  beside: number;
}

/** All that differs, printable. `owners`: they count too. */
export async function differences(entries: AsyncIterable<FileEntry>, scan: RemoteScan, owners: boolean): Promise<readonly string[]> {
  const described: string[] = [];
  let more = 0;
  for await (const entry of entries) {
    const found = scan.get(entry.path);
    const wrong = found === null ? ['is not there'] : differencesOf(entry, found, owners);
    if (found !== null && entry.type === 'hardlink' && scan.get(entry.target ?? '.')?.inode !== found.inode) {
      wrong.push(`no hard link to ${printable(entry.target ?? '')}`);
    }
    if (wrong.length === 0) continue;
    if (described.length < MOST_DIFFERENCES) described.push(`${printable(entry.path)}: ${wrong.join(', ')}`);
    else more += 1;
  }
  if (more > 0) described.push(`${more} more differences`);
  return described;
}

/**
 * Yields every directory, and every entry that none of `scans` has as it should be; marks in the first what belongs into the tree, and in
 * each of the others what is right there and not in one before it. If one link of a group is wrong, all of it is yielded, its carrier
 * included: their inode is written anew.
 */
export async function* missingEntries(
  entries: AsyncIterable<FileEntry>,
  scans: readonly RemoteScan[],
  { owners, checksum, copy }: Looking,
  tally: Tally,
): AsyncGenerator<FileEntry> {
  const [tree] = scans as readonly [RemoteScan];
  const links = new Map<BytePath, FileEntry[]>();
  const missing = new Set<BytePath>();
  const isRight = (entry: FileEntry, scan: RemoteScan): boolean => {
    const found = scan.get(entry.path);
    // The index does not know which device it is.
    if (found === null || entry.type === 'device' || differencesOf(entry, found, owners).length > 0) return false;
    // A killed tar may have had attributes still to set, of the files that it had written last.
    if (entry.extended && !(copy && scan === tree) && found.ctimeNs >= scan.newestNs - NEWEST_NS) return false;
    // What has no hash counts as different.
    return !checksum || entry.type !== 'file' || (entry.sha256 !== undefined && scan.sha256(entry.path) === entry.sha256);
  };
  const lack = (entry: FileEntry): FileEntry => {
    tally.written += 1;
    if (entry.type === 'file') tally.writtenBytes += entry.sizeBytes;
    return entry;
  };
  const have = (at: number, paths: readonly BytePath[]): void => {
    if (at === 0) tally.inPlace += paths.length;
    else tally.beside += paths.length;
    if (at > 0) for (const path of paths) (scans[at] as RemoteScan).mark(path, false);
  };
  for await (const entry of entries) {
    tree.mark(entry.path, entry.type === 'directory');
    if (entry.type === 'directory') {
      yield entry;
      continue;
    }
    if (entry.type === 'hardlink') {
      const carrier = entry.target ?? entry.path;
      const group = links.get(carrier);
      if (group) group.push(entry);
      else links.set(carrier, [entry]);
      continue;
    }
    const at = scans.findIndex((scan) => isRight(entry, scan));
    if (at >= 0) {
      have(at, [entry.path]);
      continue;
    }
    missing.add(entry.path);
    yield lack(entry);
  }
  for (const [carrier, group] of links) {
    tree.mark(carrier, false);
    const at = missing.has(carrier)
      ? -1
      : scans.findIndex((scan) => {
          const inode = scan.get(carrier)?.inode;
          return group.every((entry) => isRight(entry, scan) && scan.get(entry.path)?.inode === inode);
        });
    if (at >= 0) {
      have(
        at,
        group.map(({ path }) => path),
      );
      if (at > 0) (scans[at] as RemoteScan).mark(carrier, false);
      continue;
    }
    for (const entry of group) yield lack(entry);
    // It passed for itself, and holds the content of the others. A link says all of it but its type.
    const { target: _, ...same } = group[0] as FileEntry;
    if (missing.has(carrier)) continue;
    tally.inPlace = Math.max(0, tally.inPlace - 1);
    yield lack({ ...same, type: 'file', path: carrier });
  }
}
