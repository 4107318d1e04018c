// A snapshot as a JSON document, for whoever asks: the command line and the API say the same.
import { Temporal } from 'temporal-polyfill';
import type { DrilledSnapshot } from './drills.ts';
import type { GapRow } from './gaps.ts';
import { requiredVaults, type SnapshotWithCopies } from './snapshots.ts';

/** good, incomplete, degraded or damaged: one word for one snapshot. */
export function stateOf(snapshot: SnapshotWithCopies): 'good' | 'incomplete' | 'damaged' | 'degraded' {
  if (snapshot.good) return 'good';
  if (snapshot.complete !== 1) return 'incomplete';
  if (snapshot.copies.some((copy) => copy.verifyError !== null)) return 'damaged';
  return 'degraded';
}

/** Vaults that were to have it and do not. */
export function lackingIn(snapshot: SnapshotWithCopies): string[] {
  return requiredVaults(snapshot).filter((vault) => !snapshot.copies.some((copy) => copy.vault === vault));
}

/** What a source counted. */
interface Counts {
  readonly files?: number;
  readonly directories?: number;
  readonly tables?: number;
  readonly rows?: number;
}

/** A snapshot as JSON tells it, on the command line and in the API; `gaps` and `drilled` of its shop at least. */
export function snapshotDocument(
  snapshot: SnapshotWithCopies,
  gaps: readonly GapRow[],
  drilled: ReadonlyMap<string, DrilledSnapshot> = new Map(),
) {
  const drill = drilled.get(snapshot.id);
  const reason = (vault: string): GapRow | undefined => gaps.find((gap) => gap.snapshotId === snapshot.id && gap.vault === vault);
  return {
    id: snapshot.id,
    shop: snapshot.shop,
    source: snapshot.source,
    state: stateOf(snapshot),
    purpose: snapshot.purpose,
    asOf: instantText(snapshot.asOf),
    completedAt: instantText(snapshot.completedAt),
    keepUntil: instantText(snapshot.keepUntil),
    full: snapshot.full === 1,
    plainBytes: snapshot.plainBytes,
    storedBytes: snapshot.storedBytes,
    segments: snapshot.segments,
    reusedSegments: snapshot.reusedSegments,
    vaults: snapshot.copies.map((copy) => ({
      vault: copy.vault,
      lock: copy.retainUntil === null ? null : { mode: copy.lockMode, retainUntil: instantText(copy.retainUntil) },
      verifiedAt: copy.verifiedAt === null ? null : instantText(copy.verifiedAt),
      verifyError: copy.verifyError,
    })),
    drilled: drill ? { drill: drill.drill, at: instantText(drill.at), passed: drill.outcome === 'passed', code: drill.code } : null,
    lacking: lackingIn(snapshot).map((vault) => ({ vault, code: reason(vault)?.code ?? null, message: reason(vault)?.message ?? null })),
    ...(JSON.parse(snapshot.counts) as Counts),
    consistency: snapshot.consistency === null ? null : (JSON.parse(snapshot.consistency) as unknown),
  };
}

function instantText(epochMs: number): string {
  return Temporal.Instant.fromEpochMilliseconds(epochMs).toString();
}
