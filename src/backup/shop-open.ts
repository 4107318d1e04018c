// Whether a shop is backed up at all now: a suspended, closed or erased one is not, nor one that is being restored.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { readOpenRestore } from '../catalog/open-restores.ts';
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
  const restore = await readOpenRestore(catalog.db, shop);
  if (restore !== null) {
    const since = Temporal.Instant.fromEpochMilliseconds(restore.since).toString();
    throw new CoffreError('E_SHOP_STATE', `${shop}: a restore in place is open since ${since}: what stands there now is nothing to keep`, {
      hint: `as root: coffre restore ${shop} --in-place goes on with it, with --rollback it goes back`,
    });
  }
  return life.endsAt === null ? null : Temporal.Instant.fromEpochMilliseconds(life.endsAt);
}
