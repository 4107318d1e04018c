// The probe must call a sound store proven, and catch each way in which a store or a credential can be unsound.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutBucketPolicyCommand, PutObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { PROBE_PREFIX, probeVault } from '../../src/vault/probe.ts';
import { type ProbeRecorder, type ProbeResult, probeOutcome } from '../../src/vault/probe-report.ts';
import type { S3Vault } from '../../src/vault/s3.ts';
import type { ProbeStep } from '../../src/vault/vault.ts';
import { createCephUser } from '../servers/ceph.ts';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { type Bucket, freshBucket, inventory } from '../servers/s3.ts';
import { movedClock, secretOf, vaultOn } from './s3-bench.ts';

/** A ledger of the probe's own: what it said is there, in bytes and versions, and in which order. */
function bookkeeper() {
  const intents = new Set<string>();
  const held = new Map<string, number>();
  const recorder: ProbeRecorder = {
    async intent(key) {
      intents.add(key);
    },
    async stored({ key, versionId, sizeBytes }) {
      expect(intents).toContain(key);
      held.set(`${key} ${versionId}`, sizeBytes);
    },
    async released(key, versionId, sizeBytes) {
      expect(held.get(`${key} ${versionId}`)).toBe(sizeBytes);
      held.delete(`${key} ${versionId}`);
    },
  };
  return { recorder, intents, held };
}

const outcomes = (result: ProbeResult): Record<string, string> => Object.fromEntries(result.steps.map((step) => [step.name, step.outcome]));
const detail = (result: ProbeResult, name: string): string => result.steps.find((step) => step.name === name)?.detail ?? '';

const COMPLIANCE_STEPS = [
  'clock',
  'bucket',
  'control',
  'lock',
  'deletion refused',
  'shortening refused',
  'bypass refused',
  'multipart',
  'extension',
  'expiry',
];

