// Shops that are suspended, close, are erased or held, with the real catalog, ledger and prune, on a store in memory that enforces locks.
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { level } from '../../src/billing/level.ts';
import { placeHold, releaseHold } from '../../src/catalog/holds.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { changeLife, type LifeChange } from '../../src/catalog/shop-life.ts';
import { listSnapshots } from '../../src/catalog/snapshots.ts';
import { certifyEnd, issueCertificate, listCertificates } from '../../src/retention/certificate.ts';
import { planHere, planInThread } from '../../src/retention/planner.ts';
import { pruneShop } from '../../src/retention/prune.ts';
import type { PruneResult } from '../../src/retention/result.ts';
import { makeSigningKey } from '../../src/segment/signing-key.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { MemoryVault } from '../vault/memory-vault.ts';
import { expectLevel, expectNothingMissing, keysIn, SHOP, take, type World } from './world.ts';

const DAY = 86_400_000;
const BY = { who: 'anna', reason: 'because' };

interface Place extends World {
  readonly clock: FakeClock;
  readonly vault: MemoryVault;
  readonly prune: (retentionMs?: number) => Promise<PruneResult>;
  readonly order: (change: LifeChange) => Promise<unknown>;
}

async function place(retentionMs = 14 * DAY): Promise<Place> {
  const clock = new FakeClock();
  const catalog = await openCatalog(join(await tempDir(), 'state'));
  onTestFinished(() => catalog.close());
  const vault = new MemoryVault(clock, { name: 'offsite' });
  const request = { shop: SHOP, vaults: ['offsite'], ceilingMs: 90 * DAY, clockSkewMs: 5_000, who: 'test' };
  return {
    ...{ catalog, clock, vault, vaults: [vault], retentionMs },
    prune: async (windowMs = retentionMs) => {
      const result = await pruneShop({ catalog, clock, openVault: async () => vault }, { ...request, retentionMs: windowMs });
      expect(result.errors).toEqual([]);
      await expectNothingMissing(catalog, [vault]);
      await expectLevel(catalog, vault, vault.heldBytes);
      return result;
    },
    order: (change) => changeLife(catalog, clock, SHOP, change, BY),
  };
}

async function days(world: Place, count: number): Promise<string[]> {
  const taken: string[] = [];
  for (let day = 0; day < count; day++) {
    taken.push((await take(world)).snapshot);
    world.clock.advance(DAY);
  }
  return taken;
}

const ids = async (world: Place): Promise<string[]> => (await listSnapshots(world.catalog, SHOP)).map((row) => row.id);

test('suspended - the newest good one is kept and kept locked for thirty days, the others for their window, then everything goes', async () => {
  const world = await place();
  const taken = await days(world, 3);
  await world.order({ verb: 'suspend' });
  world.clock.advance(20 * DAY);
  const { extended } = await world.prune();
  expect(extended.map((row) => row.snapshot)).toEqual([taken[2]]);
  expect(await ids(world)).toEqual([taken[2]]);
  const endMs = world.clock.nowMs() + 10 * DAY;
  for (let day = 0; day < 5; day++) {
    world.clock.advance(2 * DAY);
    expect((await world.prune()).kept).toMatchObject([{ reason: 'newest good files snapshot' }]);
    for await (const { key, versionId } of world.vault.listVersions(SHOP)) {
      const lockMs = world.vault.lockEndOf(key, versionId) ?? 0;
      // not beyond the thirty days, which nobody pays for
      expect([lockMs >= Math.min(world.clock.nowMs() + 1.9 * DAY, endMs), lockMs <= endMs]).toEqual([true, true]);
    }
  }
  world.clock.advance(1);
  expect((await world.prune()).removed).toMatchObject([{ snapshot: taken[2], reason: 'the shop has been suspended for too long' }]);
  expect(world.vault.heldBytes).toBe(0);
});

