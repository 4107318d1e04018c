import { appendFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Ledger } from '../../src/billing/ledger.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { finishRun, lastRuns, markInterrupted, startRun } from '../../src/catalog/runs.ts';
import { pinSegments } from '../../src/catalog/segments.ts';
import { getSnapshot, listSnapshots } from '../../src/catalog/snapshots.ts';
import { acquireLock } from '../../src/catalog/state-lock.ts';
import { CoffreError } from '../../src/errors.ts';
import { type PruneDeps, planShop, pruneShop } from '../../src/retention/prune.ts';
import type { PruneResult } from '../../src/retention/result.ts';
import { newId } from '../../src/segment/id.ts';
import { segmentKey } from '../../src/segment/layout.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { filesystemVault, folderBytes } from '../billing/benches.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { agreeing } from '../vault/agreeing-folder.ts';
import { expectLevel, expectNothingMissing, keysIn, SHOP, take, type World } from './world.ts';

const DAY = 86_400_000;

interface Place extends World {
  readonly clock: FakeClock;
  readonly paths: ReadonlyMap<string, string>;
  readonly prune: (changes?: Partial<PruneDeps>) => Promise<PruneResult>;
  /** Level equals an independent count in every vault, and nothing referenced is missing. */
  readonly check: () => Promise<void>;
}

async function place(retentionMs = 14 * DAY): Promise<Place> {
  const dir = await tempDir();
  const clock = new FakeClock();
  const catalog = await openCatalog(join(dir, 'state'));
  onTestFinished(() => catalog.close());
  const paths = new Map(['nas', 'offsite'].map((name) => [name, join(dir, name)]));
  const vaults: Vault[] = [];
  // that a folder has no clock is what prune-clock.test.ts is about
  for (const [name, path] of paths) vaults.push(agreeing(await filesystemVault(name, path, clock), clock));
  const openVault = async (name: string): Promise<Vault> => {
    const vault = vaults.find((it) => it.name === name);
    if (!vault) throw new CoffreError('E_UNKNOWN_VAULT', name);
    return vault;
  };
  const names = [...paths.keys()];
  return {
    ...{ catalog, clock, vaults, retentionMs, paths },
    prune: (changes = {}) =>
      pruneShop(
        { catalog, clock, openVault, ...changes },
        { shop: SHOP, vaults: names, retentionMs, ceilingMs: 90 * DAY, clockSkewMs: 60_000, who: 'test' },
      ),
    async check() {
      await expectNothingMissing(catalog, vaults);
      for (const vault of vaults) await expectLevel(catalog, vault, await folderBytes(paths.get(vault.name) ?? ''));
    },
  };
}

