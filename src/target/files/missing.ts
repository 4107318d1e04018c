// Which entries of a snapshot a tree lacks: those that are not there as they should be, hard links by groups.
import type { BigIntStats } from 'node:fs';
import { nextTurn } from '../../clock.ts';
import type { Anchored } from '../../host/anchored.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import { hashOf, stateDifferences, statOf } from './entry-state.ts';

export interface Looking {
  readonly tree: Anchored;
  /** What an interrupted restore had extracted beside the tree; null: nothing. */
  readonly beside: Anchored | null;
  /** Contents are read and hashed; size and time alone prove nothing. What has no hash counts as different. */
  readonly checksum: boolean;
  /** An interrupted restore is gone on with: see NEWEST_NS. */
  readonly interrupted: boolean;
}

/**
 * Whoever writes a file sets its time when all of its content is there, so size and time prove the content. tar sets owner and mode after
 * that, which are looked at, and attributes and ACLs last, which are not: of files that may have some, those that changed
 * within this time before the newest change of all may have been cut off by the kill.
 */
const NEWEST_NS = 2_000_000_000n;

/** Entries looked at before a signal has its turn. */
const TURN_ENTRIES = 512;

/** What was found; directories are not counted. Whole once `missingEntries` has ended. */
export class Found {
  missing = 0;
  missingBytes = 0;
  /** As they should be, in the tree. */
  inPlace = 0;
  /** Paths that are as they should be beside it. */
  readonly beside = new Set<BytePath>();
}

/**
 * Yields every directory, and every entry that is nowhere as it should be. If one link of a group is wrong, or the group is split, or
 * shares its inode with another file of the snapshot, all of it is yielded: an inode is written anew with all its links.
 */
export async function* missingEntries(entries: AsyncIterable<FileEntry>, looking: Looking, found: Found): AsyncGenerator<FileEntry> {
  const places = looking.beside ? [looking.tree, looking.beside] : [looking.tree];
  const groups = new Map<BytePath, FileEntry[]>();
  const missing = new Set<BytePath>();
  /** Of files with more than one link on disk: whose inode it is. */
  const owners = new Map<string, BytePath>();
  const lack = (entry: FileEntry): FileEntry => {
    found.missing += 1;
    if (entry.type === 'file') found.missingBytes += entry.sizeBytes;
    return entry;
  };
  const keep = (place: Anchored, path: BytePath): void => {
    if (place === looking.tree) found.inPlace += 1;
    else found.beside.add(path);
  };
  let newestNs = 0n;
  let doubtful: { readonly entry: FileEntry; readonly ctimeNs: bigint; readonly place: Anchored }[] = [];
  let looked = 0;
  for await (const entry of entries) {
    if (++looked % TURN_ENTRIES === 0) await nextTurn();
    if (entry.type === 'directory') {
      yield entry;
      continue;
    }
    if (entry.type === 'hardlink') {
      const carrier = entry.target ?? entry.path;
      const group = groups.get(carrier);
      if (group) group.push(entry);
      else groups.set(carrier, [entry]);
      continue;
    }
    let ctimeNs = 0n;
    let place: Anchored | null = null;
    for (const one of places) {
      const stats = await asItShouldBe(entry, one, looking);
      if (stats === null || !claim(owners, entry.path, stats)) continue;
      ctimeNs = stats.ctimeNs;
      place = one;
      break;
    }
    if (place) {
      keep(place, entry.path);
      if (ctimeNs > newestNs) newestNs = ctimeNs;
      if (looking.interrupted && entry.extended && ctimeNs >= newestNs - NEWEST_NS) doubtful.push({ entry, ctimeNs, place });
      if (doubtful.length >= 1024) doubtful = doubtful.filter((one) => one.ctimeNs >= newestNs - NEWEST_NS);
      continue;
    }
    missing.add(entry.path);
    yield lack(entry);
  }
  for (const { entry, ctimeNs, place } of doubtful) {
    if (ctimeNs < newestNs - NEWEST_NS) continue;
    if (place === looking.tree) found.inPlace -= 1;
    else found.beside.delete(entry.path);
    missing.add(entry.path);
    yield lack(entry);
  }
  // Carriers stand before their links as a rule; nothing relies on it.
  for (const [carrier, group] of groups) {
    let place: Anchored | null = null;
    for (const one of missing.has(carrier) ? [] : places) {
      if (!(await isWhole(carrier, group, one, looking, owners))) continue;
      place = one;
      break;
    }
    if (place) {
      for (const { path } of group) keep(place, path);
      // judged in the tree by itself, it belongs to those beside it
      if (place !== looking.tree) found.beside.add(carrier);
      continue;
    }
    for (const entry of group) yield lack(entry);
    if (missing.has(carrier)) continue;
    // It passed for itself, and comes anew with the others, whose content it holds. A link says all of it but its type.
    if (!found.beside.delete(carrier)) found.inPlace = Math.max(0, found.inPlace - 1);
    const { target: _, ...same } = group[0] as FileEntry;
    yield lack({ ...same, type: 'file', path: carrier });
  }
}

async function asItShouldBe(entry: FileEntry, place: Anchored, { checksum }: Looking): Promise<BigIntStats | null> {
  const stats = statOf(place, entry.path);
  if (stats === null || stateDifferences(entry, stats, place).length > 0) return null;
  // The index does not know which device it is.
  if (entry.type === 'device') return null;
  if (checksum && entry.type === 'file' && (entry.sha256 === undefined || (await hashOf(place, entry.path, stats)) !== entry.sha256))
    return null;
  return stats;
}

/** False: another path of the snapshot that is no link of this one has the inode. */
function claim(owners: Map<string, BytePath>, path: BytePath, stats: BigIntStats): boolean {
  if (stats.nlink === 1n) return true;
  const inode = `${stats.dev}:${stats.ino}`;
  const owner = owners.get(inode);
  if (owner === undefined) owners.set(inode, path);
  return owner === undefined || owner === path;
}

async function isWhole(
  carrier: BytePath,
  group: readonly FileEntry[],
  place: Anchored,
  looking: Looking,
  owners: Map<string, BytePath>,
): Promise<boolean> {
  const stats = statOf(place, carrier);
  // The carrier's content was looked at when it was judged by itself.
  if (stats === null || !claim(owners, carrier, stats)) return false;
  for (const entry of group) {
    const link = await asItShouldBe(entry, place, looking);
    if (link?.ino !== stats.ino || link.dev !== stats.dev) return false;
  }
  return true;
}
