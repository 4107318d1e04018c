// Which members of which segments a restore of files needs: pure over index entries.
import { CoffreError } from '../errors.ts';
import { type BytePath, type FileEntry, type IndexEntry, isFileEntry } from '../source/source.ts';
import type { MovedMember, WantedMember } from '../target/target.ts';

/** null for a segment: all of it. A segment that is not named: nothing of it. */
export type MembersOf = ReadonlyMap<string, readonly WantedMember[] | null>;

export interface MemberPlan {
  readonly members: MembersOf;
  /** Entries that are wanted, directories not counted. */
  readonly files: number;
  /** Content of the regular files among them. */
  readonly fileBytes: number;
  /** The same of those that must be written. */
  readonly writtenFiles: number;
  readonly writtenBytes: number;
}

export interface Choice {
  /** null: every path. */
  readonly matches: ((path: BytePath) => boolean) | null;
  /** Of the entries that match those that must be written; null: all of them. */
  readonly missing: ((entries: AsyncIterable<FileEntry>) => AsyncIterable<FileEntry>) | null;
}

/**
 * Without a choice a whole segment is taken as it is, and of a partial one exactly what the index names. With one only the entries
 * chosen, the directories that match and those above what is chosen, and the carrier of a hard link that is chosen. The entries are read
 * again where a file that moved lies in a segment that is otherwise whole: then its members must be listed too.
 */
export async function planMembers(
  readEntries: () => AsyncIterable<IndexEntry>,
  segments: readonly { readonly id: string; readonly partial?: true }[],
  choice: Choice,
): Promise<MemberPlan> {
  const { matches, missing } = choice;
  const partial = new Set(segments.filter((segment) => segment.partial).map((segment) => segment.id));
  const members = new Map<string, WantedMember[] | null>();
  const everything = matches === null && missing === null;
  if (everything) for (const segment of segments) if (!segment.partial) members.set(segment.id, null);
  const add = (segment: string, member: WantedMember): void => {
    const list = members.get(segment);
    if (list === null) return;
    if (list) list.push(member);
    else members.set(segment, [member]);
  };
  const directories: FileEntry[] = [];
  /** Files that moved since they were stored: carriers of hard links may be among them. */
  const moved = new Map<BytePath, MovedMember>();
  const notWhole = new Set<string>();
  let files = 0;
  let fileBytes = 0;
  let writtenFiles = 0;
  let writtenBytes = 0;
  const matching = async function* (): AsyncGenerator<FileEntry> {
    for await (const entry of readEntries()) {
      if (!isFileEntry(entry)) continue;
      if (entry.segment === undefined) throw new CoffreError('E_FORMAT', `index entry ${printablePath(entry.path)} names no segment`);
      // the tail comes last in the index, but nothing here relies on it
      if (entry.type === 'directory' && !everything) directories.push(entry);
      const { path, member, mtimeNs } = entry;
      if (member !== undefined) {
        moved.set(path, { member, path, mtimeNs });
        if (members.get(entry.segment) === null) notWhole.add(entry.segment);
      }
      if (matches !== null && !matches(path)) continue;
      if (entry.type !== 'directory') files++;
      if (entry.type === 'file') fileBytes += entry.sizeBytes;
      yield entry;
    }
  };
  const above = new Set<BytePath>();
  const carriers: { readonly segment: string; readonly path: BytePath }[] = [];
  for await (const entry of missing === null ? matching() : missing(matching())) {
    const segment = entry.segment as string;
    if (entry.type === 'directory') {
      if (everything) {
        if (partial.has(segment)) add(segment, entry.path);
      } else for (const parent of parents(entry.path)) above.add(parent);
      continue;
    }
    writtenFiles++;
    if (entry.type === 'file') writtenBytes += entry.sizeBytes;
    if (everything && !partial.has(segment)) continue;
    add(segment, moved.get(entry.path) ?? entry.path);
    if (everything) continue;
    if (entry.type === 'hardlink' && entry.target !== undefined) carriers.push({ segment, path: entry.target });
    for (const parent of parents(entry.path)) above.add(parent);
  }
  if (notWhole.size > 0) {
    const listed = segments.map((segment) => (notWhole.has(segment.id) ? { ...segment, partial: true as const } : segment));
    return planMembers(readEntries, listed, choice);
  }
  for (const { segment, path } of carriers) add(segment, moved.get(path) ?? path);
  for (const directory of directories) {
    const { path } = directory;
    if (matches === null || matches(path) || above.has(path)) add(directory.segment as string, path);
  }
  return { members, files, fileBytes, writtenFiles, writtenBytes };
}

function parents(path: BytePath): BytePath[] {
  const result: BytePath[] = ['.'];
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) result.push(path.slice(0, at));
  return result;
}

/** A byte path for people: UTF-8 where it is, escapes where it is not. */
export function printablePath(path: BytePath): string {
  return JSON.stringify(Buffer.from(path, 'latin1').toString('utf8')).slice(1, -1);
}
