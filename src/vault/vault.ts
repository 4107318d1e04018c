// The port to a place that holds objects. A vault sees opaque bytes; keys are relative to its configured prefix.
import type { Readable } from 'node:stream';
import type { Temporal } from 'temporal-polyfill';
import type { HeldBack } from './throttle.ts';

/** `advisory` is what a filesystem can offer: it stops coffre, nobody else, and never counts as the immutable copy. */
export type LockMode = 'COMPLIANCE' | 'GOVERNANCE' | 'advisory';

/** A lock as read back from the store, never as asked for. */
export interface Lock {
  readonly mode: LockMode;
  readonly retainUntil: Temporal.Instant;
}

/** One version of one object, as the store describes it. */
export interface StoredObject {
  readonly key: string;
  readonly versionId: string;
  readonly sizeBytes: number;
  /** null: the store says that this version has no lock. */
  readonly lock: Lock | null;
}

/** One row of a listing. Delete markers have no bytes and no lock. */
export interface ListedVersion {
  readonly key: string;
  readonly versionId: string;
  readonly sizeBytes: number;
  readonly isDeleteMarker: boolean;
  readonly isLatest: boolean;
  readonly modifiedAt: Temporal.Instant;
}

/** An unfinished multipart upload: its parts are billed like any object. */
export interface ListedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt: Temporal.Instant;
  /** Sum of the parts the store holds. */
  readonly sizeBytes: number;
}

export interface PutRequest {
  readonly key: string;
  /** The whole object. */
  readonly body: Buffer;
  /** null only for objects meant to stay unlocked (the probe's control object). */
  readonly retainUntil: Temporal.Instant | null;
  /** Of the body, where they were made already: a vault that needs them need not make them again. */
  readonly digests?: Digests;
  readonly signal?: AbortSignal;
  /** Told how long limits.bandwidth held it back: time that is not the vault's. */
  readonly held?: HeldBack;
  /**
   * What lies under the key was found to be damaged, and this takes its place, whatever lock it had. Where versions are kept (S3) it stays
   * as an older one all the same.
   */
  readonly replace?: boolean;
}

export interface Digests {
  /** Hex. */
  readonly sha256: string;
}

export interface PutStreamRequest {
  readonly key: string;
  readonly body: AsyncIterable<Uint8Array>;
  /** Upper estimate of the stored size: part sizes follow from it. */
  readonly estimatedBytes: number;
  readonly retainUntil: Temporal.Instant | null;
  readonly signal?: AbortSignal;
  /** As of `put`. */
  readonly held?: HeldBack;
  /** As of `put`. */
  readonly replace?: boolean;
  /** Called before the first part leaves: from here on the store may hold bytes of this upload. */
  readonly onUpload?: (uploadId: string) => Promise<void>;
  /** Called after each acknowledged part with the sum of all acknowledged parts so far. */
  readonly onParts?: (storedPartBytes: number) => Promise<void>;
}

/** What doctor and the probe report, one line each. */
export interface ProbeStep {
  readonly name: string;
  /** pending: cannot be known yet (an expiry still ahead); red until it is. */
  readonly outcome: 'ok' | 'failed' | 'pending' | 'skipped';
  readonly detail: string;
  /** What to do, where the error that ended the step knew better than its code. */
  readonly hint?: string;
}

/**
 * A place for objects. Every method throws CoffreError with a vault code and has its own deadline: none hangs for ever.
 * No method retries on the same key by itself; that is the caller's, who keeps the ledger.
 */
export interface Vault {
  readonly name: string;
  readonly type: 's3' | 'filesystem';
  /** The mode that new locks get. */
  readonly lockMode: LockMode;

  /**
   * Writes one object in one request, durable on return, under a lock when `retainUntil` is given, and returns what the
   * store reads back: version, size and lock. A dropped lock is given again explicitly and read back again.
   * Throws E_LOCK_DROPPED when the lock still does not hold, E_VAULT_TIMEOUT or E_VAULT_UNREACHABLE when the outcome is unknown.
   */
  put(request: PutRequest): Promise<StoredObject>;

  /** The same for a stream of any length (multipart on S3): uploaded, then locked explicitly, then read back. */
  putStream(request: PutStreamRequest): Promise<StoredObject>;

  /** What the store says of one version; null when it has no such version. */
  stat(key: string, versionId: string): Promise<StoredObject | null>;

  /**
   * Moves a lock's end to `retainUntil` (never earlier: a lock that already lasts longer is left) and reads it back. Stopped by `signal`
   * with its reason; the lock may have been moved all the same.
   */
  extendLock(key: string, versionId: string, retainUntil: Temporal.Instant, signal?: AbortSignal): Promise<Lock>;

  /**
   * Bytes of one version. Throws E_OBJECT_MISSING, or E_OBJECT_ALTERED where there is one version of a key (a folder) and it is another.
   * The stream's errors are CoffreErrors.
   */
  get(key: string, versionId: string, signal?: AbortSignal): Promise<Readable>;

  /** All versions and delete markers whose key starts with `prefix`, in key order, newest version of a key first. */
  listVersions(prefix: string): AsyncIterable<ListedVersion>;

  /** What lies right below the vault's own prefix: folders, with a slash at their end, and objects, once each. Delete markers count. */
  listNames(): AsyncIterable<string>;

  /** Unfinished uploads under `prefix`, each with the bytes of its parts. */
  listUploads(prefix: string): AsyncIterable<ListedUpload>;

  abortUpload(key: string, uploadId: string): Promise<void>;

  /** Deletes exactly this version. Throws E_LOCKED while its lock lasts; a version already gone is success. */
  deleteVersion(key: string, versionId: string): Promise<void>;

  /** The store's clock (its Date header), null when it has none of its own. Throws when the vault does not answer. */
  serverTime(): Promise<Temporal.Instant | null>;

  /** Frees sockets. Idempotent. */
  close(): Promise<void>;
}
