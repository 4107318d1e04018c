// Settles intents whose run is gone: the store is asked what became of them, key by key.
import { type Selectable, type SqlBool, sql } from 'kysely';
import { IS_LIVE } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { isRunAlive } from '../catalog/runs.ts';
import type { ObjectsTable } from '../catalog/tables/objects.ts';
import type { Clock } from '../clock.ts';
import type { ListedUpload, ListedVersion, StoredObject, Vault } from '../vault/vault.ts';
import { insertFound, markReleased, markStored, meterUpload, uploadVersion } from './entries.ts';

/** How long a request may still be under way after its process died: a store's own time-out with room to spare. */
export const IN_FLIGHT_MARGIN_MS = 5 * 60_000;

export interface ResolveOptions {
  /** See IN_FLIGHT_MARGIN_MS, its default. */
  readonly olderThanMs?: number;
  readonly signal?: AbortSignal;
}

/** Rows of objects, by what became of them. */
export interface Resolution {
  /** The version that was meant is there: stored, metered, lock read. Its bytes were not read: sha256 is null. */
  readonly stored: readonly number[];
  /** Versions nobody needs: of abandoned attempts, or second ones on one key. */
  readonly strays: readonly number[];
  /** Versions that no attempt of ours explains. */
  readonly foreign: readonly number[];
  readonly voided: readonly number[];
  /** Not there, and too young to say that they never will be. */
  readonly pending: readonly number[];
}

type ObjectRow = Selectable<ObjectsTable>;
type Growing = { -readonly [K in keyof Resolution]: number[] };

export async function resolveKeys(
  catalog: Catalog,
  clock: Clock,
  vault: Vault,
  shop: string | null,
  options: ResolveOptions,
): Promise<Resolution> {
  const olderThanMs = options.olderThanMs ?? IN_FLIGHT_MARGIN_MS;
  const result: Growing = { stored: [], strays: [], foreign: [], voided: [], pending: [] };
  const alive = new Map<string, boolean>();
  for (const [key, rows] of await openKeys(catalog, vault.name, shop)) {
    options.signal?.throwIfAborted();
    const nowMs = clock.nowMs();
    let left = false;
    for (const row of rows) {
      // without a run there is no process to ask for, only its age
      if (row.runId === null) left ||= row.state === 'intent' && nowMs - row.createdAt < olderThanMs;
      else {
        if (!alive.has(row.runId)) alive.set(row.runId, await isRunAlive(catalog, row.runId));
        left ||= alive.get(row.runId) === true;
      }
    }
    if (left) result.pending.push(...rows.filter((row) => row.state === 'intent').map((row) => row.id));
    else await resolveKey(catalog, clock, vault, key, nowMs - olderThanMs, result);
  }
  return result;
}

/** Intents, and uploads that were still there when last heard of, by key. */
async function openKeys(catalog: Catalog, vault: string, shop: string | null): Promise<Map<string, ObjectRow[]>> {
  // written out, both: an index that knows only of these rows is used for no value that is bound
  let intents = catalog.db.selectFrom('objects').selectAll().where('vault', '=', vault).where(sql<SqlBool>`"state" = 'intent'`);
  let uploads = catalog.db.selectFrom('objects').selectAll().where('vault', '=', vault).where('kind', '=', 'upload').where(IS_LIVE);
  if (shop !== null) {
    intents = intents.where('shop', '=', shop);
    uploads = uploads.where('shop', '=', shop);
  }
  const keys = new Map<string, ObjectRow[]>();
  for (const row of [...(await intents.orderBy('id').execute()), ...(await uploads.orderBy('id').execute())]) {
    const rows = keys.get(row.key);
    if (rows) rows.push(row);
    else keys.set(row.key, [row]);
  }
  return keys;
}

async function resolveKey(catalog: Catalog, clock: Clock, vault: Vault, key: string, bornBefore: number, result: Growing): Promise<void> {
  // Uploads first: one that completes between the two questions is then seen twice and not never; the second look settles it.
  const uploads = await exactly(vault.listUploads(key), key);
  const versions = (await exactly(vault.listVersions(key), key)).filter((version) => !version.isDeleteMarker).reverse();
  const known = await catalog.db.selectFrom('objects').select('versionId').where('vault', '=', vault.name).where('key', '=', key).execute();
  const knownIds = new Set(known.map((row) => row.versionId));
  const found: StoredObject[] = [];
  for (const version of versions) {
    if (knownIds.has(version.versionId)) continue;
    const object = await vault.stat(key, version.versionId);
    if (object) found.push(object);
  }
  await catalog.transaction(async (tx) => {
    const rows = await tx.selectFrom('objects').selectAll().where('vault', '=', vault.name).where('key', '=', key).orderBy('id').execute();
    const first = rows[0];
    if (!first) return;
    const counted = new Set(rows.map((row) => row.versionId));
    const intents = rows.filter((row) => row.state === 'intent');
    const streamed = rows.some((row) => row.kind === 'upload') || uploads.length > 0;
    let taken = rows.some((row) => row.versionId !== null && row.kind !== 'stray' && row.kind !== 'upload' && row.kind !== 'foreign');
    let completed = false;
    for (const object of found) {
      if (counted.has(object.versionId)) continue;
      const wanted = taken
        ? undefined
        : intents.find((row) => row.kind !== 'stray' && (row.expectedBytes === object.sizeBytes || streamed));
      const intent = wanted ?? intents.find((row) => row.kind === 'stray') ?? intents[0];
      const cause = 'found in the store after its run had ended';
      if (!intent) {
        // One attempt makes one version: what no attempt is left for was written by somebody else, unless it is the same to the byte.
        const ours = rows.some((row) => row.kind !== 'foreign' && row.expectedBytes === object.sizeBytes);
        const kind = ours ? 'stray' : 'foreign';
        const id = await insertFound(tx, clock, { vault: vault.name, shop: first.shop, object, kind, cause });
        (ours ? result.strays : result.foreign).push(id);
        continue;
      }
      intents.splice(intents.indexOf(intent), 1);
      if (wanted) taken = true;
      else await tx.updateTable('objects').set({ kind: 'stray', refId: null }).where('id', '=', intent.id).execute();
      completed = true;
      await markStored(tx, clock, intent.id, object, null, cause);
      (wanted ? result.stored : result.strays).push(intent.id);
    }
    for (const { uploadId, sizeBytes, startedAt } of uploads)
      await meterUpload(tx, clock, first, uploadId, sizeBytes, { cause: 'as the store lists it', startedAt });
    const listed = new Set(uploads.map((upload) => uploadVersion(upload.uploadId)));
    for (const row of rows) {
      if (row.kind !== 'upload' || row.versionId === null || listed.has(row.versionId)) continue;
      if (row.state !== 'stored' && row.state !== 'tombstone') continue;
      await markReleased(tx, clock, row, completed ? 'complete' : 'release', completed ? null : 'gone from the store');
    }
    for (const row of intents) {
      if (row.createdAt > bornBefore) result.pending.push(row.id);
      else {
        await tx.updateTable('objects').set({ state: 'void', resolvedAt: clock.nowMs() }).where('id', '=', row.id).execute();
        result.voided.push(row.id);
      }
    }
  });
}

/** Rows of a listing whose key is `key` and not merely begins with it. */
async function exactly<T extends ListedVersion | ListedUpload>(listing: AsyncIterable<T>, key: string): Promise<T[]> {
  const rows: T[] = [];
  for await (const row of listing) {
    if (row.key === key) rows.push(row);
  }
  return rows;
}
