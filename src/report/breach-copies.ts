// Reads where copies of a shop's backups are that nobody knows to be damaged, and what is to be said of how they are protected.
import type { Kysely } from 'kysely';
import type { Tables } from '../catalog/tables.ts';
import type { ErrorCode } from '../errors.ts';

/** Epoch milliseconds. What is whole in one vault; what is known to be altered or gone is in none. */
export interface VaultCopies {
  readonly vault: string;
  readonly snapshots: number;
  readonly newestAt: number;
  /** Of these, whose lock has ended, or is shorter or weaker than was promised: the content is none the worse for it. */
  readonly weaklyLocked: number;
  /** Of these, what the last check found something else about, or could not be ended for. */
  readonly unsure: number;
}

/** Found in the content: such a copy is none. A signature that does not hold says as much of what it signs. */
const DAMAGED: readonly ErrorCode[] = ['E_OBJECT_MISSING', 'E_OBJECT_ALTERED', 'E_DECRYPT', 'E_FORMAT', 'E_SIGNATURE'];

/** By vault. Whether a lock still lasts is the manifest's, which is promised for as long as its snapshot. */
export async function readCopies(db: Kysely<Tables>, shop: string, nowMs: number): Promise<VaultCopies[]> {
  const rows = await db
    .selectFrom('snapshots')
    .innerJoin('snapshotVaults', 'snapshotVaults.snapshotId', 'snapshots.id')
    .leftJoin('objects', 'objects.id', 'snapshotVaults.manifestObject')
    .select(['snapshots.asOf', 'snapshotVaults.vault', 'snapshotVaults.verifyError', 'objects.retainUntil'])
    .where('snapshots.shop', '=', shop)
    .where('snapshots.state', '=', 'committed')
    .where('snapshots.complete', '=', 1)
    .where((eb) => eb.or([eb('snapshotVaults.verifyError', 'is', null), eb('snapshotVaults.verifyError', 'not in', DAMAGED)]))
    .execute();
  const byVault = [...Map.groupBy(rows, ({ vault }) => vault)].sort(([a], [b]) => (a < b ? -1 : 1));
  return byVault.map(([vault, copies]) => {
    const isWeak = ({ retainUntil, verifyError }: (typeof copies)[number]): boolean =>
      verifyError === 'E_LOCK_DROPPED' || (verifyError === null && (retainUntil ?? 0) <= nowMs);
    return {
      vault,
      snapshots: copies.length,
      newestAt: Math.max(...copies.map(({ asOf }) => asOf)),
      weaklyLocked: copies.filter(isWeak).length,
      unsure: copies.filter(({ verifyError }) => verifyError !== null && verifyError !== 'E_LOCK_DROPPED').length,
    };
  });
}
