// The ledger, and what is derived of it: rows as Kysely sees them (units: ../tables.ts).
import type { Generated } from 'kysely';

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
