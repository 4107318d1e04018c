// Which stored objects can be read and compared with what was written, and when that was done last.
import type { Catalog } from './open.ts';
import type { ObjectsTable } from './tables.ts';

/** One stored object. Instants are epoch milliseconds. */
export interface ReadableObject {
  readonly id: number;
  readonly vault: string;
  readonly key: string;
  readonly versionId: string;
  readonly kind: ObjectsTable['kind'];
  readonly refId: string | null;
  readonly sizeBytes: number;
  /** Of the stored bytes, hex. */
  readonly sha256: string;
  /** When it was last read; else when it was stored. */
  readonly knownAt: number;
  readonly readAt: number | null;
}

const KINDS = ['segment', 'index', 'manifest', 'key', 'state'] as const;

/** What this vault holds of the shop and is believed to be sound, oldest knowledge first. */
export async function readableObjects(catalog: Catalog, vault: string, shop: string): Promise<ReadableObject[]> {
  const rows = await catalog.db
    .selectFrom('objects')
    .leftJoin('segments', (join) => join.onRef('segments.id', '=', 'objects.refId').on('objects.kind', '=', 'segment'))
    .select(['objects.id', 'objects.vault', 'objects.key', 'objects.versionId', 'objects.kind', 'objects.refId', 'objects.sizeBytes'])
    .select(['objects.createdAt', 'objects.readAt'])
    .select((eb) => eb.fn.coalesce('objects.sha256', 'segments.storedSha256').as('sha256'))
    .where('objects.vault', '=', vault)
    .where('objects.shop', '=', shop)
    .where('objects.state', '=', 'stored')
    .where('objects.kind', 'in', KINDS)
    .where('objects.damage', 'is', null)
    .execute();
  return rows
    .flatMap(({ createdAt, versionId, sha256, ...row }) =>
      versionId === null || sha256 === null ? [] : [{ ...row, versionId, sha256, knownAt: row.readAt ?? createdAt }],
    )
    .sort((a, b) => a.knownAt - b.knownAt || a.id - b.id);
}

/** Bytes of one vault. */
export interface ReadingLevel {
  readonly vault: string;
  readonly storedBytes: number;
  /** Read, and found to be what was written, at `sinceMs` or later. */
  readonly readBytes: number;
  /** Neither read nor stored since then. */
  readonly overdueBytes: number;
}

export async function readingLevels(catalog: Catalog, shop: string, sinceMs: number): Promise<ReadingLevel[]> {
  const rows = await catalog.db
    .selectFrom('objects')
    .select(['vault', 'sizeBytes', 'readAt', 'createdAt'])
    .where('shop', '=', shop)
    .where('state', '=', 'stored')
    .where('kind', 'in', KINDS)
    .where('damage', 'is', null)
    .execute();
  const levels = new Map<string, { vault: string; storedBytes: number; readBytes: number; overdueBytes: number }>();
  for (const { vault, sizeBytes, readAt, createdAt } of rows) {
    const level = levels.get(vault) ?? { vault, storedBytes: 0, readBytes: 0, overdueBytes: 0 };
    levels.set(vault, level);
    level.storedBytes += sizeBytes;
    if (readAt !== null && readAt >= sinceMs) level.readBytes += sizeBytes;
    else if ((readAt ?? createdAt) < sinceMs) level.overdueBytes += sizeBytes;
  }
  return [...levels.values()].sort((a, b) => (a.vault < b.vault ? -1 : 1));
}
