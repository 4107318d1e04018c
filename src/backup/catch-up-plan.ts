// What a catch-up has to do for one shop: which vault lacks which snapshot. Pure: rows in, gaps out.
import type { GapRow } from '../catalog/gaps.ts';
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { ErrorCode } from '../errors.ts';

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
  /** Whether a legal hold keeps this snapshot beyond its window. */
  readonly isHeld: (snapshot: string) => boolean;
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
 * A snapshot in its window is to be in every vault of the shop, one that was added later included; so is the newest of each source,
 * whatever its age, while nothing better is there, and what a hold keeps. What no other vault has ever had cannot be mended.
 */
export function planCatchUp({ snapshots, vaults, isHeld, nowMs }: CatchUpFacts): CatchUpPlan {
  const ordered = snapshots
    .filter((snapshot) => snapshot.state === 'committed')
    .sort((a, b) => b.completedAt - a.completedAt || (a.id < b.id ? 1 : -1));
  const anchors = anchorsOf(ordered);
  const gaps: Gap[] = [];
  const passed: { snapshot: string; vault: string }[] = [];
  for (const snapshot of ordered) {
    const isKept = snapshot.keepUntil >= nowMs || anchors.has(snapshot.id) || isHeld(snapshot.id);
    for (const vault of vaults) {
      const copy = snapshot.copies.find((candidate) => candidate.vault === vault);
      if (copy && (copy.verifyError === null || !MENDED_BY_COPY.has(copy.verifyError))) continue;
      if (!snapshot.copies.some((other) => other.vault !== vault)) continue;
      if (isKept) gaps.push({ snapshot, vault, damage: (copy?.verifyError as ErrorCode | undefined) ?? null });
      else if (!copy) passed.push({ snapshot: snapshot.id, vault });
    }
  }
  return { gaps, passed };
}

/** The newest good snapshot of each source, or its newest complete one, or its newest: what prune keeps beyond its window. */
function anchorsOf(newestFirst: readonly SnapshotWithCopies[]): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const source of new Set(newestFirst.map((snapshot) => snapshot.source))) {
    const own = newestFirst.filter((snapshot) => snapshot.source === source);
    const anchor = own.find((snapshot) => snapshot.good) ?? own.find((snapshot) => snapshot.complete === 1) ?? own[0];
    if (anchor) anchors.add(anchor.id);
  }
  return anchors;
}

/** Why a vault lacks something, from the newest word on it; null: nobody said. */
export function reasonOf(gaps: readonly GapRow[], vault: string): GapRow | null {
  const own = gaps.filter((gap) => gap.vault === vault);
  return own.reduce<GapRow | null>((newest, gap) => (newest === null || gap.at > newest.at ? gap : newest), null);
}
