// What a restore leaves in the catalog beside its run: pins while it reads, and what it found damaged.
import type { Catalog } from '../catalog/open.ts';
import { pinSegments } from '../catalog/segments.ts';
import { recordDamagedSegment, recordVerification, snapshotSegments } from '../catalog/snapshots.ts';
import { CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import type { DamagedCopy } from './request.ts';

/** What a restore finds damaged is not good any more, whether or not another copy helped. An unreachable vault says nothing of that. */
export async function recordDamage(
  catalog: Catalog,
  { snapshot, vault, key, code }: Pick<DamagedCopy, 'snapshot' | 'vault' | 'key' | 'code'>,
): Promise<void> {
  if (ERRORS[code as ErrorCode].exit !== ERRORS.E_OBJECT_ALTERED.exit) return;
  const segment = await catalog.db.selectFrom('segments').select('id').where('key', '=', key).executeTakeFirst();
  if (segment) await recordDamagedSegment(catalog, vault, segment.id, code);
  else await recordVerification(catalog, snapshot, vault, 0, code);
}

/** Throws E_UNKNOWN_SNAPSHOT when its removal began since it was chosen. */
export async function pinSnapshot(catalog: Catalog, runId: string, snapshotId: string): Promise<void> {
  await catalog.transaction(async (tx) => {
    const snapshot = await tx.selectFrom('snapshots').select('state').where('id', '=', snapshotId).executeTakeFirst();
    if (snapshot?.state !== 'committed') {
      throw new CoffreError('E_UNKNOWN_SNAPSHOT', `snapshot ${snapshotId} is past its window and being removed`);
    }
    const segments = await snapshotSegments(catalog, snapshotId, tx);
    await pinSegments(
      tx,
      runId,
      segments.map((segment) => segment.id),
    );
  });
}
