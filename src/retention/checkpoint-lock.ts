// How long a checkpoint of the state is locked, and how long it is kept.
import type { Temporal } from 'temporal-polyfill';
import type { Config } from '../config/config.ts';
import { horizonMarginMs } from './margins.ts';

const DAY_MS = 86_400_000;

/** Where no plan says how long: a day more than until the next one. */
const LEAST_LOCK_MS = 2 * DAY_MS;

/**
 * As long as the longest window of any plan: whoever comes back to a snapshot in it finds the holds, states and evidence of its time.
 * Never beyond limits.lockCeiling, which no plan exceeds.
 */
export function checkpointLockUntil(config: Pick<Config, 'plans' | 'limits'>, now: Temporal.Instant): Temporal.Instant {
  const windows = [...config.plans.values()].map((plan) => plan.retentionMs + horizonMarginMs(plan.retentionMs));
  const lockMs = windows.length === 0 ? LEAST_LOCK_MS : Math.max(...windows);
  return now.add({ milliseconds: Math.min(lockMs, config.limits.lockCeilingMs) });
}
