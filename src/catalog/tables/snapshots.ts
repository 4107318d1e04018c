// Snapshots, and where they are complete: rows as Kysely sees them (units: ../tables.ts).
import type { Generated } from 'kysely';

export interface SnapshotsTable {
  id: string;
  shop: string;
  source: 'database' | 'files' | 'server';
  runId: string;
  startedAt: number;
  asOf: number;
  completedAt: number;
  full: number;
  complete: number;
  /** committed: usable. tombstone: being removed. removed: gone everywhere. */
  state: 'committed' | 'tombstone' | 'removed';
  /** End of its window as promised when it was taken: completedAt + the plan's retention. */
  keepUntil: number;
  plainBytes: number;
  storedBytes: number;
  /** Bytes and number of segments stored by this run itself. */
  freshBytes: number;
  segments: number;
  reusedSegments: number;
  counts: string;
  warnings: string;
  consistency: string | null;
  /** JSON list of vault names that the plan required. */
  requiredVaults: string;
  durationMs: number;
  /** `safety`: the state that a restore in place was about to replace, damaged perhaps; null: a backup. */
  purpose: Generated<'safety' | null>;
}

/** A snapshot's copy in one vault; its row is the last thing written for that vault. */
export interface SnapshotVaultsTable {
  snapshotId: string;
  vault: string;
  committedAt: number;
  /** Rows of objects. */
  manifestObject: number;
  indexObject: number;
  /** When verify last found everything of it right; null never. */
  verifiedAt: number | null;
  /** Error code of the last verification that failed; null when the last one passed. */
  verifyError: string | null;
}

export interface SnapshotSegmentsTable {
  snapshotId: string;
  seq: number;
  segmentId: string;
  partial: number;
  /** Plaintext of it that the snapshot uses, headers of members included; null: not counted. */
  liveBytes: number | null;
}

/** Why a vault of the shop lacks a committed snapshot, as whoever last tried to store it there found; the row goes with the copy's coming. */
export interface GapsTable {
  snapshotId: string;
  vault: string;
  /** ErrorCode. */
  code: string;
  message: string;
  at: number;
  /** Tries in a row that failed, the run's own included. */
  failures: number;
}
