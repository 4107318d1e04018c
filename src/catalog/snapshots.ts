// Snapshots as the catalog knows them: recorded last, after everything of them is in a vault.
import type { Insertable, Kysely, Selectable } from 'kysely';
import { CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import { IDS_AT_ONCE, type SegmentRow, slices } from './segments.ts';
import type { ObjectsTable } from './tables/objects.ts';
import type { SnapshotsTable, SnapshotVaultsTable } from './tables/snapshots.ts';
import type { Tables } from './tables.ts';

export type SnapshotRow = Selectable<SnapshotsTable>;
export type ObjectRow = Selectable<ObjectsTable>;
export type CopyRow = Selectable<SnapshotVaultsTable>;

/** A snapshot's copy in a vault with its manifest's lock as last read back. */
export interface SnapshotCopy extends CopyRow {
  readonly lockMode: string | null;
  readonly retainUntil: number | null;
}

export interface SnapshotWithCopies extends SnapshotRow {
  readonly copies: readonly SnapshotCopy[];
  readonly good: boolean;
}

export interface SnapshotRecord {
  readonly snapshot: Insertable<SnapshotsTable>;
  /** In restore order. */
  readonly segments: readonly {
    readonly segmentId: string;
    readonly seq: number;
    readonly partial: number;
    readonly liveBytes: number | null;
  }[];
  /** The vault whose manifest was just stored. */
  readonly copy?: Insertable<SnapshotVaultsTable>;
}

/**
 * Makes a snapshot exist, with its first copy, in one transaction. Call it only after that vault's manifest was read back; calling it
 * again for the next vault adds that copy and changes nothing else.
 */
export async function recordSnapshot(catalog: Catalog, record: SnapshotRecord): Promise<void> {
  await catalog.transaction((tx) => insertSnapshot(tx, record));
}

/**
 * Adds a copy, or puts it in the place of one whose manifest had to be written anew, in one transaction; the manifest and index that it
 * replaces are strays from then on.
 */
export async function recordCopy(catalog: Catalog, copy: Insertable<SnapshotVaultsTable>): Promise<void> {
  await catalog.transaction(async (tx) => {
    const { snapshotId, vault, manifestObject, indexObject } = copy;
    await tx.deleteFrom('snapshotVaults').where('snapshotId', '=', snapshotId).where('vault', '=', vault).execute();
    await insertCopy(tx, copy);
    await tx
      .updateTable('objects')
      .set({ kind: 'stray', refId: null })
      .where('vault', '=', vault)
      .where('refId', '=', snapshotId)
      .where('kind', 'in', ['manifest', 'index'])
      .where('state', '=', 'stored')
      .where('id', 'not in', [manifestObject, indexObject])
      .execute();
  });
}

/** `recordSnapshot` inside a transaction of the caller's. */
export async function insertSnapshot(tx: Kysely<Tables>, record: SnapshotRecord): Promise<void> {
  const result = await tx
    .insertInto('snapshots')
    .values(record.snapshot)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (result.numInsertedOrUpdatedRows !== 0n) {
    for (const rows of slices(record.segments, IDS_AT_ONCE)) {
      await tx
        .insertInto('snapshotSegments')
        .values(rows.map((row) => ({ snapshotId: record.snapshot.id, ...row })))
        .execute();
    }
  }
  if (record.copy) await insertCopy(tx, record.copy);
}

async function insertCopy(tx: Kysely<Tables>, copy: Insertable<SnapshotVaultsTable>): Promise<void> {
  await tx.insertInto('snapshotVaults').values(copy).execute();
  await tx.deleteFrom('gaps').where('snapshotId', '=', copy.snapshotId).where('vault', '=', copy.vault).execute();
}

/**
 * Complete, committed in every vault that its plan required, and nothing found wrong since. A copy's row is written only after the
 * locks of everything it names were read back, so the row stands for them.
 */
export function isGood(
  snapshot: Pick<SnapshotRow, 'complete' | 'state' | 'requiredVaults'>,
  copies: readonly Pick<CopyRow, 'vault' | 'verifyError'>[],
): boolean {
  if (snapshot.complete !== 1 || snapshot.state !== 'committed') return false;
  const sound = new Set(copies.filter((copy) => copy.verifyError === null).map((copy) => copy.vault));
  return requiredVaults(snapshot).every((vault) => sound.has(vault));
}

/** Not taken for safety before a restore in place: that is the state that somebody wanted to be rid of. */
export const isBackup = ({ purpose }: Pick<SnapshotRow, 'purpose'>): boolean => purpose !== 'safety';

export function requiredVaults(snapshot: Pick<SnapshotRow, 'requiredVaults'>): string[] {
  return JSON.parse(snapshot.requiredVaults) as string[];
}

export interface SnapshotFilter {
  readonly shop?: string | undefined;
  readonly source?: SnapshotsTable['source'] | undefined;
  /** Those being removed too. */
  readonly tombstones?: boolean;
}

/** Newest first. Removed ones never. */
export async function listSnapshots(
  catalog: Catalog,
  filter: string | SnapshotFilter = {},
  tx: Kysely<Tables> = catalog.db,
): Promise<SnapshotWithCopies[]> {
  const { shop, source, tombstones = false } = typeof filter === 'string' ? { shop: filter } : filter;
  let query = tx.selectFrom('snapshots').selectAll();
  query = tombstones ? query.where('state', '!=', 'removed') : query.where('state', '=', 'committed');
  if (shop !== undefined) query = query.where('shop', '=', shop);
  if (source !== undefined) query = query.where('source', '=', source);
  const rows = await query.orderBy('completedAt', 'desc').orderBy('id', 'desc').execute();
  return await withCopies(tx, rows);
}

async function withCopies(tx: Kysely<Tables>, rows: readonly SnapshotRow[]): Promise<SnapshotWithCopies[]> {
  const copies = new Map<string, SnapshotCopy[]>();
  for (const slice of slices(rows, IDS_AT_ONCE)) {
    const found = await tx
      .selectFrom('snapshotVaults')
      .innerJoin('objects', 'objects.id', 'snapshotVaults.manifestObject')
      .selectAll('snapshotVaults')
      .select(['objects.lockMode', 'objects.retainUntil'])
      .where(
        'snapshotVaults.snapshotId',
        'in',
        slice.map((row) => row.id),
      )
      .orderBy('snapshotVaults.vault')
      .execute();
    for (const copy of found) {
      const list = copies.get(copy.snapshotId);
      if (list) list.push(copy);
      else copies.set(copy.snapshotId, [copy]);
    }
  }
  return rows.map((row) => {
    const own = copies.get(row.id) ?? [];
    return { ...row, copies: own, good: isGood(row, own) };
  });
}

/** By id or by a prefix that only one snapshot has. Throws E_UNKNOWN_SNAPSHOT, also for a prefix that several have. */
export async function getSnapshot(catalog: Catalog, idOrPrefix: string): Promise<SnapshotWithCopies> {
  const rows = await catalog.db
    .selectFrom('snapshots')
    .selectAll()
    .where('id', '>=', idOrPrefix)
    .where('id', '<', `${idOrPrefix}\u{10ffff}`)
    .where('state', '!=', 'removed')
    .orderBy('id')
    .limit(2)
    .execute();
  const row = rows[0];
  if (row === undefined || idOrPrefix === '') throw new CoffreError('E_UNKNOWN_SNAPSHOT', `no snapshot ${JSON.stringify(idOrPrefix)}`);
  if (rows.length > 1 && row.id !== idOrPrefix) {
    throw new CoffreError('E_UNKNOWN_SNAPSHOT', `several snapshots begin with ${JSON.stringify(idOrPrefix)}`, {
      hint: 'give more of the id',
    });
  }
  const [snapshot] = await withCopies(catalog.db, [row]);
  if (!snapshot) throw new CoffreError('E_INTERNAL', `snapshot ${row.id} vanished between two lines`);
  return snapshot;
}

/** By its whole id; null: there is none, or it is of none of `shops`, for which nothing more is read. Removed ones never. */
export async function findSnapshot(
  catalog: Catalog,
  id: string,
  shops: readonly string[] | null = null,
): Promise<SnapshotWithCopies | null> {
  let query = catalog.db.selectFrom('snapshots').selectAll().where('id', '=', id).where('state', '=', 'committed');
  if (shops !== null) query = query.where('shop', 'in', shops);
  const row = await query.executeTakeFirst();
  const [snapshot] = row === undefined ? [] : await withCopies(catalog.db, [row]);
  return snapshot ?? null;
}

export interface SnapshotPage {
  /** Only these; all when left out. */
  readonly shops?: readonly string[] | undefined;
  readonly source?: SnapshotsTable['source'] | undefined;
  /** Begun before this one: the last id of the page before. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first, by when they were begun. */
export async function pageOfSnapshots(catalog: Catalog, page: SnapshotPage): Promise<SnapshotWithCopies[]> {
  let query = catalog.db.selectFrom('snapshots').selectAll().where('state', '=', 'committed');
  if (page.shops !== undefined) query = query.where('shop', 'in', page.shops);
  if (page.source !== undefined) query = query.where('source', '=', page.source);
  if (page.before !== undefined) query = query.where('id', '<', page.before);
  return await withCopies(catalog.db, await query.orderBy('id', 'desc').limit(page.limit).execute());
}

/** The newest good snapshot of a source, null when there is none. */
export async function latestGood(
  catalog: Catalog,
  shop: string,
  source: SnapshotsTable['source'],
  tx: Kysely<Tables> = catalog.db,
): Promise<SnapshotWithCopies | null> {
  const all = await listSnapshots(catalog, { shop, source }, tx);
  return all.find((snapshot) => snapshot.good) ?? null;
}

/** The newest snapshot of a source, good or not, with an undamaged copy in each of these vaults; null when there is none. */
export async function latestIn(
  catalog: Catalog,
  shop: string,
  source: SnapshotsTable['source'],
  vaults: readonly string[],
  tx: Kysely<Tables> = catalog.db,
): Promise<SnapshotWithCopies | null> {
  const all = await listSnapshots(catalog, { shop, source }, tx);
  const isIn = (snapshot: SnapshotWithCopies, vault: string): boolean =>
    snapshot.copies.some((copy) => copy.vault === vault && copy.verifyError === null);
  return all.find((snapshot) => vaults.every((vault) => isIn(snapshot, vault))) ?? null;
}

export interface SnapshotSegment extends SegmentRow {
  readonly seq: number;
  readonly partial: number;
}

/** In restore order. */
export async function snapshotSegments(catalog: Catalog, snapshotId: string, tx: Kysely<Tables> = catalog.db): Promise<SnapshotSegment[]> {
  return await tx
    .selectFrom('snapshotSegments')
    .innerJoin('segments', 'segments.id', 'snapshotSegments.segmentId')
    .selectAll('segments')
    .select(['snapshotSegments.seq', 'snapshotSegments.partial'])
    .where('snapshotSegments.snapshotId', '=', snapshotId)
    .orderBy('snapshotSegments.seq')
    .execute();
}

/** What a vault holds for these segments or snapshots (state stored only), in no order. */
export async function objectsOf(
  catalog: Catalog,
  vault: string,
  refIds: readonly string[],
  kind: ObjectsTable['kind'],
  tx: Kysely<Tables> = catalog.db,
): Promise<ObjectRow[]> {
  const found: ObjectRow[] = [];
  for (const ids of slices(refIds, IDS_AT_ONCE)) {
    const rows = await tx
      .selectFrom('objects')
      .selectAll()
      .where('vault', '=', vault)
      .where('kind', '=', kind)
      .where('state', '=', 'stored')
      .where('refId', 'in', ids)
      .execute();
    found.push(...rows);
  }
  return found;
}

/** Notes what a verification of this copy found: null when all was right. */
export async function recordVerification(
  catalog: Catalog,
  snapshotId: string,
  vault: string,
  atMs: number,
  errorCode: string | null,
): Promise<void> {
  await catalog.transaction((tx) =>
    tx
      .updateTable('snapshotVaults')
      .set(errorCode === null ? { verifiedAt: atMs, verifyError: null } : { verifyError: errorCode })
      .where('snapshotId', '=', snapshotId)
      .where('vault', '=', vault)
      .execute(),
  );
}

/** Notes that a segment in this vault is not what was written (or is gone): no copy there that needs it is good any more. */
export async function recordDamagedSegment(catalog: Catalog, vault: string, segmentId: string, errorCode: string): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx
      .updateTable('objects')
      .set({ damage: errorCode })
      .where('vault', '=', vault)
      .where('refId', '=', segmentId)
      .where('kind', '=', 'segment')
      .where('state', '=', 'stored')
      .execute();
    await tx
      .updateTable('snapshotVaults')
      .set({ verifyError: errorCode })
      .where('vault', '=', vault)
      .where('snapshotId', 'in', tx.selectFrom('snapshotSegments').select('snapshotId').where('segmentId', '=', segmentId))
      .execute();
  });
}

