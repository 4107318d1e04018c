// The port to what is read: a database or a file tree becomes a sequence of parts, each of which becomes one segment.
import type { Temporal } from 'temporal-polyfill';

export type SourceKind = 'database' | 'files' | 'server';

/** What is inside a segment, and so how it is restored by hand. */
export type SegmentKind = 'tar' | 'sql' | 'tsv';

/** Restore order: a database restores pre, data and rows, keys, post; a tree restores files, then tail (directories, last for their mtimes). */
export type Phase = 'pre' | 'data' | 'rows' | 'keys' | 'post' | 'files' | 'tail';

/**
 * A path as the file system has it: bytes, held in a JavaScript string with one character per byte (latin1).
 * `Buffer.from(path, 'latin1')` gives the bytes back. Relative to the source's root, no leading `./`, `.` for the root itself.
 */
export type BytePath = string;

/** One file, directory, link or special file, as one line of a file index. Times are nanoseconds since the epoch. */
export interface FileEntry {
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'device';
  readonly path: BytePath;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** With size, mtime and inode: how an unchanged file is known. */
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  /** Symlink: its text. Hard link: the path of the entry that carries the content, in the same segment. */
  readonly target?: BytePath;
  /** Hex SHA-256 of a regular file's content as it was stored. */
  readonly sha256?: string;
  /**
   * The path under which its segment holds it: there when path or mtime have changed since it was stored there, its content not.
   * Whoever restores it takes path and mtime from here.
   */
  readonly member?: BytePath;
  /** Stored by GNU tar, perhaps with extended attributes or an ACL: equal content does not make such a file the same. */
  readonly extended?: true;
  /** Id of the segment that holds it. Set by the backup run for new parts, kept for carried ones. */
  readonly segment?: string;
  /** The content changed while it was read, twice: stored as read. */
  readonly unstable?: true;
}

/** One table's rows, or one key range of them, or one SQL file: one line of a database index. */
export interface ChunkEntry {
  readonly type: 'sql' | 'rows';
  /** The part's name, stable from run to run. */
  readonly name: string;
  readonly table?: string;
  /** Tables whose rows this chunk holds, with their counts (small tables together). */
  readonly rows: Readonly<Record<string, number>>;
  readonly segment?: string;
}

export type IndexEntry = FileEntry | ChunkEntry;

export function isFileEntry(entry: IndexEntry): entry is FileEntry {
  return entry.type !== 'sql' && entry.type !== 'rows';
}

/** How a `.tsv` segment is loaded: kept in the manifest, executed by the restorer and by hand. */
export interface LoadInstruction {
  readonly table: string;
  /** A complete LOAD DATA LOCAL INFILE '/dev/stdin' … statement, without a trailing semicolon. */
  readonly statement: string;
  /** Must hold exactly, with zero warnings and zero skipped rows. */
  readonly rows: number;
}

export interface Warning {
  /** `unreadable` makes the snapshot incomplete; the others do not. */
  readonly kind: 'unreadable' | 'changed' | 'vanished' | 'skipped' | 'other';
  /** Path or table, printable. */
  readonly where: string;
  readonly message: string;
}

/** What a part turned out to be, known once it was read to its end. */
export interface PartOutcome {
  readonly entries: readonly IndexEntry[];
  readonly load?: LoadInstruction;
  readonly warnings: readonly Warning[];
}

/** What becomes one segment. */
/** What a thread can do of a part's reading. */
export interface ThreadWork {
  /** Of a module that exports `pack(input, buffer)`: a generator of plaintext (`buffer`: 2 MiB to work in), whose chunks are valid until the next one, that returns a result. */
  readonly module: string;
  /** Crosses by structured clone. */
  readonly input: unknown;
  /** Takes what `pack` returned, before `read` of the same part ends. */
  done(result: unknown): void;
}

