// Every byte that a vault holds for us, as an append-only record: what came, what went, and what may have come.
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { Lock, StoredObject, Vault } from '../vault/vault.ts';
import {
  appendDrift,
  blank,
  type FoundUpload,
  type FoundVersion,
  type Intent,
  insertFound,
  insertFoundUpload,
  insertObject,
  lockColumns,
  markReappeared,
  markReleased,
  markResized,
  markStored,
  meterUpload,
  objectRow,
  uploadRow,
} from './entries.ts';
import { type Resolution, type ResolveOptions, resolveKeys } from './resolve.ts';

/**
 * The ledger of one catalog. Each method is one transaction: the object's state and the ledger's rows change together or not at all.
 *
 * The parts of an unfinished upload have a row of their own in `objects` (kind `upload`, same key, refId and run, versionId
 * `upload:<id>`), apart from the intent of the object they may become: they are bytes that the store holds now, they come
 * and go by themselves, and an aborted upload must leave the intent as it was.
 */
export class Ledger {
  readonly #catalog: Catalog;
  readonly #clock: Clock;

  constructor(catalog: Catalog, clock: Clock) {
    this.#catalog = catalog;
    this.#clock = clock;
  }

  /** Says that a PUT is about to leave; on disk before this returns. Returns objects.id. */
  async intent(intent: Intent): Promise<number> {
    return await this.#catalog.transaction(async (tx) => {
      return await insertObject(tx, { ...blank(intent, this.#clock.nowMs()), state: 'intent', expectedBytes: intent.expectedBytes });
    });
  }

  /** The PUT was acknowledged and read back. Saying it twice counts once. `sha256` is the hex hash of the bytes sent. */
  async stored(objectId: number, object: StoredObject, sha256: string | null): Promise<void> {
    await this.#catalog.transaction((tx) => markStored(tx, this.#clock, objectId, object, sha256, null));
  }

  /**
   * Whoever sent this PUT does not wait for its outcome any more, and will not use it: should it land after all, it is a stray,
   * metered when it is found and then pruned.
   */
  async abandon(objectId: number): Promise<void> {
    await this.#catalog.transaction((tx) =>
      tx.updateTable('objects').set({ kind: 'stray', refId: null }).where('id', '=', objectId).where('state', '=', 'intent').execute(),
    );
  }