/** Notes on the object itself what is wrong with it, and on every copy that needs it. */
export async function recordDamagedObject(
  catalog: Catalog,
  row: Pick<ObjectRow, 'id' | 'vault' | 'kind' | 'refId'>,
  errorCode: string,
): Promise<void> {
  await catalog.db.updateTable('objects').set({ damage: errorCode }).where('id', '=', row.id).execute();
  if (row.refId === null) return;
  if (row.kind === 'segment') await recordDamagedSegment(catalog, row.vault, row.refId, errorCode);
  else if (row.kind === 'index' || row.kind === 'manifest') await recordVerification(catalog, row.refId, row.vault, 0, errorCode);
}

/** Its bytes were read now and are what was written, whatever an earlier verification found. */
export async function recordSoundObject(catalog: Catalog, id: number, atMs: number): Promise<void> {
  await catalog.db.updateTable('objects').set({ damage: null, readAt: atMs }).where('id', '=', id).execute();
}

/** Segments of a snapshot that one of `others` uses too. */
export async function sharedSegments(tx: Kysely<Tables>, snapshotId: string, others: readonly string[]): Promise<Set<string>> {
  const shared = new Set<string>();
  for (const ids of slices(others, IDS_AT_ONCE)) {
    const rows = await tx
      .selectFrom('snapshotSegments')
      .select('segmentId')
      .distinct()
      .where('snapshotId', 'in', ids)
      .where('segmentId', 'in', tx.selectFrom('snapshotSegments').select('segmentId').where('snapshotId', '=', snapshotId))
      .execute();
    for (const { segmentId } of rows) shared.add(segmentId);
  }
  return shared;
}

/**
 * For each segment of these snapshots the end of the last window that needs it (epoch milliseconds), of all
 * snapshots that the shop has.
 */
export async function lastNeeds(catalog: Catalog, snapshotIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const needs = new Map<string, number>();
  for (const ids of slices(snapshotIds, IDS_AT_ONCE)) {
    const rows = await catalog.db
      .selectFrom('snapshotSegments as user')
      .innerJoin('snapshots', 'snapshots.id', 'user.snapshotId')
      .select(['user.segmentId', (eb) => eb.fn.max('snapshots.keepUntil').as('last')])
      .where('snapshots.state', '=', 'committed')
      .where('user.segmentId', 'in', catalog.db.selectFrom('snapshotSegments').select('segmentId').where('snapshotId', 'in', ids))
      .groupBy('user.segmentId')
      .execute();
    for (const { segmentId, last } of rows) needs.set(segmentId, last);
  }
  return needs;
}
