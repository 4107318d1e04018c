// What older readings knew of each path: the first so many entries in memory, the rest of a very large tree in the scratch database.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BytePath, FileEntry, OlderEntry } from '../source.ts';
import type { Found } from './walk.ts';

/** A content that an older segment holds. */
export interface Stored {
  /** Where it was in the tree. */
  readonly path: BytePath;
  /** Its name in the segment. */
  readonly member: BytePath;
  /** The segment's own header may say another path or mtime than the older entry did. */
  readonly restamped: boolean;
  readonly mtimeNs: bigint;
  readonly sha256: string;
  readonly segment: string;
}

/** About half a kilobyte each. */
const MOST_IN_MEMORY = 100_000;
/** Paths looked at for one file that may have been moved. */
const MOST_LIKE = 16;

/** What the entry of a file says whose content lies there. */
export function placeOf(stored: Stored, path: BytePath, mtimeNs: bigint): Pick<FileEntry, 'segment' | 'member'> {
  const restamped = stored.restamped || stored.member !== path || stored.mtimeNs !== mtimeNs;
  return { segment: stored.segment, ...(restamped ? { member: stored.member } : {}) };
}

export class OlderEntries {
  readonly #memory = new Map<BytePath, OlderEntry>();
  /** Of those in memory, by size and mtime; made when first asked for: most readings find nothing new. */
  #likes: Map<string, FileEntry[]> | null = null;
  readonly #db: DatabaseSync;
  #rest: Rest | null = null;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Of several entries for one path the first one added serves. */
  add(entry: OlderEntry): void {
    if (this.#memory.has(entry.path)) return;
    if (this.#memory.size < MOST_IN_MEMORY) {
      this.#memory.set(entry.path, entry);
      return;
    }
    this.#rest ??= new Rest(this.#db);
    this.#rest.add(entry);
  }

  get isEmpty(): boolean {
    return this.#memory.size === 0;
  }

  #find(path: BytePath): OlderEntry | null {
    return this.#memory.get(path) ?? this.#rest?.find(path) ?? null;
  }

  /** The entry of a path whose type, size, times and inode are still the same; null when there is none. */
  unchanged(found: Found): FileEntry | null {
    const entry = this.#find(found.path);
    if (entry?.saysOf?.(found) === true) return entry;
    if (!entry || entry.ctimeNs !== found.ctimeNs || entry.inode !== found.inode || entry.mtimeNs !== found.mtimeNs) return null;
    if (entry.type !== 'hardlink' && entry.type !== found.type) return null;
    // A symbolic link's text cannot change without its ctime; mode and owner neither.
    return found.type !== 'file' || entry.sizeBytes === found.sizeBytes ? entry : null;
  }

  /** The entry of a regular file's path, whatever its times, when equal content makes it the same file; else null. */
  sameIfEqual(found: Found): Stored | null {
    const entry = this.#find(found.path);
    return entry && entry.sizeBytes === found.sizeBytes && isComparable(entry, found) ? storedOf(entry) : null;
  }

