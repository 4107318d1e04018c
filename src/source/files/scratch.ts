// What one reading must remember and must not hold in memory: older entries, hard links, directories. A throw-away SQLite file.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { BytePath, FileEntry, IndexEntry } from '../source.ts';
import type { Found } from './walk.ts';

/** A link of an inode that has several, with where its content lies already when nothing changed. */
export interface Link {
  readonly found: Found;
  readonly carried: FileEntry | null;
}

export interface ScannedDirectory {
  readonly found: Found;
  /** Whether it has extended attributes or an ACL; null: nobody knows. */
  readonly extended: boolean | null;
}

function scanned(row: Record<string, unknown>): ScannedDirectory {
  return { found: decode(row.found as string), extended: row.extended === null ? null : row.extended === 1 };
}

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

export class Scratch {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #addPrevious: StatementSync;
  readonly #findPrevious: StatementSync;
  readonly #addMoved: StatementSync;
  /** Made when first asked for: most readings find nothing new. */
  #findLike: StatementSync | null = null;
  readonly #addLink: StatementSync;
  readonly #addDirectory: StatementSync;
  #directories = 0;

  constructor(scratchDir: string) {
    this.#path = join(scratchDir, 'files-scan.sqlite');
    rmSync(this.#path, { force: true });
    this.#db = new DatabaseSync(this.#path);
    this.#db.exec(`
      PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192;
      CREATE TABLE previous (
        path TEXT PRIMARY KEY, state TEXT NOT NULL, size INTEGER NOT NULL, mtime TEXT NOT NULL, owner TEXT NOT NULL,
        segment TEXT NOT NULL, sha256 TEXT, target TEXT, member TEXT, extended INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE TABLE moved (path TEXT PRIMARY KEY, member TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE links (device TEXT, inode TEXT, path TEXT, found TEXT NOT NULL, PRIMARY KEY (device, inode, path)) WITHOUT ROWID;
      CREATE TABLE directories (number INTEGER PRIMARY KEY, path TEXT NOT NULL, found TEXT NOT NULL, extended INTEGER, dumpdir BLOB);
      BEGIN;
    `);
    // Of several older entries for one path the first one read in, from the preferred index, serves.
    this.#addPrevious = this.#db.prepare('INSERT OR IGNORE INTO previous VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#findPrevious = this.#db.prepare('SELECT * FROM previous WHERE path = ?');
    this.#addMoved = this.#db.prepare('INSERT OR REPLACE INTO moved VALUES (?, ?)');
    this.#addLink = this.#db.prepare('INSERT INTO links VALUES (?, ?, ?, ?)');
    this.#addDirectory = this.#db.prepare('INSERT INTO directories VALUES (?, ?, ?, ?, ?)');
  }

  /** Reads an older index in, whatever its order: entries of one part stand together in it, not those of one directory. */
  async remember(entries: AsyncIterable<IndexEntry>): Promise<void> {
    for await (const entry of entries) {
      if (!('path' in entry)) continue;
      if (entry.segment === undefined || entry.unstable) continue;
      this.#addPrevious.run(
        ...[entry.path, stateOf(entry), entry.sizeBytes, String(entry.mtimeNs), ownerOf(entry), entry.segment],
        ...[entry.sha256 ?? null, entry.target ?? null, entry.member ?? null, entry.extended ? 1 : 0],
      );
    }
  }

  /** The older entry of a path whose type, size, times and inode are still the same; null when there is none. */
  unchanged(found: Found): FileEntry | null {
    const row = this.#findPrevious.get(found.path) as PreviousRow | undefined;
    if (!row) return null;
    const type = row.state.startsWith('hardlink ') ? 'hardlink' : found.type;
    // A symbolic link's text cannot change without its ctime; mode and owner neither.
    if (row.state !== stateOf({ ...found, type })) return null;
    return {
      type,
      path: found.path,
      sizeBytes: found.sizeBytes,
      mode: found.mode,
      uid: found.uid,
      gid: found.gid,
      mtimeNs: found.mtimeNs,
      ctimeNs: found.ctimeNs,
      inode: found.inode,
      ...(row.target === null ? {} : { target: row.target }),
      ...kept(row),
    };
  }

  /** The older entry of a regular file's path, whatever its times, when equal content makes it the same file; else null. */
  sameIfEqual(found: Found): Stored | null {
    const row = this.#findPrevious.get(found.path) as PreviousRow | undefined;
    return row && row.size === found.sizeBytes && isComparable(row, found) ? storedOf(row) : null;
  }

  /**
   * Older entries of other paths that may be this regular file before it was moved: as large, written at the same time, of the same owner
   * and mode, those of the same name first.
   */
  movedFrom(found: Found): readonly Stored[] {
    if (found.sizeBytes === 0) return [];
    this.#findLike ??= this.#indexLikes();
    const name = found.path.slice(found.path.lastIndexOf('/') + 1);
    const rows = this.#findLike.all(found.sizeBytes, String(found.mtimeNs), name) as unknown as readonly PreviousRow[];
    return rows.filter((row) => row.path !== found.path && isComparable(row, found)).map(storedOf);
  }

  #indexLikes(): StatementSync {
    this.#db.exec('CREATE INDEX likes ON previous (size, mtime)');
    return this.#db.prepare(`SELECT * FROM previous WHERE size = ? AND mtime = ? ORDER BY path LIKE '%/' || ? DESC LIMIT 16`);
  }

  /** A file whose segment holds it under another path. */
  addMoved(path: BytePath, member: BytePath): void {
    this.#addMoved.run(path, member);
  }

  get moved(): number {
    return Number(this.#db.prepare('SELECT count(*) AS n FROM moved').get()?.n ?? 0);
  }

  *listMoved(): Generator<{ path: BytePath; member: BytePath }> {
    for (const row of this.#db.prepare('SELECT path, member FROM moved ORDER BY path').iterate()) {
      yield { path: row.path as string, member: row.member as string };
    }
  }

  addLink(found: Found): void {
    this.#addLink.run(String(found.device), String(found.inode), found.path, encode(found));
  }

  /** All links seen, those of one inode together, in byte order of their paths. One inode's links are held at a time. */
  *linkGroups(): Generator<readonly Found[]> {
    let group: Found[] = [];
    for (const row of this.#db.prepare('SELECT found FROM links ORDER BY device, inode, path').iterate()) {
      const found = decode(row.found as string);
      const first = group[0];
      if (first && (first.inode !== found.inode || first.device !== found.device)) {
        yield group;
        group = [];
      }
      group.push(found);
    }
    if (group.length > 0) yield group;
  }

  addDirectory(directory: Found, dumpdir: Buffer | null): void {
    const row = this.#findPrevious.get(directory.path) as PreviousRow | undefined;
    const extended = row && row.state === stateOf(directory) ? row.extended : null;
    this.#addDirectory.run(this.#directories++, directory.path, encode(directory), extended, dumpdir);
  }

  get directories(): number {
    return this.#directories;
  }

  /** Bytes that the lists of names take in directories `from` to before `to`. */
  dumpdirBytes(from: number, to: number): number {
    const row = this.#db.prepare('SELECT sum(length(dumpdir)) AS bytes FROM directories WHERE number >= ? AND number < ?').get(from, to);
    return Number(row?.bytes ?? 0);
  }

  /** Directories `from` to before `to`, in the order of the walk. */
  *listDirectories(from: number, to: number): Generator<ScannedDirectory> {
    for (const row of this.#selectDirectories('found, extended').iterate(from, to)) yield scanned(row);
  }

  /** The same, with the lists of names. */
  *listDumpdirs(from: number, to: number): Generator<ScannedDirectory & { readonly dumpdir: Buffer | null }> {
    for (const row of this.#selectDirectories('found, extended, dumpdir').iterate(from, to)) {
      const dumpdir = row.dumpdir as Uint8Array | null;
      yield { ...scanned(row), dumpdir: dumpdir && Buffer.from(dumpdir.buffer, dumpdir.byteOffset, dumpdir.length) };
    }
  }

  #selectDirectories(columns: string): StatementSync {
    return this.#db.prepare(`SELECT ${columns} FROM directories WHERE number >= ? AND number < ? ORDER BY number`);
  }

  /** Closes and removes the file. Idempotent. */
  close(): void {
    if (this.#db.isOpen) this.#db.close();
    rmSync(this.#path, { force: true });
  }
}

interface PreviousRow {
  path: string;
  state: string;
  size: number;
  mtime: string;
  owner: string;
  segment: string;
  sha256: string | null;
  target: string | null;
  member: string | null;
  extended: number;
}

function kept(row: PreviousRow): Pick<FileEntry, 'sha256' | 'member' | 'extended' | 'segment'> {
  return {
    ...(row.sha256 === null ? {} : { sha256: row.sha256 }),
    ...(row.member === null ? {} : { member: row.member }),
    ...(row.extended === 1 ? { extended: true as const } : {}),
    segment: row.segment,
  };
}

function isComparable(row: PreviousRow, found: Found): boolean {
  return row.sha256 !== null && row.extended === 0 && row.state.startsWith('file ') && row.owner === ownerOf(found);
}

function storedOf(row: PreviousRow): Stored {
  return {
    path: row.path,
    member: row.member ?? row.path,
    restamped: row.member !== null,
    mtimeNs: BigInt(row.mtime),
    sha256: row.sha256 as string,
    segment: row.segment,
  };
}

const ownerOf = ({ mode, uid, gid }: Pick<FileEntry, 'mode' | 'uid' | 'gid'>): string => `${mode} ${uid} ${gid}`;

type State = Pick<FileEntry, 'type' | 'sizeBytes' | 'mtimeNs' | 'ctimeNs' | 'inode'>;

/** What must be the same for a file to count as unchanged. */
function stateOf(entry: State): string {
  const sizeBytes = entry.type === 'file' || entry.type === 'hardlink' ? entry.sizeBytes : 0;
  return `${entry.type} ${sizeBytes} ${entry.mtimeNs} ${entry.ctimeNs} ${entry.inode}`;
}

const encode = (found: Found): string => JSON.stringify(found, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
const decode = (text: string): Found =>
  JSON.parse(text, (key, value) =>
    key !== 'path' && typeof value === 'string' && /^-?\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
  );