export interface Part {
  readonly type: 'part';
  readonly kind: SegmentKind;
  readonly phase: Phase;
  /** Stable from run to run; same name and same plaintext hash as an older segment means the older one may serve. */
  readonly name: string;
  /** Estimate of the plaintext. Above `LARGE_PART_BYTES` the part is streamed to the vaults, else it is held in memory. */
  readonly estimatedBytes: number;
  /**
   * The plaintext (tar, SQL or TSV), once, in chunks of any size; a chunk is only valid until the next one is asked for.
   * Throws CoffreError. Stops early when `signal` aborts.
   */
  read(signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Called before `read`, or not at all: what a thread may read instead. Its plaintext comes first, and `read` then leaves it out. Null:
   * nothing. Throws CoffreError.
   */
  threadWork?(signal: AbortSignal): Promise<ThreadWork | null>;
  /**
   * Only after `read` ended. Entries that name a segment already were found stored there, and nothing was packed for them.
   */
  outcome(): PartOutcome;
}

/** Entries that keep their place in an older segment: nothing is read or stored for them. */
export interface Carry {
  readonly type: 'carry';
  readonly entries: readonly FileEntry[];
}

/** Plaintext above which a part is never held in memory as a whole. */
export const LARGE_PART_BYTES = 48 * 1024 * 1024;
/** Plaintext that a source aims at for one segment. */
export const SEGMENT_TARGET_BYTES = 32 * 1024 * 1024;

/** How the database snapshot was made consistent (facts: the ladder), for the manifest and the auditor. */
export interface Consistency {
  readonly method: 'backup-stage' | 'read-lock' | 'lock-tables' | 'single-transaction' | 'none';
  readonly acrossTables: boolean;
  /** Tables that the method does not cover, by name. */
  readonly notCovered: readonly string[];
  /** How long commits were blocked. */
  readonly blockedMs: number;
  readonly binlog?: { readonly file: string; readonly position: number; readonly gtid?: string };
}

export interface SourceSummary {
  /** false: something could not be read; such a snapshot is kept and shown, and is never good. */
  readonly complete: boolean;
  /** All of them, parts' included. */
  readonly warnings: readonly Warning[];
  readonly counts: { readonly files?: number; readonly directories?: number; readonly tables?: number; readonly rows?: number };
  readonly server?: Readonly<Record<string, string>>;
  readonly consistency?: Consistency;
}

/** One reading of a source, at one instant where the source can promise that. */
export interface Reading {
  /** When what is read was so: start of the database snapshot, start of the scan. */
  readonly asOf: Temporal.Instant;
  /** Bytes expected in all, for progress; null when unknown. */
  readonly expectedBytes: number | null;
  /** How many parts may be read at the same time, at least 1. */
  readonly parallel: number;
  /**
   * Parts and carries in index order. The next one is sometimes only known, or only safe to read, when all before it were
   * read: asking for it then waits for them, so whoever asks must be reading what it was given meanwhile.
   */
  items(): AsyncIterable<Part | Carry>;
  /** After the last item was read. */
  summary(): SourceSummary;
  close(): Promise<void>;
}

/** What is looked at to know an unchanged file. */
export type FileStat = Pick<FileEntry, 'type' | 'sizeBytes' | 'mode' | 'uid' | 'gid' | 'mtimeNs' | 'ctimeNs' | 'inode'>;

/** An entry of an older index. */
export interface OlderEntry extends FileEntry {
  /** Whether its text says exactly this, which is found out without reading it; false: its fields tell. */
  saysOf?(found: FileStat): boolean;
}

/** Entries of an older index, many at a time. */
export type PreviousIndex = AsyncIterable<readonly OlderEntry[]>;

export interface OpenOptions {
  readonly signal: AbortSignal;
  /**
   * Indexes of older readings, each in the order in which it was written, reduced to entries whose segment may be reused,
   * preferred one first. A files source carries every file that did not change; empty for a fresh full. While they are awaited the
   * vaults are still being asked, and may all refuse: a source may begin to look, but must not lock or hold anything of the shop.
   */
  readonly previous: readonly PreviousIndex[] | Promise<readonly PreviousIndex[]>;
  /** Every content is read, also where size and times say that nothing changed; what is stored already is found by its hash alone. Default: false. */
  readonly reread?: boolean;
  /** A scratch directory that the caller removes afterwards. */
  readonly scratchDir: string;
}

/** One finding of doctor. */
export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly hint?: string;
}

export interface Source {
  readonly kind: SourceKind;
  /** Throws CoffreError (E_DB_…, E_FILES_ROOT, E_TOOL_MISSING). */
  open(options: OpenOptions): Promise<Reading>;
  /** What doctor checks: reachability, privileges, tools. Never throws. */
  check(): Promise<readonly Finding[]>;
}
