// Which snapshots a restore takes: pure over what the catalog lists.
import { Temporal } from 'temporal-polyfill';
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import type { SourceKind } from '../source/source.ts';

export interface Wanted {
  readonly shop: string;
  readonly source: SourceKind;
  /** The state of the shop at this instant at the latest; null: the newest. */
  readonly at: Temporal.Instant | null;
  /** Only copies in this vault count; null: any. */
  readonly from: string | null;
}

/**
 * The newest good snapshot read at or before `at`; when none is good, the newest complete one that some vault holds.
 * `snapshots` are those of one shop, any order. Throws E_UNKNOWN_SNAPSHOT, saying what there is instead.
 */
export function chooseSnapshot(snapshots: readonly SnapshotWithCopies[], wanted: Wanted): SnapshotWithCopies {
  const ofSource = snapshots.filter((snapshot) => snapshot.source === wanted.source && snapshot.shop === wanted.shop);
  const reachable = ofSource.filter((snapshot) => snapshot.copies.some((copy) => wanted.from === null || copy.vault === wanted.from));
  const limit = wanted.at?.epochMilliseconds ?? Number.POSITIVE_INFINITY;
  const inTime = reachable.filter((snapshot) => snapshot.asOf <= limit).sort((a, b) => b.asOf - a.asOf);
  const chosen = inTime.find((snapshot) => snapshot.good) ?? inTime.find((snapshot) => snapshot.complete === 1) ?? inTime[0];
  if (chosen) return chosen;
  const where = wanted.from === null ? '' : ` in ${wanted.from}`;
  const oldest = reachable.reduce((a, b) => Math.min(a, b.asOf), Number.POSITIVE_INFINITY);
  throw new CoffreError(
    'E_UNKNOWN_SNAPSHOT',
    wanted.at === null
      ? `${wanted.shop}: no snapshot of ${wanted.source}${where}`
      : `${wanted.shop}: no snapshot of ${wanted.source}${where} at or before ${wanted.at}`,
    Number.isFinite(oldest) ? { hint: `the oldest is of ${Temporal.Instant.fromEpochMilliseconds(oldest)}` } : {},
  );
}
