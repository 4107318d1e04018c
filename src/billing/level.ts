// The level: how many bytes a vault holds for us at an instant, by the ledger.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { readLevels } from './anchors.ts';
import { ledgerStart } from './chain.ts';
import { beforeLedger, detailGone, ledgerSince } from './ledger-start.ts';

export interface LevelFilter {
  readonly vault?: string | undefined;
  readonly shop?: string | undefined;
  /** Rows up to and including this instant; all when left out. */
  readonly at?: Temporal.Instant | undefined;
}

/** Bytes. */
export async function level(catalog: Catalog, filter: LevelFilter = {}): Promise<number> {
  let sum = 0;
  for (const row of await levels(catalog, filter)) sum += row.levelBytes;
  return sum;
}

/** What is to come nobody measured, nor what was before the ledger began. Throws E_USAGE. */
export async function requireKnown(db: Kysely<Tables>, at: Temporal.Instant, now: Temporal.Instant): Promise<void> {
  // a clock beside ours may be ahead
  if (at.epochMilliseconds > now.epochMilliseconds + AHEAD_MS) {
    throw new CoffreError('E_USAGE', `${at} is still to come`, { hint: 'coffre billing forecast tells where the level is going' });
  }
  const why = beforeLedger(await ledgerSince(db), { end: at.add({ milliseconds: 1 }) });
  if (why !== null) throw new CoffreError('E_USAGE', `${at}: ${why}`, { hint: 'what was held before that is not known' });
}

const AHEAD_MS = 60_000;

/** Whose name it is: a declared shop's, the daemon's own, or one that has rows, whatever became of it. */
export async function isKnownShop(db: Kysely<Tables>, { shops }: Pick<Config, 'shops'>, name: string): Promise<boolean> {
  if (shops.has(name) || name === DAEMON_SHOP) return true;
  // vault by vault, since the index begins with it
  const { rows } = await sql`
    with recursive "known" ("vault") as (
      select min("vault") from "ledger"
      union all
      select (select min("ledger"."vault") from "ledger" where "ledger"."vault" > "known"."vault") from "known" where "known"."vault" is not null
    )
    select 1 from "known" where exists (select 1 from "ledger" where "ledger"."vault" = "known"."vault" and "ledger"."shop" = ${name})
      limit 1`.execute(db);
  return rows.length > 0;
}

/** Throws E_USAGE where an end does not lie behind its beginning: nothing is between them, which would look like an answer. */
export function requireOrder(from: Temporal.Instant | undefined, to: Temporal.Instant | undefined): void {
  if (from === undefined || to === undefined || from.epochMilliseconds < to.epochMilliseconds) return;
  throw new CoffreError('E_USAGE', `it would end at ${to}, and begin at ${from}`, { hint: 'the end has to be later than the beginning' });
}

export interface ShopLevel {
  readonly vault: string;
  readonly shop: string;
  readonly levelBytes: number;
}

/**
 * One row for each vault and shop that holds anything or moved since the newest anchor, by vault, then shop. From that anchor, and the rows
 * since: a ledger of millions is asked for each shop, again and again. Throws E_LEDGER_PURGED for an instant whose rows are gone, unless an
 * anchor stands right behind it.
 */
export async function levels({ db }: Catalog, { at, shop, vault }: LevelFilter = {}): Promise<ShopLevel[]> {
  const start = await ledgerStart(db);
  const isGone = start !== null && at !== undefined && at.epochMilliseconds + 1 < start.until;
  let anchors = db.selectFrom('anchors').select(['row', 'levels']).where('levels', 'is not', null);
  // an anchor has the rows before its end, a level those up to its instant
  if (at !== undefined) anchors = anchors.where('until', isGone ? '=' : '<=', at.epochMilliseconds + 1);
  // behind one before the start would come opening balances, which stand for it too
  if (start !== null && !isGone) anchors = anchors.where('row', '>=', start.row);
  const anchor = await anchors.orderBy('id', 'desc').limit(1).executeTakeFirst();
  if (isGone && anchor === undefined) throw detailGone(start);
  let query = db
    .selectFrom('ledger')
    .select(['vault', 'shop', (eb) => eb.fn.sum<number>('bytes').as('levelBytes')])
    .groupBy(anchor === undefined ? ['vault', 'shop'] : [sql`+"vault"`, sql`+"shop"`]);
  // the plus keeps SQLite from an index by vault and shop, through which it would read all of a shop's past
  const isPlain = anchor === undefined;
  if (!isPlain) query = query.where('id', '>', anchor.row);
  if (vault !== undefined) query = query.where(isPlain ? sql<SqlBool>`"vault" = ${vault}` : sql<SqlBool>`+"vault" = ${vault}`);
  if (shop !== undefined) query = query.where(isPlain ? sql<SqlBool>`"shop" = ${shop}` : sql<SqlBool>`+"shop" = ${shop}`);
  if (at !== undefined)
    query = query.where(isPlain ? sql<SqlBool>`"at" <= ${at.epochMilliseconds}` : sql<SqlBool>`+"at" <= ${at.epochMilliseconds}`);
  const found = new Map<string, ShopLevel>();
  const add = (row: ShopLevel): void => {
    const name = `${row.vault}\0${row.shop}`;
    found.set(name, { ...row, levelBytes: (found.get(name)?.levelBytes ?? 0) + row.levelBytes });
  };
  for (const [ofVault, ofShop, levelBytes] of readLevels(anchor?.levels ?? '[]')) {
    if ((vault ?? ofVault) === ofVault && (shop ?? ofShop) === ofShop) add({ vault: ofVault, shop: ofShop, levelBytes });
  }
  for (const row of isGone ? [] : await query.execute()) add(row);
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}