  /**
   * Entries of other paths that may be this regular file before it was moved: as large, written at the same time, of the same owner
   * and mode, those of the same name first.
   */
  movedFrom(found: Found): readonly Stored[] {
    if (found.sizeBytes === 0) return [];
    this.#likes ??= this.#indexLikes();
    const name = nameOf(found.path);
    const key = likeness(found);
    const inMemory = [...(this.#likes.get(`${key}/${name}`) ?? []), ...(this.#likes.get(key) ?? [])];
    const like = [...inMemory, ...(this.#rest?.like(key, name) ?? [])].filter((entry) => entry.path !== found.path);
    like.sort((a, b) => Number(nameOf(b.path) === name) - Number(nameOf(a.path) === name));
    return like.slice(0, MOST_LIKE).map(storedOf);
  }

  /** A tree may hold any number of files that look alike: of each kind a few are known, and a few of each name among the rest. */
  #indexLikes(): Map<string, FileEntry[]> {
    const likes = new Map<string, FileEntry[]>();
    const isAdded = (key: string, entry: FileEntry): boolean => {
      const group = likes.get(key);
      if (!group) likes.set(key, [entry]);
      else if (group.length < MOST_LIKE) group.push(entry);
      else return false;
      return true;
    };
    for (const entry of this.#memory.values()) {
      if (entry.sizeBytes === 0 || !isComparable(entry, entry)) continue;
      const key = likeness(entry);
      if (!isAdded(key, entry)) isAdded(`${key}/${nameOf(entry.path)}`, entry);
    }
    return likes;
  }
}

/** What found no room in memory, as a table of the scratch database. */
class Rest {
  readonly #db: DatabaseSync;
  readonly #add: StatementSync;
  readonly #find: StatementSync;
  #like: StatementSync | null = null;

  constructor(db: DatabaseSync) {
    this.#db = db;
    // `likeness` is NULL where equal content would not make it the same file
    db.exec('CREATE TABLE previous (path TEXT PRIMARY KEY, likeness TEXT, name TEXT NOT NULL, entry TEXT NOT NULL) WITHOUT ROWID');
    this.#add = db.prepare('INSERT OR IGNORE INTO previous VALUES (?, ?, ?, ?)');
    this.#find = db.prepare('SELECT entry FROM previous WHERE path = ?');
  }

  add(entry: FileEntry): void {
    this.#add.run(entry.path, isComparable(entry, entry) ? likeness(entry) : null, nameOf(entry.path), encode(entry));
  }

  find(path: BytePath): FileEntry | null {
    const row = this.#find.get(path);
    return row ? decode(row.entry as string) : null;
  }

  /** Those of that name first, a few. */
  like(key: string, name: string): FileEntry[] {
    if (this.#like === null) {
      this.#db.exec('CREATE INDEX likes ON previous (likeness, name)');
      this.#like = this.#db.prepare(`
        SELECT * FROM (SELECT entry FROM previous WHERE likeness = ? AND name = ? LIMIT ${MOST_LIKE})
        UNION ALL SELECT * FROM (SELECT entry FROM previous WHERE likeness = ? AND name <> ? LIMIT ${MOST_LIKE})`);
    }
    return this.#like.all(key, name, key, name).map((row) => decode(row.entry as string));
  }
}

/** What equal content needs beside it to be the same file, moved. */
const likeness = ({ sizeBytes, mtimeNs, mode, uid, gid }: Pick<FileEntry, 'sizeBytes' | 'mtimeNs' | 'mode' | 'uid' | 'gid'>): string =>
  `${sizeBytes} ${mtimeNs} ${mode} ${uid} ${gid}`;

const nameOf = (path: BytePath): string => path.slice(path.lastIndexOf('/') + 1);

function isComparable(entry: FileEntry, { mode, uid, gid }: Pick<Found, 'mode' | 'uid' | 'gid'>): boolean {
  if (entry.type !== 'file' || entry.sha256 === undefined || entry.extended || entry.segment === undefined) return false;
  return entry.mode === mode && entry.uid === uid && entry.gid === gid;
}

function storedOf({ path, member, mtimeNs, sha256, segment }: FileEntry): Stored {
  return { path, member: member ?? path, restamped: member !== undefined, mtimeNs, sha256: sha256 as string, segment: segment as string };
}

/** Bigints as text: three known fields. Fields are named, for an entry may be one that reads them from its line. */
function encode(entry: FileEntry): string {
  const { type, path, sizeBytes, mode, uid, gid, target, sha256, segment, member, extended } = entry;
  const text = { mtimeNs: String(entry.mtimeNs), ctimeNs: String(entry.ctimeNs), inode: String(entry.inode) };
  return JSON.stringify({ type, path, sizeBytes, mode, uid, gid, target, sha256, segment, member, extended, ...text });
}

function decode(text: string): FileEntry {
  const entry = JSON.parse(text);
  return { ...entry, mtimeNs: BigInt(entry.mtimeNs), ctimeNs: BigInt(entry.ctimeNs), inode: BigInt(entry.inode) };
}
