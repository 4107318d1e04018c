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

export interface FilesTarget {
  /** Makes or checks the directory. Throws E_TARGET_NOT_EMPTY, E_TARGET_WRITE, E_TARGET_SPACE. */
  prepare(): Promise<void>;
  /**
   * Extracts a tar segment. `members` null means all of it, else exactly these paths. Several may run at once;
   * the `tail` segment must come last and alone.
   */
  extract(segment: IncomingSegment, members: readonly BytePath[] | null, signal: AbortSignal): Promise<void>;
  /** Compares type, size, mode, mtime, link target of each entry with what is on disk; returns what differs, printable. */
  compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface LoadedTable {
  readonly table: string;
  readonly rows: number;
}

export interface DatabaseTarget {
  /** Connects, checks version and emptiness. Throws E_DB_…, E_TARGET_NOT_EMPTY. */
  prepare(): Promise<void>;
  /** Leaves a table in the empty database whose name says that what is beside it is not a whole shop. */
  markIncomplete(): Promise<void>;
  /** Takes it away again: everything was loaded and counted. */
  markComplete(): Promise<void>;
  /** Executes an SQL segment (phases pre, data, keys, post). The target splits statements itself. */
  loadSql(segment: IncomingSegment, signal: AbortSignal): Promise<void>;
  /** Loads one `.tsv` segment and proves zero warnings, zero skipped, exact rows; throws E_LOAD_MISMATCH and keeps nothing of it. */
  loadRows(segment: IncomingSegment, load: LoadInstruction, signal: AbortSignal): Promise<LoadedTable>;
  /**
   * Rows and keys are in and were counted: what was loaded beside the old tables now takes their place. Programs (phase post)
   * come after this. Nothing to do for a target that loads in place.
   */
  publish(): Promise<void>;
  /** Row counts of the tables named, from the server. */
  countRows(tables: readonly string[]): Promise<readonly LoadedTable[]>;
  close(): Promise<void>;
}