describe('probe of an S3 vault', () => {
  let bucket: Bucket;
  const buckets: Bucket[] = [];
  const vaults: S3Vault[] = [];
  const open = (...args: Parameters<typeof vaultOn>): S3Vault => {
    const vault = vaultOn(...args);
    vaults.push(vault);
    return vault;
  };
  const fresh = async (...args: Parameters<typeof freshBucket>): Promise<Bucket> => {
    const one = await freshBucket(...args);
    buckets.push(one);
    return one;
  };
  beforeAll(async () => {
    bucket = await fresh();
  });
  afterEach(async () => {
    for (const vault of vaults.splice(0)) await vault.close();
  });
  afterAll(async () => {
    for (const one of buckets) await one.release();
  });
  const short = { lockMs: 4_000, skewLimitMs: 60_000 };

  it('a sound store - proven while the expiry is pending, and what it left is what it said', async () => {
    const own = await fresh();
    const vault = open(own);
    const books = bookkeeper();
    const result = await probeVault(vault, systemClock, { ...short, recorder: books.recorder });
    expect(outcomes(result)).toEqual({ ...Object.fromEntries(COMPLIANCE_STEPS.map((name) => [name, 'ok'])), expiry: 'pending' });
    expect(result).toMatchObject({ outcome: 'proven', code: null, canExtend: true });
    expect(result.pending).toHaveLength(2);
    const held = await inventory(own);
    expect(held.totalBytes).toBe([...books.held.values()].reduce((sum, bytes) => sum + bytes, 0));
    expect(held.versions.map((row) => `${row.key.slice(5)} ${row.versionId}`).toSorted()).toEqual([...books.held.keys()].toSorted());
    expect(held.versions.every((row) => row.key.startsWith(`prod/${PROBE_PREFIX}`))).toBe(true);
    expect(held.uploads).toEqual([]);

    // the next one settles what this one left, its own things too when it waits
    const second = await probeVault(vault, systemClock, {
      ...short,
      recorder: books.recorder,
      pending: result.pending,
      waitForExpiry: true,
    });
    expect(outcomes(second)).toEqual(Object.fromEntries(COMPLIANCE_STEPS.map((name) => [name, 'ok'])));
    expect(second).toMatchObject({ outcome: 'proven', pending: [] });
    expect(books.held.size).toBe(0);
    expect((await inventory(own)).versions).toEqual([]);
  });

  it('Ceph 16 - is known to need the explicit lock after a multipart upload', async (context) => {
    if (bucket.store.kind !== 'ceph') return context.skip('the store is not Ceph');
    const result = await probeVault(open(bucket), systemClock, { ...short, recorder: bookkeeper().recorder });
    expect(result.multipartLock).toBe('needs explicit lock');
  });

  it('GOVERNANCE - proven, without the step about the bypass', async () => {
    const vault = open(bucket, { lock: { mode: 'GOVERNANCE' } });
    const result = await probeVault(vault, systemClock, { ...short, recorder: bookkeeper().recorder });
    expect(Object.keys(outcomes(result))).toEqual(COMPLIANCE_STEPS.filter((name) => name !== 'bypass refused'));
    expect(result.outcome).toBe('proven');
  });

  it.each([false, true])('a bucket without Object Lock (versioning: %s) - refused, and nothing is stored', async (versioning) => {
    const plain = await fresh({ objectLock: false, versioning });
    const books = bookkeeper();
    const result = await probeVault(open(plain), systemClock, { ...short, recorder: books.recorder });
    expect(result).toMatchObject({ outcome: 'refused', code: 'E_NO_OBJECT_LOCK', pending: [] });
    expect(outcomes(result).bucket).toBe('failed');
    expect(books.intents.size).toBe(0);
    expect((await inventory(plain)).totalBytes).toBe(0);
  });

  it('a store that drops locks - refused: the lock is not read back, and the version deletes', async () => {
    const vault = open(bucket);
    const put = vault.requests.put.bind(vault.requests);
    vault.requests.put = (key, body, _lock, signal) => put(key, body, null, signal);
    const books = bookkeeper();
    const result = await probeVault(vault, systemClock, { ...short, recorder: books.recorder });
    expect(result).toMatchObject({ outcome: 'refused', code: 'E_LOCK_DROPPED' });
    expect(outcomes(result)).toMatchObject({ lock: 'failed', 'deletion refused': 'failed', control: 'ok' });
    expect(detail(result, 'lock')).toContain('no lock');
    expect([...books.held.keys()].filter((key) => key.includes('-locked'))).toEqual([]);
  });

  it('a store whose locks can be shortened - refused', async () => {
    const vault = open(bucket);
    const { requests } = vault;
    const [put, putRetention] = [requests.put.bind(requests), requests.putRetention.bind(requests)];
    // a GOVERNANCE lock, which the owner of the bypass may shorten, under the name of COMPLIANCE
    requests.put = (key, body, lock, signal) => put(key, body, lock && { ...lock, mode: 'GOVERNANCE' }, signal);
    requests.putRetention = (key, versionId, lock) => putRetention(key, versionId, { ...lock, mode: 'GOVERNANCE' }, { bypass: true });
    const result = await probeVault(vault, systemClock, { ...short, recorder: bookkeeper().recorder });
    expect(result).toMatchObject({ outcome: 'refused', code: 'E_LOCK_DROPPED' });
    expect(outcomes(result)).toMatchObject({ lock: 'failed', 'shortening refused': 'failed', 'bypass refused': 'failed' });
  });

  it('a multipart lock that the explicit lock cannot repair - refused', async () => {
    const vault = open(bucket);
    vault.requests.putRetention = async () => {};
    const result = await probeVault(vault, systemClock, { ...short, recorder: bookkeeper().recorder });
    expect(result.outcome).toBe('refused');
    expect(outcomes(result)).toMatchObject({ lock: 'ok', extension: 'failed' });
    expect(result.canExtend).toBe(false);
    if (bucket.store.kind === 'ceph') expect(outcomes(result).multipart).toBe('failed');
  });

  it('a credential that may not delete versions - unproven, because its refusals prove nothing', async (context) => {
    const { cephDir } = bucket.store;
    if (cephDir === null) return context.skip('only in a Ceph of our own can a second user be made');
    const name = `writer${randomBytes(4).toString('hex')}`;
    const login = await createCephUser(cephDir, name);
    const own = await fresh();
    const may = ['PutObject', 'PutObjectRetention', 'GetObject', 'GetObjectVersion', 'GetObjectRetention', 'GetBucketVersioning'];
    const more = ['ListBucket', 'ListBucketVersions', 'GetBucketObjectLockConfiguration', 'ListBucketMultipartUploads'];
    await own.client.send(
      new PutBucketPolicyCommand({
        Bucket: own.name,
        Policy: JSON.stringify({
          Version: '2012-10-17',
          Statement: [
            {
              Effect: 'Allow',
              Principal: { AWS: [`arn:aws:iam:::user/${name}`] },
              Action: [...may, ...more].map((action) => `s3:${action}`),
              Resource: [`arn:aws:s3:::${own.name}`, `arn:aws:s3:::${own.name}/*`],
            },
          ],
        }),
      }),
    );
    const credentials = secretOf(login.accessKey, login.secretKey);
    const books = bookkeeper();
    const result = await probeVault(open(own, { credentials }), systemClock, { ...short, recorder: books.recorder });
    expect(result).toMatchObject({ outcome: 'unproven', code: 'E_LOCK_UNPROVEN' });
    expect(outcomes(result)).toMatchObject({ control: 'skipped', lock: 'ok', 'deletion refused': 'skipped', 'shortening refused': 'ok' });
    expect(detail(result, 'control')).toContain('may not delete versions');
    expect(result.pending.filter((object) => object.lockedUntil === null)).toHaveLength(1);

    // the same writer with a prune credential beside it
    const pruneCredentials = secretOf(own.store.accessKey, own.store.secretKey);
    const both = await probeVault(open(own, { credentials, pruneCredentials }), systemClock, {
      ...short,
      recorder: books.recorder,
      pending: result.pending,
      waitForExpiry: true,
    });
    expect(both).toMatchObject({ outcome: 'proven', pending: [] });
    expect((await inventory(own)).versions).toEqual([]);
  });

  it('a bucket with a default retention - not proven, and no control object is locked in it for days', async () => {
    const own = await fresh();
    await own.client.send(
      new PutObjectLockConfigurationCommand({
        Bucket: own.name,
        ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } } },
      }),
    );
    const result = await probeVault(open(own), systemClock, { ...short, recorder: bookkeeper().recorder });
    // Ceph 16 even gives a multipart upload the default's weaker mode, which no explicit lock can change any more
    expect(result.outcome).not.toBe('proven');
    expect(outcomes(result).control).toBe('skipped');
    expect(detail(result, 'control')).toContain('default retention');
    expect((await inventory(own)).versions.filter((row) => row.key.endsWith('-control'))).toEqual([]);
  });

  it('a clock off by an hour - refused with E_CLOCK_SKEW, and nothing is stored', async () => {
    const clock = movedClock(-3_600_000);
    const books = bookkeeper();
    const result = await probeVault(open(bucket, {}, clock), clock, { ...short, recorder: books.recorder });
    expect(result).toMatchObject({ outcome: 'refused', code: 'E_CLOCK_SKEW' });
    expect(books.intents.size).toBe(0);
  });

  it('a wrong secret - unproven with E_VAULT_AUTH', async () => {
    const vault = open(bucket, { credentials: secretOf(bucket.store.accessKey, 'wrong') });
    const result = await probeVault(vault, systemClock, { ...short, recorder: bookkeeper().recorder });
    expect(result).toMatchObject({ outcome: 'unproven', code: 'E_VAULT_AUTH' });
  });

  it('a store that goes away in the middle - unproven, and what was stored by then is pending', async () => {
    const proxy = await startFaultProxy(Number(new URL(bucket.store.endpoint).port));
    const vault = open(bucket, { endpoint: proxy.endpoint, timeouts: { connectMs: 1_000, requestMs: 1_500 } });
    const books = bookkeeper();
    const recorder: ProbeRecorder = {
      ...books.recorder,
      async stored(object) {
        await books.recorder.stored(object);
        if (object.lock) proxy.set({ mode: 'reset' });
      },
    };
    const result = await probeVault(vault, systemClock, { ...short, recorder });
    expect(result).toMatchObject({ outcome: 'unproven', code: 'E_VAULT_UNREACHABLE' });
    expect(outcomes(result)).toMatchObject({ lock: 'ok', 'deletion refused': 'skipped', expiry: 'skipped' });
    expect(result.pending.map((object) => `${object.key} ${object.versionId}`)).toEqual([...books.held.keys()]);
    expect(result.pending).toHaveLength(1);
    await vault.close();
    await proxy.stop();
  });

  it('a ledger that cannot be written - is not called proven', async () => {
    const intent = async (): Promise<void> => {
      throw new CoffreError('E_STATE_SPACE', 'the catalog is full');
    };
    const result = await probeVault(open(bucket), systemClock, { ...short, recorder: { ...bookkeeper().recorder, intent } });
    expect(result.outcome).not.toBe('proven');
    expect(result.code).toBe('E_STATE_SPACE');
    expect(result.pending).toEqual([]);
  });
});

