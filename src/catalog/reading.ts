// Which stored objects can be read and compared with what was written, and when that was done last.
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import { IS_LIVE, vaultsHolding } from './live-objects.ts';
import type { Catalog } from './open.ts';
import type { ObjectsTable } from './tables/objects.ts';

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

/** Stored by coffre, to be kept, and not known to be damaged. */
const IS_READABLE: RawBuilder<SqlBool> = sql<SqlBool>`${IS_LIVE} and "objects"."state" = 'stored'
  and "objects"."kind" in ('segment', 'index', 'manifest', 'key', 'state') and "objects"."damage" is null`;

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
    .where(IS_READABLE)
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

/** By vault. Summed up by the database: a shop has thousands of objects, and all shops are asked for in one go. */
export async function readingLevels(catalog: Catalog, shop: string, sinceMs: number): Promise<ReadingLevel[]> {
  return await catalog.db
    .selectFrom('objects')
    .select('vault')
    .select((eb) => eb.fn.sum<number>('sizeBytes').as('storedBytes'))
    .select(sql<number>`sum(case when "readAt" >= ${sinceMs} then "sizeBytes" else 0 end)`.as('readBytes'))
    .select(sql<number>`sum(case when coalesce("readAt", "createdAt") < ${sinceMs} then "sizeBytes" else 0 end)`.as('overdueBytes'))
    .where('vault', 'in', await vaultsHolding(catalog.db, shop))
    .where('shop', '=', shop)
    .where(IS_READABLE)
    .groupBy('vault')
    .orderBy('vault')
    .execute();
}

/** What tells whether anything is to be read, without an object of it. */
export interface ReadingSummary {
  readonly totalBytes: number;
  /** Read since `sinceMs`, and not after `nowMs`. */
  readonly readBytes: number;
  /** Epoch milliseconds; null: there is nothing to be read. */
  readonly oldestKnownAt: number | null;
}

/** Of `readableObjects`, summed up by the database: hundreds of shops are asked hourly, and have thousands of objects each. */
export async function readingSummary(
  catalog: Catalog,
  vault: string,
  shop: string,
  { sinceMs, nowMs }: { readonly sinceMs: number; readonly nowMs: number },
): Promise<ReadingSummary> {
  const row = await catalog.db
    .selectFrom('objects')
    .select((eb) => eb.fn.sum<number | null>('sizeBytes').as('totalBytes'))
    .select(sql<number | null>`sum(case when "readAt" > ${sinceMs} and "readAt" <= ${nowMs} then "sizeBytes" else 0 end)`.as('readBytes'))
    .select(sql<number | null>`min(coalesce("readAt", "createdAt"))`.as('oldestKnownAt'))
    .where('vault', '=', vault)
    .where('shop', '=', shop)
    .where(IS_READABLE)
    .where('versionId', 'is not', null)
    .where((eb) => eb.or([eb('kind', '=', 'segment'), eb('sha256', 'is not', null)]))
    .executeTakeFirstOrThrow();
  return { totalBytes: row.totalBytes ?? 0, readBytes: row.readBytes ?? 0, oldestKnownAt: row.oldestKnownAt };
}
