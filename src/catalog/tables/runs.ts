// What the daemon does for its shops, and when it was due: rows as Kysely sees them (units: ../tables.ts).

/**
 * One attempt to do something for a shop. `queued`: somebody asked for it, and the daemon has not begun. `interrupted` is set by whoever
 * finds it without its process.
 */
export interface RunsTable {
  id: string;
  kind: 'backup' | 'restore' | 'prune' | 'verify' | 'catch-up' | 'reconcile' | 'probe' | 'checkpoint' | 'drill' | 'export';
  shop: string;
  source: 'database' | 'files' | 'server' | null;
  state: 'queued' | 'running' | 'done' | 'failed' | 'interrupted' | 'cancelled';
  /** While it is queued: since when. */
  startedAt: number;
  endedAt: number | null;
  errorCode: string | null;
  errorMessage: string | null;
  /** What could be done about it; null of runs from before this was written down. */
  errorHint: string | null;
  /** JSON, for status and the auditor. */
  detail: string | null;
  /** Who asked for it: a user, a token, `schedule`; null: not written down. */
  who: string | null;
  /** JSON: what was asked for, of a run that was submitted to the daemon; null: nobody submitted it. */
  task: string | null;
  /** The interrupted run of the same task that this one goes on with. */
  takesUp: string | null;
  /** JSON: the slot that it is for, until that slot's own row says what came of it; null: none, or said. */
  slot: string | null;
}

/** A step that a run began; it lasted until the next one, or the run's end. */
export interface RunStepsTable {
  runId: string;
  /** From 1. */
  seq: number;
  step: string;
  at: number;
}

/** A shop whose scheduled backups wait until somebody resumes it, or until the instant is there. */
export interface PausesTable {
  shop: string;
  since: number;
  /** null: until somebody resumes it. */
  until: number | null;
  who: string;
  reason: string | null;
}

/** When a slot was due and whether it was taken: the daemon catches up from here. */
export interface SlotsTable {
  shop: string;
  job: string;
  /** Newest due instant whose work is done: what failed or was cut off is not written down, so the next start tries it again. */
  lastDueAt: number;
}
