// An S3 vault behind a proxy that hangs, cuts and resets: every call ends, says what happened, and leaves no half truth.
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { CoffreError, ErrorCode } from '../../src/errors.ts';
import { isOutcomeUnknown } from '../../src/vault/retry.ts';
import type { S3Vault } from '../../src/vault/s3.ts';
import type { StoredObject } from '../../src/vault/vault.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { type Bucket, freshBucket, inventory } from '../servers/s3.ts';
import { failure, inSeconds, randomKey, someStream, uploadsBelow, versionsBelow } from './conformance.ts';
import { vaultOn } from './s3-bench.ts';

const REQUEST_MS = 1_500;

describe('S3 vault over a bad line', () => {
  let bucket: Bucket;
  let proxy: FaultProxy;
  /** Through the proxy, impatient. */
  let vault: S3Vault;
  /** Around the proxy. */
  let direct: S3Vault;
  let large: StoredObject;
  const largeBody = randomBytes(6_000_000);

  beforeAll(async () => {
    bucket = await freshBucket();
    proxy = await startFaultProxy(Number(new URL(bucket.store.endpoint).port));
    vault = vaultOn(bucket, { endpoint: proxy.endpoint, timeouts: { connectMs: 1_000, requestMs: REQUEST_MS } });
    direct = vaultOn(bucket);
    large = await direct.put({ key: randomKey('large'), body: largeBody, retainUntil: null });
  });
  /** What the proxy holds back is lost: it must not reach the store after the test. */
  const restore = (): void => {
    proxy.set({ mode: 'reset' });
    proxy.set({ mode: 'pass' });
  };
  afterEach(async () => {
    restore();
    // repeated until it works: the client's idle sockets were reset too
    await vault.stat(large.key, large.versionId);
  });
  afterAll(async () => {
    await vault?.close();
    await direct?.close();
    await proxy?.stop();
    await bucket?.release();
  });

  const timed = async (work: () => Promise<unknown>, code: ErrorCode, limitMs: number): Promise<CoffreError> => {
    const began = systemClock.monotonicMs();
    const error = await failure(work(), code);
    expect(systemClock.monotonicMs() - began).toBeLessThan(limitMs);
    return error;
  };

  describe('a store that hangs', () => {
    const small = { body: Buffer.from('x'), retainUntil: null };
    const calls: [string, () => Promise<unknown>][] = [
      ['put', () => vault.put({ key: randomKey('hung'), ...small })],
      ['put of a large body', () => vault.put({ key: randomKey('hung'), body: largeBody, retainUntil: null })],
      ['stat', () => vault.stat(large.key, large.versionId)],
      ['extendLock', () => vault.extendLock(large.key, large.versionId, inSeconds(1))],
      ['get', () => vault.get(large.key, large.versionId)],
      ['listVersions', () => versionsBelow(vault, '')],
      ['listUploads', () => uploadsBelow(vault, '')],
      ['deleteVersion', () => vault.deleteVersion(large.key, large.versionId)],
      ['abortUpload', () => vault.abortUpload(large.key, 'x')],
      ['serverTime', () => vault.serverTime()],
      [
        'putStream',
        () => vault.putStream({ key: randomKey('hung'), body: someStream(9_000_000).body(), estimatedBytes: 9e6, retainUntil: null }),
      ],
    ];
    it.each(calls)('%s - E_VAULT_TIMEOUT within its deadline', async (_name, work) => {
      proxy.set({ mode: 'blackHole' });
      const error = await timed(work, 'E_VAULT_TIMEOUT', 3 * REQUEST_MS);
      expect(isOutcomeUnknown(error)).toBe(true);
    });

    it('in the middle of a download - the stream fails with E_VAULT_TIMEOUT', async () => {
      const stream = await vault.get(large.key, large.versionId);
      const read = async (): Promise<void> => {
        for await (const _chunk of stream) proxy.set({ mode: 'blackHole' });
      };
      await timed(read, 'E_VAULT_TIMEOUT', 3 * REQUEST_MS);
    });

    it('in the middle of a multipart upload - ends, and what stays is listed and can be aborted', async () => {
      const key = randomKey('hung');
      let acknowledgedBytes = 0;
      async function* source(): AsyncGenerator<Buffer> {
        yield Buffer.alloc(9_000_000);
        while (acknowledgedBytes === 0) await systemClock.sleep(20);
        proxy.set({ mode: 'blackHole' });
        yield Buffer.alloc(30_000_000);
      }
      const onParts = async (sum: number): Promise<void> => {
        acknowledgedBytes = sum;
      };
      await timed(
        () => vault.putStream({ key, body: source(), estimatedBytes: 4e7, retainUntil: null, onParts }),
        'E_VAULT_TIMEOUT',
        20_000,
      );
      restore();
      expect(await versionsBelow(direct, key)).toEqual([]);
      const left = await uploadsBelow(direct, key);
      expect(left).toHaveLength(1);
      expect(left[0]?.sizeBytes).toBeGreaterThanOrEqual(acknowledgedBytes);
      for (const { uploadId } of left) await direct.abortUpload(key, uploadId);
      expect(await uploadsBelow(direct, key)).toEqual([]);
    });
  });

  describe('a consumer that takes its time', () => {
    it('longer than the deadline between two reads - still gets every byte', async () => {
      const stream = await vault.get(large.key, large.versionId);
      const hash = createHash('sha256');
      let paused = false;
      for await (const chunk of stream) {
        hash.update(chunk as Buffer);
        if (!paused) await systemClock.sleep(REQUEST_MS * 1.5);
        paused = true;
      }
      expect(hash.digest('hex')).toBe(createHash('sha256').update(largeBody).digest('hex'));
    });
  });

  describe('a line that breaks', () => {
    it('in the middle of a PUT - E_VAULT_UNREACHABLE, and nothing is stored', async () => {
      const key = randomKey('cut');
      proxy.set({ mode: 'cut', direction: 'toServer', afterBytes: 2_000_000 });
      const error = await failure(vault.put({ key, body: largeBody, retainUntil: inSeconds(60) }), 'E_VAULT_UNREACHABLE');
      expect(isOutcomeUnknown(error)).toBe(true);
      await proxy.cutDone();
      expect(await versionsBelow(direct, key)).toEqual([]);
    });

    it('before the answer to a PUT - E_VAULT_UNREACHABLE, sent once, and the listing tells that it is stored', async () => {
      const key = randomKey('cut');
      // opens the connection first: a new one that is cut says nothing
      await vault.serverTime();
      proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 0 });
      const error = await failure(vault.put({ key, body: Buffer.from('once'), retainUntil: null }), 'E_VAULT_UNREACHABLE');
      expect(isOutcomeUnknown(error)).toBe(true);
      const rows = await versionsBelow(direct, key);
      expect(rows.map((row) => row.sizeBytes)).toEqual([4]);
    });

    it('once before the answer to a request that changes nothing - is repeated and succeeds', async () => {
      await vault.serverTime();
      proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 0 });
      expect(await vault.stat(large.key, large.versionId)).toEqual(large);
      await proxy.cutDone();
    });

    it.each(['reset', 'end'] as const)('in the middle of a download (%s) - the stream fails instead of ending short', async (how) => {
      const stream = await vault.get(large.key, large.versionId);
      proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 1_000_000, how });
      await failure(buffer(stream), 'E_VAULT_UNREACHABLE');
    });

    it('once in the middle of a part - that part is sent again, and the sums stay exact', async () => {
      const key = randomKey('parts');
      const { body, sha256 } = someStream(21_000_000);
      const told: number[] = [];
      const object = await vault.putStream({
        key,
        body: body(),
        estimatedBytes: 21_000_000,
        retainUntil: inSeconds(2),
        onUpload: async () => proxy.set({ mode: 'cut', direction: 'toServer', afterBytes: 3_000_000 }),
        onParts: async (sum) => {
          told.push(sum);
        },
      });
      await proxy.cutDone();
      expect(told.at(-1)).toBe(21_000_000);
      expect(told).toHaveLength(3);
      const read = await buffer(await direct.get(key, object.versionId));
      expect(createHash('sha256').update(read).digest('hex')).toBe(sha256);
      expect((await inventory(bucket, `prod/${key}`)).totalBytes).toBe(21_000_000);
    });

    it('for good during a multipart upload - E_VAULT_UNREACHABLE, and what stays is listed', async () => {
      const key = randomKey('parts');
      const told: number[] = [];
      const onParts = async (sum: number): Promise<void> => {
        told.push(sum);
        proxy.set({ mode: 'reset' });
      };
      await failure(
        vault.putStream({ key, body: someStream(30_000_000).body(), estimatedBytes: 3e7, retainUntil: null, onParts }),
        'E_VAULT_UNREACHABLE',
      );
      proxy.set({ mode: 'pass' });
      expect(await versionsBelow(direct, key)).toEqual([]);
      const [left] = await uploadsBelow(direct, key);
      expect(left?.sizeBytes).toBeGreaterThanOrEqual(told.at(-1) ?? Number.POSITIVE_INFINITY);
    });
  });
});