describe('probe of a filesystem vault', () => {
  it('a usable folder - proven, and nothing is left', async () => {
    const path = await mkdtemp(join(tmpdir(), 'coffre-vault-'));
    const vault = new FilesystemVault({ name: 'nas', type: 'filesystem', path, media: 'disk', site: null, offsite: false }, systemClock);
    const books = bookkeeper();
    const before = await probeVault(vault, systemClock, { skewLimitMs: 0, recorder: books.recorder });
    expect(before).toMatchObject({ outcome: 'unproven', code: 'E_VAULT_UNREACHABLE' });
    await vault.initialise();
    const result = await probeVault(vault, systemClock, { skewLimitMs: 0, recorder: books.recorder });
    expect(result).toMatchObject({ outcome: 'proven', pending: [], multipartLock: null });
    expect(outcomes(result)).toEqual({ folder: 'ok', write: 'ok', read: 'ok', 'advisory lock': 'ok', space: 'ok', expiry: 'ok' });
    expect(books.intents.size).toBe(1);
    expect(books.held.size).toBe(0);
    expect(await Array.fromAsync(vault.listVersions(''))).toEqual([]);
    await rm(path, { recursive: true });
  });

  it('a folder so slow that the lock is over before it is tried - tried once more with a longer one, proven, and nothing is left', async () => {
    const path = await mkdtemp(join(tmpdir(), 'coffre-vault-'));
    /** Its first object is read back late, as from a disk that spins up. */
    class Slow extends FilesystemVault {
      #first = true;
      override async get(...request: Parameters<FilesystemVault['get']>) {
        if (this.#first) await systemClock.sleep(1_700);
        this.#first = false;
        return await super.get(...request);
      }
    }
    const vault = new Slow({ name: 'nas', type: 'filesystem', path, media: 'disk', site: null, offsite: false }, systemClock);
    await vault.initialise();
    const books = bookkeeper();
    const result = await probeVault(vault, systemClock, { skewLimitMs: 0, recorder: books.recorder });
    expect(result).toMatchObject({ outcome: 'proven', pending: [] });
    expect(books.intents.size).toBe(2);
    expect(books.held.size).toBe(0);
    expect(await Array.fromAsync(vault.listVersions(''))).toEqual([]);
    await rm(path, { recursive: true });
  }, 60_000);
});

describe('probeOutcome', () => {
  const step = (name: string, outcome: ProbeStep['outcome']): ProbeStep => ({ name, outcome, detail: '' });
  it('one failed step refuses, whatever else', () => {
    expect(probeOutcome([step('lock', 'ok'), step('expiry', 'failed'), step('control', 'skipped')])).toBe('refused');
  });
  it('a skipped step, or nothing at all - unproven', () => {
    expect(probeOutcome([step('lock', 'ok'), step('control', 'skipped')])).toBe('unproven');
    expect(probeOutcome([])).toBe('unproven');
  });
  it('a pending expiry proves, any other pending step does not', () => {
    expect(probeOutcome([step('lock', 'ok'), step('expiry', 'pending')])).toBe('proven');
    expect(probeOutcome([step('lock', 'pending'), step('expiry', 'ok')])).toBe('unproven');
  });
});
