import { expect, onTestFinished, test } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { listSnapshots } from '../../src/catalog/snapshots.ts';
import { systemClock } from '../../src/clock.ts';
import { pruneShop } from '../../src/retention/prune.ts';
import { freshBucket } from '../servers/s3.ts';
import { tempDir } from '../temp-dir.ts';
import { movedClock, vaultOn } from '../vault/s3-bench.ts';
import { expectNothingMissing, SHOP, take, type World } from './world.ts';

const DAY_MS = 86_400_000;

test.each([5 * 60_000, 30 * DAY_MS])(
  'our clock is %i ms ahead of the store’s - nothing is chosen, no snapshot is given up',
  async (aheadMs) => {
    const bucket = await freshBucket();
    onTestFinished(() => bucket.release());
    const catalog = await openCatalog(await tempDir());
    onTestFinished(() => catalog.close());
    const vault = vaultOn(bucket);
    onTestFinished(() => vault.close());
    const retentionMs = 60_000;
    const world: World = { catalog, clock: systemClock, vaults: [vault], retentionMs };
    const taken = [await take(world), await take(world), await take(world)].map((it) => it.snapshot);
    const clock = movedClock(aheadMs);
    const pruning = pruneShop(
      { catalog, clock, openVault: async () => vaultOn(bucket, {}, clock) },
      { shop: SHOP, vaults: ['offsite'], retentionMs, ceilingMs: 90 * DAY_MS, clockSkewMs: 60_000, who: 'test' },
    );
    await expect(pruning).rejects.toMatchObject({ code: 'E_CLOCK_SKEW' });
    expect((await listSnapshots(catalog)).map((row) => row.id).sort()).toEqual([...taken].sort());
    await expectNothingMissing(catalog, [vault]);
  },
);
