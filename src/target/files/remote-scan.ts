// What GNU find says of a tree on a host, kept in a throw-away SQLite file: looked up by path, whatever the order and however many.
import { createInterface } from 'node:readline';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { NulRecords } from '../../host/nul-records.ts';
import type { BytePath } from '../../source/source.ts';
import type { Seen } from './entry-differences.ts';
import { checkEnd, failed } from './remote-program.ts';

/** What find says of one path. */
export interface Scanned extends Seen {
  readonly ctimeNs: bigint;
  /** Device and inode. */
  readonly inode: string;
}

const FORMAT = '%y %s %m %U %G %T@ %C@ %D:%i %P\\0%l\\0';
const FIELDS = 8;
const MOST_COMPLAINTS = 200;
/** What a path is to be, in the column `seen`; 0: nothing. */
const AS_FILE = 1;
const AS_DIRECTORY = 2;
/** The snapshot does not have it, and it stays. */
const AS_IT_IS = 3;
const PAGE = 1000;

/** Of what the snapshot does not have: `whole` stays with all that is below it, `itself` stays while what is below it is judged, `no` goes. */
export type Stays = (path: BytePath, isDirectory: boolean) => 'whole' | 'itself' | 'no';

/** `.` is the root itself. */
export class RemoteScan {
  readonly #db: DatabaseSync;
  readonly #find: StatementSync;
  readonly #see: StatementSync;
  #newestNs = 0n;
  /** Above the path that was marked last. */
  #lastParent: BytePath | null = null;

