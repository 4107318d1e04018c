// Reads what a prune plan depends on, all of it in one transaction.
import type { Kysely } from 'kysely';
import type { Catalog } from '../catalog/open.ts';
import { listSnapshots } from '../catalog/snapshots.ts';
import type { Tables } from '../catalog/tables.ts';
import type { PlanFacts, PlanObject, PlanSnapshot } from './plan.ts';

export interface FactsRequest {
  readonly shop: string;
  readonly retentionMs: number;
  readonly nowMs: number;
}

export async function readFacts(catalog: Catalog, tx: Kysely<Tables>, request: FactsRequest): Promise<PlanFacts> {
  const { shop, nowMs, retentionMs } = request;
  const snapshots = await listSnapshots(catalog, { shop, tombstones: true }, tx);
  const references = await tx
    .selectFrom('snapshotSegments')
    .innerJoin('snapshots', 'snapshots.id', 'snapshotSegments.snapshotId')
    .select(['snapshotSegments.snapshotId', 'snapshotSegments.segmentId'])
    .where('snapshots.shop', '=', shop)
    .where('snapshots.state', '!=', 'removed')
    .execute();
  const segmentIds = new Map<string, string[]>(snapshots.map((snapshot) => [snapshot.id, []]));
  for (const row of references) segmentIds.get(row.snapshotId)?.push(row.segmentId);
  const manifestKeys = await tx
    .selectFrom('snapshotVaults')
    .innerJoin('snapshots', 'snapshots.id', 'snapshotVaults.snapshotId')
    .innerJoin('objects', 'objects.id', 'snapshotVaults.manifestObject')
    .select(['snapshotVaults.snapshotId', 'snapshotVaults.vault', 'objects.key'])
    .where('snapshots.shop', '=', shop)
    .execute();
  const objects = await tx
    .selectFrom('objects')
    .selectAll()
    .where('shop', '=', shop)
    .where('state', 'in', ['stored', 'tombstone'])
    .orderBy('id')
    .execute();
  const pinRows = await tx
    .selectFrom('pins')
    .innerJoin('segments', 'segments.id', 'pins.segmentId')
    .select(['pins.segmentId', 'pins.runId'])
    .where('segments.shop', '=', shop)
    .orderBy('pins.runId')
    .execute();
  const pins = new Map<string, string[]>();
  for (const pin of pinRows) pins.set(pin.segmentId, [...(pins.get(pin.segmentId) ?? []), pin.runId]);
  const running = await tx.selectFrom('runs').select(['id', 'kind']).where('shop', '=', shop).where('state', '=', 'running').execute();
  // a restore pins all segments of what it restores
  const restores = running.filter((run) => run.kind === 'restore').map((run) => run.id);
  const isBeingRestored = (segments: readonly string[]): boolean =>
    segments.length > 0 && restores.some((run) => segments.every((segment) => pins.get(segment)?.includes(run)));
  return {
    nowMs,
    retentionMs,
    snapshots: snapshots.map(
      (row): PlanSnapshot => ({
        id: row.id,
        source: row.source,
        completedAt: row.completedAt,
        keepUntil: row.keepUntil,
        complete: row.complete === 1,
        good: row.good,
        tombstone: row.state === 'tombstone',
        beingRestored: isBeingRestored(segmentIds.get(row.id) ?? []),
        copies: manifestKeys.filter((copy) => copy.snapshotId === row.id).map(({ vault, key }) => ({ vault, manifestKey: key })),
        segmentIds: segmentIds.get(row.id) ?? [],
      }),
    ),
    objects: objects.map(
      (row): PlanObject => ({
        id: row.id,
        vault: row.vault,
        key: row.key,
        versionId: row.versionId ?? '',
        kind: row.kind,
        refId: row.refId,
        runId: row.runId,
        tombstone: row.state === 'tombstone',
        sizeBytes: row.sizeBytes,
        retainUntil: row.retainUntil,
        createdAt: row.createdAt,
      }),
    ),
    pins,
    aliveRuns: new Set(running.map((run) => run.id)),
  };
}
