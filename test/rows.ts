// Rows of the catalog with every column filled in, for tests that care about two of them.
import type { Insertable } from 'kysely';
import type { SegmentsTable } from '../src/catalog/tables/objects.ts';
import type { SnapshotsTable } from '../src/catalog/tables/snapshots.ts';

export function segmentRow(row: Partial<Insertable<SegmentsTable>> & { id: string }): Insertable<SegmentsTable> {
  return {
    shop: 'dupont',
    source: 'files',
    kind: 'tar',
    phase: 'files',
    name: row.id,
    key: `${row.shop ?? 'dupont'}/segments/${row.id}.tar.zst`,
    plainBytes: 100,
    plainSha256: '00',
    storedBytes: 50,
    storedSha256: '00',
    load: null,
    runId: 'r0',
    createdAt: 0,
    ...row,
  };
}

export function snapshotRow(row: Partial<Insertable<SnapshotsTable>> & { id: string }): Insertable<SnapshotsTable> {
  return {
    shop: 'dupont',
    source: 'files',
    runId: 'r0',
    startedAt: 0,
    asOf: 0,
    completedAt: 0,
    full: 1,
    complete: 1,
    state: 'committed',
    keepUntil: 0,
    plainBytes: 100,
    storedBytes: 50,
    freshBytes: 50,
    segments: 1,
    reusedSegments: 0,
    counts: '{}',
    warnings: '[]',
    consistency: null,
    requiredVaults: '["nas","offsite"]',
    durationMs: 1,
    ...row,
  };
}
