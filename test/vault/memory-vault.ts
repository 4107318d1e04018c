// A store in memory that enforces locks by a clock of its own and counts every byte: for simulations of months in seconds, and for
// nothing else. It passes the suite that every vault passes; what is tested of S3 is tested on a real store.
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import type { ListedUpload, ListedVersion, Lock, PutRequest, PutStreamRequest, StoredObject, Vault } from '../../src/vault/vault.ts';

interface Version {
  readonly key: string;
  readonly versionId: string;
  /** null: a delete marker. */
  readonly body: Buffer | null;
  readonly modifiedAt: Temporal.Instant;
  retainUntilMs: number | null;
}

interface Upload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt: Temporal.Instant;
  readonly parts: Buffer[];
}

export interface MemoryVaultOptions {
  readonly name?: string;
  readonly partBytes?: number;
}

export class MemoryVault implements Vault {
  readonly name: string;
  readonly type = 's3';
  readonly lockMode = 'COMPLIANCE';
  readonly #clock: Clock;
  readonly #partBytes: number;
  /** By key, oldest first. */
  readonly #objects = new Map<string, Version[]>();
  /** Keys by what they begin with, up to the first slash: a store of many shops is listed shop by shop. */
  readonly #keys = new Map<string, Set<string>>();
  readonly #uploads = new Map<string, Upload>();
  #lastId = 0;
  #heldBytes = 0;

  /** `clock` is the store's: locks end by it, whatever its client's says. */
  constructor(clock: Clock, { name = 'memory', partBytes = 8 * 1024 * 1024 }: MemoryVaultOptions = {}) {
    this.name = name;
    this.#clock = clock;
    this.#partBytes = partBytes;
  }

  /** Bytes of all versions and of all parts of unfinished uploads. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** End of a version's lock, epoch milliseconds, 0 for none; null: there is no such version. A look past the port, for many of them. */
  lockEndOf(key: string, versionId: string): number | null {
    const version = this.#find(key, versionId);
    return version?.body ? (version.retainUntilMs ?? 0) : null;
  }

  /** What an attacker with the writer's credential may do. */
  putDeleteMarker(key: string): string {
    return this.#add(key, null, null).versionId;
  }

