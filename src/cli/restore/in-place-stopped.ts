// What somebody is told who stopped a restore in place: whether the shop is open, found out once the unit has left, and how it goes on.

import type { Catalog } from '../../catalog/open.ts';
import { clearOpenRestore } from '../../catalog/open-restores.ts';
import type { Clock } from '../../clock.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import { type InPlaceCaller, type InPlaceLook, lookInPlace } from '../../restore/in-place.ts';

/** A unit that was told to stop opens the shop again meanwhile. */
const LEAVES_WITHIN_MS = 60_000;
const AGAIN_MS = 500;

/**
 * The error to end with, in place of the bare interruption. Where the shop is found open, what says that it may be closed is cleared away;
 * else, and where it cannot be found out, that stays.
 */
export async function stopped(
  catalog: Catalog,
  clock: Clock,
  { shop, request, reason }: { readonly shop: string; readonly request: string; readonly reason: CoffreError },
  caller: InPlaceCaller,
): Promise<CoffreError> {
  const back = `coffre restore ${shop} --in-place goes on with it, coffre restore ${shop} --in-place --rollback goes back`;
  try {
    const { atWork, open } = await leftAlone(clock, shop, request, caller);
    if (open === null && atWork !== true) {
      await clearOpenRestore(catalog, shop);
      return new CoffreError('E_INTERRUPTED', `${reason.message}: ${shop} is open, as it was before`, {
        cause: reason,
        hint: `nothing has to be rolled back; the same command begins again, and takes up what is loaded beside (coffre restore ${shop} --in-place …)`,
      });
    }
    return new CoffreError('E_SHOP_CLOSED', `${reason.message}: ${shop} keeps its maintenance page`, { cause: reason, hint: back });
  } catch (error) {
    const why = asCoffreError(error).message;
    return new CoffreError('E_SHOP_CLOSED', `${reason.message}: whether ${shop} is open could not be found out: ${why}`, {
      cause: reason,
      hint: `look at its page; ${back}`,
    });
  }
}

/** Once nobody is at work on the shop any more, or the time is over. */
async function leftAlone(clock: Clock, shop: string, request: string, caller: InPlaceCaller): Promise<InPlaceLook> {
  const calm = { ...caller, signal: new AbortController().signal };
  const untilMs = clock.monotonicMs() + LEAVES_WITHIN_MS;
  for (;;) {
    const look = await lookInPlace(shop, request, calm);
    if (look.atWork !== true || clock.monotonicMs() > untilMs) return look;
    await clock.sleep(AGAIN_MS);
  }
}
