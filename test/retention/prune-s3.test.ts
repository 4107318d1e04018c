import { Readable } from 'node:stream';
import { CreateMultipartUploadCommand, DeleteObjectCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { storeStream } from '../../src/backup/store.ts';
import { Ledger } from '../../src/billing/ledger.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { listSnapshots } from '../../src/catalog/snapshots.ts';
import { systemClock } from '../../src/clock.ts';
import { pruneShop } from '../../src/retention/prune.ts';
import type { PruneResult } from '../../src/retention/result.ts';
import { newId } from '../../src/segment/id.ts';
import { segmentKey } from '../../src/segment/layout.ts';
import { type Lie, pretends, refuses, resets, startLyingStore } from '../servers/lying-store.ts';
import { until } from '../servers/rig.ts';
import { type Bucket, freshBucket, inventory } from '../servers/s3.ts';
import { tempDir } from '../temp-dir.ts';
import { movedClock, s3Config, vaultOn } from '../vault/s3-bench.ts';
import { expectLevel, expectNothingMissing, SHOP, take, type World } from './world.ts';

const RETENTION_MS = 6_000;
let bucket: Bucket;

beforeAll(async () => {
  bucket = await freshBucket();
});
afterAll(() => bucket.release());

test('a window of seconds on a store with Object Lock - strays, foreign versions, markers, uploads and ends of locks, to the byte', async () => {
  const prefix = 'seconds';
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const vault = vaultOn(bucket, { prefix });
  onTestFinished(() => vault.close());
  const world: World = { catalog, clock: systemClock, vaults: [vault], retentionMs: RETENTION_MS };
  const held = async (): Promise<number> => (await inventory(bucket, `${prefix}/`)).totalBytes;
  const prune = (): Promise<PruneResult> =>
    pruneShop(
      { catalog, clock: systemClock, openVault: async () => vaultOn(bucket, { prefix }) },
      { shop: SHOP, vaults: ['offsite'], retentionMs: RETENTION_MS, ceilingMs: 600_000, clockSkewMs: 60_000, who: 'test' },
    );
  const check = async (): Promise<void> => {
    await expectNothingMissing(catalog, [vault]);
    await expectLevel(catalog, vault, await held());
  };

  const first = await take(world, { fresh: [1000, 2000] });
  const second = await take(world, { fresh: [300], reuse: first.segments.slice(0, 1) });
  await check();

  // a PUT that was thought lost and landed twice, an upload that was cut off
  const ledger = new Ledger(catalog, systemClock);
  const id = newId(systemClock);
  const key = segmentKey(SHOP, id, 'tar', false);
  for (let i = 0; i < 2; i++) {
    const row = await ledger.intent({ vault: 'offsite', shop: SHOP, key, kind: 'segment', refId: id, runId: 'gone', expectedBytes: 700 });
    await vault.put({ key, body: Buffer.alloc(700, 1), retainUntil: systemClock.now().add({ seconds: 3 }) });
    if (i === 0) await ledger.abandon(row);
  }
  await expect(
    vault.putStream({
      key: segmentKey(SHOP, newId(systemClock), 'tar', false),
      body: (async function* () {
        yield Buffer.alloc(6_000_000, 1);
        throw new Error('cut');
      })(),
      estimatedBytes: 9_000_000,
      retainUntil: null,
      onUpload: async () => {},
    }),
  ).rejects.toThrow();
  // somebody with a stolen credential: a version on our key, and a marker that hides one
  const victim = `${prefix}/${segmentKey(SHOP, first.segments[0] as string, 'tar', false)}`;
  await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key: victim, Body: Buffer.alloc(42) }));
  await bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: victim }));

  const early = await prune();
  await check();
  expect(early.errors).toEqual([]);
  expect(early.foreign.map((row) => [row.what, row.sizeBytes]).sort()).toEqual([
    ['delete marker', 0],
    ['foreign version', 42],
  ]);
  expect(early.removed).toEqual([]);
  expect((await listSnapshots(catalog)).map((row) => row.id)).toEqual([second.snapshot, first.snapshot]);

  // each prune keeps the newest good one's lock ahead; the older one and the leftovers go as their locks end
  let last = early;
  await until(
    'everything that may go has gone',
    40_000,
    async () => {
      last = await prune();
      expect(last.errors).toEqual([]);
      await check();
      return (
        (await listSnapshots(catalog)).length === 1 &&
        last.waiting.length === 0 &&
        (await inventory(bucket, `${prefix}/`)).versions.length <= 6
      );
    },
    700,
  );

  const { versions, uploads } = await inventory(bucket, `${prefix}/`);
  expect(uploads).toEqual([]);
  // kept: two segments, index, manifest; and what is not ours: a version and a marker
  expect(
    versions
      .map((row) => row.sizeBytes)
      .sort((a, b) => a - b)
      .filter((bytes) => [0, 42, 300, 1000].includes(bytes)),
  ).toEqual([0, 42, 300, 1000]);
  expect(versions).toHaveLength(6);
  expect((await listSnapshots(catalog))[0]).toMatchObject({ id: second.snapshot, good: true });
  for (const row of versions.filter((it) => it.sizeBytes === 1000 || it.sizeBytes === 300)) {
    await expect(
      bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: row.key, VersionId: row.versionId })),
    ).rejects.toMatchObject({
      name: 'AccessDenied',
    });
  }
});

