// What vaults hold now, found through the index that knows only of that.
import { type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely';
import type { Config } from '../config/config.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import type { Catalog } from './open.ts';
import type { Tables } from './tables.ts';

/**
 * Rows of `objects` that stand for something in a vault. Written out, because SQLite uses a partial index only where the query shows its
 * condition word for word: with bound values it would read the whole table.
 */
export const IS_LIVE: RawBuilder<SqlBool> = sql<SqlBool>`"objects"."state" in ('stored', 'tombstone')`;

/** From each vault to the next, since the index begins with it, instead of through all rows. */
const VAULTS_IN_USE = sql`
  with recursive "known" ("vault") as (
    select min("vault") from "objects" where ${IS_LIVE}
    union all
    select (select min("objects"."vault") from "objects" where "objects"."vault" > "known"."vault" and ${IS_LIVE})
      from "known" where "known"."vault" is not null
  )`;

/** Vaults that hold something of this shop, by name. */
export async function vaultsHolding(db: Kysely<Tables>, shop: string): Promise<string[]> {
  const { rows } = await sql<{ vault: string }>`${VAULTS_IN_USE}
    select "vault" from "known" where exists (
      select 1 from "objects" where "objects"."vault" = "known"."vault" and "objects"."shop" = ${shop} and ${IS_LIVE}
    )`.execute(db);
  return rows.map((row) => row.vault);
}

/** Every name under which anything is held: shops that are declared no more and the daemon's own included. */
export async function shopsHeld(db: Kysely<Tables>): Promise<string[]> {
  const shops = new Set<string>();
  const vaults = await sql<{ vault: string }>`${VAULTS_IN_USE} select "vault" from "known" where "vault" is not null`.execute(db);
  for (const { vault } of vaults.rows) {
    const { rows } = await sql<{ shop: string }>`
      with recursive "known" ("shop") as (
        select min("shop") from "objects" where "vault" = ${vault} and ${IS_LIVE}
        union all
        select (select min("objects"."shop") from "objects" where "vault" = ${vault} and "objects"."shop" > "known"."shop" and ${IS_LIVE})
          from "known" where "known"."shop" is not null
      )
      select "shop" from "known" where "shop" is not null`.execute(db);
    for (const { shop } of rows) shops.add(shop);
  }
  return [...shops].sort();
}

/** Shops that are in the configuration no more, and of which a vault still holds something. */
export async function undeclaredShops(config: Config, catalog: Catalog): Promise<string[]> {
  const held = await shopsHeld(catalog.db);
  return held.filter((name) => !config.shops.has(name) && name !== DAEMON_SHOP);
}
