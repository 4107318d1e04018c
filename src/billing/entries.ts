// What one event does to a row of `objects` and to the ledger, always both in the caller's transaction.
import type { Insertable, Kysely, Selectable } from 'kysely';
import type { Temporal } from 'temporal-polyfill';
import { versionRow } from '../catalog/object-version.ts';
import type { LedgerTable } from '../catalog/tables/ledger.ts';
import type { ObjectsTable } from '../catalog/tables/objects.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Lock, StoredObject } from '../vault/vault.ts';
import { anchoredUntil } from './anchors.ts';
import { CHAIN_START, chainHash } from './chain.ts';

type ObjectRow = Selectable<ObjectsTable>;

export interface Intent {
  readonly vault: string;
  readonly shop: string;
  readonly key: string;
  readonly kind: ObjectsTable['kind'];
  readonly refId: string | null;
  readonly runId: string | null;
  /** Exact for a PUT of one buffer, an estimate for a stream. */
  readonly expectedBytes: number;
}

export interface FoundVersion {
  readonly vault: string;
  readonly shop: string;
  readonly object: StoredObject;
  /** stray: ours, and nothing needs it. foreign: somebody else's; it is metered and never deleted. */
  readonly kind: 'stray' | 'foreign';
  readonly cause: string;
}

export interface FoundUpload {
  readonly vault: string;
  readonly shop: string;
  readonly key: string;
  readonly uploadId: string;
  /** Bytes of its parts, as the store lists them. */
  readonly sizeBytes: number;
  /** Its age counts from then: nobody knew of it before. */
  readonly startedAt: Temporal.Instant;
  /** A row of the same key that coffre wrote; null: the key is not ours. */
  readonly ours: ObjectRow | null;
}

const UPLOAD = 'upload:';

/** `versionId` of the row that meters an unfinished upload. */
export function uploadVersion(uploadId: string): string {
  return UPLOAD + uploadId;
}

/** The upload's id again. */
export function uploadId(versionId: string): string {
  return versionId.slice(UPLOAD.length);
}

/** A row of objects with nothing known yet. */
export function blank(intent: Omit<Intent, 'expectedBytes'>, nowMs: number): Omit<Insertable<ObjectsTable>, 'state' | 'expectedBytes'> {
  return {
    vault: intent.vault,
    shop: intent.shop,
    key: intent.key,
    kind: intent.kind,
    refId: intent.refId,
    runId: intent.runId,
    versionId: null,
    sizeBytes: 0,
    sha256: null,
    lockMode: null,
    retainUntil: null,
    lockReadAt: null,
    createdAt: nowMs,
    resolvedAt: null,
  };
}

export async function insertObject(tx: Kysely<Tables>, row: Insertable<ObjectsTable>): Promise<number> {
  const { id } = await tx.insertInto('objects').values(row).returning('id').executeTakeFirstOrThrow();
  return id;
}

export async function objectRow(tx: Kysely<Tables>, id: number): Promise<ObjectRow> {
  const row = await tx.selectFrom('objects').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) throw new CoffreError('E_INTERNAL', `the catalog has no object ${id}`);
  return row;
}

export async function uploadRow(
  tx: Kysely<Tables>,
  object: Pick<ObjectRow, 'vault' | 'key'>,
  uploadId: string,
): Promise<ObjectRow | undefined> {
  return await versionRow(tx, { ...object, versionId: uploadVersion(uploadId) });
}

export function lockColumns(lock: Lock | null, nowMs: number) {
  return { lockMode: lock?.mode ?? null, retainUntil: lock?.retainUntil.epochMilliseconds ?? null, lockReadAt: nowMs };
}

/** State stored and its `put` row. `cause` says how it was learnt when it was not by acknowledgement. */
export async function markStored(
  tx: Kysely<Tables>,
  clock: Clock,
  objectId: number,
  object: StoredObject,
  sha256: string | null,
  cause: string | null,
): Promise<void> {
  const row = await objectRow(tx, objectId);
  const nowMs = clock.nowMs();
  if (row.versionId !== null) {
    if (row.versionId !== object.versionId) {
      throw new CoffreError('E_INTERNAL', `${row.vault}: object ${objectId} is version ${row.versionId}, not ${object.versionId}`);
    }
    // found by resolveIntents before its own acknowledgement came: counted already
    await tx
      .updateTable('objects')
      .set({ sha256, ...lockColumns(object.lock, nowMs) })
      .where('id', '=', objectId)
      .execute();
    return;
  }
  await tx
    .updateTable('objects')
    .set({
      state: 'stored',
      versionId: object.versionId,
      sizeBytes: object.sizeBytes,
      sha256,
      ...lockColumns(object.lock, nowMs),
      resolvedAt: nowMs,
    })
    .where('id', '=', objectId)
    .execute();
  await append(tx, clock, { ...row, versionId: object.versionId, event: 'put', bytes: object.sizeBytes, cause });
}

/** State released and the negative row. */
export async function markReleased(
  tx: Kysely<Tables>,
  clock: Clock,
  object: ObjectRow,
  event: 'release' | 'complete' | 'adjust',
  cause: string | null,
): Promise<void> {
  await tx.updateTable('objects').set({ state: 'released', resolvedAt: clock.nowMs() }).where('id', '=', object.id).execute();
  await append(tx, clock, { ...object, versionId: object.versionId ?? '', event, bytes: -object.sizeBytes, cause });
}

/**
 * Brings the upload's row to `totalPartBytes`, by a `part` row of the difference. `object` is any row of the same key. `found`: the store
 * listed it.
 */
