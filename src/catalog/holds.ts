// Legal holds: what they name stays, and stays locked, until somebody says otherwise. A hold's row is never deleted.
import type { Kysely, Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import type { HoldsTable } from './tables/shops.ts';
import type { Tables } from './tables.ts';

export type HoldRow = Selectable<HoldsTable>;

export interface NewHold {
  readonly id: string;
  readonly shop: string;
  /** null: the whole shop. */
  readonly snapshotId: string | null;
  readonly reason: string;
  readonly who: string;
}

/**
 * Places a hold and writes it into the audit, in one transaction: prune, which chooses in one of its own, is before it or after it.
 * Throws E_UNKNOWN_SNAPSHOT, E_SHOP_STATE when the removal of what it names has begun.
 */
export async function placeHold(catalog: Catalog, clock: Clock, hold: NewHold): Promise<HoldRow> {
  return await catalog.transaction(async (tx) => {
    const { id, shop, snapshotId, reason, who } = hold;
    if (snapshotId !== null) {
      const snapshot = await tx.selectFrom('snapshots').select(['shop', 'state']).where('id', '=', snapshotId).executeTakeFirst();
      if (!snapshot || snapshot.shop !== shop) throw new CoffreError('E_UNKNOWN_SNAPSHOT', `${shop} has no snapshot ${snapshotId}`);
      if (snapshot.state !== 'committed') throw gone(`snapshot ${snapshotId}`);
    } else {
      const life = await tx.selectFrom('shopStates').select('state').where('shop', '=', shop).executeTakeFirst();
      if (life?.state === 'erased') throw gone(shop);
    }
    const placedAt = clock.nowMs();
    const row: HoldRow = {
      ...{ id, shop, snapshotId, reason, placedAt, placedBy: who },
      ...{ releasedAt: null, releasedBy: null, releaseReason: null },
    };
    await tx.insertInto('holds').values(row).execute();
    await tx
      .insertInto('audit')
      .values({ at: placedAt, who, what: 'hold add', shop, detail: JSON.stringify({ hold: id, snapshot: snapshotId, reason }) })
      .execute();
    return row;
  });
}

function gone(what: string): CoffreError {
  return new CoffreError('E_SHOP_STATE', `the removal of ${what} has begun: it cannot be held any more`, {
    hint: 'what no lock protects may be gone already',
  });
}

/** Lifts a hold; what it kept goes by its window from then on. Throws E_USAGE when there is no such hold in force. */
export async function releaseHold(
  catalog: Catalog,
  clock: Clock,
  id: string,
  by: { readonly who: string; readonly reason: string },
): Promise<HoldRow> {
  return await catalog.transaction(async (tx) => {
    const row = await tx.selectFrom('holds').selectAll().where('id', '=', id).executeTakeFirst();
    if (!row || row.releasedAt !== null) {
      const what = row ? 'was released already' : 'does not exist';
      throw new CoffreError('E_USAGE', `hold ${id} ${what}`, { hint: 'coffre hold list shows those in force' });
    }
    const released = { releasedAt: clock.nowMs(), releasedBy: by.who, releaseReason: by.reason };
    await tx.updateTable('holds').set(released).where('id', '=', id).execute();
    const detail = JSON.stringify({ hold: id, snapshot: row.snapshotId, reason: by.reason });
    await tx.insertInto('audit').values({ at: released.releasedAt, who: by.who, what: 'hold release', shop: row.shop, detail }).execute();
    return { ...row, ...released };
  });
}

/** Oldest first; those in force alone unless `released` is asked for. `db` may be a transaction. */
export async function listHolds(
  db: Kysely<Tables>,
  filter: { readonly shop?: string | undefined; readonly released?: boolean } = {},
): Promise<HoldRow[]> {
  let query = db.selectFrom('holds').selectAll();
  if (filter.shop !== undefined) query = query.where('shop', '=', filter.shop);
  if (!filter.released) query = query.where('releasedAt', 'is', null);
  return await query.orderBy('placedAt').orderBy('id').execute();
}

export interface HoldPage {
  readonly shop?: string | undefined;
  /** Released ones too. */
  readonly released: boolean;
  /** Placed before this one: the last id of the page before. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function pageOfHolds(db: Kysely<Tables>, page: HoldPage): Promise<HoldRow[]> {
  let query = db.selectFrom('holds').selectAll();
  if (page.shop !== undefined) query = query.where('shop', '=', page.shop);
  if (!page.released) query = query.where('releasedAt', 'is', null);
  if (page.before !== undefined) query = query.where('id', '<', page.before);
  return await query.orderBy('id', 'desc').limit(page.limit).execute();
}

/** As JSON tells it, on the command line and in the API. */
export function holdDocument(row: HoldRow) {
  const when = (atMs: number | null): string | null => (atMs === null ? null : Temporal.Instant.fromEpochMilliseconds(atMs).toString());
  return {
    ...{ id: row.id, shop: row.shop, snapshot: row.snapshotId, reason: row.reason, placedAt: when(row.placedAt), placedBy: row.placedBy },
    ...{ releasedAt: when(row.releasedAt), releasedBy: row.releasedBy, releaseReason: row.releaseReason },
  };
}
