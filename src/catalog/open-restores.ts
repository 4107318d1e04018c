// Shops in which a restore in place has begun and not ended: closed perhaps, half restored perhaps, and nothing to be backed up.
import type { Kysely, Selectable } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Catalog } from './open.ts';
import type { OpenRestoresTable } from './tables/restores.ts';
import type { Tables } from './tables.ts';

export type OpenRestoreRow = Selectable<OpenRestoresTable>;

/** Before the shop is touched: SIGKILL of everything leaves the row, and with it what nobody knows. Begun again, it is open since it first was. */
export async function markOpenRestore(
  catalog: Catalog,
  clock: Clock,
  shop: string,
  { runId, who }: { readonly runId: string; readonly who: string },
): Promise<void> {
  await catalog.db
    .insertInto('openRestores')
    .values({ shop, since: clock.nowMs(), runId, who })
    .onConflict((conflict) => conflict.column('shop').doUpdateSet({ runId, who }))
    .execute();
}

/** Once the shop is known to be open and whole. */
export async function clearOpenRestore(catalog: Catalog, shop: string): Promise<void> {
  await catalog.db.deleteFrom('openRestores').where('shop', '=', shop).execute();
}

/** null: none is open. */
export async function readOpenRestore(db: Kysely<Tables>, shop: string): Promise<OpenRestoreRow | null> {
  return (await db.selectFrom('openRestores').selectAll().where('shop', '=', shop).executeTakeFirst()) ?? null;
}

export async function shopsInRestore(db: Kysely<Tables>): Promise<readonly string[]> {
  const rows = await db.selectFrom('openRestores').select('shop').execute();
  return rows.map(({ shop }) => shop);
}
