// A vault in a folder: a disk, a NAS. Its locks are advisory, its versions are told apart by modification time and size.
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, stat, statfs, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { Temporal } from 'temporal-polyfill';
import { type Clock, withDeadline } from '../clock.ts';
import type { FilesystemVaultConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { makeLocksFolder, readAdvisoryLock, removeAdvisoryLock, sweepLocks, writeAdvisoryLock } from './advisory-lock.ts';
import { makeFolders, replaceFile, startFile, syncFolder, type UnfinishedFile } from './durable-file.ts';
import { errnoOf, filesystemError } from './filesystem-errors.ts';
import { walk } from './filesystem-walk.ts';
import { untilAborted } from './until-aborted.ts';
import type { ListedUpload, ListedVersion, Lock, PutRequest, PutStreamRequest, StoredObject, Vault } from './vault.ts';
import { MARKER_FILE, nameOfTemporary, objectPath } from './vault-path.ts';
import { watchedStream } from './watched-stream.ts';

/** A disk that spins up, a share under load: still far from this. */
const CALL_LIMIT_MS = 60_000;
/** So long a write that failed may take to remove what it wrote. */
const CLEAN_UP_MS = 5_000;
/** 1 MiB/s: below this rate a write is taken for stuck. */
const SLOWEST_BYTES_PER_MS = 1_049;
/** Time and size tell versions apart: a careless copy of a whole vault looks as if every object had been altered. */
const ALTERED_HINT =
  'restore from another vault and keep the file as evidence; if the vault was copied, copy it again with its times (cp -a, rsync -a)';
/** An unfinished lock file, or one without its object, that is older than this is nobody's any more: writing both takes seconds. */
const STALE_LOCK_MS = 24 * 3600_000;
/** How often a stream's progress is told. */
const PART_BYTES = 8 * 1024 * 1024;

/**
 * What identifies the stored file: one that was replaced or rewritten has another. Nanoseconds and bytes, in decimal. No
 * inode, so that a vault may be copied to a new disk. Who forges the time is caught by the hash, on reading.
 */
function versionIdOf(stats: BigIntStats): string {
  return `${stats.mtimeNs}-${stats.size}`;
}

export class FilesystemVault implements Vault {
  readonly name: string;
  readonly type = 'filesystem';
  readonly lockMode = 'advisory';
  readonly root: string;
  readonly #clock: Clock;
  readonly #callLimitMs: number;
  /** Once in this vault's life, before its first deletion. */
  #swept: Promise<void> | null = null;

  /** Touches nothing yet. */
  constructor(config: FilesystemVaultConfig, clock: Clock, options: { readonly callLimitMs?: number } = {}) {
    this.name = config.name;
    this.root = resolve(config.path);
    this.#clock = clock;
    this.#callLimitMs = options.callLimitMs ?? CALL_LIMIT_MS;
  }

  /** Makes the folder a vault: for `init` alone. Idempotent. Returns false when it was one already. */
  async initialise(): Promise<boolean> {
    return await this.#bounded('initialise', 0, async () => {
      await mkdir(this.root, { recursive: true, mode: 0o700 });
      const isNew = (await lstat(join(this.root, MARKER_FILE)).catch(() => null)) === null;
      await makeLocksFolder(this.root);
      if (isNew) await replaceFile(join(this.root, MARKER_FILE), `${JSON.stringify({ vault: this.name, format: 1 })}\n`);
      return isNew;
    });
  }

  /**
   * Throws E_VAULT_UNREACHABLE unless the folder is an initialised vault. Every operation begins with it: the mount point
   * of a disk that is not mounted is an empty folder, and what is written into it is on the wrong disk.
   */
  async ready(): Promise<void> {
    const marker = await lstat(join(this.root, MARKER_FILE)).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return null;
      throw filesystemError(error, this.name, 'open');
    });
    if (marker?.isFile()) return;
    const folder = await stat(this.root).catch(() => null);
    const why = folder ? `${this.root} has no ${MARKER_FILE}` : `${this.root} is not there`;
    throw new CoffreError('E_VAULT_UNREACHABLE', `vault ${this.name}: ${why}`, {
      hint: `mount its disk; for a new disk in its place run coffre vault prepare ${this.name}`,
    });
  }

  async put(request: PutRequest): Promise<StoredObject> {
    const { body, signal } = request;
    signal?.throwIfAborted();
    return await this.#write(request, async (unfinished) => {
      await this.#bounded(`put ${request.key}`, body.length, () => unfinished.file.writeFile(body), signal);
      return body.length;
    });
  }

  async putStream(request: PutStreamRequest): Promise<StoredObject> {
    const { key, signal } = request;
    return await this.#write(request, async (unfinished) => {
      await request.onUpload?.(unfinished.name);
      let writtenBytes = 0;
      let toldBytes = 0;
      for await (const chunk of untilAborted(request.body, signal ?? new AbortController().signal)) {
        await this.#bounded(`put ${key}`, chunk.byteLength, () => unfinished.file.writeFile(chunk), signal);
        writtenBytes += chunk.byteLength;
        if (writtenBytes - toldBytes < PART_BYTES) continue;
        toldBytes = writtenBytes;
        await request.onParts?.(writtenBytes);
      }
      if (writtenBytes > toldBytes) await request.onParts?.(writtenBytes);
      return writtenBytes;
    });
  }

  /**
   * Temporary file, contents, rename, lock, read-back. Dying before the rename leaves a temporary file, which listUploads
   * shows; dying after it leaves an object without lock that no manifest names, which listVersions shows.
   */
  async #write(
    { key, retainUntil, replace = false, signal }: Pick<PutRequest, 'key' | 'retainUntil' | 'replace' | 'signal'>,
    fill: (unfinished: UnfinishedFile) => Promise<number>,
  ): Promise<StoredObject> {
    const path = objectPath(this.root, key);
    const doing = `put ${key}`;
    const start = async (): Promise<UnfinishedFile> => {
      await this.ready();
      await makeFolders(this.root, dirname(path));
      return await startFile(path);
    };
    let starting: Promise<UnfinishedFile> | undefined;
    const begin = (): Promise<UnfinishedFile> => {
      starting = start();
      return starting;
    };
    const unfinished = await this.#bounded(doing, 0, begin, signal).catch((error: unknown) => {
      // given up, and yet it may begin once the disk goes on
      starting?.then((late) => late.discard()).catch(() => {});
      throw error;
    });
    let committing: Promise<StoredObject> | undefined;
    let renamed = false;
    try {
      const sizeBytes = await fill(unfinished);
      const commit = async (): Promise<StoredObject> => {
        // Keys are random and written once: something is there only if somebody else put it there, or we did and lost
        // the answer. Not replaced unless it is known to be damaged: what lies there may be locked.
        if (!replace && (await lstat(path).catch(() => null))) {
          throw new CoffreError('E_VERSION_FOREIGN', `vault ${this.name}: ${key} is there already`);
        }
        await unfinished.commit();
        renamed = true;
        const stats = await lstat(path, { bigint: true });
        const versionId = versionIdOf(stats);
        if (Number(stats.size) !== sizeBytes) {
          throw new CoffreError('E_OBJECT_ALTERED', `vault ${this.name}: ${key}: wrote ${sizeBytes} bytes, found ${stats.size}`);
        }
        if (retainUntil) await writeAdvisoryLock(this.root, key, versionId, retainUntil);
        return { key, versionId, sizeBytes, lock: await readAdvisoryLock(this.root, key, versionId) };
      };
      const finish = (): Promise<StoredObject> => {
        committing = commit();
        return committing;
      };
      return await this.#bounded(doing, sizeBytes, finish, signal);
    } catch (error) {
      const cleanUp = async (): Promise<void> => {
        // a commit that was given up goes on all the same: only after it is it known what there is to remove
        await committing?.catch(() => {});
        await unfinished.discard();
        if (renamed) await unlink(path);
      };
      // who gave up because the disk hangs must not wait for it as long once more; what stays is listed, and prune takes it
      const limitMs = Math.min(CLEAN_UP_MS, this.#callLimitMs);
      await withDeadline(this.#clock, limitMs, () => this.#late(doing, limitMs), cleanUp).catch(() => {});
      throw filesystemError(error, this.name, doing);
    }
  }

  async stat(key: string, versionId: string): Promise<StoredObject | null> {
    return await this.#bounded(`stat ${key}`, 0, async () => {
      await this.ready();
      const found = await this.#find(key);
      if (found === null || versionIdOf(found) !== versionId) return null;
      return { key, versionId, sizeBytes: Number(found.size), lock: await readAdvisoryLock(this.root, key, versionId) };
    });
  }

  async extendLock(key: string, versionId: string, retainUntil: Temporal.Instant, signal?: AbortSignal): Promise<Lock> {
    const extend = async (): Promise<Lock> => {
      await this.ready();
      const found = await this.#find(key);
      if (found === null || versionIdOf(found) !== versionId) throw this.#notOurs(key, versionId, found);
      const current = await readAdvisoryLock(this.root, key, versionId);
      if (current && Temporal.Instant.compare(current.retainUntil, retainUntil) >= 0) return current;
      await writeAdvisoryLock(this.root, key, versionId, retainUntil);
      const readBack = await readAdvisoryLock(this.root, key, versionId);
      if (readBack === null) throw new CoffreError('E_LOCK_DROPPED', `vault ${this.name}: the lock of ${key} was not kept`);
      return readBack;
    };
    return await this.#bounded(`lock ${key}`, 0, extend, signal);
  }

  async get(key: string, versionId: string, signal?: AbortSignal): Promise<Readable> {
    const doing = `get ${key}`;
    const find = async (): Promise<FileHandle> => {
      await this.ready();
      const opened = await open(objectPath(this.root, key), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
        (error: unknown) => {
          // ELOOP: a link where our object was. Not blocking: nor does a pipe that lies there hold us up.
          if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR'].includes(errnoOf(error))) throw this.#notOurs(key, versionId, null);
          throw error;
        },
      );
      const stats = await opened.stat({ bigint: true });
      if (stats.isFile() && versionIdOf(stats) === versionId) return opened;
      await opened.close();
      throw this.#notOurs(key, versionId, stats.isFile() ? stats : null);
    };
    let finding: Promise<FileHandle> | undefined;
    const begin = (): Promise<FileHandle> => {
      finding = find();
      return finding;
    };
    const file = await this.#bounded(doing, 0, begin, signal).catch((error: unknown) => {
      // given up, and yet it may be opened once the disk goes on
      finding?.then((late) => late.close()).catch(() => {});
      throw error;
    });
    return watchedStream(this.#clock, file.createReadStream({ highWaterMark: 1 << 20 }), {
      inactivityMs: this.#callLimitMs,
      makeTimeout: () => this.#late(doing, this.#callLimitMs),
      mapError: (error) => filesystemError(error, this.name, doing),
      signal,
    });
  }

  async *listVersions(prefix: string): AsyncGenerator<ListedVersion> {
    for await (const { path, temporaryOf, stats } of this.#walk(prefix)) {
      if (temporaryOf !== null) continue;
      yield {
        key: path,
        versionId: versionIdOf(stats),
        sizeBytes: Number(stats.size),
        isDeleteMarker: false,
        isLatest: true,
        modifiedAt: Temporal.Instant.fromEpochNanoseconds(stats.mtimeNs),
      };
    }
  }

  async *listNames(): AsyncGenerator<string> {
    await this.#bounded('list folders', 0, () => this.ready());
    const entries = await this.#bounded('list folders', 0, () => readdir(this.root, { withFileTypes: true }));
    for (const entry of entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))) {
      // our own, and what a file system keeps for itself
      if (entry.name.startsWith('.') || entry.name === 'lost+found') continue;
      yield entry.isDirectory() ? `${entry.name}/` : entry.name;
    }
  }

  async *listUploads(prefix: string): AsyncGenerator<ListedUpload> {
    for await (const { path, temporaryOf, stats } of this.#walk(prefix)) {
      if (temporaryOf === null) continue;
      // Creation time is not known on every file system; the last write is late, which keeps a running one from being aborted.
      const startedAt = Temporal.Instant.fromEpochNanoseconds(stats.mtimeNs);
      yield { key: temporaryOf, uploadId: basename(path), startedAt, sizeBytes: Number(stats.size) };
    }
  }

  async *#walk(prefix: string) {
    const doing = `list ${prefix}`;
    await this.#bounded(doing, 0, () => this.ready());
    yield* walk(this.root, prefix, (work) => this.#bounded(doing, 0, work));
  }

  async abortUpload(key: string, uploadId: string): Promise<void> {
    const path = objectPath(this.root, key);
    if (nameOfTemporary(uploadId) !== basename(path)) {
      throw new CoffreError('E_INTERNAL', `vault ${this.name}: ${uploadId.slice(0, 200)} is no upload of ${key}`);
    }
    await this.#bounded(`abort upload of ${key}`, 0, async () => {
      await this.ready();
      await unlinkIfThere(join(dirname(path), uploadId));
    });
  }

  async deleteVersion(key: string, versionId: string): Promise<void> {
    await this.#bounded(`delete ${key}`, 0, async () => {
      await this.ready();
      // what cannot be swept now can be another time
      this.#swept ??= sweepLocks(this.root, this.#clock.nowMs() - STALE_LOCK_MS).catch(() => {});
      await this.#swept;
      const lock = await readAdvisoryLock(this.root, key, versionId);
      const found = await this.#find(key);
      const isThere = found !== null && versionIdOf(found) === versionId;
      if (isThere) {
        if (lock && Temporal.Instant.compare(lock.retainUntil, this.#clock.now()) > 0) {
          throw new CoffreError('E_LOCKED', `vault ${this.name}: ${key} is locked until ${lock.retainUntil}`);
        }
        await unlinkIfThere(objectPath(this.root, key));
      }
      // After the object: dying in between leaves a lock file of some bytes, which the next attempt removes.
      if (lock) await removeAdvisoryLock(this.root, key);
    });
  }

  /** No clock of its own, but it must be there to say so. */
  async serverTime(): Promise<null> {
    await this.#bounded('open', 0, () => this.ready());
    return null;
  }

  async close(): Promise<void> {}

  /** Bytes that may still be written here. Throws E_VAULT_UNREACHABLE, E_VAULT_IO. */
  async freeBytes(): Promise<number> {
    return await this.#bounded('free space', 0, async () => {
      await this.ready();
      const { bavail, bsize } = await statfs(this.root);
      return bavail * bsize;
    });
  }

  /**
   * Whether `path` lies on the same block device: such a vault is no second copy of what is there. A path that does not
   * exist is judged by its nearest folder that does.
   */
  async sameDeviceAs(path: string): Promise<boolean> {
    return await this.#bounded('compare devices', 0, async () => {
      await this.ready();
      const { dev } = await stat(this.root);
      for (let at = resolve(path); ; at = dirname(at)) {
        const there = await stat(at).catch((error: unknown) => {
          if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error)) && at !== dirname(at)) return null;
          throw error;
        });
        if (there) return there.dev === dev;
      }
    });
  }

  async #find(key: string): Promise<BigIntStats | null> {
    const path = objectPath(this.root, key);
    const found = await lstat(path, { bigint: true }).catch((error: unknown) => {
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return null;
      throw error;
    });
    return found?.isFile() ? found : null;
  }

  /** A folder has one file for a key: where another version lies, ours was written over or replaced, not taken away. */
  #notOurs(key: string, versionId: string, found: BigIntStats | null): CoffreError {
    if (found === null) return new CoffreError('E_OBJECT_MISSING', `vault ${this.name}: ${key} is gone: version ${versionId} was stored`);
    const what = `version ${versionIdOf(found)} is there, ${versionId} was stored`;
    return new CoffreError('E_OBJECT_ALTERED', `vault ${this.name}: ${key} was altered: ${what}`, { hint: ALTERED_HINT });
  }

  #late(doing: string, limitMs: number): CoffreError {
    return new CoffreError('E_VAULT_TIMEOUT', `vault ${this.name}: ${doing}: not done within ${limitMs / 1000} s`);
  }

  /** A system call cannot be stopped, so a hung share keeps its thread; but whoever waits for it goes on. */
  async #bounded<T>(doing: string, bytes: number, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const limitMs = this.#callLimitMs + Math.ceil(bytes / SLOWEST_BYTES_PER_MS);
    try {
      return await withDeadline(this.#clock, limitMs, () => this.#late(doing, limitMs), work, signal);
    } catch (error) {
      if (signal?.aborted && error === signal.reason && !(error instanceof CoffreError)) {
        throw new CoffreError('E_INTERRUPTED', `vault ${this.name}: ${doing}: stopped`, { cause: error });
      }
      throw filesystemError(error, this.name, doing);
    }
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  await syncFolder(dirname(path));
}
