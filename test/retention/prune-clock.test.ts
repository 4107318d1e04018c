import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { acknowledgeIncident, listIncidents } from '../../src/catalog/incidents.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { listSnapshots } from '../../src/catalog/snapshots.ts';
import { systemClock } from '../../src/clock.ts';
import { pruneShop } from '../../src/retention/prune.ts';
import { filesystemVault } from '../billing/benches.ts';
import { FakeClock } from '../fake-clock.ts';
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

describe('a shop in folders alone, whose own clocks are ours', () => {
  const place = async () => {
    const dir = await tempDir();
    const clock = new FakeClock();
    const catalog = await openCatalog(join(dir, 'state'));
    onTestFinished(() => catalog.close());
    const nas = await filesystemVault('nas', join(dir, 'nas'), clock);
    const world: World = { catalog, clock, vaults: [nas], retentionMs: 14 * DAY_MS };
    const prune = () =>
      pruneShop(
        { catalog, clock, openVault: async () => nas },
        { shop: SHOP, vaults: ['nas'], retentionMs: 14 * DAY_MS, ceilingMs: 90 * DAY_MS, clockSkewMs: 60_000, who: 'test' },
      );
    /** Backed up and pruned daily. */
    const days = async (count: number): Promise<void> => {
      for (let day = 0; day < count; day++) {
        await take(world);
        expect((await prune()).errors).toEqual([]);
        clock.advance(DAY_MS);
      }
    };
    return { catalog, clock, days, nas, prune, world };
  };

  test('our clock jumps a year ahead, and a backup comes before the prune - nothing is given up until somebody says that it is right', async () => {
    const { catalog, clock, days, nas, prune, world } = await place();
    await days(5);
    clock.setWall(clock.nowMs() + 365 * DAY_MS);
    const late = await take(world);
    const taken = (await listSnapshots(catalog)).map((row) => row.id);
    expect(taken).toHaveLength(6);
    for (let again = 0; again < 2; again++) await expect(prune()).rejects.toMatchObject({ code: 'E_CLOCK_JUMP' });
    expect((await listSnapshots(catalog)).map((row) => row.id)).toEqual(taken);
    await expectNothingMissing(catalog, [nas]);
    const incidents = await listIncidents(catalog.db);
    expect(incidents).toMatchObject([{ kind: 'clock', vault: 'nas', shop: '_coffre', acknowledgedAt: null }]);

    // the clock is set right again: the window goes on as it was, whatever the year ahead says
    const wrongMs = clock.nowMs();
    clock.setWall(wrongMs - 365 * DAY_MS);
    expect((await prune()).removed).toEqual([]);

    clock.setWall(wrongMs);
    await acknowledgeIncident(catalog, clock, incidents[0]?.id ?? '', { who: 'marie', reason: 'the machine was off for a year' });
    expect((await prune()).errors).toEqual([]);
    expect((await listSnapshots(catalog)).map((row) => row.id)).toEqual([late.snapshot]);
  });

  test('a machine that was off for a week - goes on by itself', async () => {
    const { catalog, clock, days, prune } = await place();
    await days(10);
    clock.advance(7 * DAY_MS);
    expect((await prune()).errors).toEqual([]);
    expect((await listSnapshots(catalog)).length).toBeLessThan(10);
    expect(await listIncidents(catalog.db)).toEqual([]);
  });
});
