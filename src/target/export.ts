// The port to an export: one plain archive of a shop that is written as a restore is, and readable without coffre.
import type { DatabaseTarget, FilesTarget } from './target.ts';

export interface ExportOptions {
  /** Absolute; nothing is there. `.zst` at its end: compressed. */
  readonly file: string;
  /** Seconds since 1970: time of the members that the export itself makes. */
  readonly madeAtS: number;
}

export interface ExportedArchive {
  readonly sizeBytes: number;
  /** Files and links. */
  readonly files: number;
  /** Of the database as text. */
  readonly sqlBytes: number;
}

/**
 * Order of calls: addText, then restores into `files` and `database` (both at once if wanted), then finish. Until then there is only a
 * file beside, under another name: whatever kills the process, `file` is whole or not there.
 */
export interface ExportTarget {
  /** The shop's tree, below `files/`. */
  readonly files: FilesTarget;
  /** The database, as statements in `database.sql`. */
  readonly database: DatabaseTarget;
  /** A text of its own, before everything else. Throws E_TARGET_SPACE, E_TARGET_WRITE. */
  addText(name: string, text: string): Promise<void>;
  /** Adds database and checksums and gives the archive its name. Throws E_TARGET_SPACE, E_TARGET_WRITE, E_TARGET_NOT_EMPTY when it is taken. */
  finish(parts: { readonly files: boolean; readonly database: boolean }): Promise<ExportedArchive>;
  /** Removes what is not finished. Idempotent, never throws. */
  close(): Promise<void>;
}
