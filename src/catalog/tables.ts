// The catalog's tables as Kysely sees them. Instants are epoch milliseconds, sizes are bytes, booleans are 0 or 1, JSON is text.
import type { Generated } from 'kysely';

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

/** A run relies on this segment: prune leaves it alone. Removed with the run's end, or when the run is found dead. */
export interface PinsTable {
  segmentId: string;
  runId: string;
}

/**
 * Append-only. `bytes` is what came (+) or went (-). The level at an instant is the sum of all rows up to it.
 * put: a version appeared. part: parts of an unfinished upload appeared. complete: those parts became an object (negative,
 * together with its put). release: a deletion was confirmed. adjust: the store held something else than we thought.
 */
export interface LedgerTable {
  id: Generated<number>;
  at: number;
  vault: string;
  shop: string;
  key: string;
  versionId: string;
  event: 'put' | 'part' | 'complete' | 'release' | 'adjust';
  bytes: number;
  cause: string | null;
  /** Hex SHA-256 over the previous row's hash and this row: a chain. */
  hash: string;
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

export interface AuditTable {
  id: Generated<number>;
  at: number;
  who: string;
  what: string;
  shop: string | null;
  detail: string | null;
}

/** When a slot was due and whether it was taken: the daemon catches up from here. */
export interface SlotsTable {
  shop: string;
  job: string;
  /** Newest due instant whose work is done: what failed or was cut off is not written down, so the next start tries it again. */
  lastDueAt: number;
}

/** A tenant's life as it is now; what it was before stands in the audit. No row: active. */
export interface ShopStatesTable {
  shop: string;
  /** suspended: not backed up. closing: backed up until `endsAt`. erased: everything goes as its locks end. */
  state: 'active' | 'suspended' | 'closing' | 'erased';
  since: number;
  /** Of `closing` alone. */
  endsAt: number | null;
  who: string;
  reason: string | null;
}

/** A legal hold: what it names is kept and its locks are kept ahead until it is released. Rows are never deleted. */
export interface HoldsTable {
  id: string;
  shop: string;
  /** null: everything of the shop, what is still to come included. */
  snapshotId: string | null;
  reason: string;
  placedAt: number;
  placedBy: string;
  releasedAt: number | null;
  releasedBy: string | null;
  releaseReason: string | null;
}

/** What was promised or confirmed about the end of a shop's data. Rows are never deleted. */
export interface CertificatesTable {
  id: Generated<number>;
  shop: string;
  at: number;
  kind: 'closing' | 'erasure';
  /** 1: nothing of the shop is left anywhere. */
  final: number;
  /** Signed, as text: exactly what was signed. */
  document: string;
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

/** A checkpoint of the daemon's state that a vault holds; the newest row of a vault says what the next one goes on from. */
export interface CheckpointsTable {
  id: Generated<number>;
  vault: string;
  /** The instant that names the object. */
  at: number;
  objectId: number;
  /** Last row of the ledger in it, 0: none; and its hash. */
  ledgerRow: number;
  ledgerHash: string;
  /** JSON: for each table that only grows, how far it was told. */
  positions: string;
  /** Hash of the configuration and of what is public of the keys: another one is due when it changes. */
  setting: string;
}

/** A vault that did not get the last checkpoint that was to be written into it; gone when it gets one. Not in the checkpoint itself. */
export interface CheckpointFailuresTable {
  vault: string;
  at: number;
  code: string;
  message: string;
}

/**
 * Something in a vault that coffre cannot explain by what it did itself. Open while `goneAt` is null; a person may have acknowledged it.
 * Rows are never deleted.
 */
export interface IncidentsTable {
  id: string;
  vault: string;
  /** Shop name, or `_coffre`. */
  shop: string;
  kind: IncidentKind;
  /** Empty for what is about no single object. */
  key: string;
  versionId: string;
  sizeBytes: number;
  /** In words. */
  detail: string | null;
  firstSeenAt: number;
  lastSeenAt: number;
  /** When a look did not find it any more. */
  goneAt: number | null;
  acknowledgedAt: number | null;
  acknowledgedBy: string | null;
  reason: string | null;
}

export type IncidentKind =
  | 'foreign version'
  | 'foreign upload'
  /** A folder or object beside the shops: no shop of ours. */
  | 'foreign prefix'
  | 'delete marker'
  /** Not there, and coffre did not delete it. */
  | 'missing'
  /** There, and not what was written. */
  | 'altered'
  /** There again after its deletion had been confirmed. */
  | 'reappeared'
  /** Weaker, or shorter, than what was read back before. */
  | 'lock'
  /** The store holds another number of bytes than the ledger says. */
  | 'drift'
  /** Ours may have jumped ahead, and nobody there has one to compare with. */
  | 'clock';

/**
 * A token of the API. Rows are never deleted: the audit names them. Not in the checkpoint: a rebuilt machine would take a token again
 * that was revoked after it.
 */
export interface TokensTable {
  id: string;
  /** Unique among those in force. */
  name: string;
  /** Hex SHA-256 of the whole token. */
  hash: string;
  /** client: some shops. billing, monitor: what these read. */
  role: 'admin' | 'client' | 'billing' | 'monitor';
  /** JSON list of shop names, of `client` alone. */
  shops: string | null;
  createdAt: number;
  createdBy: string;
  expiresAt: number | null;
  /** Written at most once a minute. */
  lastUsedAt: number | null;
  /** Address of the caller then. */
  lastUsedFrom: string | null;
  revokedAt: number | null;
  revokedBy: string | null;
}

/** Something red that is told of, or waits to be: gone from here once its end was told. */
export interface AlarmsTable {
  /** Shop, kind, source and vault: the same thing is the same row. */
  id: string;
  /** `_coffre`: the daemon itself. */
  shop: string;
  kind: string;
  source: string | null;
  vault: string | null;
  code: string | null;
  since: number;
  /** When somebody was last told; null: not yet. */
  toldAt: number | null;
  /** Since when it is green again, and nobody was told so yet. */
  goneAt: number | null;
}

/** A message on its way to one channel. Sent ones are kept for some weeks. */
export interface MessagesTable {
  id: string;
  at: number;
  channel: 'mail' | 'webhook';
  /** JSON. */
  content: string;
  /** Tries that failed. */
  tries: number;
  nextAt: number;
  sentAt: number | null;
  /** It waited for so long that it tells nothing any more. */
  givenUpAt: number | null;
  /** Of the last try that failed. */
  code: string | null;
  error: string | null;
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

/** The ledger as it stood at the end of a day: never changed, and told in each checkpoint. Each hash follows from the one before it. */
export interface AnchorsTable {
  id: Generated<number>;
  /** Rows before this instant are in it, and no row is dated before it from then on. */
  until: number;
  /** Last row of the ledger in it, 0: none. */
  row: number;
  /** How many rows there were since the ledger began. */
  rows: number;
  /** Hash of that row: where the ledger's chain stood. */
  head: string;
  /** JSON: [vault, shop, bytes] of what is not 0, by vault, then shop. null: a checkpoint did not tell it. */
  levels: string | null;
  /** Hex SHA-256 of `levels`. */
  levelsHash: string;
  hash: string;
}

/** The ledger's rows between an anchor and the one before it, as numbers only: derived, to be read quickly. Not in the checkpoint. */
export interface LedgerMovesTable {
  anchorId: number;
  /** JSON: [vault, shop] of each pair that the moves number. */
  pairs: string;
  /** As src/billing/moves.ts packs them. */
  moves: Uint8Array;
}

/**
 * Where a ledger begins whose older rows are gone. In their place stand opening balances: rows of the ids up to `row`, one for each vault and
 * shop, whose hashes are not of the chain; the chain goes on behind `hash`.
 */
export interface LedgerStartsTable {
  id: Generated<number>;
  at: number;
  /** Id of the last row that is gone, and its hash. */
  row: number;
  hash: string;
  /** What happened before this instant is gone. */
  until: number;
  /** How many rows stand for it. */
  openings: number;
  /** purged: old enough. lost: with the machine, and no checkpoint told them. */
  cause: 'purged' | 'lost';
}

/** That the dead-man's ping does not get through; no row: the last one did, or none was sent. Of this machine alone: not in the checkpoint. */
export interface PingFailuresTable {
  /** Always 1: there is one ping. */
  id: number;
  since: number;
  code: string;
  error: string;
}

/** A restore that somebody asked for, as it stands; what it was before stands in requestEvents. Rows are never deleted. */
export interface RequestsTable {
  id: string;
  shop: string;
  state: 'requested' | 'approved' | 'held' | 'refused' | 'running' | 'verifying' | 'done' | 'failed' | 'cancelled';
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
  verb: 'request' | 'approve' | 'hold' | 'release' | 'refuse' | 'cancel' | 'retry' | 'start' | 'verify' | 'finish' | 'fail' | 'late';
  /** The state after it. */
  state: RequestsTable['state'];
  who: string;
  role: 'client' | 'operator' | 'daemon';
  reason: string | null;
  /** JSON. */
  detail: string | null;
}

/** What was issued, in the order of issue: a chain. Rows stay as they are for ever. */
export interface StatementsTable {
  id: Generated<number>;
  /** Contract, year of issue, place in that year. */
  number: string;
  contract: string;
  /** correction: nothing but corrections of others. */
  kind: 'period' | 'correction';
  /** First month (YYYY-MM) of the period; of a correction the one in which it was issued. */
  period: string;
  currency: string;
  /** Before tax, decimal text. */
  net: string;
  issuedAt: number;
  issuedBy: string;
  /** JSON list of the corrections (their `correction`) that it carries. */
  corrections: string;
  /** Canonical JSON of the document without its hash: exactly what was hashed. */
  document: string;
  /** Hex SHA-256 of it; it names the hash of the statement before. */
  hash: string;
}

/** A correction of an issued statement; the statement that carries it names it. Rows stay as they are for ever. */
export interface CorrectionsTable {
  id: Generated<number>;
  /** What it is called. */
  correction: string;
  contract: string;
  /** Number of the statement that it corrects. */
  statement: string;
  at: number;
  who: string;
  /** Whom it is billed to; null: divided as the statement was. */
  shop: string | null;
  /** Before tax, decimal text; negative: a credit. */
  amount: string;
  reason: string;
}

/** What somebody did to stored data, or what was lost: its clients have to be told by the deadline. Rows are never deleted. */
export interface BreachCasesTable {
  id: string;
  /** The incidents of one event are those of one vault. */
  vault: string;
  /** When the first of them was found: the time begins to run. */
  openedAt: number;
  deadline: number;
  lastIncidentAt: number;
  /** When somebody told the clients; null: nobody said so. */
  sentAt: number | null;
  sentBy: string | null;
  /** A false alarm, or over. */
  closedAt: number | null;
  closedBy: string | null;
  reason: string | null;
}

export interface BreachIncidentsTable {
  incidentId: string;
  caseId: string;
}

/** Append-only; a row where the value is another one than before. */
export interface ShopFactsTable {
  id: Generated<number>;
  shop: string;
  at: number;
  /** A program whose version it is, or a term of the plan as `plan.retention`. */
  name: string;
  value: string;
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

export interface Tables {
  openRestores: OpenRestoresTable;
  breachCases: BreachCasesTable;
  breachIncidents: BreachIncidentsTable;
  shopFacts: ShopFactsTable;
  statements: StatementsTable;
  corrections: CorrectionsTable;
  requests: RequestsTable;
  requestEvents: RequestEventsTable;
  runs: RunsTable;
  runSteps: RunStepsTable;
  pauses: PausesTable;
  segments: SegmentsTable;
  objects: ObjectsTable;
  snapshots: SnapshotsTable;
  snapshotVaults: SnapshotVaultsTable;
  snapshotSegments: SnapshotSegmentsTable;
  gaps: GapsTable;
  pins: PinsTable;
  ledger: LedgerTable;
  anchors: AnchorsTable;
  ledgerMoves: LedgerMovesTable;
  ledgerStarts: LedgerStartsTable;
  probes: ProbesTable;
  audit: AuditTable;
  slots: SlotsTable;
  shopStates: ShopStatesTable;
  holds: HoldsTable;
  certificates: CertificatesTable;
  drills: DrillsTable;
  checkpoints: CheckpointsTable;
  checkpointFailures: CheckpointFailuresTable;
  incidents: IncidentsTable;
  tokens: TokensTable;
  alarms: AlarmsTable;
  messages: MessagesTable;
  pingFailures: PingFailuresTable;
  restoreRates: RestoreRatesTable;
}
