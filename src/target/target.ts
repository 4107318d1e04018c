// The ports to where a restore writes. Bytes handed to a target were checked against their hash, unless `unverified` says otherwise.
import type { BytePath, FileEntry, LoadInstruction, Phase } from '../source/source.ts';

/** A segment on its way back. */
export interface IncomingSegment {
  readonly id: string;
  readonly phase: Phase;
  /** The plaintext. Ends with an error (CoffreError) when the content turns out not to be what the manifest says. */
  readonly plaintext: AsyncIterable<Uint8Array>;
  /**
   * true: too large to be checked before use, the check comes with the end of `plaintext`. Nothing of it may become
   * visible before that end was reached without error.
   */
  readonly unverified: boolean;
}

/**
 * A member that comes out elsewhere, or with another time, than its header says: its file was moved or touched after it was stored. One member
 * may be wanted under several paths.
 */
export interface MovedMember {
  /** The path under which the segment holds it. */
  readonly member: BytePath;
  readonly path: BytePath;
  readonly mtimeNs: bigint;
}

/** A path of a segment as it is, or a member of it that moved. */
export type WantedMember = BytePath | MovedMember;

export interface FilesTarget {
  /**
   * It leaves out setuid and setgid bits, file capabilities and devices: the entries it is given are then without them too (privileges.ts).
   * Absent: everything comes back as it was.
   */
  readonly dropsPrivileges?: boolean;
  /**
   * Makes or checks the directory for a restore of this snapshot. `everythingMissing`: nothing is there yet, so `missing` need not be
   * asked, and whole segments are extracted without a list of members (a million paths would not fit the memory).
   * Throws E_TARGET_NOT_EMPTY, E_TARGET_WRITE, E_TARGET_SPACE.
   */
  prepare(snapshot: string): Promise<{ readonly everythingMissing: boolean }>;
  /**
   * Of these entries of an index those that must be written, in any order: where an interrupted restore is gone on with, or a tree is
   * made equal, those that are not there as they should be. Directories always. After prepare, unless everything is missing.
   */
  missing(entries: AsyncIterable<FileEntry>): AsyncIterable<FileEntry>;
  /**
   * Extracts a tar segment. `members` null means all of it, else exactly these. Several may run at once;
   * the `tail` segments must come last and one after the other.
   */
  extract(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void>;
  /** Where segments can be extracted by other threads too: what was checked as a whole is then not handed to `extract`. */
  readonly threads?: ThreadedTarget;
  /**
   * Folders on the target's host that hold what is to take its place, once all but the tail was extracted; absent: it was written in place.
   * Whoever changes something there must not give it to `compare`.
   */
  readonly staged?: readonly string[];
  /** True once prepared: `compare` may look at what is no directory while the tail segments are extracted. */
  readonly comparesBesideTail?: boolean;
  /** Compares type, size, mode, mtime, link target of each entry with what is on disk; returns what differs, printable. */
  compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]>;
  /**
   * After `compare` found nothing: what was restored beside the directory takes its place. Absent where it was written in place.
   * Throws E_TARGET_NOT_EMPTY, E_TARGET_WRITE, E_TARGET_SPACE, E_SSH_…; the directory is then as it was.
   */
  publish?(): Promise<void>;
  close(): Promise<void>;
}

/** What decides whether a member may be written: its final path, and where a hard link leads. */
export interface Admission {
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'device';
  readonly path: BytePath;
  readonly linkPath: BytePath;
}

/** How a thread writes into a target: ports do not cross threads, so it gets the module's address and what its `openWriter` takes. */
export interface ThreadedTarget {
  /** Exports `openWriter: OpenWriter`. */
  readonly module: URL;
  /** A value that can be cloned. */
  readonly data: unknown;
  /**
   * Called on the thread that made the target, for each batch of members before any of it is written: makes the directories above them.
   * Throws E_FORMAT for an archive that would lead out of the target, E_TARGET_….
   */
  admit(members: readonly Admission[]): void;
}

export type OpenWriter = (data: unknown) => Promise<SegmentWriter>;

