// A tenant's life as a JSON document: the command line and the API say the same.
import { Temporal } from 'temporal-polyfill';
import { ACTIVE, type ShopLife } from '../catalog/shop-life.ts';
import { lifeEnd } from './policy.ts';

export function lifeDocument(life: ShopLife) {
  const end = lifeEnd(life);
  const when = (atMs: number | null): string | null => (atMs === null ? null : Temporal.Instant.fromEpochMilliseconds(atMs).toString());
  return {
    state: life.state,
    since: life === ACTIVE ? null : when(life.since),
    endsAt: when(life.endsAt),
    /** When everything of it begins to go. */
    keptUntil: when(end),
    who: life === ACTIVE ? null : life.who,
    reason: life.reason,
  };
}