test('closing - everything goes at its end, what was locked for longer waits for its lock, and then the certificate is final', async () => {
  const world = await place();
  await days(world, 2);
  const key = makeSigningKey();
  const endsAt = world.clock.nowMs() + 5 * DAY;
  await world.order({ verb: 'close', endsAt });
  const { certificate } = await issueCertificate(world.catalog, world.clock, SHOP, key);
  expect(certificate).toMatchObject({ kind: 'closing', final: false, orderedBy: 'anna', reason: 'because' });
  expect(certificate.remains).toHaveLength(2);
  expect((await world.prune()).removed).toEqual([]);
  world.clock.advance(5 * DAY + 1);
  const early = await world.prune();
  expect(early.kept.map((row) => row.reason)).toEqual(['the shop has closed, its lock lasts', 'the shop has closed, its lock lasts']);
  expect(await certifyEnd(world.catalog, world.clock, SHOP, async () => key)).toBeNull();
  world.clock.advance(10 * DAY);
  expect((await world.prune()).removed.map((row) => row.reason)).toEqual(['the shop has closed', 'the shop has closed']);
  expect(world.vault.heldBytes).toBe(0);
  const last = await certifyEnd(world.catalog, world.clock, SHOP, async () => key);
  expect(last?.certificate).toMatchObject({
    final: true,
    remains: [],
    deleted: [{ vault: 'offsite', objects: 8, bytes: certificate.remains.reduce((sum, row) => sum + row.bytes, 0) }],
  });
  expect(await certifyEnd(world.catalog, world.clock, SHOP, async () => key)).toBeNull();
  expect(await listCertificates(world.catalog.db, SHOP)).toHaveLength(2);
});

test('erased - out of use at once, what no lock keeps gone at once, the rest as its locks end', async () => {
  const world = await place();
  const [old] = await days(world, 1);
  world.clock.advance(14 * DAY);
  const [recent] = await days(world, 1);
  await world.order({ verb: 'erase' });
  const result = await world.prune();
  expect(await ids(world)).toEqual([]);
  expect(result.removed.map((row) => row.snapshot)).toEqual([old]);
  expect(result.waiting.length).toBeGreaterThan(0);
  const key = makeSigningKey();
  const { certificate } = await issueCertificate(world.catalog, world.clock, SHOP, key);
  expect(certificate).toMatchObject({ kind: 'erasure', final: false, deleted: [{ vault: 'offsite', objects: 4 }] });
  expect(certificate.remains.map((row) => [row.lockMode, row.objects])).toEqual([['COMPLIANCE', 4]]);
  expect(result.waiting.map((row) => row.until)).toContain(certificate.remainsUntil);
  world.clock.advance(15 * DAY);
  expect((await world.prune()).removed.map((row) => row.snapshot)).toEqual([recent]);
  expect([world.vault.heldBytes, await level(world.catalog, { shop: SHOP })]).toEqual([0, 0]);
  expect((await certifyEnd(world.catalog, world.clock, SHOP, async () => key))?.certificate.final).toBe(true);
  await expect(world.order({ verb: 'suspend' })).rejects.toMatchObject({ code: 'E_SHOP_STATE' });
});

test('held - kept beyond window and end, its locks kept ahead, until it is released', async () => {
  const world = await place();
  const taken = await days(world, 3);
  const { catalog, clock } = world;
  const hold = await placeHold(catalog, clock, {
    id: 'h1',
    shop: SHOP,
    snapshotId: taken[0] as string,
    reason: 'court order',
    who: 'anna',
  });
  await expect(world.order({ verb: 'erase' })).rejects.toMatchObject({ code: 'E_HELD' });
  await world.order({ verb: 'close', endsAt: clock.nowMs() + DAY });
  for (let day = 0; day < 40; day += 2) {
    clock.advance(2 * DAY);
    await world.prune();
    for await (const { key, versionId } of world.vault.listVersions(SHOP)) {
      if (await isOf(world, taken[0] as string, key)) expect(world.vault.lockEndOf(key, versionId)).toBeGreaterThan(clock.nowMs() + DAY);
    }
  }
  expect(await ids(world)).toEqual([taken[0]]);
  await expect(
    placeHold(catalog, clock, { id: 'h2', shop: SHOP, snapshotId: taken[1] as string, reason: 'late', who: 'anna' }),
  ).rejects.toMatchObject({
    code: 'E_SHOP_STATE',
  });
  await releaseHold(catalog, clock, hold.id, { who: 'anna', reason: 'settled' });
  clock.advance(5 * DAY);
  await world.prune();
  expect(world.vault.heldBytes).toBe(0);
  const said = await catalog.db.selectFrom('audit').select(['who', 'what']).orderBy('id').execute();
  expect(said.filter((row) => row.who === 'anna').map((row) => row.what)).toEqual(['hold add', 'shop close', 'hold release']);
});

