// What is red and who was told: rows as Kysely sees them (units: ../tables.ts).

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

/** That the dead-man's ping does not get through; no row: the last one did, or none was sent. Of this machine alone: not in the checkpoint. */
export interface PingFailuresTable {
  /** Always 1: there is one ping. */
  id: number;
  since: number;
  code: string;
  error: string;
}
