// A vault in an S3 bucket with Object Lock: nothing counts as stored or locked that was not read back by version id.
import type { Readable } from 'node:stream';
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../clock.ts';
import type { S3VaultConfig } from '../config/config.ts';
import { CoffreError, type ErrorCode } from '../errors.ts';
import { isTransient } from './retry.ts';
import { type BucketLockState, bucketLockState, serverTime } from './s3-bucket.ts';
import { AnsweredError } from './s3-errors.ts';
import { LARGEST_PAGE, listNames, listUploads, listVersions } from './s3-listing.ts';
import { type HeadOfVersion, type S3Lock, type S3LockMode, S3Requests } from './s3-requests.ts';
import { uploadStream } from './s3-upload.ts';
import type { Bandwidth } from './throttle.ts';
import type { ListedUpload, ListedVersion, Lock, PutRequest, PutStreamRequest, StoredObject, Vault } from './vault.ts';

/** OVH refuses an extension within the first second of a version's life. */
const YOUNG_VERSION_MS = 1_100;
/** A new lock end closer than this to the old one is moved on: stores compare whole seconds. */
const CLEARLY_LATER_MS = 1_000;

/** A refusal this soon after a lock's end is still the lock's: the store's clock may be that much behind ours. */
const LOCK_END_MARGIN_MS = 60_000;

/** `instant` moved up to the next whole second: a store that cuts off fractions would end a lock before its time. Pure. */
export function ceilToSecond(instant: Temporal.Instant): Temporal.Instant {
  const seconds = (instant.epochNanoseconds + 999_999_999n) / 1_000_000_000n;
  return Temporal.Instant.fromEpochMilliseconds(Number(seconds) * 1_000);
}

/** Whether a lock as read back keeps what was promised: this mode, this long at least. Pure. */
export function holds(lock: Lock | null, mode: S3LockMode, retainUntil: Temporal.Instant): boolean {
  return lock !== null && lock.mode === mode && Temporal.Instant.compare(lock.retainUntil, retainUntil) >= 0;
}

export class S3Vault implements Vault {
  readonly name: string;
  readonly type = 's3';
  readonly lockMode: S3LockMode;
  /** Single requests, for the probe: everything else goes through the port. */
  readonly requests: S3Requests;
  readonly #clock: Clock;
  readonly #pageSize: number;

  /**
   * Opens no connection and reads no credential yet. `pageSize` is how many rows a listing asks for at once; `bandwidth`, which other
   * vaults may share, paces what is uploaded.
   */
  constructor(config: S3VaultConfig, clock: Clock, options: { readonly pageSize?: number; readonly bandwidth?: Bandwidth | null } = {}) {
    this.name = config.name;
    this.lockMode = config.lock.mode;
    this.requests = new S3Requests(config, clock, options.bandwidth);
    this.#clock = clock;
    this.#pageSize = options.pageSize ?? LARGEST_PAGE;
  }