test('a credential that the store refuses - the vault is left alone, said with its code, nothing is forgotten', async () => {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const vault = vaultOn(bucket, { prefix: 'refused' });
  onTestFinished(() => vault.close());
  const world: World = { catalog, clock: systemClock, vaults: [vault], retentionMs: 2_000 };
  await take(world, { fresh: [10] });
  await take(world, { fresh: [20] });
  const wrong = s3Config(bucket);
  const result = await pruneShop(
    {
      catalog,
      clock: systemClock,
      openVault: async () =>
        vaultOn(bucket, {
          prefix: 'refused',
          credentials: { from: 'test', read: () => JSON.stringify({ accessKeyId: 'x', secretAccessKey: wrong.bucket }) },
        }),
    },
    { shop: SHOP, vaults: ['offsite'], retentionMs: 2_000, ceilingMs: 600_000, clockSkewMs: 60_000, who: 'test' },
  );
  expect(result.errors).toEqual([expect.objectContaining({ vault: 'offsite', code: 'E_VAULT_AUTH' })]);
  expect((await listSnapshots(catalog)).length).toBe(2);
  await expectLevel(catalog, vault, (await inventory(bucket, 'refused/')).totalBytes);
});

test('a store that says it deleted and did not - E_NOT_DELETED, all of it metered, no segment gone before its manifest; then all goes, one listing for many', async () => {
  const prefix = 'pretending';
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const gateway = await startLyingStore(bucket.store.endpoint);
  onTestFinished(() => gateway.stop());
  const vault = vaultOn(bucket, { prefix });
  onTestFinished(() => vault.close());
  const retentionMs = 2_000;
  const ledger = new Ledger(catalog, systemClock);
  const stray = async (folder: string): Promise<void> => {
    const key = `${SHOP}/${folder}/${newId(systemClock)}.tar.zst`;
    const row = await ledger.intent({ vault: 'offsite', shop: SHOP, key, kind: 'stray', refId: null, runId: 'gone', expectedBytes: 70 });
    await ledger.stored(row, await vault.put({ key, body: Buffer.alloc(70, 1), retainUntil: null }), 'aa');
  };
  for (let i = 0; i < 30; i++) await stray('segments');
  const streamed = segmentKey(SHOP, newId(systemClock), 'tar', false);
  const uploadOf = { vault: 'offsite', shop: SHOP, key: streamed, kind: 'segment', refId: 'x', runId: 'gone', expectedBytes: 9e6 } as const;
  const intent = await ledger.intent(uploadOf);
  const { UploadId = '' } = await bucket.client.send(
    new CreateMultipartUploadCommand({ Bucket: bucket.name, Key: `${prefix}/${streamed}` }),
  );
  const part = { Bucket: bucket.name, Key: `${prefix}/${streamed}`, UploadId, PartNumber: 1, Body: Buffer.alloc(500) };
  await bucket.client.send(new UploadPartCommand(part));
  await ledger.partsStored(intent, UploadId, 500);
  const world: World = { catalog, clock: systemClock, vaults: [vault], retentionMs };
  const old = await take(world, { fresh: [1000] });
  const kept = await take(world, { fresh: [2000] });
  const held = () => inventory(bucket, `${prefix}/`);
  const before = await held();
  await until('the locks of the older one end', 30_000, async () => {
    const { last } = (await catalog.db
      .selectFrom('objects')
      .select((eb) => eb.fn.max('retainUntil').as('last'))
      .executeTakeFirstOrThrow()) as { last: number };
    return systemClock.nowMs() > last;
  });

  // an hour later: what nothing names is old enough to go
  const clock = movedClock(3_600_000);
  const prune = (): Promise<PruneResult> =>
    pruneShop(
      { catalog, clock, openVault: async () => vaultOn(bucket, { prefix, endpoint: gateway.endpoint }) },
      { shop: SHOP, vaults: ['offsite'], retentionMs, ceilingMs: 7_200_000, clockSkewMs: 7_200_000, who: 'test' },
    );
  const versionIds = async (): Promise<string[]> => (await held()).versions.map((row) => row.versionId).sort();
  gateway.lie(bucket.name, { on: ['DeleteObject', 'AbortMultipartUpload'], tell: pretends });
  const pretended = await prune();
  expect(pretended).toMatchObject({ deletedObjects: 0, abortedUploads: 0, releasedBytes: 0, removed: [] });
  // its strays, its upload, and the manifest of the older one, which keeps everything that it names
  expect(pretended.errors).toHaveLength(30 + 1 + 1);
  expect(pretended.errors).toEqual(pretended.errors.map((error) => expect.objectContaining({ code: 'E_NOT_DELETED', vault: error.vault })));
  expect(pretended.errors.filter(({ key }) => key?.includes('/snapshots/'))).toHaveLength(1);
  expect(await versionIds()).toEqual(before.versions.map((row) => row.versionId).sort());
  await expectLevel(catalog, vault, before.totalBytes);

  // once more, every third time
  let turn = 0;
  const sometimes: Lie['tell'] = async (call) => (turn++ % 3 === 0 ? await pretends(call) : call.answer(await call.forward()));
  gateway.lie(bucket.name, { on: 'DeleteObject', key: /segments/, tell: sometimes });
  const some = await prune();
  expect(some.deletedObjects).toBeGreaterThan(15);
  expect(some.errors.length).toBeGreaterThan(8);
  await expectLevel(catalog, vault, (await held()).totalBytes);
  await expectNothingMissing(catalog, [vault]);

  let listings = 0;
  const counts: Lie['tell'] = async (call) => {
    listings++;
    call.answer(await call.forward());
  };
  gateway.lie(bucket.name, { on: 'ListObjectVersions', tell: counts });
  const last = await prune();
  expect(last.errors).toEqual([]);
  expect(last.deletedObjects).toBe(some.errors.length);
  // at the beginning the key of the intent and everything, at the end what was deleted
  expect(listings).toBe(3);
  expect((await held()).uploads).toEqual([]);
  await expectLevel(catalog, vault, (await held()).totalBytes);
  await expectNothingMissing(catalog, [vault]);
  expect((await listSnapshots(catalog)).map(({ id }) => id)).toEqual([kept.snapshot]);
  expect(old.snapshot).not.toBe(kept.snapshot);
});

