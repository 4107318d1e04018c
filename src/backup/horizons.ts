// Until when the objects of the snapshot at hand must be locked, from plan and schedule: the rules are retention's.
import { Temporal } from 'temporal-polyfill';
import { fromDate, toDate } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { makeCron } from '../config/cron.ts';
import { keepUntil, type LockNeed, segmentHorizon, snapshotHorizon } from '../retention/horizon.ts';
import type { SourceKind } from '../source/source.ts';

export interface Horizons {
  /** End of the snapshot's window: what it promises. */
  readonly promisedUntil: Temporal.Instant;
  /** Lock end of index, manifest and fresh segments. */
  readonly snapshotUntil: Temporal.Instant;
  /** What a reused segment needs, and how far it is moved when it falls short. */
  reused(createdAtMs: number): LockNeed;
}

/** Throws E_LOCK_CEILING. */
export function planHorizons(config: Config, shop: ShopConfig, source: SourceKind, completedAt: Temporal.Instant): Horizons {
  const base = {
    completedAt,
    now: completedAt,
    retentionMs: shop.plan.retentionMs,
    ceilingMs: config.limits.lockCeilingMs,
  };
  const nextFullAt = nextFull(shop, source, config.timezone, completedAt);
  return {
    promisedUntil: keepUntil(completedAt, shop.plan.retentionMs),
    snapshotUntil: snapshotHorizon(base),
    reused: (createdAtMs) =>
      segmentHorizon({
        ...base,
        reused: {
          nextFullAt,
          createdAt: Temporal.Instant.fromEpochMilliseconds(createdAtMs),
          maxAgeMs: config.limits.reuseMaxAgeMs,
        },
      }),
  };
}

/** A database has no full readings: its segments are reused up to their maximum age. */
function nextFull(shop: ShopConfig, source: SourceKind, timezone: string, after: Temporal.Instant): Temporal.Instant | null {
  const expression = source === 'database' ? null : shop.plan.schedule[source];
  if (expression === null) return null;
  const next = makeCron(expression, timezone).nextRun(toDate(after));
  return next === null ? null : fromDate(next);
}
