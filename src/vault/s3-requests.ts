// One method per S3 request, each with its deadline, its key prefix and its errors mapped; policy lives in s3.ts.
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type PutObjectCommandOutput,
  PutObjectRetentionCommand,
  type S3Client,
  type UploadPartCommand,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import { type Clock, fromDate, toDate, withDeadline } from '../clock.ts';
import type { S3VaultConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { READ_RETRY, retrying } from './retry.ts';
import { contentMd5, makeS3Client } from './s3-client.ts';
import { asksForMd5, s3CodeOf, statusOf, vaultError } from './s3-errors.ts';
import { type Bandwidth, HeldBack } from './throttle.ts';
import { paceBody } from './throttle-body.ts';
import type { Digests, Lock, StoredObject } from './vault.ts';
import { watchedStream } from './watched-stream.ts';

export type S3LockMode = 'COMPLIANCE' | 'GOVERNANCE';

export interface S3Lock extends Lock {
  readonly mode: S3LockMode;
}

/** What a HEAD of one version says. */
export interface HeadOfVersion extends StoredObject {
  readonly lock: S3Lock | null;
  readonly legalHold: boolean;
}

interface CallOptions {
  /** Bytes sent with the request: they lengthen its deadline. */
  readonly bytes?: number;
  readonly signal?: AbortSignal | undefined;
  /** Repeat on transient errors, within the one deadline. Only for requests that store nothing. */
  readonly repeat?: boolean;
  /** Time that our own limit takes, which the deadline does not count. */
  readonly held?: HeldBack;
}

export interface UploadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told what limits.bandwidth took of the time. */
  readonly held?: HeldBack | undefined;
}

/**
 * Below this rate (bytes/ms, so 64 KiB/s) a request is taken for stuck. Low, because several share a line; a store that
 * takes nothing at all is noticed sooner, by the silent socket.
 */
const SLOWEST_BYTES_PER_MS = 65;

/** The two headers of a lock, as one object to spread into a request. */
export function lockHeaders(lock: S3Lock | null) {
  return lock === null ? {} : { ObjectLockMode: lock.mode, ObjectLockRetainUntilDate: toDate(lock.retainUntil) };
}

export class S3Requests {
  readonly config: S3VaultConfig;
  readonly clock: Clock;
  /** What stores and locks. */
  readonly writer: S3Client;
  /** What asks: heads, listings, the bucket's state. */
  readonly reader: S3Client;
  /** What deletes. */
  readonly pruner: S3Client;
  /** Downloads: no socket timeout, the stream watches itself. */
  readonly #downloader: S3Client;
  /**
   * A request with a lock must carry a checksum of its body. With a known SHA-256 it is that one, for MD5 costs more than all the rest of
   * packing; stores that take only Content-MD5 say so in their first refusal.
   */
  #wantsMd5 = false;
  readonly #bandwidth: Bandwidth | null;

  constructor(config: S3VaultConfig, clock: Clock, bandwidth: Bandwidth | null = null) {
    this.config = config;
    this.clock = clock;
    this.#bandwidth = bandwidth;
    this.writer = makeS3Client(config, config.credentials, clock, config.timeouts.requestMs);
    const own = config.readCredentials;
    this.reader = own ? makeS3Client(config, own, clock, config.timeouts.requestMs) : this.writer;
    this.#downloader = makeS3Client(config, own ?? config.credentials, clock, 0);
    this.pruner = config.pruneCredentials ? makeS3Client(config, config.pruneCredentials, clock, config.timeouts.requestMs) : this.writer;
  }

  get bucket(): string {
    return this.config.bucket;
  }

  /** The key in the bucket of a key in the vault. */
  fullKey(key: string): string {
    const prefix = this.config.prefix.replace(/^\/+|\/+$/g, '');
    return prefix === '' ? key : `${prefix}/${key}`;
  }

  /** The key in the vault of a key in the bucket. */
  vaultKey(fullKey: string): string {
    return fullKey.slice(this.fullKey('').length);
  }

