// Which snapshots need their locks moved ahead, and how far. Pure: rows in, instants out.
import { horizonMarginMs, newestGoodExtensionMs, newestGoodMarginMs } from './margins.ts';
import { decide, lifeEnd, type PolicyRules, type PolicySnapshot, windowEnd } from './policy.ts';

/** Epoch milliseconds. */
export interface AheadNeed {
  readonly snapshot: string;
  /** A lock that ends before this is moved. */
  readonly needed: number;
  /** Where it is moved to, unless the ceiling is nearer. */
  readonly wanted: number;
}

/**
 * What no lock given at the time of the backup covers: the newest good snapshot of each source (or the one of which nothing but its
 * lock is wrong: it is given another) stays until a newer one takes its place,
 * a held one until somebody releases it, and all stay longer than was promised when the plan's window became longer. The first two
 * are moved ahead step by step, since nobody knows how long they will be needed; the last at once to the end of the window. Never
 * beyond the end of a closing or suspended shop, but for a hold.
 */
export function lockNeeds(snapshots: readonly PolicySnapshot[], nowMs: number, rules: PolicyRules): AheadNeed[] {
  const { retentionMs } = rules;
  const end = lifeEnd(rules.life) ?? Number.POSITIVE_INFINITY;
  const byId = new Map(snapshots.map((snapshot) => [snapshot.id, snapshot]));
  const needs: AheadNeed[] = [];
  for (const { snapshot: id, why } of decide(snapshots, nowMs, rules)) {
    const snapshot = byId.get(id) as PolicySnapshot;
    const stepwise = { needed: nowMs + newestGoodMarginMs(retentionMs), wanted: nowMs + newestGoodExtensionMs(retentionMs) };
    let need = { needed: 0, wanted: 0 };
    if (why === 'held') need = stepwise;
    else if (why === 'anchor' || why === 'window') {
      if (why === 'anchor' && (snapshot.good || snapshot.isWhole)) need = atMost(stepwise, end);
      const windowEndMs = windowEnd(snapshot, rules);
      // what was promised is locked already, up to the shop's end or beyond it
      if (windowEndMs > snapshot.keepUntil && windowEndMs > need.needed) {
        need = atMost({ needed: windowEndMs, wanted: Math.max(need.wanted, windowEndMs + horizonMarginMs(retentionMs)) }, end);
      }
    }
    if (need.needed > nowMs) needs.push({ snapshot: id, ...need });
  }
  return needs;
}

function atMost({ needed, wanted }: { needed: number; wanted: number }, end: number): { needed: number; wanted: number } {
  return { needed: Math.min(needed, end), wanted: Math.min(wanted, end) };
}
