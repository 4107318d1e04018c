// What credentials may do, tried with users of their own on a real store that knows bucket policies.
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { S3VaultConfig } from '../../src/config/config.ts';
import { CoffreError } from '../../src/errors.ts';
import { type BucketPolicy, bucketPolicy } from '../../src/vault/bucket-policy.ts';
import { probeCredentials, probeVault } from '../../src/vault/probe.ts';
import type { ProbeRecorder } from '../../src/vault/probe-report.ts';
import { boundsOf, type CredentialRights } from '../../src/vault/probe-rights.ts';
import { createCephUser, type S3Login } from '../servers/ceph.ts';
import { type Bucket, freshBucket, inventory } from '../servers/s3.ts';
import { secretOf, vaultOn } from './s3-bench.ts';

let bucket: Bucket;
let users: Record<'writer' | 'pruner' | 'reader', S3Login> | null = null;
const tag = randomBytes(4).toString('hex');

beforeAll(async () => {
  bucket = await freshBucket();
  const { cephDir } = bucket.store;
  if (cephDir === null) return;
  const [writer, pruner, reader] = await Promise.all(
    ['writer', 'pruner', 'reader'].map((role) => createCephUser(cephDir, `${role}-${tag}`)),
  );
  users = { writer, pruner, reader } as Record<'writer' | 'pruner' | 'reader', S3Login>;
});
afterAll(() => bucket.release());

const secret = ({ accessKey, secretKey }: S3Login) => secretOf(accessKey, secretKey);

/** Bytes that the trial says it left. */
async function tried(
  changes: Partial<S3VaultConfig>,
): Promise<{ readonly rights: readonly CredentialRights[]; readonly leftBytes: number }> {
  const vault = vaultOn(bucket, changes);
  let leftBytes = 0;
  const recorder: ProbeRecorder = {
    intent: async () => {},
    async stored({ sizeBytes }) {
      leftBytes += sizeBytes;
    },
    async released(_key, _version, sizeBytes) {
      leftBytes -= sizeBytes;
    },
  };
  try {
    return { rights: await probeCredentials(vault, systemClock, { recorder, skewLimitMs: 60_000 }), leftBytes };
  } finally {
    await vault.close();
  }
}

/** Puts the policy that is printed, for users of this test, changed by `change`. */
async function give(
  config: Pick<S3VaultConfig, 'pruneCredentials' | 'readCredentials'>,
  change: (policy: BucketPolicy) => object,
): Promise<void> {
  const printed = bucketPolicy({ bucket: bucket.name, prefix: 'prod', ...config });
  const Policy = JSON.stringify(change(printed)).replaceAll(/user\/coffre-(\w+)/g, `user/$1-${tag}`);
  await bucket.client.send(new PutBucketPolicyCommand({ Bucket: bucket.name, Policy }));
}

const also = (user: string, Action: readonly string[], prefix = 'prod') => ({
  ...{ Effect: 'Allow', Principal: { AWS: [`arn:aws:iam:::user/coffre-${user}`] } },
  ...{ Action, Resource: [`arn:aws:s3:::${bucket.name}/${prefix}/*`] },
});