  /** What a killed client leaves. */
  leaveUpload(key: string, part: Buffer): string {
    const upload: Upload = { key, uploadId: this.#newId(), startedAt: this.#clock.now(), parts: [part] };
    this.#uploads.set(upload.uploadId, upload);
    this.#heldBytes += part.length;
    return upload.uploadId;
  }

  async put({ key, body, retainUntil, signal }: PutRequest): Promise<StoredObject> {
    signal?.throwIfAborted();
    return described(this.#add(key, Buffer.from(body), this.#checkedLock(retainUntil)));
  }

  async putStream(request: PutStreamRequest): Promise<StoredObject> {
    const { key, body, retainUntil, signal, onUpload, onParts } = request;
    const lock = this.#checkedLock(retainUntil);
    const upload: Upload = { key, uploadId: this.#newId(), startedAt: this.#clock.now(), parts: [] };
    const stop = new AbortController();
    const source = body[Symbol.asyncIterator]();
    try {
      signal?.throwIfAborted();
      const aborted = signal ? once(signal, 'abort', { signal: stop.signal }).then(() => Promise.reject(signal.reason)) : null;
      aborted?.catch(() => {});
      await onUpload?.(upload.uploadId);
      this.#uploads.set(upload.uploadId, upload);
      let part: Buffer[] = [];
      let partBytes = 0;
      let stored = 0;
      const flush = async (): Promise<void> => {
        if (partBytes === 0) return;
        upload.parts.push(Buffer.concat(part));
        stored += partBytes;
        this.#heldBytes += partBytes;
        part = [];
        partBytes = 0;
        await onParts?.(stored);
      };
      for (;;) {
        const next = await (aborted ? Promise.race([source.next(), aborted]) : source.next());
        if (next.done) break;
        part.push(Buffer.from(next.value));
        partBytes += next.value.length;
        if (partBytes >= this.#partBytes) await flush();
      }
      await flush();
      const whole = Buffer.concat(upload.parts);
      this.#dropUpload(upload.uploadId);
      return described(this.#add(key, whole, lock));
    } catch (error) {
      this.#dropUpload(upload.uploadId);
      // not awaited: a source that hangs never answers
      source.return?.()?.catch(() => {});
      throw error;
    } finally {
      stop.abort();
    }
  }

  async stat(key: string, versionId: string): Promise<StoredObject | null> {
    const version = this.#find(key, versionId);
    return version?.body ? described(version) : null;
  }

  async extendLock(key: string, versionId: string, retainUntil: Temporal.Instant): Promise<Lock> {
    const version = this.#find(key, versionId);
    if (!version?.body) throw new CoffreError('E_OBJECT_MISSING', `${this.name}: ${key} has no version ${versionId}`);
    if ((version.retainUntilMs ?? 0) < retainUntil.epochMilliseconds) version.retainUntilMs = this.#checkedLock(retainUntil);
    return lockOf(version) as Lock;
  }

  async get(key: string, versionId: string, signal?: AbortSignal): Promise<Readable> {
    const body = this.#find(key, versionId)?.body;
    if (!body) throw new CoffreError('E_OBJECT_MISSING', `${this.name}: ${key} has no version ${versionId}`);
    const stream = Readable.from(pieces(body), { objectMode: false });
    signal?.addEventListener('abort', () => stream.destroy(signal.reason), { once: true });
    return stream;
  }

  async *listNames(): AsyncIterable<string> {
    const names = new Set([...this.#objects.keys()].map((key) => key.slice(0, key.indexOf('/') + 1) || key));
    yield* [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  async *listVersions(prefix: string): AsyncIterable<ListedVersion> {
    const within = prefix.includes('/') ? (this.#keys.get(folderOf(prefix)) ?? []) : this.#objects.keys();
    const keys = [...within].filter((key) => key.startsWith(prefix));
    keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const key of keys) {
      const versions = [...(this.#objects.get(key) ?? [])].reverse();
      for (const [at, { versionId, body, modifiedAt }] of versions.entries()) {
        yield { key, versionId, sizeBytes: body?.length ?? 0, isDeleteMarker: body === null, isLatest: at === 0, modifiedAt };
      }
    }
  }

  async *listUploads(prefix: string): AsyncIterable<ListedUpload> {
    for (const { key, uploadId, startedAt, parts } of [...this.#uploads.values()]) {
      if (key.startsWith(prefix)) yield { key, uploadId, startedAt, sizeBytes: sizeOf(parts) };
    }
  }

  async abortUpload(_key: string, uploadId: string): Promise<void> {
    this.#dropUpload(uploadId);
  }

  async deleteVersion(key: string, versionId: string): Promise<void> {
    const version = this.#find(key, versionId);
    if (!version) return;
    if (version.retainUntilMs !== null && this.#clock.nowMs() < version.retainUntilMs) {
      throw new CoffreError('E_LOCKED', `${this.name}: ${key} is locked until ${lockOf(version)?.retainUntil}`);
    }
    const left = (this.#objects.get(key) ?? []).filter((other) => other !== version);
    if (left.length === 0) {
      this.#objects.delete(key);
      this.#keys.get(folderOf(key))?.delete(key);
    } else this.#objects.set(key, left);
    this.#heldBytes -= version.body?.length ?? 0;
  }

  async serverTime(): Promise<Temporal.Instant> {
    return this.#clock.now();
  }

  async close(): Promise<void> {}

  #newId(): string {
    return `m${(++this.#lastId).toString(36).padStart(10, '0')}`;
  }

  /** As a store answers: a date in the past is no lock. */
  #checkedLock(retainUntil: Temporal.Instant | null): number | null {
    if (retainUntil !== null && retainUntil.epochMilliseconds <= this.#clock.nowMs()) {
      throw new CoffreError('E_LOCK_DROPPED', `${this.name}: a lock until ${retainUntil} lies in the past`);
    }
    return retainUntil?.epochMilliseconds ?? null;
  }

  #add(key: string, body: Buffer | null, retainUntilMs: number | null): Version {
    const version: Version = { key, versionId: this.#newId(), body, modifiedAt: this.#clock.now(), retainUntilMs };
    const versions = this.#objects.get(key);
    if (versions) versions.push(version);
    else {
      this.#objects.set(key, [version]);
      const folder = folderOf(key);
      this.#keys.set(folder, (this.#keys.get(folder) ?? new Set()).add(key));
    }
    this.#heldBytes += body?.length ?? 0;
    return version;
  }

  #find(key: string, versionId: string): Version | undefined {
    return this.#objects.get(key)?.find((version) => version.versionId === versionId);
  }

  #dropUpload(uploadId: string): void {
    const upload = this.#uploads.get(uploadId);
    if (!upload) return;
    this.#uploads.delete(uploadId);
    this.#heldBytes -= sizeOf(upload.parts);
  }
}

function sizeOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function lockOf({ retainUntilMs }: Version): Lock | null {
  if (retainUntilMs === null) return null;
  return { mode: 'COMPLIANCE', retainUntil: Temporal.Instant.fromEpochMilliseconds(retainUntilMs) };
}

function described(version: Version): StoredObject {
  return { key: version.key, versionId: version.versionId, sizeBytes: version.body?.length ?? 0, lock: lockOf(version) };
}

function* pieces(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
}

const folderOf = (key: string): string => key.slice(0, key.indexOf('/') + 1);
