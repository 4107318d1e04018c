// limits.bandwidth on the wire of a real store: how long uploads take, who shares it, and that our own waiting breaks nothing.
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { S3VaultConfig } from '../../src/config/config.ts';
import { S3Vault } from '../../src/vault/s3.ts';
import { Bandwidth, HeldBack } from '../../src/vault/throttle.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { type Bucket, freshBucket } from '../servers/s3.ts';
import { failure, inSeconds, randomKey } from './conformance.ts';
import { s3Config } from './s3-bench.ts';

const MB = 1_000_000;

async function* pieces(body: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.length; at += 500_000) yield body.subarray(at, at + 500_000);
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = systemClock.monotonicMs();
  await work();
  return (systemClock.monotonicMs() - began) / 1000;
}

describe('S3 vault with a bandwidth', () => {
  let bucket: Bucket;
  let proxy: FaultProxy;
  const opened: S3Vault[] = [];
  const open = (bandwidth: Bandwidth | null, changes: Partial<S3VaultConfig> = {}): S3Vault => {
    const vault = new S3Vault(s3Config(bucket, changes), systemClock, { bandwidth });
    opened.push(vault);
    return vault;
  };
  beforeAll(async () => {
    bucket = await freshBucket();
    proxy = await startFaultProxy(Number(new URL(bucket.store.endpoint).port));
    await open(null).put({ key: randomKey('first'), body: Buffer.from('x'), retainUntil: null });
  });
  afterAll(async () => {
    for (const vault of opened) await vault.close();
    await proxy?.stop();
    await bucket?.release();
  });

  it('20 MB at 5 MB/s, patience of a second - take four seconds, steadily, and arrive whole and locked', async () => {
    const vault = open(new Bandwidth(5 * MB, systemClock), { endpoint: proxy.endpoint, timeouts: { connectMs: 1_000, requestMs: 1_000 } });
    const body = randomBytes(20 * MB);
    const held = new HeldBack(systemClock);
    const before = proxy.bytes.toServer;
    const retainUntil = inSeconds(20);
    const storing = vault.put({ key: randomKey('paced'), body, retainUntil, held });
    const began = systemClock.monotonicMs();
    const passed = (async () => {
      await systemClock.sleep(2_000);
      return { bytes: proxy.bytes.toServer - before, seconds: (systemClock.monotonicMs() - began) / 1000 };
    })();
    const object = await storing;
    const took = (systemClock.monotonicMs() - began) / 1000;
    expect(took).toBeGreaterThan(3.4);
    // upper bounds leave room for a busy machine
    expect(took).toBeLessThan(7.2);
    // half of it after half of the time: on the wire, not in one go after a wait
    const half = await passed;
    expect(half.bytes).toBeGreaterThan(5 * MB);
    expect(half.bytes).toBeLessThan(half.seconds * 7 * MB);
    expect(held.ms).toBeGreaterThan(2_500);
    expect(object.lock?.mode).toBe('COMPLIANCE');
    const back = await buffer(await open(null).get(object.key, object.versionId));
    expect(createHash('sha256').update(back).digest('hex')).toBe(createHash('sha256').update(body).digest('hex'));
  });

  it('two vaults and kinds of upload at once - share it, parts of a multipart upload included', async () => {
    const bandwidth = new Bandwidth(8 * MB, systemClock);
    const [one, other] = [open(bandwidth), open(bandwidth, { name: 'second', prefix: 'second' })];
    const ends: number[] = [];
    const took = await seconds(() =>
      Promise.all([
        seconds(() => one.put({ key: randomKey('a'), body: randomBytes(10 * MB), retainUntil: null })).then((s) => ends.push(s)),
        seconds(() =>
          other.putStream({ key: randomKey('b'), body: pieces(randomBytes(20 * MB)), estimatedBytes: 20 * MB, retainUntil: inSeconds(5) }),
        ).then((s) => ends.push(s)),
      ]),
    );
    expect(took).toBeGreaterThan((30 / 8) * 0.85);
    expect(took).toBeLessThan((30 / 8) * 1.8);
  });

  it('a pace far below what counts as a store that is stuck - our own waiting is not counted', async () => {
    const vault = open(new Bandwidth(30_000, systemClock), { timeouts: { connectMs: 1_000, requestMs: 500 } });
    // the deadline of 0.5 s and 65 bytes a millisecond would be over after 2.3 s
    const took = await seconds(() => vault.put({ key: randomKey('slow'), body: randomBytes(120_000), retainUntil: null }));
    expect(took).toBeGreaterThan(3.4);
  });

  it('a store that takes nothing - is noticed as without a limit, however much of the time was ours before', async () => {
    const vault = open(new Bandwidth(10 * MB, systemClock), { endpoint: proxy.endpoint, timeouts: { connectMs: 1_000, requestMs: 1_000 } });
    const storing = failure(vault.put({ key: randomKey('stuck'), body: randomBytes(30 * MB), retainUntil: null }), 'E_VAULT_TIMEOUT');
    await systemClock.sleep(1_200);
    proxy.set({ mode: 'blackHole' });
    try {
      // the socket's silence ends it, long before the deadline of a body of this size would
      expect(await seconds(() => storing)).toBeLessThan(30);
    } finally {
      proxy.set({ mode: 'reset' });
      proxy.set({ mode: 'pass' });
    }
  });

  it('a run that is stopped - ends an upload at once', async () => {
    const vault = open(new Bandwidth(MB, systemClock));
    const stop = new AbortController();
    const storing = vault.put({ key: randomKey('stopped'), body: randomBytes(20 * MB), retainUntil: null, signal: stop.signal });
    storing.catch(() => {});
    await systemClock.sleep(300);
    stop.abort();
    expect(await seconds(() => storing.catch(() => {}))).toBeLessThan(5);
    await expect(storing).rejects.toThrow();
  });

  it('a refusal before the body is through - is told at once', async () => {
    const vault = open(new Bandwidth(MB, systemClock), { bucket: 'coffre-test-nowhere' });
    expect(
      await seconds(() => failure(vault.put({ key: 'a', body: randomBytes(20 * MB), retainUntil: null }), 'E_BUCKET_MISSING')),
    ).toBeLessThan(2);
  });
});
