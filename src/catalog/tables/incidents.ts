// What was done to stored data by others, and whom that concerns: rows as Kysely sees them (units: ../tables.ts).

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