  private constructor() {
    // Without a name SQLite keeps it in memory as long as it is small, beyond that in a file that is already unlinked.
    this.#db = new DatabaseSync('');
    this.#db.exec(`
      PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384;
      CREATE TABLE found (path TEXT PRIMARY KEY, says TEXT NOT NULL, seen INTEGER NOT NULL DEFAULT 0, sha256 TEXT) WITHOUT ROWID;
      BEGIN;
    `);
    this.#find = this.#db.prepare('SELECT says FROM found WHERE path = ?');
    this.#see = this.#db.prepare('UPDATE found SET seen = ? WHERE path = ?');
  }

  /**
   * Scans `root` on `host`. What cannot be looked at is not there for us. Throws E_TARGET_WRITE when find failed, E_TOOL_MISSING,
   * E_SSH_…, or the signal's reason.
   */
  static async of(host: Host, root: string, signal?: AbortSignal): Promise<RemoteScan> {
    const scan = new RemoteScan();
    try {
      await scan.#read(host, root, signal);
      return scan;
    } catch (error) {
      scan.close();
      throw error;
    }
  }

  /** The last change of anything in the tree, by its ctime. */
  get newestNs(): bigint {
    return this.#newestNs;
  }

  get(path: BytePath): Scanned | null {
    const row = this.#find.get(path) as { says: string } | undefined;
    return row === undefined ? null : parse(row.says);
  }

  /** Notes that `path` belongs into the tree, and the directories above it. */
  mark(path: BytePath, isDirectory: boolean): void {
    this.#see.run(isDirectory ? AS_DIRECTORY : AS_FILE, path);
    if (path === '.') return;
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? '.' : path.slice(0, slash);
    if (parent === this.#lastParent) return;
    for (const directory of ancestors(path)) this.#see.run(AS_DIRECTORY, directory);
    this.#lastParent = parent;
  }

  /** What was marked and is no directory. */
  *markedFiles(): Generator<BytePath> {
    yield* this.#paths(`seen = ${AS_FILE}`);
  }

  /** Directories that were marked and that their owner may not read, write and enter. */
  *closedDirectories(): Generator<BytePath> {
    for (const path of this.#paths(`seen = ${AS_DIRECTORY} AND says LIKE 'd %'`)) {
      if (((this.get(path)?.mode ?? 0) & 0o700) !== 0o700) yield path;
    }
  }

  /** Directories where something else is to be, and what is where a directory is to be. */
  *inTheWay(): Generator<BytePath> {
    yield* this.#paths(`(seen = ${AS_DIRECTORY} AND says NOT LIKE 'd %') OR (seen = ${AS_FILE} AND says LIKE 'd %')`);
  }

  /** Marks what stays although the snapshot does not have it, and returns how many files and directories are left that do not. */
  judgeUnmarked(stays: Stays): number {
    const page = this.#db.prepare(
      "SELECT path, says LIKE 'd %' AS isDirectory FROM found WHERE seen = 0 AND path <> '.' AND path > ? ORDER BY path LIMIT ?",
    );
    const keep = this.#db.prepare('UPDATE found SET seen = ? WHERE path = ? AND seen = 0');
    /** A page ends anywhere, so what is above a path is asked about, not remembered. */
    const isKept = (path: BytePath, isDirectory: boolean): boolean => {
      for (const directory of ancestors(path)) if (stays(directory, true) === 'whole') return true;
      return stays(path, isDirectory) !== 'no';
    };
    let last = '';
    for (;;) {
      const rows = page.all(last, PAGE) as { path: string; isDirectory: number }[];
      if (rows.length === 0) break;
      for (const { path, isDirectory } of rows) {
        last = path;
        if (!isKept(path, isDirectory === 1)) continue;
        keep.run(AS_IT_IS, path);
        for (const directory of ancestors(path)) keep.run(AS_IT_IS, directory);
      }
    }
    return (this.#db.prepare("SELECT count(*) AS count FROM found WHERE seen = 0 AND path <> '.'").get() as { count: number }).count;
  }

  /** What is not marked in any way: no directories. */
  *unmarkedFiles(): Generator<BytePath> {
    yield* this.#paths("seen = 0 AND says NOT LIKE 'd %'");
  }

  /** Directories that are not marked in any way, those inside others first. */
  *unmarkedDirectories(): Generator<BytePath> {
    const rows = this.#db.prepare("SELECT path FROM found WHERE seen = 0 AND says LIKE 'd %' AND path <> '.' ORDER BY path DESC").iterate();
    for (const row of rows) yield row.path as string;
  }

  /** Forgets what is not marked: it was removed. */
  forgetUnmarked(): void {
    this.#db.exec("DELETE FROM found WHERE seen = 0 AND path <> '.'");
  }

  /** The SHA-256 of a regular file, hex; null when `readHashes` did not get it. */
  sha256(path: BytePath): string | null {
    const row = this.#db.prepare('SELECT sha256 FROM found WHERE path = ?').get(path) as { sha256: string | null } | undefined;
    return row?.sha256 ?? null;
  }

  /** Has the host read and hash every regular file. Throws as `of`. */
  async readHashes(host: Host, root: string, signal?: AbortSignal): Promise<void> {
    const add = this.#db.prepare('UPDATE found SET sha256 = ? WHERE path = ?');
    const prefix = Buffer.from(`${root}/`).toString('latin1').length;
    const argv = ['find', root, '-type', 'f', '-exec', 'sha256sum', '--zero', '--binary', '--', '{}', '+'];
    await readRecords(host, argv, signal, ([record]) => {
      const match = /^([0-9a-f]{64}) [ *](.+)$/s.exec(record as string);
      if (match) add.run(match[1] as string, (match[2] as string).slice(prefix));
    });
  }

  /** Forgets `path` and what is below it: it was removed. */
  forget(path: BytePath): void {
    // "0" follows "/": everything that begins with `path/`, and no name that only begins alike
    this.#db.prepare('DELETE FROM found WHERE path = ? OR (path > ? AND path < ?)').run(path, `${path}/`, `${path}0`);
  }

  /** Idempotent. */
  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  *#paths(condition: string): Generator<BytePath> {
    for (const row of this.#db.prepare(`SELECT path FROM found WHERE ${condition} ORDER BY path`).iterate()) yield row.path as string;
  }

  async #read(host: Host, root: string, signal?: AbortSignal): Promise<void> {
    const add = this.#db.prepare('INSERT OR REPLACE INTO found (path, says) VALUES (?, ?)');
    await readRecords(
      host,
      ['find', root, '-printf', FORMAT],
      signal,
      ([entry, target]) => {
        const { path, says } = split(entry as string);
        const { ctimeNs } = parse(says);
        if (ctimeNs > this.#newestNs) this.#newestNs = ctimeNs;
        add.run(path, `${says} ${target}`);
      },
      2,
    );
  }
}

/**
 * Runs find and hands on what it writes, `fields` strings with NUL behind each at a time. What it complains about is left out: it is then
 * not there as it should be.
 */
async function readRecords(
  host: Host,
  argv: readonly string[],
  signal: AbortSignal | undefined,
  use: (fields: readonly string[]) => void,
  fields = 1,
): Promise<void> {
  signal?.throwIfAborted();
  const find = host.start(argv, signal);
  find.stdin.end();
  const said: string[] = [];
  let complaints = 0;
  createInterface({ input: find.stderr.setEncoding('latin1') }).on('line', (line) => {
    complaints += 1;
    if (said.length < MOST_COMPLAINTS) said.push(line);
  });
  try {
    const printed = new NulRecords();
    let record: string[] = [];
    for await (const chunk of find.stdout.setEncoding('latin1')) {
      for (const piece of printed.take(chunk)) {
        record.push(piece);
        if (record.length < fields) continue;
        use(record);
        record = [];
      }
    }
    const end = await find.ended;
    signal?.throwIfAborted();
    checkEnd(host, 'find', end);
    if (printed.unfinished || record.length > 0 || end.status === null || end.status > 1 || (end.status === 1 && complaints === 0)) {
      throw failed(host, 'find', end.status, said);
    }
  } finally {
    find.kill();
  }
}

/** The directories above `path`, the root not among them. */
export function* ancestors(path: BytePath): Generator<BytePath> {
  for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) yield path.slice(0, slash);
}

/** Fields before the path hold no blanks; the path may. */
function split(entry: string): { path: BytePath; says: string } {
  let at = -1;
  for (let field = 0; field < FIELDS; field++) at = entry.indexOf(' ', at + 1);
  const path = entry.slice(at + 1);
  return { path: path === '' ? '.' : path, says: entry.slice(0, at) };
}

function parse(says: string): Scanned {
  const [type = '', size = '', mode = '', uid = '', gid = '', time = '', change = '', inode = '', ...target] = says.split(' ');
  return {
    type,
    sizeBytes: Number(size),
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
    mtimeNs: nanoseconds(time),
    ctimeNs: nanoseconds(change),
    inode,
    target: target.join(' '),
  };
}

/** find prints whole seconds, rounded down, and behind the point the nanoseconds since: before 1970 that is no decimal number. */
function nanoseconds(time: string): bigint {
  const match = /^(-?\d+)\.(\d{9})/.exec(time);
  if (!match) throw new CoffreError('E_TARGET_WRITE', `find gave a time that is none: ${printable(time)}`);
  return BigInt(match[1] as string) * 1_000_000_000n + BigInt(match[2] as string);
}
