// A small history of one shop in a catalog: snapshots with their segments, objects and ledger rows, as backups and prunes leave them.
import { appendAt, blank, insertObject } from '../../src/billing/entries.ts';
import type { Catalog } from '../../src/catalog/open.ts';
import { segmentRow, snapshotRow } from '../rows.ts';

export interface StoredSnapshot {
  readonly id: string;
  readonly shop?: string;
  readonly source?: 'database' | 'files';
  readonly full?: boolean;
  readonly atMs: number;
  readonly keptMs: number;
  readonly lockedMs: number;
  /** Bytes of each segment that it stores; names of equal content are equal. */
  readonly segments: readonly { readonly bytes: number; readonly content: string }[];
  /** Ids of older segments that it uses too. */
  readonly reuses?: readonly string[];
}

/** Segments get the ids `<snapshot>-0`, `<snapshot>-1`…. */
export async function store(catalog: Catalog, snapshot: StoredSnapshot): Promise<void> {
  const { atMs, id, keptMs, lockedMs, segments } = snapshot;
  const { full = true, shop = 'dupont', source = 'files' } = snapshot;
  await catalog.transaction(async (tx) => {
    const freshBytes = segments.reduce((sum, { bytes }) => sum + bytes, 0);
    const row = {
      id,
      shop,
      source,
      runId: `run-${id}`,
      completedAt: atMs,
      keepUntil: atMs + keptMs,
      full: full ? 1 : 0,
      requiredVaults: '[]',
    };
    await tx
      .insertInto('snapshots')
      .values(snapshotRow({ ...row, freshBytes, plainBytes: freshBytes * 2 }))
      .execute();
    const own = segments.map((segment, i) => ({ ...segment, id: `${id}-${i}` }));
    for (const segment of own) {
      const key = `${shop}/segments/${segment.id}.tar.zst`;
      const row = { id: segment.id, shop, source, key, plainSha256: segment.content, createdAt: atMs, runId: `run-${id}` };
      await tx.insertInto('segments').values(segmentRow(row)).execute();
      const intent = { vault: 'offsite', shop, key, kind: 'segment' as const, refId: segment.id, runId: `run-${id}` };
      await insertObject(tx, {
        ...blank(intent, atMs),
        ...{ state: 'stored', versionId: 'v', expectedBytes: segment.bytes, sizeBytes: segment.bytes, lockMode: 'COMPLIANCE' },
        ...{ retainUntil: atMs + lockedMs, resolvedAt: atMs },
      });
      await appendAt(tx, atMs, { vault: 'offsite', shop, key, versionId: 'v', event: 'put', bytes: segment.bytes, cause: null });
    }
    const used = [...own.map((segment) => segment.id), ...(snapshot.reuses ?? [])];
    for (const [seq, segmentId] of used.entries())
      await tx.insertInto('snapshotSegments').values({ snapshotId: id, seq, segmentId, partial: 0 }).execute();
  });
}
