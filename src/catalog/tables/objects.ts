// What lies in the vaults, and what a vault was found to do: rows as Kysely sees them (units: ../tables.ts).
import type { Generated } from 'kysely';

/** What was sealed, whatever the vault. A segment's row is written with its first intent. */
export interface SegmentsTable {
  id: string;
  shop: string;
  source: 'database' | 'files' | 'server';
  /** tar, sql or tsv. */
  kind: string;
  phase: string;
  name: string;
  key: string;
  plainBytes: number;
  plainSha256: string;
  storedBytes: number;
  storedSha256: string;
  /** Recipient that can open it, `none` when it is not encrypted; null: stored before this was written down. */
  sealedTo: string | null;
  /** LoadInstruction as JSON, for tsv segments. */
  load: string | null;
  /** Run that stored it. */
  runId: string;
  createdAt: number;
}

/**
 * Every version of every object that coffre caused to exist in a vault, and every attempt to make one.
 * intent: a PUT may have happened. stored: acknowledged or found. void: asked the store, nothing was there.
 * tombstone: chosen for deletion. released: deletion confirmed (an upload: aborted, or become an object).
 * Kinds beside what coffre means to keep: stray, a second version of ours on a key of ours (a PUT that was thought lost); foreign, a
 * version that coffre did not write: metered, reported, never deleted; upload, the parts of an unfinished upload (versionId
 * `upload:<id>`, sizeBytes the bytes metered so far).
 */
export interface ObjectsTable {
  id: Generated<number>;
  vault: string;
  /** Shop name, or `_coffre` for the daemon's own objects (probe, state). */
  shop: string;
  key: string;
  versionId: string | null;
  kind: 'segment' | 'index' | 'manifest' | 'key' | 'probe' | 'state' | 'stray' | 'upload' | 'foreign';
  /** Segment id or snapshot id or key id it belongs to; null for strays. */
  refId: string | null;
  runId: string | null;
  state: 'intent' | 'stored' | 'void' | 'tombstone' | 'released';
  expectedBytes: number;
  sizeBytes: number;
  sha256: string | null;
  /** As read back. */
  lockMode: string | null;
  retainUntil: number | null;
  lockReadAt: number | null;
  createdAt: number;
  resolvedAt: number | null;
  /** Error code of what a verification found wrong with its bytes; null: nothing known. Such a copy is no source for another vault. */
  damage: string | null;
  /** When its bytes were last read and were what was written; null: never since it was stored. */
  readAt: number | null;
}

/** A run relies on this segment: prune leaves it alone. Removed with the run's end, or when the run is found dead. */
export interface PinsTable {
  segmentId: string;
  runId: string;
}

export interface ProbesTable {
  id: Generated<number>;
  /** Its name at the time. */
  vault: string;
  /** Where it was (config/vault-place.ts): what the outcome is about. null: from before this was written down, proves nothing. */
  place: string | null;
  at: number;
  /** proven, unproven (a step is pending or the credential cannot tell), refused. */
  outcome: 'proven' | 'unproven' | 'refused';
  /** ProbeStep[] as JSON. */
  steps: string;
}