async function isOf({ catalog }: Place, snapshot: string, key: string): Promise<boolean> {
  const rows = await catalog.db
    .selectFrom('objects')
    .select('id')
    .where('key', '=', key)
    .where((eb) =>
      eb.or([
        eb('refId', '=', snapshot),
        eb('refId', 'in', eb.selectFrom('snapshotSegments').select('segmentId').where('snapshotId', '=', snapshot)),
      ]),
    )
    .execute();
  return rows.length > 0;
}

test('a window that became longer - what is still there stays for it, under locks that were moved; shorter again, promises and locks are kept', async () => {
  const world = await place();
  const taken = await days(world, 3);
  world.clock.advance(8 * DAY);
  const { extended } = await world.prune(30 * DAY);
  expect(extended.map((row) => [row.snapshot, row.until])).toEqual(
    [...taken]
      .reverse()
      .map((snapshot, i) => [
        snapshot,
        new Date(Date.parse('2026-03-06T02:30:00Z') + (28 - i) * DAY + 600_000).toISOString().replace('.000', ''),
      ]),
  );
  world.clock.advance(10 * DAY);
  await take(world);
  await world.prune(30 * DAY);
  expect(await ids(world)).toHaveLength(4);
  const result = await world.prune(14 * DAY);
  expect(result.kept.filter((row) => row.reason === 'its window has ended, its lock has not')).toHaveLength(3);
});

test('delete markers - one that hides a version is told of and stays as evidence, one that hides nothing goes', async () => {
  const world = await place();
  await take(world);
  world.clock.advance(15 * DAY);
  await take(world);
  const keys = await keysIn(world.vault);
  for (const key of keys) world.vault.putDeleteMarker(key);
  world.vault.putDeleteMarker(`${SHOP}/segments/nobody-knows.tar.zst`);
  const result = await world.prune();
  expect(result.foreign.filter((row) => row.what === 'delete marker')).toHaveLength(keys.length + 1);
  // what the first snapshot left behind: two segments, index and manifest
  expect(result.removedMarkers).toBe(4);
  expect((await world.prune()).foreign.filter((row) => row.what === 'delete marker')).toHaveLength(keys.length + 1 - 4);
});

test('every vault away - nothing is given up: nobody could contradict our clock', async () => {
  const world = await place();
  const taken = await days(world, 3);
  world.clock.setWall(world.clock.nowMs() + 400 * DAY);
  const { catalog, clock } = world;
  const away = pruneShop(
    { catalog, clock, openVault: () => Promise.reject(new Error('no route to host')) },
    { shop: SHOP, vaults: ['offsite'], retentionMs: 14 * DAY, ceilingMs: 90 * DAY, clockSkewMs: 5_000, who: 'test' },
  );
  expect(await away).toMatchObject({ removed: [], deletedObjects: 0, errors: [{ vault: 'offsite' }] });
  expect(await ids(world)).toEqual([...taken].reverse());
});

test('a thread of its own - plans and chooses as this one does', async () => {
  const world = await place();
  await days(world, 16);
  const request = { shop: SHOP, retentionMs: world.retentionMs, nowMs: world.clock.nowMs() };
  const here = planHere(world.catalog);
  const there = planInThread(world.catalog);
  onTestFinished(() => there.close());
  const preview = await there.preview(request);
  expect(preview.removed).toHaveLength(2);
  expect(preview).toEqual(await here.preview(request));
  const chosen = await there.choose(request, 'manifest', null);
  expect(chosen.objects.map((object) => object.kind)).toEqual(['manifest', 'manifest']);
  // marked there, seen here
  expect((await here.choose(request, 'manifest', null)).objects.map((object) => object.tombstone)).toEqual([true, true]);
  expect(await there.lookWaiting(request)).toEqual(await here.lookWaiting(request));
  await expect(there.preview({ ...request, shop: null as never })).resolves.toMatchObject({ removed: [] });
});
