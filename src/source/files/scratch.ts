// What one reading must remember and must not hold in memory however large its tree: hard links, directories, moves. A throw-away SQLite file.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { BytePath, PreviousIndex } from '../source.ts';
import { OlderEntries } from './older-entries.ts';
import type { Found } from './walk.ts';

export interface ScannedDirectory {
  readonly found: Found;
  /** Whether it has extended attributes or an ACL; null: nobody knows. */
  readonly extended: boolean | null;
}

/** Directories kept in memory, and what their lists of names may take there; the rest goes to the database. */
const MOST_DIRECTORIES = 16_384;
const MOST_DUMPDIR_BYTES = 8 * 1024 * 1024;

/** Shorter ones are counted with the rest of a header. */
export const LONG_PATH_BYTES = 1024;

type Directory = ScannedDirectory & { readonly dumpdir: Buffer | null };

export class Scratch {
  /** What older readings knew. */
  readonly older: OlderEntries;
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #addMoved: StatementSync;
  readonly #addLink: StatementSync;
  readonly #addDirectory: StatementSync;
  /** The first ones, by number. */
  readonly #first: Directory[] = [];
  #firstBytes = 0;
  #directories = 0;
  #longPathBytes = 0;

  constructor(scratchDir: string) {
    this.#path = join(scratchDir, 'files-scan.sqlite');
    rmSync(this.#path, { force: true });
    this.#db = new DatabaseSync(this.#path);
    this.#db.exec(`
      PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192;
      CREATE TABLE moved (path TEXT PRIMARY KEY, member TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE links (device TEXT, inode TEXT, path TEXT, found TEXT NOT NULL, PRIMARY KEY (device, inode, path)) WITHOUT ROWID;
      CREATE TABLE directories (number INTEGER PRIMARY KEY, found TEXT NOT NULL, extended INTEGER, dumpdir BLOB);
      BEGIN;
    `);
    this.older = new OlderEntries(this.#db);
    this.#addMoved = this.#db.prepare('INSERT OR REPLACE INTO moved VALUES (?, ?)');
    this.#addLink = this.#db.prepare('INSERT INTO links VALUES (?, ?, ?, ?)');
    this.#addDirectory = this.#db.prepare('INSERT INTO directories VALUES (?, ?, ?, ?)');
  }

  /** Reads an older index in, whatever its order: entries of one part stand together in it, not those of one directory. */
  async remember(index: PreviousIndex): Promise<void> {
    for await (const entries of index) {
      for (const entry of entries) if (entry.segment !== undefined && !entry.unstable) this.older.add(entry);
    }
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

  addDirectory(found: Found, dumpdir: Buffer | null): void {
    const entry = this.older.unchanged(found);
    const extended = entry && entry.type === 'directory' ? entry.extended === true : null;
    const number = this.#directories++;
    if (found.path.length > LONG_PATH_BYTES) this.#longPathBytes += found.path.length;
    if (this.#first.length === number && number < MOST_DIRECTORIES && this.#firstBytes < MOST_DUMPDIR_BYTES) {
      this.#first.push({ found, extended, dumpdir });
      this.#firstBytes += dumpdir?.length ?? 0;
    } else {
      this.#addDirectory.run(number, encode(found), extended === null ? null : Number(extended), dumpdir);
    }
  }

  get directories(): number {
    return this.#directories;
  }

  /** What directories' paths take, of those that are long. */
  get longPathBytes(): number {
    return this.#longPathBytes;
  }

  /** Bytes that the lists of names take in directories `from` to before `to`. */
  dumpdirBytes(from: number, to: number): number {
    const row = this.#db.prepare('SELECT sum(length(dumpdir)) AS bytes FROM directories WHERE number >= ? AND number < ?').get(from, to);
    return this.#first.slice(from, to).reduce((sum, { dumpdir }) => sum + (dumpdir?.length ?? 0), Number(row?.bytes ?? 0));
  }

  /** Directories `from` to before `to`, in the order of the walk. */
  *listDirectories(from: number, to: number): Generator<ScannedDirectory> {
    yield* this.#first.slice(from, to);
    for (const row of this.#selectDirectories('found, extended').iterate(from, to)) yield scanned(row);
  }

  /** The same, with the lists of names. */
  *listDumpdirs(from: number, to: number): Generator<Directory> {
    yield* this.#first.slice(from, to);
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

function scanned(row: Record<string, unknown>): ScannedDirectory {
  return { found: decode(row.found as string), extended: row.extended === null ? null : row.extended === 1 };
}

const encode = (found: Found): string => JSON.stringify(found, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
const decode = (text: string): Found =>
  JSON.parse(text, (key, value) =>
    key !== 'path' && typeof value === 'string' && /^-?\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
  );
