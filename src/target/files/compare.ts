// Compares a restored tree with what its index says, without reading contents.
import type { BigIntStats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { printable } from '../../host/gnu-tar.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';

/** Entries looked at at once. */
const GROUP = 128;
/** Differences described; more are counted. */
const MOST_DIFFERENCES = 1000;

/** Type, size, mode, mtime, link targets, and owners when this process could set them. Returns what differs, printable. */
export async function compareTree(directory: string, entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
  const differences: string[] = [];
  let more = 0;
  let group: FileEntry[] = [];
  const compareGroup = async (): Promise<void> => {
    for (const found of await Promise.all(group.map((entry) => compareEntry(directory, entry)))) {
      if (found === null) continue;
      if (differences.length < MOST_DIFFERENCES) differences.push(found);
      else more += 1;
    }
    group = [];
  };
  for await (const entry of entries) {
    group.push(entry);
    if (group.length >= GROUP) await compareGroup();
  }
  await compareGroup();
  if (more > 0) differences.push(`${more} more differences`);
  return differences;
}

async function compareEntry(directory: string, entry: FileEntry): Promise<string | null> {
  const path = at(directory, entry.path);
  const where = printable(entry.path);
  let stats: BigIntStats;
  try {
    stats = await lstat(path, { bigint: true });
  } catch (cause) {
    return `${where}: ${(cause as NodeJS.ErrnoException).code}`;
  }
  if (!hasType(stats, entry.type)) return `${where}: is no ${entry.type}`;
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
    const target = await readlink(path, { encoding: 'latin1' }).catch((cause: NodeJS.ErrnoException) => String(cause.code));
    if (target !== entry.target) wrong.push(`target ${printable(target)}, not ${printable(entry.target ?? '')}`);
  }
  if (entry.type === 'hardlink') {
    const carrier = await lstat(at(directory, entry.target ?? '.'), { bigint: true }).catch(() => null);
    if (carrier?.ino !== stats.ino || carrier.dev !== stats.dev) wrong.push(`no hard link to ${printable(entry.target ?? '')}`);
  }
  return wrong.length === 0 ? null : `${where}: ${wrong.join(', ')}`;
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

function at(directory: string, path: BytePath): Buffer {
  return path === '.' ? Buffer.from(directory) : Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, 'latin1')]);
}
