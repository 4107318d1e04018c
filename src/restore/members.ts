// Which members of which segments a restore of files needs: pure over index entries.
import { CoffreError } from '../errors.ts';
import { type BytePath, type FileEntry, type IndexEntry, isFileEntry } from '../source/source.ts';

/** null for a segment: all of it. A segment that is not named: nothing of it. */
export type MembersOf = ReadonlyMap<string, readonly BytePath[] | null>;

export interface MemberPlan {
  readonly members: MembersOf;
  /** Entries that are wanted, directories not counted. */
  readonly files: number;
  /** Content of the regular files among them. */
  readonly fileBytes: number;
}

/**
 * Without a filter a whole segment is taken as it is, and of a partial one exactly what the index names. With a filter only
 * matching entries, the directories above them, and the carrier of a matching hard link.
 */
export async function planMembers(
  entries: AsyncIterable<IndexEntry>,
  segments: readonly { readonly id: string; readonly partial?: true }[],
  matches: ((path: BytePath) => boolean) | null,
): Promise<MemberPlan> {
  const partial = new Set(segments.filter((segment) => segment.partial).map((segment) => segment.id));
  const members = new Map<string, BytePath[] | null>();
  if (matches === null) for (const segment of segments) if (!segment.partial) members.set(segment.id, null);
  const add = (segment: string, path: BytePath): void => {
    const list = members.get(segment);
    if (list === null) return;
    if (list) list.push(path);
    else members.set(segment, [path]);
  };
  const above = new Set<BytePath>();
  const directories: FileEntry[] = [];
  let files = 0;
  let fileBytes = 0;
  const count = (entry: FileEntry): void => {
    files++;
    if (entry.type === 'file') fileBytes += entry.sizeBytes;
  };
  for await (const entry of entries) {
    if (!isFileEntry(entry)) continue;
    if (entry.segment === undefined) throw new CoffreError('E_FORMAT', `index entry ${printablePath(entry.path)} names no segment`);
    if (matches === null) {
      if (entry.type !== 'directory') count(entry);
      if (partial.has(entry.segment)) add(entry.segment, entry.path);
      continue;
    }
    if (entry.type === 'directory') {
      // the tail comes last in the index, but nothing here relies on it
      directories.push(entry);
      if (matches(entry.path)) for (const parent of parents(entry.path)) above.add(parent);
      continue;
    }
    if (!matches(entry.path)) continue;
    count(entry);
    add(entry.segment, entry.path);
    if (entry.type === 'hardlink' && entry.target !== undefined) add(entry.segment, entry.target);
    for (const parent of parents(entry.path)) above.add(parent);
  }
  for (const directory of directories) {
    if (matches?.(directory.path) || above.has(directory.path)) add(directory.segment as string, directory.path);
  }
  return { members, files, fileBytes };
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
