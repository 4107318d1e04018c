// What a shop's quota measures: its own data, as its newest good backups found it.
import { isBackup, type SnapshotWithCopies } from '../catalog/snapshots.ts';

/** What else is on a shop's machine is no matter of its quota. */
export const MEASURED = ['database', 'files'] as const;

/**
 * Bytes of the newest good backup of each of these sources, whatever its age; one that has none counts 0. Status and forecast both tell
 * this. `snapshots`: of the shop, newest first.
 */
export function ownDataBytes(
  snapshots: readonly Pick<SnapshotWithCopies, 'source' | 'good' | 'purpose' | 'plainBytes'>[],
  sources: readonly string[],
): number {
  const newest = MEASURED.filter((source) => sources.includes(source)).map((source) =>
    snapshots.find((snapshot) => snapshot.source === source && snapshot.good && isBackup(snapshot)),
  );
  return newest.reduce((sum, snapshot) => sum + (snapshot?.plainBytes ?? 0), 0);
}
