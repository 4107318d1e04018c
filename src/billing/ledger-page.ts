// A piece of the ledger with its place in the chain and the levels at its end: what a checkpoint keeps of it.
import type { Kysely } from 'kysely';
import type { Tables } from '../catalog/tables.ts';
import { CHAIN_START, type LedgerRow } from './chain.ts';

export interface ChainPlace {
  /** Id of a row; 0: before the first. */
  readonly row: number;
  readonly hash: string;
}

export interface LedgerPage {
  readonly after: ChainPlace;
  readonly until: ChainPlace;
  readonly levels: readonly { readonly vault: string; readonly shop: string; readonly bytes: number }[];
  readonly rows: readonly LedgerRow[];
}

export const BEFORE_FIRST: ChainPlace = { row: 0, hash: CHAIN_START };

/** At most `limit` rows after `after`. */
export async function ledgerPage(tx: Kysely<Tables>, after: ChainPlace, limit: number): Promise<LedgerPage> {
  const rows = await tx.selectFrom('ledger').selectAll().where('id', '>', after.row).orderBy('id').limit(limit).execute();
  const last = rows.at(-1);
  const until = last === undefined ? after : { row: last.id, hash: last.hash };
  const levels = await tx
    .selectFrom('ledger')
    .select(['vault', 'shop', (eb) => eb.fn.sum<number>('bytes').as('bytes')])
    .where('id', '<=', until.row)
    .groupBy(['vault', 'shop'])
    .orderBy('vault')
    .orderBy('shop')
    .execute();
  return { after, until, levels, rows };
}
