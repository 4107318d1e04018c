// Tries, on tiny objects of its own, what each credential of a bucket can really do: what it lacks for its work, and what it can beyond it.
import { randomBytes } from 'node:crypto';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectRetentionCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type Clock, toDate } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { ProbeLog, type ProbeOptions } from './probe-report.ts';
import { ceilToSecond, type S3Vault } from './s3.ts';
import { contentMd5 } from './s3-client.ts';
import { lockHeaders, type S3Lock } from './s3-requests.ts';
import type { StoredObject } from './vault.ts';

export type CredentialRole = 'writer' | 'pruner' | 'reader';

/** What one credential was seen to do. Each right in words, such as `delete a version`. */
export interface CredentialRights {
  readonly role: CredentialRole;
  /** Needed for its work, and refused. */
  readonly tooLittle: readonly string[];
  /** Not needed for its work, and allowed. */
  readonly tooMuch: readonly string[];
  /** Could not be tried, and why: unknown is not good. */
  readonly untried: readonly string[];
  /** Needed and allowed. */
  readonly can: readonly string[];
}

/** As long as a probe's: what cannot be deleted now is deleted by the next probe. */
const LOCK_MS = 60_000;
/** A shortened lock still ends clearly after now. */
const SHORTENED_MS = 5_000;

const RIGHTS = {
  store: 'store an object',
  lock: 'lock a version',
  read: 'read a version',
  readLock: 'read a lock',
  list: 'list versions',
  uploads: 'list uploads',
  delete: 'delete a version',
  marker: 'put a delete marker',
  bypass: 'bypass a GOVERNANCE lock',
} as const;
type Right = keyof typeof RIGHTS;

const READING: readonly Right[] = ['read', 'readLock', 'list', 'uploads'];

interface Bounds {
  readonly needs: readonly Right[];
  readonly mustNot: readonly Right[];
}

/** What each credential needs, given which others there are. Pure. */
export function boundsOf(role: CredentialRole, others: { readonly pruner: boolean; readonly reader: boolean }): Bounds {
  if (role === 'reader') return { needs: READING, mustNot: ['store', 'marker', 'delete', 'bypass'] };
  if (role === 'pruner') return { needs: ['delete'], mustNot: ['store', 'marker', 'bypass'] };
  return {
    needs: ['store', 'lock', ...(others.reader ? [] : READING), ...(others.pruner ? [] : (['delete'] as const))],
    mustNot: ['marker', ...(others.pruner ? (['delete'] as const) : []), 'bypass'],
  };
}

/**
 * Tries each credential of the vault. What a trial stores is told to the recorder; locked leftovers are in `options.recorder`'s care as
 * those of a probe are. Never throws for what the store does; [] when the store does not let anything be stored, which a probe says better.
 */
export async function probeRights(vault: S3Vault, clock: Clock, options: ProbeOptions, prefix: string): Promise<CredentialRights[]> {
  const trial = new RightsTrial(vault, clock, new ProbeLog(options), `${prefix}${clock.nowMs()}-${randomBytes(6).toString('hex')}-rights`);
  const { pruneCredentials, readCredentials } = vault.requests.config;
  const others = { pruner: pruneCredentials !== null, reader: readCredentials !== null };
  const roles: CredentialRole[] = [
    'writer',
    ...(others.reader ? (['reader'] as const) : []),
    ...(others.pruner ? (['pruner'] as const) : []),
  ];
  const found: CredentialRights[] = [];
  for (const role of roles) {
    const { needs, mustNot } = boundsOf(role, others);
    const rights = { role, tooLittle: [] as string[], tooMuch: [] as string[], untried: [] as string[], can: [] as string[] };
    for (const right of [...needs, ...mustNot]) {
      options.signal?.throwIfAborted();
      try {
        const allowed = await trial.may(role, right);
        if (needs.includes(right)) (allowed ? rights.can : rights.tooLittle).push(RIGHTS[right]);
        else if (allowed) rights.tooMuch.push(RIGHTS[right]);
      } catch (error) {
        const { code } = asCoffreError(error);
        if (right === 'store' && role === 'writer' && code !== 'E_VAULT_DENIED') return [];
        rights.untried.push(`${RIGHTS[right]} [${code}]`);
      }
    }
    found.push(rights);
  }
  await trial.cleanUp();
  return found;
}

class RightsTrial {
  readonly #vault: S3Vault;
  readonly #clock: Clock;
  readonly #log: ProbeLog;
  readonly #prefix: string;
  readonly #markers: { readonly key: string; readonly versionId: string }[] = [];
  #count = 0;

  constructor(vault: S3Vault, clock: Clock, log: ProbeLog, prefix: string) {
    this.#vault = vault;
    this.#clock = clock;
    this.#log = log;
    this.#prefix = prefix;
  }

