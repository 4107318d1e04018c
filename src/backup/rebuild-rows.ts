// Rows of the catalog as a signed manifest tells them: its segments, its snapshot, and the run that took it. Pure.
import type { Insertable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { SnapshotHint } from '../catalog/checkpoint-tables.ts';
import type { SegmentsTable } from '../catalog/tables/objects.ts';
import type { RunsTable } from '../catalog/tables/runs.ts';
import type { SnapshotsTable } from '../catalog/tables/snapshots.ts';
import { idTimeMs } from '../segment/id.ts';
import type { Manifest, ManifestSegment } from '../segment/manifest-types.ts';

export function segmentRow(manifest: Manifest, segment: ManifestSegment): Insertable<SegmentsTable> {
  const { id, kind, phase, name, key, plainBytes, plainSha256, storedBytes, storedSha256, load } = segment;
  return {
    ...{ id, kind, phase, name, key, plainBytes, plainSha256, storedBytes, storedSha256 },
    shop: manifest.shop,
    source: manifest.source,
    sealedTo: manifest.encryption === 'none' ? 'none' : manifest.encryption.recipient,
    load: load === undefined ? null : JSON.stringify(load),
    // manifests come oldest first: the one that stored it, unless that is gone
    runId: manifest.snapshot,
    createdAt: idTimeMs(id),
  };
}

/** `hint`: what a checkpoint knew beyond the manifest; without it what the manifest promises counts, in the vaults given. */
export function snapshotRow(
  manifest: Manifest,
  manifestBytes: number,
  hint: SnapshotHint | undefined,
  requiredVaults: readonly string[],
): Insertable<SnapshotsTable> {
  const { index, segments } = manifest;
  const fresh = segments.filter((one) => one.fresh);
  const own = index.storedBytes + manifestBytes;
  const [startedAt, completedAt] = [msOf(manifest.startedAt), msOf(manifest.completedAt)];
  return {
    id: manifest.snapshot,
    shop: manifest.shop,
    source: manifest.source,
    runId: manifest.snapshot,
    startedAt,
    asOf: msOf(manifest.asOf),
    completedAt,
    full: manifest.full ? 1 : 0,
    complete: manifest.complete ? 1 : 0,
    state: hint?.state === 'tombstone' ? 'tombstone' : 'committed',
    keepUntil: hint?.keepUntil ?? msOf(manifest.lock.retainUntil),
    plainBytes: sum(segments.map((one) => one.plainBytes)),
    storedBytes: sum(segments.map((one) => one.storedBytes)) + own,
    freshBytes: sum(fresh.map((one) => one.storedBytes)) + own,
    segments: segments.length,
    reusedSegments: segments.length - fresh.length,
    counts: JSON.stringify(manifest.counts),
    warnings: JSON.stringify(manifest.warnings),
    consistency: manifest.consistency ? JSON.stringify(manifest.consistency) : null,
    purpose: manifest.purpose ?? hint?.purpose ?? null,
    requiredVaults: hint?.requiredVaults ?? JSON.stringify(requiredVaults),
    durationMs: hint?.durationMs ?? completedAt - startedAt,
  };
}

/** A run newer than the last checkpoint is known by its snapshot alone. */
export function runRow(manifest: Manifest, vault: string, now: Temporal.Instant): Insertable<RunsTable> {
  return {
    id: manifest.snapshot,
    kind: 'backup',
    shop: manifest.shop,
    source: manifest.source,
    state: 'done',
    startedAt: msOf(manifest.startedAt),
    endedAt: msOf(manifest.completedAt),
    errorCode: null,
    errorMessage: null,
    detail: JSON.stringify({ rebuiltFrom: vault, at: now.toString() }),
  };
}

const msOf = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
