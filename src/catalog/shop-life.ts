// A tenant's life: active, suspended, closing with an end, erased; each change with its instant, who and why, in the audit too.
import type { Kysely, Selectable } from 'kysely';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import type { ShopStatesTable } from './tables/shops.ts';
import type { Tables } from './tables.ts';

export type ShopLife = Omit<Selectable<ShopStatesTable>, 'shop'>;

/** What a shop is of which nothing was ever said. */
export const ACTIVE: ShopLife = { state: 'active', since: 0, endsAt: null, who: 'coffre', reason: null };

export type LifeChange =
  | { readonly verb: 'suspend' | 'resume' | 'erase' }
  /** Instant, epoch milliseconds; may be moved by closing once more. */
  | { readonly verb: 'close'; readonly endsAt: number };

/** From which states each verb leads on. Suspended to closing would start backups again by the back door. */
const FROM: Readonly<Record<LifeChange['verb'], readonly ShopLife['state'][]>> = {
  suspend: ['active'],
  resume: ['suspended', 'closing', 'erased'],
  close: ['active', 'closing'],
  erase: ['active', 'suspended', 'closing'],
};

/** `db` may be a transaction. */
export async function readLife(db: Kysely<Tables>, shop: string): Promise<ShopLife> {
  const row = await db.selectFrom('shopStates').selectAll().where('shop', '=', shop).executeTakeFirst();
  if (row === undefined) return ACTIVE;
  const { shop: _, ...life } = row;
  return life;
}

/** Every shop of which anything was ever said, by name. */
export async function listLives(db: Kysely<Tables>): Promise<ReadonlyMap<string, ShopLife>> {
  const rows = await db.selectFrom('shopStates').selectAll().orderBy('shop').execute();
  return new Map(rows.map(({ shop, ...life }) => [shop, life]));
}

/**
 * Changes a shop's state and writes it into the audit, in one transaction. Saying what already holds changes nothing: a suspension
 * begins once. A reason that is given then is kept (noteReason). Throws E_SHOP_STATE when the verb does not lead on from the present state, E_USAGE for an end that has passed, E_HELD
 * for erasing what a hold keeps.
 */
export async function changeLife(
  catalog: Catalog,
  clock: Clock,
  shop: string,
  change: LifeChange,
  by: { readonly who: string; readonly reason: string | null },
): Promise<ShopLife> {
  return await catalog.transaction(async (tx) => {
    const before = await readLife(tx, shop);
    const state = stateAfter(change.verb);
    const endsAt = change.verb === 'close' ? change.endsAt : null;
    if (before.state === state && before.endsAt === endsAt) return await noteReason(tx, clock, shop, before, by);
    if (!FROM[change.verb].includes(before.state)) {
      throw new CoffreError('E_SHOP_STATE', `${shop} is ${before.state}: it cannot ${change.verb} from there`, {
        hint: before.state === 'suspended' ? `coffre shop resume ${shop} first` : '',
      });
    }
    const nowMs = clock.nowMs();
    if (endsAt !== null && endsAt <= nowMs) throw new CoffreError('E_USAGE', `${shop}: the end lies in the past`);
    if (change.verb === 'erase') await refuseHeld(tx, shop);
    if (change.verb === 'resume' && before.state === 'erased') await refuseRemains(tx, shop);
    const after: ShopLife = { state, since: nowMs, endsAt, ...by };
    await tx
      .insertInto('shopStates')
      .values({ shop, ...after })
      .onConflict((conflict) => conflict.column('shop').doUpdateSet(after))
      .execute();
    const detail = JSON.stringify({ from: before.state, ...after });
    await tx
      .insertInto('audit')
      .values({ at: nowMs, who: by.who, what: `shop ${change.verb}`, shop, detail })
      .execute();
    return after;
  });
}

/**
 * What held already was ordered once more: a new reason goes into the audit, and into the state when whoever ordered it says it. `who`
 * stays: it decides who may take the order back.
 */
async function noteReason(
  tx: Kysely<Tables>,
  clock: Clock,
  shop: string,
  before: ShopLife,
  { reason, who }: { readonly who: string; readonly reason: string | null },
): Promise<ShopLife> {
  if (reason === null || reason === before.reason || before.state === 'active') return before;
  const detail = JSON.stringify({ state: before.state, reason });
  await tx.insertInto('audit').values({ at: clock.nowMs(), who, what: 'shop reason', shop, detail }).execute();
  if (who !== before.who) return before;
  await tx.updateTable('shopStates').set({ reason }).where('shop', '=', shop).execute();
  return { ...before, reason };
}

function stateAfter(verb: LifeChange['verb']): ShopLife['state'] {
  return ({ suspend: 'suspended', resume: 'active', close: 'closing', erase: 'erased' } as const)[verb];
}

async function refuseHeld(tx: Kysely<Tables>, shop: string): Promise<void> {
  const hold = await tx
    .selectFrom('holds')
    .select(['id', 'reason', 'placedBy'])
    .where('shop', '=', shop)
    .where('releasedAt', 'is', null)
    .orderBy('placedAt')
    .limit(1)
    .executeTakeFirst();
  if (hold) throw new CoffreError('E_HELD', `${shop} is held (${hold.id}, by ${hold.placedBy}: ${hold.reason})`);
}

/** A name may be used again once nothing that was to be erased could come back into use. */
async function refuseRemains(tx: Kysely<Tables>, shop: string): Promise<void> {
  const left = await tx
    .selectFrom('snapshots')
    .select('id')
    .where('shop', '=', shop)
    .where('state', '!=', 'removed')
    .limit(1)
    .executeTakeFirst();
  if (left)
    throw new CoffreError('E_SHOP_STATE', `${shop} is erased, and what was erased still waits for its locks`, {
      hint: 'give it another name',
    });
}