  /**
   * A version that is there turned out to be this object: its bytes were read and have this hash (hex). What it was taken for before (a
   * stray, somebody else's) is forgotten; its bytes are counted already.
   */
  async adopt(objectId: number, as: Pick<Intent, 'kind' | 'refId' | 'runId'> & { readonly sha256: string }): Promise<void> {
    const { kind, refId, runId, sha256 } = as;
    await this.#catalog.transaction((tx) =>
      tx
        .updateTable('objects')
        .set({ kind, refId, runId, sha256, damage: null })
        .where('id', '=', objectId)
        .where('state', '=', 'stored')
        .execute(),
    );
  }

  /** Another version has taken this one's place: it is a stray from here on, which goes when its lock ends. */
  async superseded(objectId: number): Promise<void> {
    await this.#catalog.transaction((tx) =>
      tx.updateTable('objects').set({ kind: 'stray', refId: null }).where('id', '=', objectId).where('state', '=', 'stored').execute(),
    );
  }

  /** What the store says of a version's lock. */
  async lockRead(objectId: number, lock: Lock | null): Promise<void> {
    await this.locksRead(new Map([[objectId, lock]]));
  }

  /** The same of many, by objects.id, in one transaction. */
  async locksRead(locks: ReadonlyMap<number, Lock | null>): Promise<void> {
    if (locks.size === 0) return;
    await this.#catalog.transaction(async (tx) => {
      for (const [objectId, lock] of locks) {
        await tx.updateTable('objects').set(lockColumns(lock, this.#clock.nowMs())).where('id', '=', objectId).execute();
      }
    });
  }

  /** The store now holds `totalPartBytes` of this upload in all; `objectId` is the intent of the object it is to become. */
  async partsStored(objectId: number, uploadId: string, totalPartBytes: number): Promise<void> {
    await this.#catalog.transaction(async (tx) => {
      const object = await objectRow(tx, objectId);
      await meterUpload(tx, this.#clock, object, uploadId, totalPartBytes, null);
    });
  }

  /** The parts became an object: they are not counted any more, the object is. */
  async uploadCompleted(objectId: number, uploadId: string, object: StoredObject, sha256: string | null): Promise<void> {
    await this.#catalog.transaction(async (tx) => {
      const upload = await uploadRow(tx, await objectRow(tx, objectId), uploadId);
      // first what goes, so that not even within the transaction the bytes are there twice
      if (upload?.state === 'stored') await markReleased(tx, this.#clock, upload, 'complete', null);
      await markStored(tx, this.#clock, objectId, object, sha256, null);
    });
  }

  /** The store confirmed that the upload is gone. The object's intent stays: resolveIntents voids it. */
  async uploadAborted(objectId: number, uploadId: string): Promise<void> {
    await this.#catalog.transaction(async (tx) => {
      const upload = await uploadRow(tx, await objectRow(tx, objectId), uploadId);
      if (upload?.state === 'stored') await markReleased(tx, this.#clock, upload, 'release', 'aborted');
    });
  }

  /** The store confirmed the deletion of this version, or of this upload's parts. Saying it twice counts once. */
  async released(objectId: number, cause: string | null = null): Promise<void> {
    await this.#catalog.transaction(async (tx) => {
      const object = await objectRow(tx, objectId);
      if (object.state === 'stored' || object.state === 'tombstone') await markReleased(tx, this.#clock, object, 'release', cause);
    });
  }

  /** The store does not hold this version any more, and it was not coffre that deleted it. */
  async vanished(objectId: number, cause: string): Promise<void> {
    await this.#catalog.transaction(async (tx) => {
      const object = await objectRow(tx, objectId);
      if (object.state === 'stored' || object.state === 'tombstone') await markReleased(tx, this.#clock, object, 'adjust', cause);
    });
  }

  /** The store holds a version on a key of ours that the catalog does not know. Returns objects.id; finding it twice counts once. */
  async foundVersion(found: FoundVersion): Promise<number> {
    return await this.#catalog.transaction((tx) => insertFound(tx, this.#clock, found));
  }

  /** The store holds a version again whose deletion it had confirmed, or which it had lost. */
  async reappeared(objectId: number, object: StoredObject): Promise<void> {
    await this.#catalog.transaction((tx) => markReappeared(tx, this.#clock, objectId, object));
  }

  /** The store lists another size of this version than was written. */
  async resized(objectId: number, sizeBytes: number): Promise<void> {
    await this.#catalog.transaction((tx) => markResized(tx, this.#clock, objectId, sizeBytes));
  }

  /** The store lists so many bytes more (less: below 0) under a shop than its level, and no object explains it. */
  async drifted(vault: string, shop: string, bytes: number, cause: string): Promise<void> {
    await this.#catalog.transaction((tx) => appendDrift(tx, this.#clock, vault, shop, bytes, cause));
  }

  /** The store holds this much of an unfinished upload that the catalog may not know. `ours`: a row of ours with the same key. */
  async foundUpload(found: FoundUpload): Promise<void> {
    await this.#catalog.transaction((tx) => insertFoundUpload(tx, this.#clock, found));
  }

  /**
   * Settles what dead runs left open in one vault: asks the store for exactly the keys in question and writes down what it says.
   * An intent that it knows nothing of becomes void only when it is older than `olderThanMs`, since a request may still be
   * under way after its process died; until then it is reported as pending and the next call asks again. Intents of runs
   * that are alive are left alone. Throws what the vault throws; what was settled until then stays settled.
   */
  async resolveIntents(vault: Vault, shop: string | null, options: ResolveOptions = {}): Promise<Resolution> {
    return await resolveKeys(this.#catalog, this.#clock, vault, shop, options);
  }
}
