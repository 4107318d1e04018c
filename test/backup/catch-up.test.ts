import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { GetObjectRetentionCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { catchUpShop } from '../../src/backup/catch-up.ts';
import { type CatchUpResult, previewCatchUp } from '../../src/backup/catch-up-result.ts';
import { backupSource } from '../../src/backup/run.ts';
import { getSnapshot, latestGood } from '../../src/catalog/snapshots.ts';
import { flipped, objectsOf, StoredFile } from '../acceptance/attack.ts';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { type Bucket, freshBucket, inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';
import { database, MB, never, type Setting, setting } from './setting.ts';

const PIECES = [
  { name: 'one', bytes: 3 * MB, estimatedBytes: 3 * MB },
  { name: 'two', bytes: 2 * MB, estimatedBytes: 2 * MB },
  { name: 'large', bytes: 52 * MB, estimatedBytes: 52 * MB },
];

const backup = ({ deps, shop }: Setting) => backupSource(deps, { shop, source: 'database', full: false, signal: never });
const catchUp = ({ deps: { onProgress: _, ...deps }, shop }: Setting): Promise<CatchUpResult> => catchUpShop(deps, { shop, signal: never });

/** Everything is there, as written, locked; the bill agrees with the store. */
async function expectWhole(world: World, bucket = world.bucket, vault = 'offsite'): Promise<void> {
  expect((await world.okHere(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  const { shops } = (await world.okHere(['billing', 'level'])).json;
  const level = shops
    .filter((row: { vault: string }) => row.vault === vault)
    .reduce((sum: number, row: { levelBytes: number }) => sum + row.levelBytes, 0);
  expect(level).toBe((await inventory(bucket)).totalBytes);
}

/** Each version below the shop is locked, as the store itself says, until the snapshot's promise at least. */
async function expectLocked(bucket: Bucket, promisedMs: number, atLeastMs = promisedMs): Promise<void> {
  const { versions } = await inventory(bucket, 'prod/dupont/');
  expect(versions.length).toBeGreaterThan(0);
  for (const { key, versionId } of versions) {
    const request = { Bucket: bucket.name, Key: key, VersionId: versionId };
    const { Retention } = await bucket.client.send(new GetObjectRetentionCommand(request));
    expect(Retention?.Mode, key).toBe('COMPLIANCE');
    const end = Retention?.RetainUntilDate?.getTime() ?? 0;
    expect(end, key).toBeGreaterThanOrEqual(atLeastMs);
    // the promise, its margin of ten minutes, and the store's whole second: no longer
    expect(end - promisedMs, key).toBeLessThanOrEqual(10 * 60_000 + 1_000);
  }
}

describe('a vault that lacks a snapshot', { timeout: 180_000 }, () => {
  it('away at the start - degraded with the reason, red; back again it is caught up, verifies, is locked as promised, and the level is right', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
    const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
    world.writeConfig({ vaults: ['nas', 'offsite'], database, endpoint: proxy.endpoint });
    const one = await setting(world, PIECES);
    try {
      proxy.set({ mode: 'reset' });
      const result = await backup(one);
      expect(result).toMatchObject({ vaults: ['nas'], missing: [{ vault: 'offsite', code: 'E_VAULT_UNREACHABLE' }] });

      const shown = (await world.okHere(['snapshots'])).json.snapshots[0];
      expect(shown).toMatchObject({ state: 'degraded', lacking: [{ vault: 'offsite', code: 'E_VAULT_UNREACHABLE' }] });

      const early = await catchUp(one);
      expect(early).toMatchObject({ copied: [], left: [{ snapshot: result.id, vault: 'offsite', code: 'E_VAULT_UNREACHABLE' }] });
      const gaps = await one.deps.catalog.db.selectFrom('gaps').selectAll().execute();
      expect(gaps).toMatchObject([{ snapshotId: result.id, vault: 'offsite', code: 'E_VAULT_UNREACHABLE', failures: 2 }]);

      proxy.set({ mode: 'pass' });
      const later = await catchUp(one);
      expect(later).toMatchObject({ left: [], problems: [], copied: [{ snapshot: result.id, vault: 'offsite', objects: 5, adopted: 0 }] });
      expect((await latestGood(one.deps.catalog, 'dupont', 'database'))?.id).toBe(result.id);
      expect(await one.deps.catalog.db.selectFrom('gaps').selectAll().execute()).toEqual([]);
      await expectLocked(world.bucket, (await getSnapshot(one.deps.catalog, result.id)).keepUntil);
      expect((await catchUp(one)).copied).toEqual([]);
      await expectWhole(world);
    } finally {
      await one.close();
      await proxy.stop();
    }
  });

  it('dies in the middle of one run, too slow for the next - a catch-up adopts what had arrived and brings the rest, newest first', async () => {
    const vaults = ['nas', 'offsite'] as const;
    await using world = await makeWorld({ vaults, database });
    const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
    world.writeConfig({ vaults, database, endpoint: proxy.endpoint, limits: { vaultDeadline: '5s' } });
    // what hangs after the shop was read has the store's own limit
    writeFileSync(
      world.configFile,
      readFileSync(world.configFile, 'utf8').replace('offsite: true', 'offsite: true, timeouts: { request: 10s }'),
    );
    const pieces = (...ns: readonly number[]) => ns.map((n) => ({ name: `table ${n}`, bytes: MB, estimatedBytes: MB }));
    const first = await setting(world, pieces(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    const second = await setting(world, pieces(6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const failing = (of: Setting, fault: Parameters<typeof proxy.set>[0]): Setting => {
      let stored = 0;
      const debug = (fields: object) => 'event' in fields && fields.event === 'segment.stored' && ++stored === 1 && proxy.set(fault);
      return { ...of, deps: { ...of.deps, log: { ...of.deps.log, debug } } };
    };
    try {
      const died = await backup(failing(first, { mode: 'reset' }));
      expect(died.missing).toMatchObject([{ vault: 'offsite' }]);
      proxy.set({ mode: 'pass' });
      const slow = await backup(failing(second, { mode: 'blackHole' }));
      expect(slow.missing).toMatchObject([{ vault: 'offsite', code: 'E_VAULT_TIMEOUT' }]);
      proxy.set({ mode: 'pass' });

      // nothing to copy from: said of each, and tried again by the next one
      renameSync(world.nasPath, `${world.nasPath}.away`);
      const blind = await catchUp(first);
      expect(blind).toMatchObject({ copied: [], left: [slow, died].map(({ id }) => ({ snapshot: id, code: 'E_VAULT_UNREACHABLE' })) });
      renameSync(`${world.nasPath}.away`, world.nasPath);

      const { copied, left } = await catchUp(first);
      expect(left).toEqual([]);
      expect(copied.map((it) => `${it.snapshot} ${it.vault}`)).toEqual([`${slow.id} offsite`, `${died.id} offsite`]);
      // ten segments, index and manifest; of each the first segment at least had arrived
      expect(copied.map((it) => it.objects + it.adopted)).toEqual([12, 12]);
      for (const { adopted } of copied) expect(adopted).toBeGreaterThanOrEqual(1);
      await expectWhole(world);
      expect((await latestGood(first.deps.catalog, 'dupont', 'database'))?.id).toBe(slow.id);
    } finally {
      await first.close();
      await second.close();
      await proxy.stop();
    }
  });

  it('the nearest copy is damaged, small and large - the next vault serves, nothing of the damage arrives, and the damaged copies are mended', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
    const other = await freshBucket();
    const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
    world.writeConfig({ vaults: ['nas', 'offsite'], database, endpoint: proxy.endpoint });
    withSecondStore(world, other, 'nas, offsite, second');
    const one = await setting(world, PIECES);
    try {
      proxy.set({ mode: 'reset' });
      const { id, vaults } = await backup(one);
      expect(vaults).toEqual(['nas', 'second']);
      const segments = objectsOf(world, id, 'nas').filter((row) => row.kind === 'segment');
      const damaged = segments.filter((row) => row.sizeBytes > 50 * MB || row.sizeBytes < 2.5 * MB);
      expect(damaged).toHaveLength(2);
      for (const row of damaged) {
        const file = new StoredFile(world, row);
        file.replace(flipped(file.content, file.content.length - 100));
      }
      proxy.set({ mode: 'pass' });

      const { copied, left, problems } = await catchUp(one);
      expect(left).toEqual([]);
      expect(problems.map((it) => `${it.vault} ${it.code} ${it.key}`).sort()).toEqual(
        damaged.map((row) => `nas E_OBJECT_ALTERED ${row.key}`).sort(),
      );
      expect(copied).toMatchObject([
        { snapshot: id, vault: 'offsite', mended: null, objects: 5 },
        // both segments, and a manifest that names them; the index was whole
        { snapshot: id, vault: 'nas', mended: 'E_OBJECT_ALTERED', objects: 3, adopted: 2 },
      ]);
      // one version of each, no upload left behind
      const there = await inventory(world.bucket, 'prod/dupont/segments/');
      expect(there.versions).toHaveLength(3);
      expect(there.uploads).toEqual([]);
      await expectWhole(world);
      await expectWhole(world, other, 'second');
    } finally {
      await one.close();
      await proxy.stop();
      await other.release();
    }
  });

  it('added to the shop later - its history is copied, newest first, but for what is past its window; said beforehand by --dry-run', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database });
    const pieces = [1, 2, 3].map((n) => ({ name: `table ${n}`, bytes: MB, estimatedBytes: MB }));
    const ids: string[] = [];
    for (let n = 1; n <= 3; n++) {
      const one = await setting(world, pieces.slice(0, n));
      ids.unshift((await backup(one)).id);
      await one.close();
    }
    const [newest, older, oldest] = ids as [string, string, string];
    world.writeConfig({ vaults: ['nas', 'offsite'], database });
    const later = await setting(world, pieces);
    try {
      await later.deps.catalog.db.updateTable('snapshots').set({ completedAt: 1, keepUntil: 2 }).where('id', '=', oldest).execute();
      const red = (await world.here(['status'])).json.shops[0];
      expect(red.lacking).toEqual([{ vault: 'offsite', missing: [newest, older], damaged: [], reason: null }]);
      expect(red.red.join('\n')).toContain('vault offsite lacks 2 snapshots');

      const { deps } = later;
      const said = await previewCatchUp(deps.catalog, deps.clock, deps.config, later.shop);
      const done = await catchUp(later);
      expect(done.copied.map((it) => it.snapshot)).toEqual([newest, older]);
      expect(done.passed).toEqual([{ snapshot: oldest, vault: 'offsite' }]);
      const counts = (result: CatchUpResult) => result.copied.map(({ objects, adopted }) => ({ objects, adopted }));
      expect(counts(said)).toEqual(counts(done));
      await expectLocked(
        world.bucket,
        (await getSnapshot(deps.catalog, newest)).keepUntil,
        (await getSnapshot(deps.catalog, older)).keepUntil,
      );
      expect((await world.here(['status'])).json.shops[0].lacking).toEqual([]);
      await expectWhole(world);
    } finally {
      await later.close();
    }
  });
});

/** A further vault `second`, like `offsite` but in another bucket, not behind any proxy. */
function withSecondStore(world: World, bucket: Bucket, vaults: string): void {
  const config = readFileSync(world.configFile, 'utf8');
  const offsite = /^ {2}offsite: .*$/m.exec(config)?.[0] ?? '';
  const second = offsite
    .replace('offsite:', 'second:')
    .replace(/endpoint: "[^"]*"/, `endpoint: "${bucket.store.endpoint}"`)
    .replace(world.bucket.name, bucket.name);
  writeFileSync(world.configFile, config.replace(offsite, `${offsite}\n${second}`).replace(/vaults: \[.*\]/, `vaults: [${vaults}]`));
}
