// Until when what a catch-up stores is locked: the promise of the snapshots that need it. Pure.
import { Temporal } from 'temporal-polyfill';
import type { SnapshotRow } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import type { LockNeed } from '../retention/horizon.ts';
import { horizonMarginMs, newestGoodExtensionMs, newestGoodMarginMs } from '../retention/margins.ts';

export interface CopyLockRules {
  readonly now: Temporal.Instant;
  /** limits.lockCeiling. */
  readonly ceilingMs: number;
  /** The plan's window. */
  readonly retentionMs: number;
  /** End of a shop that is closing (epoch milliseconds), which no new lock outlasts. */
  readonly endsAt: number | null;
}

/**
 * As a run would have locked it: to the end of its window and the margin that stands for it. A snapshot that is kept beyond its window
 * gets what keeps the newest good one locked. Throws E_LOCK_CEILING.
 */
export function copyLock(rules: CopyLockRules, snapshot: Pick<SnapshotRow, 'id' | 'completedAt' | 'keepUntil'>): LockNeed {
  const { now, ceilingMs, retentionMs } = rules;
  const nowMs = now.epochMilliseconds;
  const windowMs = snapshot.keepUntil - snapshot.completedAt;
  const isOver = snapshot.keepUntil <= nowMs;
  const atLeast = isOver ? nowMs + newestGoodMarginMs(retentionMs) : snapshot.keepUntil + horizonMarginMs(windowMs);
  const extendTo = isOver ? nowMs + newestGoodExtensionMs(retentionMs) : atLeast;
  const capped = (ms: number): number => (rules.endsAt === null ? ms : Math.max(nowMs, Math.min(ms, rules.endsAt)));
  if (capped(atLeast) > nowMs + ceilingMs) {
    throw new CoffreError(
      'E_LOCK_CEILING',
      `snapshot ${snapshot.id}: a lock until ${instant(capped(atLeast))} is needed, limits.lockCeiling allows ${instant(nowMs + ceilingMs)}`,
    );
  }
  return { atLeast: instant(capped(atLeast)), extendTo: instant(Math.min(capped(extendTo), nowMs + ceilingMs)) };
}

/** What covers both. */
export function longer(a: LockNeed, b: LockNeed): LockNeed {
  return { atLeast: later(a.atLeast, b.atLeast), extendTo: later(a.extendTo, b.extendTo) };
}

const instant = (ms: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(ms);

function later(a: Temporal.Instant, b: Temporal.Instant): Temporal.Instant {
  return Temporal.Instant.compare(a, b) >= 0 ? a : b;
}
