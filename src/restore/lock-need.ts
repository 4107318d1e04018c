// Until when the objects of a snapshot must be locked, and which other snapshots answer for those that it shares. Pure.
import { decide, type PolicyRules, type PolicySnapshot } from '../retention/policy.ts';

export interface LockNeed {
  /** Epoch milliseconds; null: nothing of the snapshot needs a lock for its own sake any more. */
  readonly untilMs: number | null;
  /** Other snapshots that still need theirs: a lock that an object of both has lost is their loss. */
  readonly others: ReadonlySet<string>;
}

/**
 * The end of the window, and after it at least now while the snapshot is held, or no good one has taken its place. One of which nothing
 * is wrong but its locks has taken that place: it is to blame for them, and not an older one, which nobody promised to lock again.
 */
export function lockNeed(id: string, snapshots: readonly PolicySnapshot[], rules: PolicyRules, nowMs: number): LockNeed {
  const judged = snapshots.map((one) => ({ ...one, good: one.good || one.isWhole === true }));
  // an earlier verification may have called this very one not good: that must not excuse it now
  const own = judged.map((one) => (one.id === id ? { ...one, good: one.good || one.isEverywhere === true } : one));
  return {
    untilMs: needsOf(own, rules, nowMs).get(id) ?? null,
    others: new Set([...needsOf(judged, rules, nowMs).keys()].filter((other) => other !== id)),
  };
}

function needsOf(snapshots: readonly PolicySnapshot[], rules: PolicyRules, nowMs: number): Map<string, number> {
  const byId = new Map(snapshots.map((one) => [one.id, one]));
  const needs = new Map<string, number>();
  for (const { snapshot: id, why } of decide(snapshots, nowMs, rules)) {
    const one = byId.get(id);
    if (one === undefined || one.tombstone) continue;
    // the promise of its own day holds whatever was decided since
    if (one.keepUntil > nowMs) needs.set(id, one.keepUntil);
    else if (why === 'held' || (why === 'anchor' && one.good)) needs.set(id, nowMs);
  }
  return needs;
}
