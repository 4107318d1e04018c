// Until when the objects of the snapshot at hand must be locked, from plan and schedule: the rules are retention's.
import { Temporal } from 'temporal-polyfill';
import { fromDate, toDate } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { makeCron } from '../config/cron.ts';
import { LOCK_ALLOWANCE_DAY_MS, REUSE_MAX_AGE_MS } from '../config/lock-room.ts';
import { keepUntil, type LockNeed, segmentHorizon, snapshotHorizon } from '../retention/horizon.ts';
import { INCREMENT_MARGIN_MS } from '../retention/margins.ts';
import type { SourceKind } from '../source/source.ts';

export interface Horizons {
  /** End of the snapshot's window: what it promises. */
  readonly promisedUntil: Temporal.Instant;
  /** Lock end of index and manifest. */
  readonly snapshotUntil: Temporal.Instant;
  /** What a segment that this run stored needs, and how far its lock is moved. */
  readonly own: LockNeed;
  /** What a reused segment needs, and how far it is moved when it falls short. */
  reused(createdAtMs: number): LockNeed;
}

/** `endsAt`: of a closing shop. `full`: everything is read, and planned increments will rely on it. Throws E_LOCK_CEILING. */
export function planHorizons(
  config: Config,
  shop: ShopConfig,
  source: SourceKind,
  completedAt: Temporal.Instant,
  endsAt: Temporal.Instant | null = null,
  full = false,
): Horizons {
  const base = {
    notAfter: endsAt,
    completedAt,
    now: completedAt,
    retentionMs: shop.plan.retentionMs,
    ceilingMs: config.limits.lockCeilingMs,
  };
  const lastAt = lastReuse(shop, source, config.timezone, completedAt);
  const maxAgeMs = reuseMaxAgeMs(config, shop, source);
  const reused = (createdAt: Temporal.Instant): LockNeed => segmentHorizon({ ...base, reused: { lastAt, createdAt, maxAgeMs } });
  return {
    promisedUntil: keepUntil(completedAt, shop.plan.retentionMs, endsAt),
    snapshotUntil: snapshotHorizon(base),
    own:
      full && source === 'files' && isReused(shop, completedAt, lastAt) ? reused(completedAt) : segmentHorizon({ ...base, reused: null }),
    reused: (createdAtMs) => reused(Temporal.Instant.fromEpochMilliseconds(createdAtMs)),
  };
}

/**
 * Whether a full archive of the files is certain to be reused: its increments are planned. Its locks are then moved as far as they will need
 * while they are being set anyway, and the first increment does not ask the store once for each of its segments. Not where the window is
 * shorter than the time until then: the archive would be held for much longer than was promised, for increments that may never be made.
 */
function isReused({ plan }: ShopConfig, completedAt: Temporal.Instant, lastAt: Temporal.Instant | null): boolean {
  if (plan.schedule.files === null || plan.schedule.increments === null || lastAt === null) return false;
  return lastAt.epochMilliseconds - completedAt.epochMilliseconds <= plan.retentionMs;
}

/** A plan that reads everything each week, and stores what differs, keeps equal content for two months. */
const REREAD_MAX_AGE_MS = 60 * 86_400_000;

/**
 * How old a segment may get that is still reused: limits.reuseMaxAge; where it says nothing a week, so that one rotten object never sits
 * behind a whole window. A plan with `full: reread` stores each content once in two months instead, as far as the lock ceiling allows.
 */
export function reuseMaxAgeMs({ limits }: Pick<Config, 'limits'>, { plan }: Pick<ShopConfig, 'plan'>, source: SourceKind): number {
  if (limits.reuseMaxAgeMs !== null) return limits.reuseMaxAgeMs;
  if (plan.full !== 'reread' || source === 'database') return REUSE_MAX_AGE_MS;
  const room = limits.lockCeilingMs - plan.retentionMs - limits.runDeadlineMs - LOCK_ALLOWANCE_DAY_MS;
  return Math.max(REUSE_MAX_AGE_MS, Math.min(REREAD_MAX_AGE_MS, room));
}

/**
 * When the last increment before the next full reading is over, at most when that reading begins: held any longer, a full archive would be there
 * twice while its successor is stored. A database has no full readings: its segments are reused up to their maximum age.
 */
function lastReuse(shop: ShopConfig, source: SourceKind, timezone: string, after: Temporal.Instant): Temporal.Instant | null {
  const { schedule } = shop.plan;
  const expression = source === 'database' ? null : schedule[source];
  if (expression === null) return null;
  const full = makeCron(expression, timezone).nextRun(toDate(after));
  if (full === null || source !== 'files' || schedule.increments === null) return full === null ? null : fromDate(full);
  const [last] = makeCron(schedule.increments, timezone).previousRuns(1, full);
  if (last === undefined) return fromDate(full);
  const over = fromDate(last).add({ milliseconds: INCREMENT_MARGIN_MS });
  return Temporal.Instant.compare(over, fromDate(full)) < 0 ? over : fromDate(full);
}