  /** Runs one request under its deadline. `doing` names it in errors. */
  async call<T>(doing: string, options: CallOptions, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limitMs = this.config.timeouts.requestMs + Math.ceil((options.bytes ?? 0) / SLOWEST_BYTES_PER_MS);
    const late = (): CoffreError =>
      new CoffreError('E_VAULT_TIMEOUT', `vault ${this.config.name}: ${doing}: no answer within ${limitMs / 1000} s`);
    const attempt = async (signal: AbortSignal): Promise<T> => {
      try {
        return await send(signal);
      } catch (error) {
        throw vaultError(error, this.config.name, doing);
      }
    };
    try {
      return await withDeadline(
        this.clock,
        limitMs,
        late,
        (signal) => (options.repeat ? retrying(this.clock, READ_RETRY, () => attempt(signal), signal) : attempt(signal)),
        options.signal,
        () => options.held?.ms ?? 0,
      );
    } catch (error) {
      throw vaultError(options.signal?.aborted ? abortReason(options.signal) : error, this.config.name, doing);
    }
  }

  /** Sends a PutObject whose body has `bytes`, at the pace of limits.bandwidth. `onRefusal` sees what the store said, before it is mapped. */
  async sendPut(
    doing: string,
    command: PutObjectCommand,
    bytes: number,
    options: UploadOptions,
    onRefusal: (error: unknown) => void = () => {},
  ): Promise<PutObjectCommandOutput> {
    return await this.#sendBody(doing, command, bytes, options, async (abortSignal) => {
      try {
        return await this.writer.send(command, { abortSignal });
      } catch (error) {
        onRefusal(error);
        throw error;
      }
    });
  }

  /** The same for a part of a multipart upload. */
  async sendPart(doing: string, command: UploadPartCommand, bytes: number, options: UploadOptions): Promise<UploadPartCommandOutput> {
    return await this.#sendBody(doing, command, bytes, options, (abortSignal) => this.writer.send(command, { abortSignal }));
  }

  async #sendBody<T>(
    doing: string,
    command: PutObjectCommand | UploadPartCommand,
    bytes: number,
    { signal, held }: UploadOptions,
    send: (abortSignal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    let own: HeldBack | null = null;
    if (this.#bandwidth !== null) {
      own = new HeldBack(this.clock);
      paceBody(command, this.#bandwidth, held ? [own, held] : [own]);
    }
    try {
      return await this.call(doing, { bytes, signal, ...(own ? { held: own } : {}) }, send);
    } catch (error) {
      if (error instanceof CoffreError && /EPIPE|ECONNRESET/.test(error.message)) await this.#tellMissingBucket(doing, signal);
      throw error;
    }
  }

  /**
   * A store that refuses a body before its end says why and hangs up, and what it said is lost when the hanging up is noticed first. Throws
   * E_BUCKET_MISSING when that was why.
   */
  async #tellMissingBucket(doing: string, signal: AbortSignal | undefined): Promise<void> {
    const command = new GetBucketVersioningCommand({ Bucket: this.bucket });
    try {
      await this.call(doing, { signal }, (abortSignal) => this.reader.send(command, { abortSignal }));
    } catch (error) {
      if (error instanceof CoffreError && error.code === 'E_BUCKET_MISSING') throw error;
    }
  }

  /** PUT of a whole object; its version id. Throws E_NO_OBJECT_LOCK when the store gives none. */
  async put(key: string, body: Buffer, lock: S3Lock | null, digests?: Digests, options: UploadOptions = {}): Promise<string> {
    const md5 = (): Promise<string> => this.#put(key, body, lock, digests, { ContentMD5: contentMd5(body) }, options);
    if (!digests || this.#wantsMd5) return await md5();
    const sha256 = { ChecksumSHA256: Buffer.from(digests.sha256, 'hex').toString('base64') };
    let named = false;
    try {
      return await this.#put(key, body, lock, digests, sha256, options, (refusal) => {
        named = asksForMd5(refusal);
      });
    } catch (error) {
      if (!named) throw error;
      // it stored nothing, and said that it misses the older checksum: it would say so each time
      this.#wantsMd5 = true;
      return await md5();
    }
  }

  async #put(
    key: string,
    body: Buffer,
    lock: S3Lock | null,
    digests: Digests | undefined,
    checksum: { readonly ContentMD5: string } | { readonly ChecksumSHA256: string },
    options: UploadOptions,
    onRefusal?: (error: unknown) => void,
  ): Promise<string> {
    const command = new PutObjectCommand({ Bucket: this.bucket, Key: this.fullKey(key), Body: body, ...checksum, ...lockHeaders(lock) });
    if (digests) signedBy(command, digests.sha256);
    const answer = await this.sendPut(`put ${key}`, command, body.length, options, onRefusal);
    if (!answer.VersionId) throw this.#unversioned(key);
    return answer.VersionId;
  }

  /** What the store says of one version; null when it has no such version. */
  async head(key: string, versionId: string, signal?: AbortSignal): Promise<HeadOfVersion | null> {
    let failedStatus: number | null = null;
    const answer = await this.call(`head ${key}`, { repeat: true, signal }, async (abortSignal) => {
      try {
        return await this.reader.send(new HeadObjectCommand({ Bucket: this.bucket, Key: this.fullKey(key), VersionId: versionId }), {
          abortSignal,
        });
      } catch (error) {
        failedStatus = statusOf(error);
        if (failedStatus === null || ![400, 403, 404, 405].includes(failedStatus)) throw error;
        return null;
      }
    });
    if (answer === null) {
      // The answer to a HEAD has no body, so a wrong secret, a missing bucket and a missing object look alike: a request
      // whose answer has one tells them apart. 405 is a delete marker, 400 a version id the store cannot even parse.
      await this.#explainRefusal(`head ${key}`, signal);
      if (failedStatus === 403) throw new CoffreError('E_VAULT_DENIED', `vault ${this.config.name}: head ${key}: HTTP 403`);
      return null;
    }
    const { ObjectLockMode: mode, ObjectLockRetainUntilDate: until, VersionId: answered = versionId } = answer;
    // nothing that is said of another version may be written down as said of this one
    if (answered !== versionId) {
      const said = `asked about version ${versionId}, the store answered about ${answered}`;
      throw new CoffreError('E_OBJECT_ALTERED', `vault ${this.config.name}: head ${key}: ${said}`);
    }
    return {
      key,
      versionId,
      sizeBytes: answer.ContentLength ?? 0,
      lock: (mode === 'COMPLIANCE' || mode === 'GOVERNANCE') && until ? { mode, retainUntil: fromDate(until) } : null,
      legalHold: answer.ObjectLockLegalHoldStatus === 'ON',
    };
  }

  async #explainRefusal(doing: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.call(doing, { repeat: true, signal }, (abortSignal) =>
        this.reader.send(new GetBucketVersioningCommand({ Bucket: this.bucket }), { abortSignal }),
      );
    } catch (error) {
      // A credential that may not read the versioning state was at least recognised.
      if (error instanceof CoffreError && (error.code === 'E_VAULT_DENIED' || error.code === 'E_NO_OBJECT_LOCK')) return;
      throw error;
    }
  }

  /** The lock by its own request: some stores leave it out of HEAD. null when there is none. */
  async retention(key: string, versionId: string, signal?: AbortSignal): Promise<S3Lock | null> {
    return await this.call(`read lock of ${key}`, { repeat: true, signal }, async (abortSignal) => {
      try {
        const { Retention } = await this.reader.send(
          new GetObjectRetentionCommand({ Bucket: this.bucket, Key: this.fullKey(key), VersionId: versionId }),
          { abortSignal },
        );
        if (!Retention?.Mode || !Retention.RetainUntilDate) return null;
        return { mode: Retention.Mode, retainUntil: fromDate(Retention.RetainUntilDate) };
      } catch (error) {
        const code = s3CodeOf(error);
        const status = statusOf(error);
        // AWS: NoSuchObjectLockConfiguration; Ceph 16: ObjectLockConfigurationNotFoundError, as for a bucket without locks.
        if (code !== null && /ObjectLockConfiguration/.test(code)) return null;
        if (status === 404 || status === 403 || status === 501) return null;
        throw error;
      }
    });
  }

  async putRetention(
    key: string,
    versionId: string,
    lock: S3Lock,
    { bypass = false, signal }: { readonly bypass?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    await this.call(`lock ${key}`, { signal }, (abortSignal) =>
      (bypass ? this.pruner : this.writer).send(
        new PutObjectRetentionCommand({
          Bucket: this.bucket,
          Key: this.fullKey(key),
          VersionId: versionId,
          Retention: { Mode: lock.mode, RetainUntilDate: toDate(lock.retainUntil) },
          ...(bypass ? { BypassGovernanceRetention: true } : {}),
        }),
        { abortSignal },
      ),
    );
  }

  /** Bytes of one version, as a stream that fails with CoffreErrors and never stalls for ever. */
  async get(key: string, versionId: string, signal?: AbortSignal): Promise<Readable> {
    const doing = `get ${key}`;
    const answer = await this.call(doing, { repeat: true, signal }, async (abortSignal) => {
      try {
        return await this.#downloader.send(new GetObjectCommand({ Bucket: this.bucket, Key: this.fullKey(key), VersionId: versionId }), {
          abortSignal,
        });
      } catch (error) {
        // 405: the version is a delete marker. InvalidArgument: a version id this store cannot have given.
        if (statusOf(error) !== 405 && s3CodeOf(error) !== 'InvalidArgument') throw error;
        throw new CoffreError('E_OBJECT_MISSING', `vault ${this.config.name}: ${doing}: version ${versionId} holds no object`);
      }
    });
    const inactivityMs = this.config.timeouts.requestMs;
    return watchedStream(this.clock, answer.Body as Readable, {
      inactivityMs,
      makeTimeout: () =>
        new CoffreError(
          'E_VAULT_TIMEOUT',
          `vault ${this.config.name}: ${doing}: nothing came for ${inactivityMs / 1000} s, or next to nothing`,
        ),
      mapError: (error) => vaultError(error, this.config.name, doing),
      signal,
    });
  }

  /** Deletes one version with the prune credential. A version already gone is success. Errors come as the store means them. */
  async deleteVersion(key: string, versionId: string, bypass = false): Promise<void> {
    await this.call(`delete ${key}`, {}, async (abortSignal) => {
      try {
        await this.pruner.send(
          new DeleteObjectCommand({
            Bucket: this.bucket,
            Key: this.fullKey(key),
            VersionId: versionId,
            ...(bypass ? { BypassGovernanceRetention: true } : {}),
          }),
          { abortSignal },
        );
      } catch (error) {
        const code = s3CodeOf(error);
        if (code !== 'NoSuchVersion' && code !== 'NoSuchKey') throw error;
      }
    });
  }

  /** Discards an unfinished upload and its parts; one already gone is success. */
  async abortUpload(key: string, uploadId: string): Promise<void> {
    const send = (client: S3Client) =>
      this.call(`abort upload of ${key}`, { repeat: true }, async (abortSignal) => {
        try {
          await client.send(new AbortMultipartUploadCommand({ Bucket: this.bucket, Key: this.fullKey(key), UploadId: uploadId }), {
            abortSignal,
          });
        } catch (error) {
          // Ceph 16 also says NoSuchKey for an unknown upload.
          const code = s3CodeOf(error);
          if (code !== 'NoSuchUpload' && code !== 'NoSuchKey') throw error;
        }
      });
    try {
      await send(this.writer);
    } catch (error) {
      if (!(error instanceof CoffreError) || error.code !== 'E_VAULT_DENIED' || this.pruner === this.writer) throw error;
      await send(this.pruner);
    }
  }

  close(): void {
    for (const client of new Set([this.writer, this.reader, this.pruner, this.#downloader])) client.destroy();
  }

  #unversioned(key: string): CoffreError {
    return new CoffreError('E_NO_OBJECT_LOCK', `vault ${this.config.name}: put ${key}: the store gave no version id`, {
      hint: 'the bucket is not versioned: make a new one with Object Lock, which includes versioning',
    });
  }
}

/** The signature covers the body by its hash: by this one, which the signer else makes anew. The store refuses a body that is another. */
function signedBy(command: PutObjectCommand, sha256: string): void {
  command.middlewareStack.add(
    (next) => async (args) => {
      (args.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] = sha256;
      return await next(args);
    },
    { step: 'build', name: 'signedBy' },
  );
}

/** An abort's reason, as an error vaultError() knows. */
function abortReason(signal: AbortSignal): unknown {
  const reason: unknown = signal.reason;
  return reason instanceof CoffreError ? reason : Object.assign(new Error('aborted', { cause: reason }), { name: 'AbortError' });
}