describe('windows', () => {
  test('fifteen days of daily snapshots - what is past its window goes from both vaults, the rest stays', async () => {
    const world = await place();
    const taken: string[] = [];
    for (let day = 0; day < 16; day++) {
      taken.push((await take(world)).snapshot);
      world.clock.advance(DAY);
    }
    await world.check();
    const result = await world.prune();
    await world.check();
    expect(result.errors).toEqual([]);
    expect(result.removed.map((row) => [row.snapshot, row.vault]).sort()).toEqual(
      [taken[0], taken[1]].flatMap((snapshot) => [
        [snapshot, 'nas'],
        [snapshot, 'offsite'],
      ]),
    );
    expect(result.kept).toHaveLength(14);
    expect(result.waiting).toEqual([]);
    expect((await listSnapshots(world.catalog)).map((row) => row.id)).toEqual([...taken].reverse().slice(0, 14));
    expect(await keysIn(world.vaults[0] as Vault)).toHaveLength(14 * 4);
    expect((await lastRuns(world.catalog, { kind: 'prune' }))[0]).toMatchObject({ state: 'done' });
    expect(await world.prune()).toMatchObject({ removed: [], deletedObjects: 0, releasedBytes: 0 });
  });

  test('the window has ended, the lock has not - the snapshot stays usable and is named as waiting, until then', async () => {
    const world = await place();
    const first = await take(world);
    world.clock.advance(DAY);
    await take(world);
    world.clock.advance(13 * DAY + 60_000);
    const early = await world.prune();
    expect(early.removed).toEqual([]);
    expect(early.kept.find((row) => row.snapshot === first.snapshot)).toMatchObject({
      reason: 'its window has ended, its lock has not',
      until: '2026-03-16T02:40:00Z',
    });
    expect((await getSnapshot(world.catalog, first.snapshot)).state).toBe('committed');
    world.clock.advance(600_000);
    expect((await world.prune()).removed).toHaveLength(2);
    await world.check();
  });

  test('no backup for three months - the newest good one stays, and its locks are kept ahead of the clock', async () => {
    const world = await place();
    const old = await take(world);
    world.clock.advance(DAY);
    const good = await take(world);
    await take(world, { into: ['nas'] });
    for (let day = 0; day < 90; day += 1) {
      world.clock.advance(DAY);
      const result = await world.prune();
      expect(result.errors).toEqual([]);
      const row = (await getSnapshot(world.catalog, good.snapshot)).copies[0];
      expect(row?.retainUntil).toBeGreaterThan(world.clock.nowMs() + DAY);
    }
    await world.check();
    expect((await listSnapshots(world.catalog)).map((row) => row.id)).toEqual([good.snapshot]);
    await expect(getSnapshot(world.catalog, old.snapshot)).rejects.toMatchObject({ code: 'E_UNKNOWN_SNAPSHOT' });
    for (const vault of world.vaults) {
      for await (const version of vault.listVersions(`${SHOP}/`)) {
        await expect(vault.deleteVersion(version.key, version.versionId)).rejects.toMatchObject({ code: 'E_LOCKED' });
      }
    }
  });

  test('a ceiling that does not let the lock be kept ahead - said, and nothing else is held up', async () => {
    const world = await place();
    await take(world);
    world.clock.advance(13 * DAY);
    const result = await pruneShop(
      { catalog: world.catalog, clock: world.clock, openVault: async (name) => world.vaults.find((it) => it.name === name) as Vault },
      { shop: SHOP, vaults: ['nas', 'offsite'], retentionMs: world.retentionMs, ceilingMs: DAY, clockSkewMs: 60_000, who: 'test' },
    );
    expect(result.errors.map((row) => [row.vault, row.code])).toEqual([
      ['nas', 'E_LOCK_CEILING'],
      ['offsite', 'E_LOCK_CEILING'],
    ]);
  });
});

describe('segments', () => {
  test('reused by a kept snapshot - they outlive the one that stored them, until nothing needs them', async () => {
    const world = await place();
    const full = await take(world, { fresh: [100, 200, 300] });
    world.clock.advance(DAY);
    const increment = await take(world, { fresh: [10], reuse: full.segments.slice(0, 2) });
    world.clock.advance(13 * DAY + 11 * 60_000);
    await take(world, { fresh: [1] });
    const first = await world.prune();
    expect(first.removed.map((row) => row.snapshot)).toEqual([full.snapshot, full.snapshot]);
    // its own third segment, manifest and index went; the two reused ones stay
    expect(first.deletedObjects).toBe(2 * 3);
    await world.check();
    expect(await keysIn(world.vaults[0] as Vault)).toHaveLength(3 + 2 + 3);
    world.clock.advance(DAY);
    const second = await world.prune();
    expect(second.removed.map((row) => row.snapshot)).toEqual([increment.snapshot, increment.snapshot]);
    await world.check();
    expect(await keysIn(world.vaults[0] as Vault)).toHaveLength(3);
    expect(await world.catalog.db.selectFrom('segments').select('id').execute()).toHaveLength(1);
  });

  test('a lock longer than the catalog knew - waits for its true end, and goes then', async () => {
    const world = await place();
    await take(world);
    world.clock.advance(DAY);
    await take(world);
    world.clock.advance(13 * DAY + 11 * 60_000);
    const nas = world.vaults[0] as Vault;
    const [key] = (await keysIn(nas)).filter((it) => it.includes('/segments/'));
    for await (const version of nas.listVersions(key ?? '')) {
      await nas.extendLock(version.key, version.versionId, world.clock.now().add({ hours: 5 }));
    }
    const result = await world.prune();
    expect(result.errors).toEqual([]);
    expect(result.waiting).toEqual([{ key, vault: 'nas', until: '2026-03-16T07:41:00Z', objects: 1, bytes: 100 }]);
    await world.check();
    world.clock.advance(5 * 3_600_000);
    expect(await world.prune()).toMatchObject({ waiting: [], deletedObjects: 1 });
    await world.check();
  });

  test('pinned by a restore under way - they stay while it lasts, and so does the manifest and the index that it reads', async () => {
    const world = await place();
    const old = await take(world, { fresh: [100] });
    world.clock.advance(DAY);
    await take(world, { fresh: [1] });
    world.clock.advance(13 * DAY + 11 * 60_000);
    await startRun(world.catalog, world.clock, { id: 'r', kind: 'restore', shop: SHOP, source: 'files' });
    await world.catalog.transaction((tx) => pinSegments(tx, 'r', old.segments));
    const result = await world.prune();
    expect(result.removed).toEqual([]);
    expect(result.kept.find((row) => row.snapshot === old.snapshot)).toMatchObject({ reason: 'a restore reads it', until: null });
    const keys = await keysIn(world.vaults[0] as Vault);
    for (const id of [old.snapshot, old.segments[0] as string]) expect(keys.filter((key) => key.includes(id)).length).toBeGreaterThan(0);
    await finishRun(world.catalog, world.clock, 'r', 'done');
    expect((await world.prune()).removed).toHaveLength(2);
    expect((await keysIn(world.vaults[0] as Vault)).filter((key) => key.includes(old.segments[0] as string))).toEqual([]);
    await world.check();
  });
});

