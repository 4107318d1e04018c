// Brings one object into the vault that lacks it: what is there already is adopted by its hash, else it is copied; its lock is read back.
import { createHash } from 'node:crypto';
import { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import { recordDamageFound } from '../catalog/damage.ts';
import { recordLook } from '../catalog/incidents.ts';
import type { Catalog } from '../catalog/open.ts';
import { type ObjectRow, recordDamagedObject } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { LockNeed } from '../retention/horizon.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { ListedVersion, Lock, LockMode, Vault } from '../vault/vault.ts';
import type { WantedObject } from './copy-sources.ts';
import { holds } from './locks.ts';
import { storeObject, storeStream } from './store.ts';

export interface PlaceContext {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly shop: string;
  readonly runId: string;
  readonly vault: Vault;
  /** Everything below the shop's prefix in the vault, by key. */
  readonly listing: ReadonlyMap<string, readonly ListedVersion[]>;
  readonly signal: AbortSignal;
}

export interface PlaceOptions {
  /** Damage was found among these objects and nobody knows in which: what is there is read before it may serve. */
  readonly readFirst: boolean;
}

export interface PlacedObject {
  readonly objectId: number;
  readonly versionId: string;
  /** As read back. */
  readonly lock: Lock;
  /** false: it was there already. */
  readonly copied: boolean;
  readonly sizeBytes: number;
}

/** Gets the object's bytes from elsewhere and hands them to the function, once or more often. */
export type Give = (store: (body: Buffer | AsyncIterable<Uint8Array>) => Promise<PlacedObject>) => Promise<PlacedObject>;

/**
 * A crash leaves at most one object of ours under the key, with its intent: the next call finds it in the store and adopts it. What lies there
 * and is not what was written stays where the store keeps versions, as a stray that prune takes when its lock ends; in a folder it is replaced.
 * Throws E_LOCK_DROPPED, E_BUSY (prune is about to delete what is there), and what the vault or `give` throws.
 */
export async function placeObject(
  context: PlaceContext,
  wanted: WantedObject,
  need: LockNeed,
  options: PlaceOptions,
  give: Give,
): Promise<PlacedObject> {
  const { ledger, vault } = context;
  const { sound, superseded } = await lookAround(context, wanted, options);
  const placed = sound
    ? await lockFor(context, sound, need)
    : await give((body) => store(context, wanted, need, superseded.length > 0 || occupied(context, wanted.key), body));
  for (const row of superseded) {
    // a folder has one file for a key: what was there is gone with the new one's coming
    if (vault.type === 'filesystem') await ledger.vanished(row.id, 'replaced by a sound copy');
    // a manifest keeps its place until the catalog names the one that takes it
    else if (row.kind !== 'manifest') await ledger.superseded(row.id);
  }
  return placed;
}

interface Found {
  /** What may serve as it is. */
  readonly sound: ObjectRow | null;
  /** Rows of ours on this key that may not. */
  readonly superseded: readonly ObjectRow[];
}

/** In a folder: a copy of ours has taken its place, and we died before its row said so. */
function isReplaced(row: ObjectRow, rows: readonly ObjectRow[], listed: readonly ListedVersion[], vault: Vault): boolean {
  if (vault.type !== 'filesystem') return false;
  return rows.some(
    (other) => other.id !== row.id && other.state === 'stored' && listed.some(({ versionId }) => versionId === other.versionId),
  );
}

/** Compares what the vault has under the key with what the catalog knows, and reads what only a hash can tell. */
async function lookAround(context: PlaceContext, wanted: WantedObject, { readFirst }: PlaceOptions): Promise<Found> {
  const { catalog, ledger, runId, shop, vault } = context;
  const rows = await catalog.db.selectFrom('objects').selectAll().where('vault', '=', vault.name).where('key', '=', wanted.key).execute();
  const listed = (context.listing.get(wanted.key) ?? []).filter((version) => !version.isDeleteMarker);
  const superseded: ObjectRow[] = [];
  let sound: ObjectRow | null = null;
  for (const row of rows.filter((row) => row.state === 'stored' && row.kind !== 'upload' && row.kind !== 'foreign')) {
    const version = listed.find((candidate) => candidate.versionId === row.versionId);
    // a listing may lag behind: only a direct question makes it missing
    if (!version && (await vault.stat(row.key, row.versionId ?? '')) === null) {
      // first what else needs it: a crash in between must not leave that called good
      if (isOf(row, wanted)) await recordDamagedObject(catalog, row, 'E_OBJECT_MISSING');
      // a reconciliation would not miss it any more
      if (!isReplaced(row, rows, listed, vault)) {
        // a folder has one file for a key: where another lies, ours was written over
        const kind = vault.type === 'filesystem' && listed.length > 0 ? 'altered' : 'missing';
        const sighting = { kind, key: row.key, versionId: row.versionId ?? '', sizeBytes: row.sizeBytes } as const;
        await recordLook(catalog, context.clock, { vault: vault.name, shop, kinds: [], sightings: [sighting], who: 'catch-up' });
      }
      await ledger.vanished(row.id, 'the store does not have it any more');
      continue;
    }
    const serves = sound === null && isKnown(row, wanted) && mayBeLocked(row, vault);
    if (serves && (!readFirst || (await isWhole(context, wanted, row.versionId ?? '')))) {
      sound = row;
      continue;
    }
    if (serves) {
      await recordDamagedObject(catalog, row, 'E_OBJECT_ALTERED');
      const { key, sizeBytes, versionId } = row;
      const objects = [{ key, versionId, sizeBytes, code: 'E_OBJECT_ALTERED', detail: 'read before it was used again' }];
      await recordDamageFound(catalog, context.clock, { vault: vault.name, shop, objects, who: 'catch-up' });
    }
    superseded.push(serves ? { ...row, damage: 'E_OBJECT_ALTERED' } : row);
  }
  if (sound) return { sound, superseded };

  for (const version of listed) {
    if (version.sizeBytes !== wanted.storedBytes) continue;
    const row =
      superseded.find((known) => known.versionId === version.versionId) ?? rows.find((known) => known.versionId === version.versionId);
    if (row?.state === 'tombstone') throw new CoffreError('E_BUSY', `${vault.name}: ${wanted.key} is about to be deleted by prune`);
    // found damaged, or known to be something else
    if (row && isKnown({ ...row, damage: null }, wanted) && (row.damage !== null || !mayBeLocked(row, vault))) continue;
    if (!(await isWhole(context, wanted, version.versionId))) continue;
    const object = await vault.stat(wanted.key, version.versionId);
    if (object === null || (object.lock !== null && !isAsStrong(object.lock.mode, vault.lockMode))) continue;
    if (row?.state === 'released') await ledger.reappeared(row.id, object);
    const cause = 'found by a catch-up';
    const objectId = row?.id ?? (await ledger.foundVersion({ vault: vault.name, shop, object, kind: 'stray', cause }));
    await ledger.adopt(objectId, { kind: wanted.kind, refId: wanted.refId, runId, sha256: wanted.storedSha256 });
    await ledger.lockRead(objectId, object.lock);
    const adopted = await catalog.db.selectFrom('objects').selectAll().where('id', '=', objectId).executeTakeFirstOrThrow();
    return { sound: adopted, superseded: superseded.filter((other) => other.id !== objectId) };
  }
  return { sound: null, superseded };
}

function isOf(row: ObjectRow, wanted: WantedObject): boolean {
  return row.kind === wanted.kind && row.refId === wanted.refId;
}

/** Acknowledged as this very object, or read since. */
function isKnown(row: ObjectRow, wanted: WantedObject): boolean {
  return isOf(row, wanted) && row.damage === null && row.sizeBytes === wanted.storedBytes && row.sha256 === wanted.storedSha256;
}

/** No extension changes a lock's mode: under a weaker one than the vault gives by now it must be stored anew. */
function mayBeLocked(row: ObjectRow, vault: Vault): boolean {
  return row.lockMode === null || isAsStrong(row.lockMode as LockMode, vault.lockMode);
}

function occupied(context: PlaceContext, key: string): boolean {
  return context.vault.type === 'filesystem' && (context.listing.get(key) ?? []).length > 0;
}

async function isWhole(context: PlaceContext, wanted: WantedObject, versionId: string): Promise<boolean> {
  const { signal, vault } = context;
  const hash = createHash('sha256');
  try {
    for await (const chunk of await vault.get(wanted.key, versionId, signal)) hash.update(chunk as Buffer);
  } catch (error) {
    if (error instanceof CoffreError && (error.code === 'E_OBJECT_MISSING' || error.code === 'E_OBJECT_ALTERED')) return false;
    throw error;
  }
  return hash.digest('hex') === wanted.storedSha256;
}

async function lockFor(context: PlaceContext, row: ObjectRow, need: LockNeed): Promise<PlacedObject> {
  const { ledger, signal, vault } = context;
  const versionId = row.versionId as string;
  const known = lockOf(row);
  const placed = { objectId: row.id, versionId, copied: false, sizeBytes: row.sizeBytes };
  if (known && holds(vault, known, need.atLeast)) return { ...placed, lock: known };
  const lock = await vault.extendLock(row.key, versionId, need.extendTo, signal);
  requireHeld(vault, row.key, lock, need);
  await ledger.lockRead(row.id, lock);
  return { ...placed, lock };
}

async function store(
  context: PlaceContext,
  wanted: WantedObject,
  need: LockNeed,
  replace: boolean,
  body: Buffer | AsyncIterable<Uint8Array>,
): Promise<PlacedObject> {
  const { clock, ledger, runId, shop, signal, vault } = context;
  const { key, kind, refId, storedBytes, storedSha256 } = wanted;
  const request = { shop, key, kind, refId, runId, retainUntil: need.extendTo, signal, replace };
  const stored = Buffer.isBuffer(body)
    ? await storeObject(ledger, clock, vault, { ...request, sha256: storedSha256 }, body)
    : await storeStream(ledger, vault, request, body, storedBytes, () => ({ storedBytes, storedSha256 }));
  const { object, objectId } = stored;
  return {
    objectId,
    versionId: object.versionId,
    lock: requireHeld(vault, key, object.lock, need),
    copied: true,
    sizeBytes: object.sizeBytes,
  };
}

function requireHeld(vault: Vault, key: string, lock: Lock | null, need: LockNeed): Lock {
  if (lock && holds(vault, lock, need.atLeast)) return lock;
  const shown = lock ? `${lock.mode} until ${lock.retainUntil}` : 'no lock';
  throw new CoffreError('E_LOCK_DROPPED', `${vault.name}: ${key} reads back ${shown}, needed ${vault.lockMode} until ${need.atLeast}`);
}

function lockOf(row: ObjectRow): Lock | null {
  if (row.lockMode === null || row.retainUntil === null) return null;
  return { mode: row.lockMode as LockMode, retainUntil: Temporal.Instant.fromEpochMilliseconds(row.retainUntil) };
}
