// Which snapshots a restore takes: pure over what the catalog lists.
import { Temporal } from 'temporal-polyfill';
import { isBackup, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import type { SourceKind } from '../source/source.ts';

export interface Wanted {
  readonly shop: string;
  readonly source: SourceKind;
  /** The state of the shop at this instant at the latest; null: the newest. */
  readonly at: Temporal.Instant | null;
  /** Only copies in this vault count; null: any. */
  readonly from: string | null;
  /** How an instant is told to people. */
  readonly tell: (instant: Temporal.Instant) => string;
}

/**
 * The newest complete snapshot read at or before `at` of which a vault at hand holds a copy that was not found damaged; it need not be
 * in every vault: a site that is lost must not cost the days since. What was taken for safety before a restore in place is the state that
 * somebody wanted to be rid of: by its id alone, or where nothing else is there. When there is none, the newest complete one, then the newest.
 * `snapshots` are those of one shop, any order. Throws E_UNKNOWN_SNAPSHOT, saying what there is instead.
 */
export function chooseSnapshot(snapshots: readonly SnapshotWithCopies[], wanted: Wanted): SnapshotWithCopies {
  const ofSource = snapshots.filter((snapshot) => snapshot.source === wanted.source && snapshot.shop === wanted.shop);
  const backups = ofSource.filter(isBackup);
  const reachable = (backups.length > 0 ? backups : ofSource).filter((snapshot) =>
    snapshot.copies.some((copy) => wanted.from === null || copy.vault === wanted.from),
  );
  const limit = wanted.at?.epochMilliseconds ?? Number.POSITIVE_INFINITY;
  const inTime = reachable.filter((snapshot) => snapshot.asOf <= limit).sort((a, b) => b.asOf - a.asOf);
  const isSound = (snapshot: SnapshotWithCopies): boolean =>
    snapshot.copies.some((copy) => copy.verifyError === null && (wanted.from === null || copy.vault === wanted.from));
  const complete = inTime.filter((snapshot) => snapshot.complete === 1);
  const chosen = complete.find(isSound) ?? complete[0] ?? inTime[0];
  if (chosen) return chosen;
  const where = wanted.from === null ? '' : ` in ${wanted.from}`;
  const oldest = reachable.reduce((a, b) => Math.min(a, b.asOf), Number.POSITIVE_INFINITY);
  throw new CoffreError(
    'E_UNKNOWN_SNAPSHOT',
    wanted.at === null
      ? `${wanted.shop}: no snapshot of ${wanted.source}${where}`
      : `${wanted.shop}: no snapshot of ${wanted.source}${where} at or before ${wanted.tell(wanted.at)}`,
    Number.isFinite(oldest) ? { hint: `the oldest is of ${wanted.tell(Temporal.Instant.fromEpochMilliseconds(oldest))}` } : {},
  );
}

/** A snapshot that was named is of the source that was named with it. Throws E_USAGE. */
export function demandSource({ id, source }: Pick<SnapshotWithCopies, 'id' | 'source'>, wanted: SourceKind | undefined): void {
  if (wanted === undefined || wanted === source) return;
  throw new CoffreError('E_USAGE', `snapshot ${id} is of ${source}, not of ${wanted}`, {
    hint: 'leave --source out: the snapshot says it',
  });
}

/** Vaults whose copy was not found damaged. */
export const soundVaults = ({ copies }: Pick<SnapshotWithCopies, 'copies'>): readonly string[] =>
  copies.filter((copy) => copy.verifyError === null).map((copy) => copy.vault);

/** The newest whole backup of a source that a restore would find undamaged in some vault; null: there is none. `snapshots`: of one shop. */
export function restorable(snapshots: readonly SnapshotWithCopies[], source: SourceKind): SnapshotWithCopies | null {
  const whole = snapshots.filter((one) => one.source === source && isBackup(one) && one.complete === 1 && soundVaults(one).length > 0);
  return whole.reduce<SnapshotWithCopies | null>((a, b) => (a === null || b.asOf > a.asOf ? b : a), null);
}

/** How many newer ones of the same source, up to `at`, were taken for safety: they are not chosen but by their id. */
export function safetyPassedOver(
  snapshots: readonly Pick<SnapshotWithCopies, 'asOf' | 'purpose' | 'shop' | 'source'>[],
  chosen: Pick<SnapshotWithCopies, 'asOf' | 'shop' | 'source'>,
  at: Temporal.Instant | null,
): number {
  const limit = at?.epochMilliseconds ?? Number.POSITIVE_INFINITY;
  return snapshots.filter(
    (other) =>
      !isBackup(other) && other.shop === chosen.shop && other.source === chosen.source && other.asOf > chosen.asOf && other.asOf <= limit,
  ).length;
}

/** Newer ones of the same source, up to `at`, that were not chosen: whoever restores must know of them. Newest first. */
export function passedOver(
  snapshots: readonly SnapshotWithCopies[],
  chosen: SnapshotWithCopies,
  at: Temporal.Instant | null,
): SnapshotWithCopies[] {
  const limit = at?.epochMilliseconds ?? Number.POSITIVE_INFINITY;
  return snapshots
    .filter(
      (other) =>
        isBackup(other) && other.shop === chosen.shop && other.source === chosen.source && other.asOf > chosen.asOf && other.asOf <= limit,
    )
    .sort((a, b) => b.asOf - a.asOf);
}
