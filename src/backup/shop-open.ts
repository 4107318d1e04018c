// Whether a shop is backed up at all now: a suspended, closed or erased one is not.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { readLife } from '../catalog/shop-life.ts';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { isBackedUp } from '../retention/policy.ts';

/** The end of a closing shop, beyond which nothing may be locked; null: none is known. Throws E_SHOP_STATE. */
export async function requireOpen(catalog: Catalog, clock: Clock, shop: string): Promise<Temporal.Instant | null> {
  const life = await readLife(catalog.db, shop);
  if (!isBackedUp(life, clock.nowMs())) {
    const state = life.state === 'closing' ? 'closed' : life.state;
    throw new CoffreError('E_SHOP_STATE', `${shop} is ${state}: it is not backed up`);
  }
  return life.endsAt === null ? null : Temporal.Instant.fromEpochMilliseconds(life.endsAt);
}
