// Restores that were asked for, and what restores and drills showed: rows as Kysely sees them (units: ../tables.ts).
import type { Generated } from 'kysely';

/** A restore that somebody asked for, as it stands; what it was before stands in requestEvents. Rows are never deleted. */
export interface RequestsTable {
  id: string;
  shop: string;
  state: 'requested' | 'approved' | 'held' | 'refused' | 'running' | 'verifying' | 'done' | 'failed' | 'cancelled' | 'rolled-back';
  /** JSON: what was asked for, in the words of whoever asked. */
  wanted: string;
  /** JSON: what that is, as it was shown: snapshots, what is lost, how long it takes. What is approved is this, whatever comes later. */
  preview: string;
  createdAt: number;
  createdBy: string;
  createdRole: 'client' | 'operator';
  /** The clock runs since. */
  approvedAt: number | null;
  approvedBy: string | null;
  approvedRole: 'client' | 'operator' | null;
  /** JSON: the plan's promise when it was approved. */
  promise: string | null;
  deadline: number | null;
  startedAt: number | null;
  verifyingAt: number | null;
  endedAt: number | null;
  /** The last run that worked on it. */
  runId: string | null;
  errorCode: string | null;
  errorMessage: string | null;
  /** Whether the promise was kept, once it is over; null: not over, or nobody ever approved it. */
  outcome: 'kept' | 'broken' | null;
  /** Counted milliseconds from the approval to the end. */
  countedMs: number | null;
  /** What was left of the target then; negative: by how much it was exceeded. */
  leftMs: number | null;
  /** The highest row of requestEvents that people were told of; 0: none. */
  toldEvent: number;
}

/** What was done to a request. Append-only. */
export interface RequestEventsTable {
  id: Generated<number>;
  requestId: string;
  shop: string;
  at: number;
  verb:
    | 'request'
    | 'approve'
    | 'hold'
    | 'release'
    | 'refuse'
    | 'cancel'
    | 'retry'
    | 'start'
    | 'verify'
    | 'finish'
    | 'fail'
    | 'rollback'
    | 'late';
  /** The state after it. */
  state: RequestsTable['state'];
  who: string;
  role: 'client' | 'operator' | 'daemon';
  reason: string | null;
  /** JSON. */
  detail: string | null;
}

/** A restore in place that may have closed the shop, and that nobody has seen the end of. */
export interface OpenRestoresTable {
  shop: string;
  /** Epoch milliseconds. */
  since: number;
  /** The last run that worked on it. */
  runId: string;
  who: string;
}

/** A drill that came to an end, whatever it found. Rows are never deleted: they are the evidence. */
export interface DrillsTable {
  id: Generated<number>;
  /** The run's id. */
  drill: string;
  shop: string;
  /** What was read, and nothing else. */
  vault: string;
  startedAt: number;
  endedAt: number;
  outcome: 'passed' | 'failed';
  /** Of the first check that was not passed, and what it said. */
  code: string | null;
  said: string | null;
  /** How long the restore itself took, and how long it may. */
  restoreMs: number;
  targetMs: number;
  /** JSON list of ids. */
  snapshots: string;
  /** The signed evidence: JSON, compressed (zstd), in base64. */
  document: string;
}

/** What one phase of one restore or drill took (rates.ts). In the checkpoint: a machine made anew still knows how fast it was. */
export interface RestoreRatesTable {
  id: Generated<number>;
  at: number;
  host: string;
  shop: string;
  source: 'database' | 'files' | 'server';
  kind: 'restore' | 'drill';
  runId: string | null;
  beside: number;
  /** RatePhase of rates.ts. */
  phase: string;
  /** Of download. */
  vault: string | null;
  bytes: number;
  files: number;
  rows: number;
  ms: number;
}
