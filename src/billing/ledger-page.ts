// A piece of the ledger with its place in the chain and the levels at its end: what a checkpoint keeps of it.
import type { Kysely } from 'kysely';
import type { Tables } from '../catalog/tables.ts';
import { type AnchorLevel, levelsOf } from './anchors.ts';
import { CHAIN_START, type LedgerRow, ledgerStart } from './chain.ts';

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

/** At most `limit` rows after `since`, or after those that are gone. */
export async function ledgerPage(tx: Kysely<Tables>, since: ChainPlace, limit: number): Promise<LedgerPage> {
  const start = await ledgerStart(tx);
  const after = start !== null && since.row < start.row ? { row: start.row, hash: start.hash } : since;
  const rows = await tx.selectFrom('ledger').selectAll().where('id', '>', after.row).orderBy('id').limit(limit).execute();
  const last = rows.at(-1);
  const until = last === undefined ? after : { row: last.id, hash: last.hash };
  const levels = (await levelsAtRow(tx, until.row)).map(([vault, shop, bytes]) => ({ vault, shop, bytes }));
  return { after, until, levels, rows };
}

/** By vault, then shop: from the newest anchor before the row, and what came since. */
async function levelsAtRow(tx: Kysely<Tables>, row: number): Promise<AnchorLevel[]> {
  const start = await ledgerStart(tx);
  const anchor = await tx
    .selectFrom('anchors')
    .select(['row', 'levels'])
    .where('row', '<=', row)
    // behind one before the start would come opening balances, which stand for it too
    .where('row', '>=', start?.row ?? 0)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  const since = await tx
    .selectFrom('ledger')
    .select(['vault', 'shop', (eb) => eb.fn.sum<number>('bytes').as('bytes')])
    .where('id', '>', anchor?.row ?? 0)
    .where('id', '<=', row)
    .groupBy(['vault', 'shop'])
    .execute();
  const levels = new Map<string, AnchorLevel>();
  const add = (vault: string, shop: string, bytes: number): void => {
    const name = `${vault}\0${shop}`;
    levels.set(name, [vault, shop, (levels.get(name)?.[2] ?? 0) + bytes]);
  };
  for (const one of anchor === undefined ? [] : await levelsOf(tx, anchor)) add(...one);
  for (const { bytes, shop, vault } of since) add(vault, shop, bytes);
  return [...levels].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, level]) => level);
}
