// Shops whose scheduled backups wait: since when, until when, who said so and why; each change stands in the audit too.
import type { Selectable } from 'kysely';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import type { PausesTable } from './tables/runs.ts';

export type Pause = Omit<Selectable<PausesTable>, 'shop'>;

export interface PauseOrder {
  readonly who: string;
  readonly reason: string | null;
  /** Epoch milliseconds; null: until somebody resumes it. */
  readonly until: number | null;
}

/** In force at `nowMs`, by shop. */
export async function listPauses(catalog: Catalog, nowMs: number): Promise<ReadonlyMap<string, Pause>> {
  const rows = await catalog.db
    .selectFrom('pauses')
    .selectAll()
    .where((eb) => eb.or([eb('until', 'is', null), eb('until', '>', nowMs)]))
    .execute();
  return new Map(rows.map(({ shop, ...pause }) => [shop, pause]));
}

/** null: not paused. */
export async function readPause(catalog: Catalog, shop: string, nowMs: number): Promise<Pause | null> {
  const row = await catalog.db.selectFrom('pauses').selectAll().where('shop', '=', shop).executeTakeFirst();
  if (row === undefined || (row.until !== null && row.until <= nowMs)) return null;
  const { shop: _, ...pause } = row;
  return pause;
}

/** Pauses a shop, or changes the end, reason and author of its pause; it is paused since it was first. Throws E_USAGE for an end that has passed. */
export async function pauseShop(catalog: Catalog, clock: Clock, shop: string, order: PauseOrder): Promise<Pause> {
  const nowMs = clock.nowMs();
  if (order.until !== null && order.until <= nowMs) throw new CoffreError('E_USAGE', `${shop}: the end of the pause lies in the past`);
  const before = await readPause(catalog, shop, nowMs);
  const pause: Pause = { since: before?.since ?? nowMs, until: order.until, who: order.who, reason: order.reason };
  await catalog.transaction(async (tx) => {
    await tx
      .insertInto('pauses')
      .values({ shop, ...pause })
      .onConflict((conflict) => conflict.column('shop').doUpdateSet(pause))
      .execute();
    await tx
      .insertInto('audit')
      .values({ at: nowMs, who: order.who, what: 'shop pause', shop, detail: JSON.stringify({ until: order.until, reason: order.reason }) })
      .execute();
  });
  return pause;
}

/** Ends a pause. false: there was none, and nothing is written. */
export async function endPause(
  catalog: Catalog,
  clock: Clock,
  shop: string,
  by: { readonly who: string; readonly reason: string | null },
): Promise<boolean> {
  const nowMs = clock.nowMs();
  const before = await readPause(catalog, shop, nowMs);
  await catalog.transaction(async (tx) => {
    await tx.deleteFrom('pauses').where('shop', '=', shop).execute();
    if (before === null) return;
    await tx
      .insertInto('audit')
      .values({ at: nowMs, who: by.who, what: 'shop unpause', shop, detail: JSON.stringify({ since: before.since, reason: by.reason }) })
      .execute();
  });
  return before !== null;
}
