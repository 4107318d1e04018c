// Who may ask the daemon, what was done, and the copies of its own state: rows as Kysely sees them (units: ../tables.ts).
import type { Generated } from 'kysely';

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

export interface AuditTable {
  id: Generated<number>;
  at: number;
  who: string;
  what: string;
  shop: string | null;
  detail: string | null;
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