export async function meterUpload(
  tx: Kysely<Tables>,
  clock: Clock,
  object: Pick<ObjectRow, 'vault' | 'shop' | 'key' | 'refId' | 'runId' | 'expectedBytes'>,
  uploadId: string,
  totalPartBytes: number,
  found: { readonly cause: string; readonly startedAt: Temporal.Instant; readonly kind?: 'foreign' } | null,
): Promise<void> {
  const versionId = uploadVersion(uploadId);
  const known = await uploadRow(tx, object, uploadId);
  if (known && known.state !== 'stored') return;
  if (known) await tx.updateTable('objects').set({ sizeBytes: totalPartBytes }).where('id', '=', known.id).execute();
  else {
    const nowMs = clock.nowMs();
    const createdAt = Math.min(nowMs, found?.startedAt.epochMilliseconds ?? nowMs);
    const row = {
      ...blank({ ...object, kind: found?.kind ?? 'upload' }, createdAt),
      state: 'stored' as const,
      versionId,
      resolvedAt: nowMs,
    };
    await insertObject(tx, { ...row, expectedBytes: object.expectedBytes, sizeBytes: totalPartBytes });
  }
  await append(tx, clock, {
    ...object,
    versionId,
    event: 'part',
    bytes: totalPartBytes - (known?.sizeBytes ?? 0),
    cause: found?.cause ?? null,
  });
}

/** The store holds another number of bytes of this version than was written: what it lists is what it holds. */
export async function markResized(tx: Kysely<Tables>, clock: Clock, objectId: number, sizeBytes: number): Promise<void> {
  const row = await objectRow(tx, objectId);
  if (row.state !== 'stored' || row.sizeBytes === sizeBytes) return;
  await tx.updateTable('objects').set({ sizeBytes }).where('id', '=', objectId).execute();
  const cause = `the store lists ${sizeBytes} bytes, ${row.sizeBytes} were there before`;
  await append(tx, clock, { ...row, versionId: row.versionId ?? '', event: 'adjust', bytes: sizeBytes - row.sizeBytes, cause });
}

/** What is left between a shop's level and the store's listing, and no object explains. */
export async function appendDrift(
  tx: Kysely<Tables>,
  clock: Clock,
  vault: string,
  shop: string,
  bytes: number,
  cause: string,
): Promise<void> {
  await append(tx, clock, { vault, shop, key: '', versionId: '', event: 'adjust', bytes, cause });
}

/** The counterpart of markReleased: state stored and the positive row. */
export async function markReappeared(tx: Kysely<Tables>, clock: Clock, objectId: number, object: StoredObject): Promise<void> {
  const row = await objectRow(tx, objectId);
  if (row.state !== 'released') return;
  const nowMs = clock.nowMs();
  await tx
    .updateTable('objects')
    .set({ state: 'stored', sizeBytes: object.sizeBytes, ...lockColumns(object.lock, nowMs), resolvedAt: nowMs })
    .where('id', '=', objectId)
    .execute();
  const cause = 'the store holds it again';
  await append(tx, clock, { ...row, versionId: object.versionId, event: 'adjust', bytes: object.sizeBytes, cause });
}

export async function insertFoundUpload(tx: Kysely<Tables>, clock: Clock, found: FoundUpload): Promise<void> {
  const { vault, shop, key, startedAt } = found;
  const as = found.ours ?? { vault, shop, key, refId: null, runId: null, expectedBytes: found.sizeBytes };
  const listed = { cause: 'as the store lists it', startedAt, ...(found.ours ? {} : { kind: 'foreign' as const }) };
  await meterUpload(tx, clock, as, found.uploadId, found.sizeBytes, listed);
}

export async function insertFound(tx: Kysely<Tables>, clock: Clock, found: FoundVersion): Promise<number> {
  const { object } = found;
  const known = await versionRow(tx, { vault: found.vault, key: object.key, versionId: object.versionId });
  if (known) return known.id;
  const nowMs = clock.nowMs();
  const id = await insertObject(tx, {
    ...blank({ vault: found.vault, shop: found.shop, key: object.key, kind: found.kind, refId: null, runId: null }, nowMs),
    ...lockColumns(object.lock, nowMs),
    state: 'stored',
    versionId: object.versionId,
    expectedBytes: object.sizeBytes,
    sizeBytes: object.sizeBytes,
    resolvedAt: nowMs,
  });
  await append(tx, clock, {
    vault: found.vault,
    shop: found.shop,
    key: object.key,
    versionId: object.versionId,
    event: 'put',
    bytes: object.sizeBytes,
    cause: found.cause,
  });
  return id;
}

export interface Entry {
  readonly vault: string;
  readonly shop: string;
  readonly key: string;
  readonly versionId: string;
  readonly event: LedgerTable['event'];
  readonly bytes: number;
  readonly cause: string | null;
}

/** Appends one row to the chain. A row of no bytes says nothing and is left out. */
async function append(tx: Kysely<Tables>, clock: Clock, entry: Entry): Promise<void> {
  await appendAt(tx, clock.nowMs(), entry);
}

/** The same for what happened at another time than now; never before the row that is last. */
export async function appendAt(tx: Kysely<Tables>, atMs: number, entry: Entry): Promise<void> {
  if (entry.bytes === 0) return;
  const last = await tx.selectFrom('ledger').select(['at', 'hash']).orderBy('id', 'desc').limit(1).executeTakeFirst();
  // A wall clock may be set back; the ledger's time is not: else a release could come before its put, and a level below zero.
  // Nor does it go back into a day that was anchored, of which bills may have been made.
  const at = Math.max(atMs, last?.at ?? 0, await anchoredUntil(tx));
  const { vault, shop, key, versionId, event, bytes, cause } = entry;
  const row = { at, vault, shop, key, versionId, event, bytes, cause };
  await tx
    .insertInto('ledger')
    .values({ ...row, hash: chainHash(last?.hash ?? CHAIN_START, row) })
    .execute();
}
