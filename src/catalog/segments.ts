// Segments as the catalog knows them, and the pins that keep prune away from them.
import type { Insertable, Kysely, Selectable } from 'kysely';
import type { SegmentsTable } from './tables/objects.ts';
import type { Tables } from './tables.ts';

export type SegmentRow = Selectable<SegmentsTable>;

/** SQLite binds at most 32,766 values; a list of ids goes in slices. */
export const IDS_AT_ONCE = 8_000;

export function* slices<T>(items: readonly T[], size: number): Iterable<T[]> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size);
}

/** `tx` may be `catalog.db` when the row stands alone. */
export async function insertSegment(tx: Kysely<Tables>, row: Insertable<SegmentsTable>): Promise<void> {
  await tx.insertInto('segments').values(row).execute();
}

/**
 * Pins segments for a run. Must be in the transaction in which the run chose them: prune chooses what goes in one of its own, so
 * either it sees the pins, or the run sees that the objects are no longer `stored`.
 */
export async function pinSegments(tx: Kysely<Tables>, runId: string, segmentIds: readonly string[]): Promise<void> {
  for (const ids of slices(segmentIds, IDS_AT_ONCE)) {
    await tx
      .insertInto('pins')
      .values(ids.map((segmentId) => ({ segmentId, runId })))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

/** `tx` may be `catalog.db`. Idempotent. */
export async function unpinRun(tx: Kysely<Tables>, runId: string): Promise<void> {
  await tx.deleteFrom('pins').where('runId', '=', runId).execute();
}