describe('credentials', () => {
  it('the policy as printed, three credentials - each has what it needs and nothing more, and what was stored is accounted for', async ({
    skip,
  }) => {
    if (users === null) return skip('only in a Ceph of our own can further users be made');
    const config = { credentials: secret(users.writer), pruneCredentials: secret(users.pruner), readCredentials: secret(users.reader) };
    await give(config, (policy) => policy);
    const { rights, leftBytes } = await tried(config);
    expect(rights).toEqual([
      { role: 'writer', tooLittle: [], tooMuch: [], untried: [], can: ['store an object', 'lock a version'] },
      { role: 'reader', tooLittle: [], tooMuch: [], untried: [], can: ['read a version', 'read a lock', 'list versions', 'list uploads'] },
      { role: 'pruner', tooLittle: [], tooMuch: [], untried: [], can: ['delete a version'] },
    ]);
    const { versions, totalBytes } = await inventory(bucket, 'prod/');
    expect([totalBytes, versions.some(({ isDeleteMarker }) => isDeleteMarker)]).toEqual([leftBytes, false]);

    // and it is enough for the lock probe
    const vault = vaultOn(bucket, config);
    const recorder = { intent: async () => {}, stored: async () => {}, released: async () => {} };
    expect(await probeVault(vault, systemClock, { recorder, skewLimitMs: 60_000 })).toMatchObject({ outcome: 'proven' });
    await vault.close();
  }, 60_000);

  it('two credentials and the policy for them - the writer reads too', async ({ skip }) => {
    if (users === null) return skip('only in a Ceph of our own can further users be made');
    const config = { credentials: secret(users.writer), pruneCredentials: secret(users.pruner), readCredentials: null };
    await give(config, (policy) => policy);
    expect((await tried(config)).rights.map(({ tooLittle, tooMuch, untried }) => [tooLittle, tooMuch, untried])).toEqual([
      [[], [], []],
      [[], [], []],
    ]);
  }, 60_000);

  it('more or less than printed - each too much and each too little is named, and nothing is left behind', async ({ skip }) => {
    if (users === null) return skip('only in a Ceph of our own can further users be made');
    const config = { credentials: secret(users.writer), pruneCredentials: secret(users.pruner), readCredentials: secret(users.reader) };
    await give(config, (policy) => ({
      ...policy,
      Statement: [
        // without the denial of the bypass: this store then takes it for allowed
        ...policy.Statement.filter(({ Effect }) => Effect === 'Allow').map((it) => ({
          ...it,
          Action: it.Action.filter((action) => !['s3:GetObjectRetention', 's3:ListBucketMultipartUploads'].includes(action)),
        })),
        also('writer', ['s3:DeleteObjectVersion', 's3:DeleteObject']),
        also('reader', ['s3:PutObject']),
      ],
    }));
    const { rights } = await tried(config);
    const of = (role: string): CredentialRights | undefined => rights.find((it) => it.role === role);
    expect(of('writer')).toMatchObject({ tooMuch: expect.arrayContaining(['put a delete marker', 'delete a version']) });
    expect(of('pruner')).toMatchObject({ tooMuch: ['bypass a GOVERNANCE lock'], tooLittle: [] });
    expect(of('reader')).toMatchObject({ tooMuch: ['store an object'], tooLittle: expect.arrayContaining(['list uploads']) });
    const { versions } = await inventory(bucket, 'prod/');
    expect(versions.some(({ isDeleteMarker }) => isDeleteMarker)).toBe(false);
  }, 60_000);

  it('one credential for everything - it must be able to delete, and what it can beyond its work is said', async () => {
    const { rights } = await tried({});
    expect(rights).toMatchObject([
      { role: 'writer', tooLittle: [], tooMuch: ['put a delete marker', 'bypass a GOVERNANCE lock'], untried: [] },
    ]);
    expect(rights[0]?.can).toContain('delete a version');
  }, 60_000);

  it('each is read for its own work alone - what reads needs no other, nor does what deletes', async () => {
    const { accessKey, secretKey } = bucket.store;
    const good = secretOf(accessKey, secretKey);
    const untouched = {
      from: 'nowhere',
      read: (): string => {
        throw new CoffreError('E_SECRET_MISSING', 'read for work that is not its own');
      },
    };
    const owner = vaultOn(bucket);
    const { key, versionId } = await owner.put({ key: 'dupont/own', body: Buffer.from('own'), retainUntil: null });
    await owner.close();
    const reading = vaultOn(bucket, { credentials: untouched, pruneCredentials: untouched, readCredentials: good });
    expect(await text(await reading.get(key, versionId))).toBe('own');
    expect(await reading.stat(key, versionId)).toMatchObject({ sizeBytes: 3 });
    expect(await Array.fromAsync(reading.listVersions('dupont/'))).toHaveLength(1);
    expect(await Array.fromAsync(reading.listUploads('dupont/'))).toEqual([]);
    expect(await reading.serverTime()).not.toBeNull();
    await expect(reading.deleteVersion(key, versionId)).rejects.toMatchObject({ code: 'E_SECRET_MISSING' });
    await expect(reading.put({ key, body: Buffer.from('x'), retainUntil: null })).rejects.toMatchObject({ code: 'E_SECRET_MISSING' });
    await reading.close();
    const pruning = vaultOn(bucket, { credentials: untouched, pruneCredentials: good, readCredentials: untouched });
    await pruning.deleteVersion(key, versionId);
    await pruning.close();
    expect((await inventory(bucket, 'prod/dupont/')).versions).toEqual([]);
  }, 60_000);

  it('what each needs depends on what the others do', () => {
    expect(boundsOf('writer', { pruner: true, reader: true })).toEqual({
      needs: ['store', 'lock'],
      mustNot: ['marker', 'delete', 'bypass'],
    });
    expect(boundsOf('writer', { pruner: false, reader: true }).needs).toContain('delete');
    expect(boundsOf('reader', { pruner: true, reader: true }).mustNot).toEqual(['store', 'marker', 'delete', 'bypass']);
  });
});
