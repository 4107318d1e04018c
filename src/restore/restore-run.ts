// What a restore leaves in the catalog beside its run: pins while it reads, and what it found damaged.
import { recordDamageFound } from '../catalog/damage.ts';
import type { Catalog } from '../catalog/open.ts';
import { type RatesOf, recordRates } from '../catalog/rates.ts';
import { pinSegments } from '../catalog/segments.ts';
import { recordDamagedSegment, recordVerification, snapshotSegments } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import { CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import type { SourceKind } from '../source/source.ts';
import type { DamagedCopy } from './damaged-copy.ts';
import type { RestoredSource } from './execute.ts';

/** What a restore finds damaged is not good any more, whether or not another copy helped, and is an incident. An unreachable vault says nothing of that. */
export async function recordDamage(catalog: Catalog, clock: Clock, { snapshot, vault, key, code, message }: DamagedCopy): Promise<void> {
  if (ERRORS[code as ErrorCode].exit !== ERRORS.E_OBJECT_ALTERED.exit) return;
  const segment = await catalog.db.selectFrom('segments').select('id').where('key', '=', key).executeTakeFirst();
  if (segment) await recordDamagedSegment(catalog, vault, segment.id, code);
  else await recordVerification(catalog, snapshot, vault, 0, code);
  const [row] = await catalog.db
    .selectFrom('objects')
    .select(['shop', 'versionId', 'sizeBytes'])
    .where('vault', '=', vault)
    .where('key', '=', key)
    .where('kind', 'in', ['segment', 'index', 'manifest'])
    .where('state', '=', 'stored')
    .orderBy('id', 'desc')
    .limit(1)
    .execute();
  if (row === undefined) return;
  const { shop, ...object } = row;
  await recordDamageFound(catalog, clock, { vault, shop, objects: [{ key, code, detail: message, ...object }], who: 'restore' });
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

/** Keeps where the time of a restore that went well was spent: the next one is predicted from it. Several sources were restored at once. */
export async function recordMeasured(
  catalog: Catalog,
  clock: Clock,
  of: Omit<RatesOf, 'source' | 'beside'>,
  restored: readonly Pick<RestoredSource, 'source' | 'phases'>[],
): Promise<void> {
  for (const { source, phases } of restored) {
    await recordRates(catalog, clock, { ...of, source: source as SourceKind, beside: restored.length > 1 }, phases);
  }
}
