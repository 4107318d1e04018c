// The ledger's hash chain: each row carries the hash of everything before it, so a changed or missing row shows.
import { createHash } from 'node:crypto';
import { type Kysely, type Selectable, sql } from 'kysely';
import type { Catalog } from '../catalog/open.ts';
import type { LedgerStartsTable, LedgerTable } from '../catalog/tables/ledger.ts';
import type { Tables } from '../catalog/tables.ts';

export type LedgerRow = Selectable<LedgerTable>;

/** What the first row follows. */
export const CHAIN_START = '0'.repeat(64);

/** The row as it is hashed: a JSON array in this order, without spaces. `jq -cj '[.at,.vault,…]'` gives the same text. */
export function canonicalText(row: Omit<LedgerRow, 'id' | 'hash'>): string {
  return JSON.stringify([row.at, row.vault, row.shop, row.key, row.versionId, row.event, row.bytes, row.cause]);
}

/** Hex SHA-256 over the previous row's hash (as hex text) and the row's canonical text. */
export function chainHash(previous: string, row: Omit<LedgerRow, 'id' | 'hash'>): string {
  return createHash('sha256').update(previous).update(canonicalText(row)).digest('hex');
}

export type LedgerStart = Selectable<LedgerStartsTable>;

/** null: every row since the first is there. */
export async function ledgerStart(db: Kysely<Tables>): Promise<LedgerStart | null> {
  return (await db.selectFrom('ledgerStarts').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst()) ?? null;
}

export interface ChainCheck {
  readonly rows: number;
  /** Hash of the last row: what a checkpoint keeps. */
  readonly head: string;
  /** Id of the first row that does not follow from the rows before it, or is not there; null when all are as they were. */
  readonly brokenAt: number | null;
}

const ROWS_AT_ONCE = 5_000;

/** Number of the newest row that the ledger ever had: a removed one's is not given again. It lies in the same file, for whoever alters that. */
export async function lastNumber(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ seq: number }>`select "seq" from "sqlite_sequence" where "name" = 'ledger'`.execute(db);
  return rows[0]?.seq ?? 0;
}

/**
 * Recomputes the chain from its start, behind opening balances where older rows are gone. Rows cut off at the end show by their numbers
 * alone, or against a head that was kept elsewhere.
 */
export async function checkChain(catalog: Catalog): Promise<ChainCheck> {
  const start = await ledgerStart(catalog.db);
  let head = start?.hash ?? CHAIN_START;
  let rows = 0;
  for (let after = start?.row ?? 0; ; ) {
    const page = await catalog.db.selectFrom('ledger').selectAll().where('id', '>', after).orderBy('id').limit(ROWS_AT_ONCE).execute();
    for (const row of page) {
      // the number is not hashed: where rows went, and others came behind, it alone tells
      if (row.id !== after + 1) return { rows, head, brokenAt: after + 1 };
      if (chainHash(head, row) !== row.hash) return { rows, head, brokenAt: row.id };
      head = row.hash;
      rows++;
      after = row.id;
    }
    if (page.length < ROWS_AT_ONCE) return { rows, head, brokenAt: (await lastNumber(catalog.db)) > after ? after + 1 : null };
  }
}