export interface SegmentWriter {
  /**
   * As FilesTarget.extract, for a segment that was checked to its end; `plaintext` may be overwritten once this resolves. What it throws is of
   * this segment or of an earlier one, and only after `finish` all of them are written. A segment that is E_FORMAT wrote nothing.
   */
  extractWhole(
    plaintext: Buffer,
    members: readonly WantedMember[] | null,
    admit: (members: readonly Admission[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  /** As FilesTarget.extract, for a segment whose stored bytes were checked, in chunks. */
  extract(
    plaintext: AsyncIterable<Uint8Array>,
    members: readonly WantedMember[] | null,
    admit: (members: readonly Admission[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Resolves when everything is written. Throws as `extract` does. */
  finish(signal: AbortSignal): Promise<void>;
  /** Whatever is under way ends; nothing is written any more afterwards. Never rejects. */
  close(): Promise<void>;
}

export interface LoadedTable {
  readonly table: string;
  readonly rows: number;
}

/** What a restore is of: an interrupted one is only gone on with by a restore of the same. */
export interface RestoreScope {
  readonly snapshot: string;
  /** Only these tables, with their keys and triggers; null: the whole database. */
  readonly tables: readonly string[] | null;
}

/** Of which tables an SQL segment's statements are run. Settings (`SET …`) always are. */
export interface TableChoice {
  /** Null: every table, and what belongs to none (sequences, views, routines, events, the database's charset). */
  readonly only: ReadonlySet<string> | null;
  readonly except: ReadonlySet<string>;
}

/**
 * Order of calls: prepare, markIncomplete, loadSql (pre), holdKeys; then, `connections` at a time, loadSql (data), loadRows and finishTables;
 * then addForeignKeys, loadSql (post), publish, markComplete.
 */
export interface DatabaseTarget {
  /** How many loads may run at once, at least 1. Further calls wait for their turn. */
  readonly connections: number;
  /**
   * Connects, checks version and emptiness. Throws E_DB_…, E_TARGET_NOT_EMPTY. Given a scope whose restore was interrupted here, it makes
   * ready to go on: returns the tables that are finished, with their rows; all else that the restore had made is gone.
   */
  prepare(scope?: RestoreScope): Promise<readonly LoadedTable[]>;
  /** Leaves a table in the empty database whose name says that what is beside it is not a whole shop; it keeps the list of finished tables. */
  markIncomplete(): Promise<void>;
  /** Takes it away again: everything was loaded and counted. */
  markComplete(): Promise<void>;
  /** Executes an SQL segment (phases pre, data, keys, post). The target splits statements itself. */
  loadSql(segment: IncomingSegment, signal: AbortSignal, choice?: TableChoice): Promise<void>;
  /**
   * Loads `.tsv` rows (of one segment, or of several one after the other with the sum of their rows) in one transaction, and proves
   * zero warnings, zero skipped, exact rows; throws E_LOAD_MISMATCH and keeps nothing of it.
   */
  loadRows(segment: IncomingSegment, load: LoadInstruction, signal: AbortSignal): Promise<LoadedTable>;
  /** Names of the tables that a segment of phase pre makes. Executes nothing, and needs no prepare. */
  listTables(segment: IncomingSegment): Promise<readonly string[]>;
  /** Reads a segment of phase keys and keeps its statements for finishTables and addForeignKeys. Returns the tables that have keys to build. */
  holdKeys(segment: IncomingSegment): Promise<readonly string[]>;
  /**
   * The rows of these tables are in: builds their keys, renews their statistics, counts their rows, and notes them as finished.
   * Throws E_LOAD_MISMATCH when a table does not have exactly its `rows`.
   */
  finishTables(tables: readonly LoadedTable[], signal: AbortSignal): Promise<void>;
  /** After every table was finished: foreign keys of the tables chosen. */
  addForeignKeys(signal: AbortSignal, choice?: TableChoice): Promise<void>;
  /**
   * Rows and keys are in and were counted, and every segment was handed over: what was loaded beside the old tables now takes their
   * place, and programs follow. When it throws, the old state is back. Nothing to do for a target that loads in place.
   */
  publish(): Promise<void>;
  /** Row counts of the tables named, from the server. */
  countRows(tables: readonly string[]): Promise<readonly LoadedTable[]>;
  close(): Promise<void>;
}

/** A database that is loaded beside the one it replaces, which stays beside after the swap until nobody wants it back. */
export interface HeldDatabase extends DatabaseTarget {
  /** The database that is loaded, on the same server. */
  readonly beside: string;
  /**
   * Before anything but its restore writes into these tables of the database beside: from then on they are no snapshot's, and whatever restore
   * finds them there loads them again. After `prepare`, before `publish`. Throws E_TARGET_WRITE, E_DB_….
   */
  willAlter(tables: readonly string[]): Promise<void>;
  /** Settles a swap that was cut off. `loading`: the old tables are where they were; `swapped`: the new ones are, and the old ones beside. */
  recover(): Promise<'nothing' | 'loading' | 'swapped'>;
  /** Puts the old tables and programs back after a swap; what replaced them is gone. False: they were never away, or are not beside any more. */
  undo(): Promise<boolean>;
  /** Drops what is beside: what was swapped out, or what was loaded and is not wanted any more. */
  clear(): Promise<void>;
  /** Whether a restore could be loaded beside and undone; what is made to find out is gone again. Throws E_DB_…, E_TARGET_NOT_EMPTY, E_BUSY. */
  probe(tables: readonly string[] | null): Promise<void>;
}

/** What a database holds; rows and bytes are the server's estimates. */
export interface DatabaseContents {
  readonly database: string;
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly bytes: number }[];
  readonly views: number;
  readonly routines: number;
  readonly triggers: number;
  readonly events: number;
}