describe('what dead runs leave', () => {
  test.each(['segments', 'manifest'] as const)(
    'killed after its %s - left for the next run a day long, then gone in order, pins too',
    async (dieAfter) => {
      const world = await place();
      const base = await take(world, { fresh: [50] });
      const stateDir = world.catalog.stateDir;
      const dying = await openCatalog(stateDir);
      await take({ ...world, catalog: dying }, { fresh: [100, 200], reuse: base.segments, dieAfter });
      await dying.close();
      world.clock.advance(3_600_000);
      expect(await world.prune()).toMatchObject({ deletedObjects: 0, errors: [], foreign: [] });
      await world.check();
      world.clock.advance(DAY);
      await take(world);
      // provisional locks here are as long as the window
      world.clock.advance(14 * DAY);
      const result = await world.prune();
      expect(result.errors).toEqual([]);
      await world.check();
      expect(await world.catalog.db.selectFrom('pins').selectAll().execute()).toEqual([]);
      expect((await keysIn(world.vaults[0] as Vault)).length).toBe(4);
      expect((await keysIn(world.vaults[1] as Vault)).length).toBe(4);
    },
  );

  test('a temporary file of a killed write - metered, aborted once old, released', async () => {
    const world = await place();
    await take(world);
    const id = newId(world.clock);
    const ledger = new Ledger(world.catalog, world.clock);
    const key = segmentKey(SHOP, id, 'tar', false);
    await ledger.intent({ vault: 'nas', shop: SHOP, key, kind: 'segment', refId: id, runId: 'gone', expectedBytes: 900 });
    await writeFile(join(world.paths.get('nas') ?? '', SHOP, 'segments', `.tmp-0123456789abcdef-${id}.tar.zst`), Buffer.alloc(450));
    expect(await world.prune()).toMatchObject({ abortedUploads: 0, errors: [] });
    await world.check();
    world.clock.advance(DAY + 60_000);
    expect(await world.prune()).toMatchObject({ abortedUploads: 1, releasedBytes: 450, errors: [] });
    await world.check();
  });
});

