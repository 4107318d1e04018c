// What is S3's own: credentials, buckets, clocks, locks that a store drops, delete markers, a second credential for pruning.

import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { inspect } from 'node:util';
import {
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
} from '@aws-sdk/client-s3';
import { Temporal } from 'temporal-polyfill';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import { checkSkew } from '../../src/vault/clock-skew.ts';
import { ceilToSecond, type S3Vault } from '../../src/vault/s3.ts';
import { createCephUser } from '../servers/ceph.ts';
import { freePort } from '../servers/rig.ts';
import { type Bucket, freshBucket } from '../servers/s3.ts';
import { deleteAfterLock, failure, inSeconds, randomKey, someStream, versionsBelow } from './conformance.ts';
import { md5Gate } from './md5-gate.ts';
import { movedClock, secretOf, vaultOn } from './s3-bench.ts';

const HOUR_MS = 3_600_000;

describe('S3 vault', () => {
  let bucket: Bucket;
  let vault: S3Vault;
  const opened: S3Vault[] = [];
  const open = (...args: Parameters<typeof vaultOn>): S3Vault => {
    const one = vaultOn(...args);
    opened.push(one);
    return one;
  };
  beforeAll(async () => {
    bucket = await freshBucket();
    vault = open(bucket);
  });
  afterAll(async () => {
    for (const one of opened) await one.close();
    await bucket?.release();
  });

  describe('a store that takes locked objects with a Content-MD5 alone', () => {
    const put = async (one: S3Vault): Promise<string> => {
      const body = randomBytes(10_000);
      const digests = { sha256: createHash('sha256').update(body).digest('hex') };
      return (await one.put({ key: randomKey('md5'), body, retainUntil: inSeconds(1), digests })).versionId;
    };

    it.each([
      ['MissingContentMD5', 'Missing required header for this request: Content-Md5.'],
      ['InvalidRequest', 'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters'],
    ])('that says %s - is given one at once, and from then on', async (code, message) => {
      const gate = await md5Gate(bucket.store.endpoint, { code, message });
      const one = open(bucket, { endpoint: gate.endpoint });
      for (let time = 0; time < 3; time++) expect(await put(one)).not.toBe('');
      expect(gate.puts).toEqual([false, true, true, true]);
    });

    it('any other answer of status 400 - is an error, and teaches nothing', async () => {
      const gate = await md5Gate(bucket.store.endpoint, { code: 'BadDigest', message: 'The Content-MD5 you specified did not match' });
      const one = open(bucket, { endpoint: gate.endpoint });
      for (let time = 0; time < 2; time++) await failure(put(one), 'E_VAULT_IO');
      expect(gate.puts).toEqual([false, false]);
    });
  });

  describe('refusals', () => {
    it('a wrong secret - E_VAULT_AUTH for every kind of request, HEAD included', async () => {
      const secret = `not-it-${randomBytes(9).toString('hex')}`;
      const wrong = open(bucket, { credentials: secretOf(bucket.store.accessKey, secret) });
      const works: (() => Promise<unknown>)[] = [
        () => wrong.put({ key: 'a', body: Buffer.from('x'), retainUntil: null }),
        () => wrong.putStream({ key: 'a', body: someStream(9_000_000).body(), estimatedBytes: 9_000_000, retainUntil: null }),
        () => wrong.stat('a', 'b'),
        () => wrong.get('a', 'b'),
        () => wrong.deleteVersion('a', 'b'),
        () => wrong.extendLock('a', 'b', inSeconds(1)),
        () => versionsBelow(wrong, ''),
        () => wrong.bucketLockState(),
      ];
      for (const work of works) {
        const error = await failure(work(), 'E_VAULT_AUTH');
        expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(secret);
      }
    });

    it('an unknown access key - E_VAULT_AUTH', async () => {
      const wrong = open(bucket, { credentials: secretOf('nobody', 'nothing') });
      await failure(wrong.stat('a', 'b'), 'E_VAULT_AUTH');
    });

    it('a credentials file that is no JSON - E_SECRET_MISSING, which quotes nothing of it', async () => {
      const broken = open(bucket, { credentials: { from: '/etc/coffre/offsite.json', read: () => '{"secretAccessKey": hunter2' } });
      const error = await failure(broken.stat('a', 'b'), 'E_SECRET_MISSING');
      expect(error.message).toContain('/etc/coffre/offsite.json');
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('hunter2');
    });

    it('a bucket that does not exist - E_BUCKET_MISSING, not a missing object', async () => {
      const nowhere = open(bucket, { bucket: 'coffre-test-nowhere' });
      await failure(nowhere.put({ key: 'a', body: Buffer.from('x'), retainUntil: null }), 'E_BUCKET_MISSING');
      await failure(nowhere.stat('a', 'b'), 'E_BUCKET_MISSING');
      await failure(nowhere.get('a', 'b'), 'E_BUCKET_MISSING');
      await failure(versionsBelow(nowhere, ''), 'E_BUCKET_MISSING');
      await failure(nowhere.requireObjectLock(), 'E_BUCKET_MISSING');
    });

    it('nobody listens - E_VAULT_UNREACHABLE', async () => {
      const dead = open(bucket, { endpoint: `http://127.0.0.1:${await freePort()}` });
      await failure(dead.put({ key: 'a', body: Buffer.from('x'), retainUntil: null }), 'E_VAULT_UNREACHABLE');
      await failure(dead.stat('a', 'b'), 'E_VAULT_UNREACHABLE');
      await failure(dead.serverTime(), 'E_VAULT_UNREACHABLE');
    });

    it.each([false, true])('a bucket without Object Lock (versioning: %s) - E_NO_OBJECT_LOCK', async (versioning) => {
      const plain = await freshBucket({ objectLock: false, versioning });
      const unlockable = open(plain);
      await failure(unlockable.requireObjectLock(), 'E_NO_OBJECT_LOCK');
      await failure(unlockable.put({ key: 'a', body: Buffer.from('x'), retainUntil: inSeconds(60) }), 'E_NO_OBJECT_LOCK');
      const { body } = someStream(9_000_000);
      await failure(
        unlockable.putStream({ key: 's', body: body(), estimatedBytes: 9_000_000, retainUntil: inSeconds(60) }),
        'E_NO_OBJECT_LOCK',
      );
      await plain.release();
    });

    it('a lock that ends in the past - is refused by the store, and nothing is stored', async () => {
      const key = randomKey('past');
      const error = await vault.put({ key, body: Buffer.from('x'), retainUntil: inSeconds(-60) }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(CoffreError);
      expect(await versionsBelow(vault, key)).toEqual([]);
    });
  });

  describe('clocks', () => {
    it('the same clock - no skew, and the time of the store', async () => {
      const skew = await checkSkew(vault, systemClock, 2_000);
      expect(skew?.skewMs).toBe(0);
      expect(Math.abs((skew?.storeTime.epochMilliseconds ?? 0) - systemClock.nowMs())).toBeLessThan(5_000);
    });

    it.each([HOUR_MS, -HOUR_MS])('a clock off by %i ms - E_CLOCK_SKEW with both times, from the check and from the store', async (byMs) => {
      const clock = movedClock(byMs);
      const skewed = open(bucket, {}, clock);
      const error = await failure(checkSkew(skewed, clock, 60_000), 'E_CLOCK_SKEW');
      const times = [...error.message.matchAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g)].map(([time]) => Temporal.Instant.from(time).epochMilliseconds);
      expect(times).toHaveLength(2);
      expect(Math.round(((times[1] ?? 0) - (times[0] ?? 0)) / 60_000)).toBe(byMs / 60_000);
      // the SDK would correct its signatures by itself and the lock date would still be wrong by an hour
      await failure(skewed.put({ key: 'skewed', body: Buffer.from('x'), retainUntil: inSeconds(2) }), 'E_CLOCK_SKEW');
      await failure(skewed.put({ key: 'skewed', body: Buffer.from('x'), retainUntil: inSeconds(2) }), 'E_CLOCK_SKEW');
      await failure(skewed.stat('skewed', 'x'), 'E_CLOCK_SKEW');
      expect(await versionsBelow(vault, 'skewed')).toEqual([]);
    });
  });

  describe('locks', () => {
    it('a multipart upload - ends with the lock asked for, as the plain client reads it', async () => {
      const { body } = someStream(17_000_000);
      const retainUntil = inSeconds(3);
      const object = await vault.putStream({ key: randomKey('mp'), body: body(), estimatedBytes: 17_000_000, retainUntil });
      const { Retention } = await bucket.client.send(
        new GetObjectRetentionCommand({ Bucket: bucket.name, Key: `prod/${object.key}`, VersionId: object.versionId }),
      );
      expect(Retention?.Mode).toBe('COMPLIANCE');
      expect(Retention?.RetainUntilDate?.getTime()).toBe(ceilToSecond(retainUntil).epochMilliseconds);
      expect(object.lock?.retainUntil.epochMilliseconds).toBe(Retention?.RetainUntilDate?.getTime());
    });

    it('a store that drops the lock of a PUT - is given it explicitly, and it is read back', async () => {
      const forgetful = open(bucket);
      const put = forgetful.requests.put.bind(forgetful.requests);
      forgetful.requests.put = (key, body, _lock, signal) => put(key, body, null, signal);
      const object = await forgetful.put({ key: randomKey('dropped'), body: Buffer.from('x'), retainUntil: inSeconds(2) });
      expect(object.lock?.mode).toBe('COMPLIANCE');
      await failure(vault.deleteVersion(object.key, object.versionId), 'E_LOCKED');
    });

    it('a store that drops the explicit lock too - E_LOCK_DROPPED', async () => {
      const broken = open(bucket);
      const put = broken.requests.put.bind(broken.requests);
      broken.requests.put = (key, body, _lock, signal) => put(key, body, null, signal);
      broken.requests.putRetention = async () => {};
      const key = randomKey('dropped');
      await failure(broken.put({ key, body: Buffer.from('x'), retainUntil: inSeconds(60) }), 'E_LOCK_DROPPED');
      const [stored] = await versionsBelow(vault, key);
      await failure(broken.extendLock(key, stored?.versionId ?? '', inSeconds(60)), 'E_LOCK_DROPPED');
    });

    it('a store that gives a weaker mode - E_LOCK_DROPPED', async () => {
      const weak = open(bucket);
      const put = weak.requests.put.bind(weak.requests);
      weak.requests.put = (key, body, lock, signal) => put(key, body, lock && { ...lock, mode: 'GOVERNANCE' }, signal);
      weak.requests.putRetention = async () => {};
      const error = await failure(
        weak.put({ key: randomKey('weak'), body: Buffer.from('x'), retainUntil: inSeconds(2) }),
        'E_LOCK_DROPPED',
      );
      expect(error.message).toContain('GOVERNANCE');
    });

    it('GOVERNANCE - locks, refuses and extends like COMPLIANCE, and a stronger lock is never weakened', async () => {
      const governance = open(bucket, { lock: { mode: 'GOVERNANCE' } });
      const key = randomKey('governance');
      const object = await governance.put({ key, body: Buffer.from('x'), retainUntil: inSeconds(1) });
      expect(object.lock?.mode).toBe('GOVERNANCE');
      await failure(governance.deleteVersion(key, object.versionId), 'E_LOCKED');
      // an extension moves the end and leaves the mode, which the caller sees
      expect((await vault.extendLock(key, object.versionId, inSeconds(3))).mode).toBe('GOVERNANCE');
      await deleteAfterLock(governance, object);
      const strong = await vault.put({ key: randomKey('governance'), body: Buffer.from('x'), retainUntil: inSeconds(1) });
      expect((await governance.extendLock(strong.key, strong.versionId, inSeconds(3))).mode).toBe('COMPLIANCE');
    });

    it('a legal hold - deletion is E_LOCKED', async () => {
      const key = randomKey('hold');
      const object = await vault.put({ key, body: Buffer.from('x'), retainUntil: null });
      const hold = { Bucket: bucket.name, Key: `prod/${key}`, VersionId: object.versionId };
      await bucket.client.send(new PutObjectLegalHoldCommand({ ...hold, LegalHold: { Status: 'ON' } }));
      await failure(vault.deleteVersion(key, object.versionId), 'E_LOCKED');
      await bucket.client.send(new PutObjectLegalHoldCommand({ ...hold, LegalHold: { Status: 'OFF' } }));
      await vault.deleteVersion(key, object.versionId);
    });
  });

  describe('tampering', () => {
    it('a body that is not what its digest says - the store refuses it; the right one is taken', async () => {
      const body = randomBytes(100_000);
      const digest = (of: Buffer): string => createHash('sha256').update(of).digest('hex');
      const put = (sha256: string) => vault.put({ key: randomKey('digests'), body, retainUntil: inSeconds(2), digests: { sha256 } });
      expect((await put(digest(body))).sizeBytes).toBe(body.length);
      await expect(put(digest(randomBytes(10)))).rejects.toBeInstanceOf(CoffreError);
    });

    it('a delete marker and a foreign version on our key - are listed, and our version is still read', async () => {
      const key = randomKey('tampered');
      const ours = await vault.put({ key, body: Buffer.from('ours'), retainUntil: inSeconds(2) });
      const target = { Bucket: bucket.name, Key: `prod/${key}` };
      const foreign = await bucket.client.send(new PutObjectCommand({ ...target, Body: 'theirs' }));
      const marker = await bucket.client.send(new DeleteObjectCommand(target));
      const rows = await versionsBelow(vault, key);
      expect(rows.map((row) => [row.versionId, row.isDeleteMarker, row.isLatest, row.sizeBytes])).toEqual([
        [marker.VersionId, true, true, 0],
        [foreign.VersionId, false, false, 6],
        [ours.versionId, false, false, 4],
      ]);
      expect((await buffer(await vault.get(key, ours.versionId))).toString()).toBe('ours');
      expect(await vault.stat(key, marker.VersionId ?? '')).toBeNull();
      await failure(vault.get(key, marker.VersionId ?? ''), 'E_OBJECT_MISSING');
      await vault.deleteVersion(key, marker.VersionId ?? '');
      expect((await versionsBelow(vault, key)).map((row) => row.versionId)).toEqual([foreign.VersionId, ours.versionId]);
    });

    it('objects outside the prefix - are never listed', async () => {
      await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key: 'production/x', Body: 'x' }));
      await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key: 'x', Body: 'x' }));
      expect((await versionsBelow(vault, '')).filter((row) => row.key.endsWith('x'))).toEqual([]);
    });

    it('a vault without prefix - uses the keys as they are', async () => {
      const bare = open(bucket, { prefix: '' });
      const object = await bare.put({ key: randomKey('bare'), body: Buffer.from('x'), retainUntil: null });
      expect((await versionsBelow(bare, 'bare/')).map((row) => row.key)).toEqual([object.key]);
    });
  });

  describe('two credentials', () => {
    it('a writer that may not delete versions - E_VAULT_DENIED; the prune credential deletes, and is refused by the lock', async (context) => {
      const { cephDir } = bucket.store;
      if (cephDir === null) return context.skip('only in a Ceph of our own can a second user be made');
      const name = `writer${randomBytes(4).toString('hex')}`;
      const login = await createCephUser(cephDir, name);
      const may = [
        'PutObject',
        'PutObjectRetention',
        'GetObject',
        'GetObjectVersion',
        'GetObjectRetention',
        'ListBucketVersions',
        'GetBucketVersioning',
      ];
      await bucket.client.send(
        new PutBucketPolicyCommand({
          Bucket: bucket.name,
          Policy: JSON.stringify({
            Version: '2012-10-17',
            Statement: [
              {
                Effect: 'Allow',
                Principal: { AWS: [`arn:aws:iam:::user/${name}`] },
                Action: may.map((action) => `s3:${action}`),
                Resource: [`arn:aws:s3:::${bucket.name}`, `arn:aws:s3:::${bucket.name}/*`],
              },
            ],
          }),
        }),
      );
      const writerOnly = open(bucket, { credentials: secretOf(login.accessKey, login.secretKey) });
      const both = open(bucket, {
        credentials: secretOf(login.accessKey, login.secretKey),
        pruneCredentials: secretOf(bucket.store.accessKey, bucket.store.secretKey),
      });
      const free = await writerOnly.put({ key: randomKey('two'), body: Buffer.from('x'), retainUntil: null });
      const locked = await writerOnly.put({ key: randomKey('two'), body: Buffer.from('x'), retainUntil: inSeconds(2) });
      await failure(writerOnly.deleteVersion(free.key, free.versionId), 'E_VAULT_DENIED');
      await failure(writerOnly.deleteVersion(locked.key, locked.versionId), 'E_LOCKED');
      await both.deleteVersion(free.key, free.versionId);
      expect(await vault.stat(free.key, free.versionId)).toBeNull();
      await failure(both.deleteVersion(locked.key, locked.versionId), 'E_LOCKED');
      await failure(writerOnly.bucketLockState(), 'E_VAULT_DENIED');
    });
  });
});