  async put(request: PutRequest): Promise<StoredObject> {
    const { key, body, signal } = request;
    const lock = this.#lockFor(request.retainUntil);
    const versionId = await this.requests
      .put(key, body, lock, request.digests, { signal, held: request.held })
      .catch((error: unknown) => this.#explainLockRefusal(error, lock));
    return await this.#settle(key, versionId, body.length, lock, signal).catch((error: unknown) => this.#explainLockRefusal(error, lock));
  }

  async putStream(request: PutStreamRequest): Promise<StoredObject> {
    const lock = this.#lockFor(request.retainUntil);
    let sentBytes = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const chunk of request.body) {
        sentBytes += chunk.byteLength;
        yield chunk;
      }
    }
    const versionId = await uploadStream(this.requests, { ...request, body: counted() }, lock).catch((error: unknown) =>
      this.#explainLockRefusal(error, lock),
    );
    return await this.#settle(request.key, versionId, sentBytes, lock, request.signal).catch((error: unknown) =>
      this.#explainLockRefusal(error, lock),
    );
  }

  async stat(key: string, versionId: string): Promise<StoredObject | null> {
    const head = await this.requests.head(key, versionId);
    return head === null ? null : asStored(head);
  }

  async extendLock(key: string, versionId: string, retainUntil: Temporal.Instant, signal?: AbortSignal): Promise<Lock> {
    const before = await this.requests.head(key, versionId, signal);
    if (before === null) throw this.#missing(key, versionId);
    const current = before.lock ?? (await this.requests.retention(key, versionId, signal));
    let until = ceilToSecond(retainUntil);
    if (current !== null) {
      const laterMs = until.epochMilliseconds - current.retainUntil.epochMilliseconds;
      if (laterMs <= 0) return current;
      if (laterMs < CLEARLY_LATER_MS) until = ceilToSecond(current.retainUntil.add({ milliseconds: CLEARLY_LATER_MS }));
    }
    // The mode stays what it is, whatever the configuration says by now: stores refuse to change it without the bypass
    // (Ceph 16 also from GOVERNANCE to COMPLIANCE). The caller sees the mode that was read back.
    const lock: S3Lock = { mode: current?.mode ?? this.lockMode, retainUntil: until };
    try {
      await this.requests.putRetention(key, versionId, lock, { signal });
    } catch (error) {
      // asking twice for one end changes nothing; who waited out a time limit does not wait again
      if (!isRefusal(error) && !(error instanceof AnsweredError && isTransient(error))) throw error;
      await this.#clock.sleep(YOUNG_VERSION_MS, signal);
      await this.requests.putRetention(key, versionId, lock, { signal });
    }
    const readBack = await this.#readLock(key, versionId, signal);
    if (!holds(readBack, lock.mode, until)) throw this.#dropped(key, lock, readBack);
    return readBack as S3Lock;
  }

  async get(key: string, versionId: string, signal?: AbortSignal): Promise<Readable> {
    return await this.requests.get(key, versionId, signal);
  }

  listVersions(prefix: string): AsyncIterable<ListedVersion> {
    return listVersions(this.requests, prefix, this.#pageSize);
  }

  listNames(): AsyncIterable<string> {
    return listNames(this.requests, this.#pageSize);
  }

  listUploads(prefix: string): AsyncIterable<ListedUpload> {
    return listUploads(this.requests, prefix, this.#pageSize);
  }

  async abortUpload(key: string, uploadId: string): Promise<void> {
    await this.requests.abortUpload(key, uploadId);
  }

  async deleteVersion(key: string, versionId: string): Promise<void> {
    if (versionId === '') throw new CoffreError('E_INTERNAL', `vault ${this.name}: delete ${key}: no version id`);
    try {
      await this.requests.deleteVersion(key, versionId);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // Stores word a refusal by the lock like one by policy (AWS, Ceph: AccessDenied; MinIO: InvalidRequest).
      const head = await this.requests.head(key, versionId).catch(() => null);
      if (head?.legalHold) throw new CoffreError('E_LOCKED', `vault ${this.name}: ${key} has a legal hold`, { cause: error });
      const stillLocked = this.#clock.now().subtract({ milliseconds: LOCK_END_MARGIN_MS });
      if (head?.lock && Temporal.Instant.compare(head.lock.retainUntil, stillLocked) > 0) {
        throw new CoffreError('E_LOCKED', `vault ${this.name}: ${key} is locked until ${head.lock.retainUntil}`, { cause: error });
      }
      throw error;
    }
  }

  async serverTime(): Promise<Temporal.Instant> {
    return await serverTime(this.requests);
  }

  /** What the bucket itself is set to. Throws E_BUCKET_MISSING, E_VAULT_AUTH, E_VAULT_DENIED, … */
  async bucketLockState(): Promise<BucketLockState> {
    return await bucketLockState(this.requests);
  }

  /** Throws E_NO_OBJECT_LOCK unless the bucket has Object Lock and versioning. */
  async requireObjectLock(): Promise<BucketLockState> {
    const state = await this.bucketLockState();
    if (state.objectLock && state.versioning) return state;
    const lacks = state.objectLock ? 'versioning is not enabled' : 'it has no Object Lock';
    throw new CoffreError('E_NO_OBJECT_LOCK', `vault ${this.name}: bucket ${this.requests.bucket}: ${lacks}`);
  }

  async close(): Promise<void> {
    this.requests.close();
  }

  #lockFor(retainUntil: Temporal.Instant | null): S3Lock | null {
    return retainUntil === null ? null : { mode: this.lockMode, retainUntil: ceilToSecond(retainUntil) };
  }

  /**
   * Reads a new version back, and its lock, which is given explicitly when the store dropped it (Ceph up to 18 does, on
   * multipart). If we die in here the version is stored, perhaps unlocked, and in no manifest: prune's listing finds it.
   */
  async #settle(key: string, versionId: string, sizeBytes: number, lock: S3Lock | null, signal?: AbortSignal): Promise<StoredObject> {
    const head = await this.requests.head(key, versionId, signal);
    if (head === null) throw this.#missing(key, versionId);
    if (head.sizeBytes !== sizeBytes) {
      throw new CoffreError('E_OBJECT_ALTERED', `vault ${this.name}: ${key}: sent ${sizeBytes} bytes, read back ${head.sizeBytes}`);
    }
    if (lock === null || holds(head.lock, lock.mode, lock.retainUntil)) return asStored(head);
    let readBack = head.lock ?? (await this.requests.retention(key, versionId, signal));
    if (!holds(readBack, lock.mode, lock.retainUntil)) {
      await this.requests.putRetention(key, versionId, lock, { signal });
      readBack = await this.#readLock(key, versionId, signal);
    }
    if (!holds(readBack, lock.mode, lock.retainUntil)) throw this.#dropped(key, lock, readBack);
    return { key, versionId, sizeBytes, lock: readBack };
  }

  async #readLock(key: string, versionId: string, signal: AbortSignal | undefined): Promise<S3Lock | null> {
    const head = await this.requests.head(key, versionId, signal);
    return head?.lock ?? (await this.requests.retention(key, versionId, signal));
  }

  /** A bucket without Object Lock answers a lock header with a bare InvalidRequest: ask it what it is. */
  async #explainLockRefusal(error: unknown, lock: S3Lock | null): Promise<never> {
    if (lock !== null && error instanceof CoffreError && (error.code === 'E_VAULT_IO' || error.code === 'E_VAULT_DENIED')) {
      const state = await this.bucketLockState().catch(() => null);
      if (state && !state.objectLock) {
        throw new CoffreError('E_NO_OBJECT_LOCK', `vault ${this.name}: bucket ${this.requests.bucket} has no Object Lock`, {
          cause: error,
        });
      }
    }
    throw error;
  }

  #missing(key: string, versionId: string): CoffreError {
    return new CoffreError('E_OBJECT_MISSING', `vault ${this.name}: ${key} has no version ${versionId}`);
  }

  #dropped(key: string, asked: S3Lock, got: Lock | null): CoffreError {
    const shown = got === null ? 'none' : `${got.mode} until ${got.retainUntil}`;
    return new CoffreError(
      'E_LOCK_DROPPED',
      `vault ${this.name}: ${key}: asked for ${asked.mode} until ${asked.retainUntil}, the store shows ${shown}`,
      { hint: 'do not trust this store, or give the credential s3:GetObjectRetention if it lacks that right' },
    );
  }
}

const asStored = ({ key, versionId, sizeBytes, lock }: HeadOfVersion): StoredObject => ({ key, versionId, sizeBytes, lock });

const REFUSALS: readonly ErrorCode[] = ['E_VAULT_DENIED', 'E_VAULT_IO', 'E_NO_OBJECT_LOCK'];

/** The store understood and said no, as opposed to not answering, or failing itself: a 500 proves no lock. */
export function isRefusal(error: unknown): boolean {
  return (
    error instanceof CoffreError &&
    REFUSALS.includes(error.code) &&
    !(error instanceof AnsweredError && error.status >= 500 && error.status !== 501)
  );
}