  /** Whether the store lets this credential do it. Throws what is neither yes nor a refusal. */
  async may(role: CredentialRole, right: Right): Promise<boolean> {
    const client = this.#vault.requests[role];
    switch (right) {
      case 'store':
        return (await this.#store(client, null)) !== null;
      case 'lock':
        return (await this.#store(client, this.#lock())) !== null;
      case 'read':
        return await this.#onObject(null, (at) =>
          client.send(new GetObjectCommand(at)).then(async ({ Body }) => void (await Body?.transformToByteArray())),
        );
      case 'readLock':
        return await this.#onObject(this.#lock(), (at) => client.send(new GetObjectRetentionCommand(at)));
      case 'list': {
        const { bucket: Bucket, fullKey } = this.#bucket();
        return await this.#try('list', () =>
          client.send(new ListObjectVersionsCommand({ Bucket, Prefix: fullKey(this.#prefix), MaxKeys: 1 })),
        );
      }
      case 'uploads': {
        const { bucket: Bucket, fullKey } = this.#bucket();
        return await this.#try('list uploads', () =>
          client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: fullKey(this.#prefix), MaxUploads: 1 })),
        );
      }
      case 'delete':
        return await this.#onObject(null, async (at, object) => {
          await client.send(new DeleteObjectCommand(at));
          await this.#log.released({ ...object, lockedUntil: null });
        });
      case 'marker':
        return await this.#onObject(null, async ({ Bucket, Key }, { key }) => {
          const { VersionId } = await client.send(new DeleteObjectCommand({ Bucket, Key }));
          if (VersionId) this.#markers.push({ key, versionId: VersionId });
        });
      case 'bypass':
        return await this.#mayBypass(client);
    }
  }

  /** A lock is shortened, or its version deleted: by one right or the other a bypass shows. */
  async #mayBypass(client: S3Client): Promise<boolean> {
    const shortened = await this.#onObject(this.#lock('GOVERNANCE'), async (at, object) => {
      const until = ceilToSecond(this.#clock.now().add({ milliseconds: SHORTENED_MS }));
      const Retention = { Mode: 'GOVERNANCE', RetainUntilDate: toDate(until) } as const;
      await client.send(new PutObjectRetentionCommand({ ...at, Retention, BypassGovernanceRetention: true }));
      const after = await this.#vault.stat(object.key, object.versionId);
      if (after) this.#log.keep(after);
      if (after?.lock && after.lock.retainUntil.epochMilliseconds > until.epochMilliseconds) throw new Kept();
    });
    if (shortened) return true;
    return await this.#onObject(this.#lock('GOVERNANCE'), async (at, object) => {
      await client.send(new DeleteObjectCommand({ ...at, BypassGovernanceRetention: true }));
      if (await this.#vault.stat(object.key, object.versionId)) throw new Kept();
      await this.#log.released({ ...object, lockedUntil: null });
    });
  }

  /** Deletes what is left and has no lock. What stays is the next probe's. */
  async cleanUp(): Promise<void> {
    for (const { key, versionId } of this.#markers) await this.#vault.requests.deleteVersion(key, versionId).catch(() => {});
    for (const object of this.#log.left) {
      if (object.lockedUntil !== null) continue;
      try {
        await this.#vault.requests.deleteVersion(object.key, object.versionId);
        await this.#log.released(object);
      } catch {
        // no credential may delete it: that was said
      }
    }
  }

  #bucket() {
    const { requests } = this.#vault;
    return { bucket: requests.bucket, fullKey: (key: string): string => requests.fullKey(key) };
  }

  #lock(mode: S3Lock['mode'] = this.#vault.lockMode): S3Lock {
    return { mode, retainUntil: ceilToSecond(this.#clock.now().add({ milliseconds: LOCK_MS })) };
  }

  /** Stores an object of its own as `client`; null: refused. */
  async #store(client: S3Client, lock: S3Lock | null): Promise<StoredObject | null> {
    const key = `${this.#prefix}-${++this.#count}`;
    const Body = Buffer.from('coffre probe: what this credential may do\n');
    const { bucket: Bucket, fullKey } = this.#bucket();
    await this.#log.intent(key, Body.length);
    const command = new PutObjectCommand({ Bucket, Key: fullKey(key), Body, ContentMD5: contentMd5(Body), ...lockHeaders(lock) });
    let versionId: string | undefined;
    const allowed = await this.#try(`put ${key}`, async () => {
      versionId = (await client.send(command)).VersionId;
    });
    if (!allowed) return null;
    if (versionId === undefined) throw new CoffreError('E_NO_OBJECT_LOCK', `vault ${this.#vault.name}: put ${key}: no version id`);
    const object = { key, versionId, sizeBytes: Body.length, lock };
    await this.#log.stored(object);
    return object;
  }

  /** Does it to a fresh object that the writer has stored. */
  async #onObject(
    lock: S3Lock | null,
    work: (at: { Bucket: string; Key: string; VersionId: string }, object: StoredObject) => Promise<unknown>,
  ): Promise<boolean> {
    const object = await this.#store(this.#vault.requests.writer, lock);
    if (object === null) throw new CoffreError('E_VAULT_DENIED', `vault ${this.#vault.name}: there is no object to try it on`);
    const { bucket: Bucket, fullKey } = this.#bucket();
    return await this.#try(object.key, () => work({ Bucket, Key: fullKey(object.key), VersionId: object.versionId }, object));
  }

  /** true: done; false: refused. */
  async #try(doing: string, send: () => Promise<unknown>): Promise<boolean> {
    try {
      await this.#vault.requests.call(doing, {}, async () => void (await send()));
      return true;
    } catch (error) {
      if (error instanceof CoffreError && error.code === 'E_VAULT_DENIED') return false;
      throw error;
    }
  }
}

/** The store said yes and did not do it. */
class Kept extends CoffreError {
  constructor() {
    super('E_VAULT_DENIED', 'the store kept it');
  }
}
