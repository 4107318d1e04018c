// What a catch-up has to do for one shop: which vault lacks which snapshot. Pure: rows in, gaps out.
import type { GapRow } from '../catalog/gaps.ts';
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { ErrorCode } from '../errors.ts';
import { decide, type PolicyRules } from '../retention/policy.ts';

/** One vault that lacks one snapshot, or whose copy of it was found damaged. */
export interface Gap {
  readonly snapshot: SnapshotWithCopies;
  readonly vault: string;
  /** null: it is not there. Else what a verification found. */
  readonly damage: ErrorCode | null;
}

export interface CatchUpFacts {
  readonly snapshots: readonly SnapshotWithCopies[];
  /** Vaults that the shop is configured with, whatever was configured when a snapshot was taken. */
  readonly vaults: readonly string[];
  /** What decides how long a snapshot stays. */
  readonly rules: PolicyRules;
  readonly nowMs: number;
}

export interface CatchUpPlan {
  /** Newest snapshot first. */
  readonly gaps: readonly Gap[];
  /** Lacking too, but their window has passed: prune is about to take them. */
  readonly passed: readonly { readonly snapshot: string; readonly vault: string }[];
}

/** What a new copy of the object mends. Not a lock that the store dropped, a signature or a foreign version: those are for a person. */
const MENDED_BY_COPY: ReadonlySet<string> = new Set<ErrorCode>(['E_OBJECT_MISSING', 'E_OBJECT_ALTERED']);

/**
 * What prune keeps is to be in every vault of the shop, one that was added later included: snapshots in their windows, the newest good
 * one of each source whatever its age, what a hold keeps. What no other vault has ever had cannot be mended.
 */
export function planCatchUp({ snapshots, vaults, rules, nowMs }: CatchUpFacts): CatchUpPlan {
  const known = new Map(snapshots.map((snapshot) => [snapshot.id, snapshot]));
  const facts = snapshots.map((snapshot) => ({
    ...snapshot,
    complete: snapshot.complete === 1,
    tombstone: snapshot.state !== 'committed',
  }));
  const gaps: Gap[] = [];
  const passed: { snapshot: string; vault: string }[] = [];
  for (const { keep, why, snapshot: id } of decide(facts, nowMs, rules)) {
    const snapshot = known.get(id);
    if (snapshot?.state !== 'committed') continue;
    for (const vault of vaults) {
      const copy = snapshot.copies.find((candidate) => candidate.vault === vault);
      if (copy && (copy.verifyError === null || !MENDED_BY_COPY.has(copy.verifyError))) continue;
      if (!snapshot.copies.some((other) => other.vault !== vault)) continue;
      if (keep && why !== 'restored') gaps.push({ snapshot, vault, damage: (copy?.verifyError as ErrorCode | undefined) ?? null });
      else if (!copy) passed.push({ snapshot: id, vault });
    }
  }
  return { gaps, passed };
}

/** Why a vault lacks something, from the newest word on it; null: nobody said. */
export function reasonOf(gaps: readonly GapRow[], vault: string): GapRow | null {
  const own = gaps.filter((gap) => gap.vault === vault);
  return own.reduce<GapRow | null>((newest, gap) => (newest === null || gap.at > newest.at ? gap : newest), null);
}