describe('tampering and trouble', () => {
  test('a file of somebody else under the shop - reported each time, metered, never deleted', async () => {
    const world = await place();
    await take(world);
    const path = join(world.paths.get('nas') ?? '', SHOP, 'segments', 'holiday.jpg');
    await writeFile(path, Buffer.alloc(77));
    for (let i = 0; i < 2; i++) {
      const result = await world.prune();
      expect(result.foreign).toEqual([
        expect.objectContaining({ vault: 'nas', key: `${SHOP}/segments/holiday.jpg`, what: 'foreign version', sizeBytes: 77 }),
      ]);
      await world.check();
      world.clock.advance(60 * DAY);
    }
    await rm(path);
    expect((await world.prune()).foreign).toEqual([]);
    await world.check();
  });

  test('a segment deleted behind our back - named, the level corrected, the snapshot no longer good, an older good one kept', async () => {
    const world = await place();
    const older = await take(world);
    world.clock.advance(DAY);
    const newer = await take(world, { fresh: [300] });
    await rm(join(world.paths.get('offsite') ?? '', segmentKey(SHOP, newer.segments[0] as string, 'tar', false)));
    const result = await world.prune();
    expect(result.errors).toEqual([expect.objectContaining({ vault: 'offsite', code: 'E_OBJECT_MISSING' })]);
    expect(result.foreign).toEqual([expect.objectContaining({ what: 'missing', sizeBytes: 300 })]);
    await expectLevel(world.catalog, world.vaults[1] as Vault, await folderBytes(world.paths.get('offsite') ?? ''));
    expect((await getSnapshot(world.catalog, newer.snapshot)).good).toBe(false);
    world.clock.advance(40 * DAY);
    const later = await world.prune();
    expect(later.kept.map((row) => [row.snapshot, row.reason])).toContainEqual([older.snapshot, 'newest good files snapshot']);
  });

  test('a segment rewritten in place - altered', async () => {
    const world = await place();
    const taken = await take(world, { fresh: [300] });
    await appendFile(join(world.paths.get('nas') ?? '', segmentKey(SHOP, taken.segments[0] as string, 'tar', false)), 'x');
    const result = await world.prune();
    expect(result.foreign.map((row) => row.what).sort()).toEqual(['altered']);
    await expectLevel(world.catalog, world.vaults[0] as Vault, await folderBytes(world.paths.get('nas') ?? ''));
  });

  test('one vault away - the other is pruned, the first at its return', async () => {
    const world = await place();
    const old = await take(world);
    world.clock.advance(DAY);
    await take(world);
    world.clock.advance(13 * DAY + 11 * 60_000);
    const openVault = async (name: string): Promise<Vault> => {
      if (name === 'offsite') throw new CoffreError('E_VAULT_UNREACHABLE', 'offsite: no route');
      return world.vaults.find((it) => it.name === name) as Vault;
    };
    const result = await world.prune({ openVault });
    expect(result.errors).toEqual([expect.objectContaining({ vault: 'offsite', code: 'E_VAULT_UNREACHABLE' })]);
    expect(result.removed).toEqual([expect.objectContaining({ snapshot: old.snapshot, vault: 'nas' })]);
    await world.check();
    expect((await lastRuns(world.catalog, { kind: 'prune' }))[0]).toMatchObject({ state: 'failed', errorCode: 'E_VAULT_UNREACHABLE' });
    expect((await world.prune()).removed).toEqual([expect.objectContaining({ snapshot: old.snapshot, vault: 'offsite' })]);
    await world.check();
    for (const vault of world.vaults) expect(await keysIn(vault)).toHaveLength(4);
  });

  test('a backup of the shop under way - E_BUSY', async () => {
    const world = await place();
    using lock = await acquireLock(world.catalog.stateDir, `shop-${SHOP}`);
    expect(lock).not.toBeNull();
    await expect(world.prune()).rejects.toMatchObject({ code: 'E_BUSY' });
  });
});

test('dry run - says what prune then does, and does nothing', async () => {
  const world = await place();
  const full = await take(world, { fresh: [100, 200] });
  world.clock.advance(DAY);
  await take(world, { fresh: [10], reuse: full.segments.slice(0, 1) });
  world.clock.advance(13 * DAY + 11 * 60_000);
  const before = await keysIn(world.vaults[0] as Vault);
  const planned = await planShop(world.catalog, world.clock, { shop: SHOP, retentionMs: world.retentionMs });
  expect(await keysIn(world.vaults[0] as Vault)).toEqual(before);
  expect(await markInterrupted(world.catalog, world.clock, SHOP)).toEqual([]);
  const done = await world.prune();
  expect(planned.dryRun).toBe(true);
  const same = (result: PruneResult) => ({
    ...result,
    dryRun: true,
    extended: [],
    removed: [...result.removed].sort((a, b) => (a.vault < b.vault ? -1 : 1)),
  });
  expect(same(planned)).toEqual(same(done));
});
