import { GetObjectRetentionCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { type CatchUpResult, catchUpShop } from '../../src/backup/catch-up.ts';
import { backupSource } from '../../src/backup/run.ts';
import { getSnapshot, latestGood } from '../../src/catalog/snapshots.ts';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { type Bucket, inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';
import { database, MB, never, type Setting, setting } from './setting.ts';

const PIECES = [
  { name: 'one', bytes: 3 * MB, estimatedBytes: 3 * MB },
  { name: 'two', bytes: 2 * MB, estimatedBytes: 2 * MB },
  { name: 'large', bytes: 60 * MB, estimatedBytes: 60 * MB },
];

const backup = ({ deps, shop }: Setting) => backupSource(deps, { shop, source: 'database', full: false, signal: never });
const catchUp = ({ deps: { onProgress: _, ...deps }, shop }: Setting): Promise<CatchUpResult> => catchUpShop(deps, { shop, signal: never });

/** Everything is there, as written, locked; the bill agrees with the store. */
async function expectWhole(world: World, bucket = world.bucket, vault = 'offsite'): Promise<void> {
  expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  const { shops } = (await world.ok(['billing', 'level'])).json;
  const level = shops
    .filter((row: { vault: string }) => row.vault === vault)
    .reduce((sum: number, row: { levelBytes: number }) => sum + row.levelBytes, 0);
  expect(level).toBe((await inventory(bucket)).totalBytes);
}

/** Each version below the shop is locked, as the store itself says, until the snapshot's promise at least. */
async function expectLocked(bucket: Bucket, promisedMs: number): Promise<void> {
  const { versions } = await inventory(bucket, 'prod/dupont/');
  expect(versions.length).toBeGreaterThan(0);
  for (const { key, versionId } of versions) {
    const request = { Bucket: bucket.name, Key: key, VersionId: versionId };
    const { Retention } = await bucket.client.send(new GetObjectRetentionCommand(request));
    expect(Retention?.Mode, key).toBe('COMPLIANCE');
    const end = Retention?.RetainUntilDate?.getTime() ?? 0;
    expect(end, key).toBeGreaterThanOrEqual(promisedMs);
    // the promise, its margin of ten minutes, and the store's whole second: no longer
    expect(end - promisedMs, key).toBeLessThanOrEqual(10 * 60_000 + 1_000);
  }
}

describe('a vault that lacks a snapshot', () => {
  it('away at the start - degraded with the reason, red; back again it is caught up, verifies, is locked as promised, and the level is right', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
    const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
    world.writeConfig({ vaults: ['nas', 'offsite'], database, endpoint: proxy.endpoint });
    const one = await setting(world, PIECES);
    try {
      await world.coffre(['doctor']);
      proxy.set({ mode: 'reset' });
      const result = await backup(one);
      expect(result).toMatchObject({ vaults: ['nas'], missing: [{ vault: 'offsite', code: 'E_VAULT_UNREACHABLE' }] });

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
});
