import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { checkChain } from '../../src/billing/chain.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { listSnapshots } from '../../src/catalog/snapshots.ts';
import { pruneShop } from '../../src/retention/prune.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { filesystemVault, folderBytes } from '../billing/benches.ts';
import { startChild } from '../child.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { agreeing } from '../vault/agreeing-folder.ts';
import { expectLevel, expectNothingMissing, keysIn, SHOP, take } from './world.ts';

const CHILD = join(import.meta.dirname, 'prune-in-child.ts');
const DAY = 86_400_000;
const RETENTION_MS = 3 * DAY;
const VAULTS = ['nas', 'offsite'];

async function openVaults(dir: string, clock: FakeClock): Promise<Vault[]> {
  return await Promise.all(VAULTS.map(async (name) => agreeing(await filesystemVault(name, join(dir, name), clock), clock)));
}

/** Two full snapshots with increments that reuse their segments, a killed run, an incomplete one: much of it past its window. */
async function buildWorld(dir: string): Promise<FakeClock> {
  const clock = new FakeClock();
  const vaults = await openVaults(dir, clock);
  const world = { clock, vaults, retentionMs: RETENTION_MS };
  const dying = await openCatalog(join(dir, 'state'));
  const full = await take({ ...world, catalog: dying }, { fresh: [100, 200, 300] });
  clock.advance(3_600_000);
  await take({ ...world, catalog: dying }, { fresh: [40], reuse: full.segments.slice(0, 1), dieAfter: 'manifest' });
  await dying.close();
  const catalog = await openCatalog(join(dir, 'state'));
  clock.advance(3_600_000);
  await take({ ...world, catalog }, { fresh: [10], reuse: full.segments.slice(0, 2), complete: false });
  clock.advance(3_600_000);
  await take({ ...world, catalog }, { fresh: [11], reuse: full.segments.slice(0, 2), into: ['nas'] });
  clock.advance(3 * DAY);
  await take({ ...world, catalog }, { fresh: [500] });
  clock.advance(3_600_000);
  await catalog.close();
  return clock;
}

/** A copy with its times to the nanosecond: a folder's version ids are made of them. */
async function copyWorld(from: string): Promise<string> {
  const to = await tempDir();
  await promisify(execFile)('cp', ['-a', `${from}/.`, to]);
  return to;
}

async function checkAll(dir: string, catalog: Catalog, vaults: readonly Vault[], exactLevel: boolean): Promise<void> {
  await expectNothingMissing(catalog, vaults);
  expect((await checkChain(catalog)).brokenAt).toBeNull();
  if (exactLevel) for (const vault of vaults) await expectLevel(catalog, vault, await folderBytes(join(dir, vault.name)));
}

test('SIGKILL after every step of a prune - all snapshots that stay restore, and the next prune ends where an undisturbed one does', async () => {
  const template = await tempDir();
  const clock = await buildWorld(template);
  const now = clock.nowMs();

  const prune = async (dir: string): Promise<{ catalog: Catalog; vaults: Vault[]; run: () => ReturnType<typeof pruneShop> }> => {
    const at = new FakeClock(now + 1000);
    const vaults = await openVaults(dir, at);
    const catalog = await openCatalog(join(dir, 'state'));
    onTestFinished(() => catalog.close());
    const openVault = async (name: string): Promise<Vault> => vaults.find((vault) => vault.name === name) as Vault;
    const request = { shop: SHOP, vaults: VAULTS, retentionMs: RETENTION_MS, ceilingMs: 90 * DAY, clockSkewMs: 60_000, who: 'test' };
    return { catalog, vaults, run: () => pruneShop({ catalog, clock: at, openVault }, request) };
  };

  const undisturbed = await copyWorld(template);
  const reference = await prune(undisturbed);
  const expected = await reference.run();
  expect(expected.errors).toEqual([]);
  expect(expected.removed.length).toBeGreaterThan(4);
  const survivors = (await listSnapshots(reference.catalog)).map((row) => row.id);
  const keys = await Promise.all(reference.vaults.map(keysIn));
  await checkAll(undisturbed, reference.catalog, reference.vaults, true);

  const died: string[] = [];
  for (let step = 1; ; step++) {
    const dir = await copyWorld(template);
    const child = startChild(CHILD, [dir, String(now), String(step), String(RETENTION_MS)]);
    const where = await child.line();
    await child.ended();
    if (where === 'finished') break;
    expect(child.process.signalCode).toBe('SIGKILL');
    died.push(where);
    const { catalog, vaults, run } = await prune(dir);
    // killed between a deletion and its row, the ledger knows of bytes that are gone; otherwise it is exact even now
    await checkAll(dir, catalog, vaults, false);
    const before = new Set((await listSnapshots(catalog)).map((row) => row.id));
    for (const survivor of survivors) expect(before).toContain(survivor);
    const result = await run();
    expect(result.errors, where).toEqual([]);
    expect(result.foreign, where).toEqual([]);
    await checkAll(dir, catalog, vaults, true);
    expect((await listSnapshots(catalog)).map((row) => row.id)).toEqual(survivors);
    expect(await Promise.all(vaults.map(keysIn))).toEqual(keys);
    expect(await catalog.db.selectFrom('pins').selectAll().execute()).toEqual([]);
    expect(await catalog.db.selectFrom('objects').select('id').where('state', '=', 'tombstone').execute()).toEqual([]);
    await catalog.close();
  }
  expect(new Set(died)).toEqual(new Set(['reconciled', 'kept-ahead', 'tombstoned', 'deleted', 'released', 'forget', 'removed']));
  expect(died.length).toBeGreaterThan(30);
}, 240_000);
