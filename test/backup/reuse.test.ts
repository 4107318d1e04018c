import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import type { Catalog } from '../../src/catalog/open.ts';
import { systemClock } from '../../src/clock.ts';
import { recipientOf } from '../../src/segment/age.ts';
import { createIdentity } from '../../src/segment/identity-store.ts';
import { makeWorld } from '../world/world.ts';
import { database, MB, never, setting } from './setting.ts';

/** Latest lock ends (epoch milliseconds) of the segments and of the identity of the run `runId`. */
async function longestLocks(catalog: Catalog, runId: string): Promise<{ bySegments: number; byKey: number }> {
  const rows = await catalog.db.selectFrom('objects').select(['kind', 'retainUntil']).where('runId', '=', runId).execute();
  const last = (kind: string): number => Math.max(...rows.flatMap((row) => (row.kind === kind ? (row.retainUntil ?? 0) : [])));
  return { bySegments: last('segment'), byKey: last('key') };
}

const pieces = [1, 2].map((n) => ({ name: `part ${n}`, bytes: MB, estimatedBytes: MB }));

describe('what a run may build on', () => {
  it('the shop has another identity - nothing sealed to the old one is reused, and the snapshot opens with the new one', async () => {
    await using world = await makeWorld({ database });
    const { deps, shop, close } = await setting(world, pieces);
    try {
      await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      for (const name of ['identities/dupont.key', 'dupont.age', 'dupont.pub']) rmSync(join(world.keyDir, name));
      await createIdentity({
        keyDir: world.keyDir,
        shop: 'dupont',
        recoveryRecipients: [await recipientOf(world.recovery)],
        clock: systemClock,
      });
      const second = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      expect(second).toMatchObject({ segments: 2, reusedSegments: 0 });
      const { json } = await world.here(['verify', 'dupont', '--read-data']);
      const verified = json.shops[0].snapshots.find((snapshot: { id: string }) => snapshot.id === second.id);
      expect(verified.vaults[0].errors).toEqual([]);
      const third = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      expect(third).toMatchObject({ segments: 2, reusedSegments: 2 });
      // reuse moved the segments' locks beyond the snapshot's: the identity that opens them must last as long
      const { bySegments, byKey } = await longestLocks(deps.catalog, second.id);
      expect(bySegments).toBeGreaterThan(Date.parse(third.lock.retainUntil));
      expect(byKey).toBeGreaterThanOrEqual(bySegments);
    } finally {
      await close();
    }
  }, 180_000);

  it('the vault changes from GOVERNANCE to COMPLIANCE - what has the weaker lock is stored anew, the identity too', async () => {
    await using world = await makeWorld({ database, lockMode: 'GOVERNANCE' });
    const before = await setting(world, pieces);
    try {
      await backupSource(before.deps, { shop: before.shop, source: 'database', full: false, signal: never });
    } finally {
      await before.close();
    }
    world.writeConfig({ database, lockMode: 'COMPLIANCE' });
    const after = await setting(world, pieces);
    try {
      const request = { shop: after.shop, source: 'database', full: false, signal: never } as const;
      expect(await backupSource(after.deps, request)).toMatchObject({ reusedSegments: 0, missing: [], lock: { mode: 'COMPLIANCE' } });
      expect(await backupSource(after.deps, request)).toMatchObject({ reusedSegments: 2, missing: [], lock: { mode: 'COMPLIANCE' } });
    } finally {
      await after.close();
    }
    expect(
      (await world.here(['verify', 'dupont'])).json.shops[0].snapshots.flatMap((s: { vaults: { errors: unknown[] }[] }) =>
        s.vaults.flatMap((v) => v.errors),
      ),
    ).toEqual([]);
    // and back: a stronger lock than asked for is as good
    world.writeConfig({ database, lockMode: 'GOVERNANCE' });
    const back = await setting(world, pieces);
    try {
      const result = await backupSource(back.deps, { shop: back.shop, source: 'database', full: false, signal: never });
      expect(result).toMatchObject({ reusedSegments: 2, missing: [] });
    } finally {
      await back.close();
    }
  }, 180_000);

  it('one vault is away for days - increments go on building on what the other one holds; when it is back it gets everything', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'] });
    const root = join(world.dir, 'shop');
    mkdirSync(root);
    world.writeConfig({ vaults: ['nas', 'offsite'], files: { root } });
    const marker = readdirSync(world.nasPath).find((name) => statSync(join(world.nasPath, name)).isFile()) as string;
    const backup = async (file: string) => {
      writeFileSync(join(root, file), randomBytes(MB));
      return (await world.here(['backup', 'dupont'])).json.snapshots[0];
    };
    expect((await backup('one')).vaults).toEqual(['nas', 'offsite']);
    renameSync(join(world.nasPath, marker), join(world.dir, marker));
    expect((await backup('two')).vaults).toEqual(['offsite']);
    const third = await backup('three');
    expect(third.vaults).toEqual(['offsite']);
    expect(third.newBytes).toBeLessThan(1.5 * MB);
    renameSync(join(world.dir, marker), join(world.nasPath, marker));
    const fourth = await backup('four');
    expect(fourth).toMatchObject({ vaults: ['nas', 'offsite'], missing: [] });
    expect(fourth.newBytes).toBeGreaterThan(3 * MB);
    await world.okHere(['verify', 'dupont', '--read-data']);
    await world.okHere(['restore', 'dupont', '--to-dir', join(world.dir, 'back'), '--from', 'nas']);
  }, 180_000);
});
