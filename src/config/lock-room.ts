// What the lock ceiling must leave room for beside a plan's window.

/** How old a segment may get that is still reused, where nothing else is said. */
export const REUSE_MAX_AGE_MS = 7 * 86_400_000;
/**
 * Beside a run's length and the age up to which segments are reused: a day for prune's own pace. The exact horizon is computed in
 * src/retention; this keeps plans out that can never fit.
 */
export const LOCK_ALLOWANCE_DAY_MS = 86_400_000;