test('the start of an upload fails once and its answer is lost once - it is stored, and the upload that nobody knows of goes with the next prune', async () => {
  const prefix = 'begun-twice';
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const gateway = await startLyingStore(bucket.store.endpoint);
  onTestFinished(() => gateway.stop());
  const vault = vaultOn(bucket, { prefix, endpoint: gateway.endpoint });
  onTestFinished(() => vault.close());
  const ledger = new Ledger(catalog, systemClock);
  const body = Buffer.alloc(9_000_000, 1);
  const on = 'CreateMultipartUpload';
  gateway.lie(bucket.name, { on, times: 1, tell: refuses(503, 'SlowDown') }, { on, times: 1, tell: resets(true) });
  const key = segmentKey(SHOP, newId(systemClock), 'tar', false);
  const retainUntil = systemClock.now().add({ minutes: 3 });
  const request = {
    shop: SHOP,
    key,
    kind: 'segment',
    refId: 'x',
    runId: 'gone',
    retainUntil,
    signal: new AbortController().signal,
  } as const;
  const facts = () => ({ storedBytes: body.length, storedSha256: 'aa' });
  await storeStream(ledger, vault, request, Readable.from([body]), body.length, facts);
  expect(gateway.told(bucket.name)).toBe(2);
  const held = () => inventory(bucket, `${prefix}/`);
  expect(await held()).toMatchObject({ totalBytes: body.length, uploads: [{ key: `${prefix}/${key}` }] });
  await expectLevel(catalog, vault, body.length);
  const result = await pruneShop(
    { catalog, clock: movedClock(60_000), openVault: async () => vaultOn(bucket, { prefix }) },
    { shop: SHOP, vaults: ['offsite'], retentionMs: 2_000, ceilingMs: 600_000, clockSkewMs: 120_000, who: 'test' },
  );
  expect(result).toMatchObject({ abortedUploads: 1, errors: [] });
  expect(await held()).toMatchObject({ totalBytes: body.length, uploads: [] });
  await expectLevel(catalog, vault, body.length);
});
