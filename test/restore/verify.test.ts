import { chmodSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { getSnapshot, listSnapshots } from '../../src/catalog/snapshots.ts';
import { systemClock } from '../../src/clock.ts';
import type { VaultConfig } from '../../src/config/config.ts';
import { listShop, verifyCopy } from '../../src/restore/verify.ts';
import { flipped, objectsOf, StoredFile, type StoredRow } from '../acceptance/attack.ts';
import { database, MB, never, setting } from '../backup/setting.ts';
import { FakeClock } from '../fake-clock.ts';
import { makeWorld, type World } from '../world/world.ts';

const pieces = [1, 2].map((n) => ({ name: `part ${n}`, bytes: MB, estimatedBytes: MB }));

/** What a folder vault keeps beside an object. */
class AdvisoryLock {
  readonly #path: string;
  readonly #content: Buffer;

  constructor(world: World, key: string) {
    this.#path = join(world.nasPath, '.locks', `${key}.json`);
    this.#content = readFileSync(this.#path);
  }

  remove(): void {
    chmodSync(this.#path, 0o600);
    rmSync(this.#path);
  }

  putBack(): void {
    writeFileSync(this.#path, this.#content, { mode: 0o400 });
  }
}

describe('verify', () => {
  it('a rotten segment was found by reading - a check that does not read it cannot make the snapshot good again', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database });
    const { deps, shop, close } = await setting(world, pieces);
    try {
      const { id: older } = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      const { id } = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      const isGood = async (which = id): Promise<boolean> => (await getSnapshot(deps.catalog, which)).good;
      const segment = objectsOf(world, id, 'nas').find((row) => row.kind === 'segment') as StoredRow;
      const file = new StoredFile(world, segment);
      file.replace(flipped(file.content));
      expect(await isGood()).toBe(true);
      expect((await world.here(['verify', 'dupont', '--read-data'])).status).toBe(6);
      expect([await isGood(), await isGood(older)]).toEqual([false, false]);
      // nor does the next run build on it
      expect(await backupSource(deps, { shop, source: 'database', full: false, signal: never })).toMatchObject({ reusedSegments: 0 });
      const shallow = await world.here(['verify', 'dupont']);
      expect(shallow.status).toBe(6);
      expect(shallow.json.shops[0].snapshots.find((s: { id: string }) => s.id === id).vaults[0].errors[0].message).toContain(
        'an earlier verification',
      );
      expect(await isGood()).toBe(false);
      file.undo();
      await world.here(['verify', 'dupont', '--read-data=50']);
      expect(await isGood()).toBe(false);
      await world.okHere(['verify', 'dupont', '--read-data']);
      expect(await isGood()).toBe(true);
      await world.okHere(['verify', 'dupont']);
    } finally {
      await close();
    }
  }, 180_000);

  it('the newest good snapshot has outlived its window and its lock - said, each time, until a newer one takes its place', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database, retention: '1s' });
    const { deps, shop, close } = await setting(world, pieces);
    try {
      await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      await deps.clock.sleep(3_000);
      for (let time = 0; time < 2; time++) {
        const { json } = await world.here(['verify', 'dupont']);
        expect(json.error?.code).toBe('E_LOCK_DROPPED');
      }
      world.writeConfig({ vaults: ['nas'], database, retention: '1h' });
      const later = await setting(world, pieces);
      try {
        await backupSource(later.deps, { shop: later.shop, source: 'database', full: true, signal: never });
      } finally {
        await later.close();
      }
      await world.okHere(['verify', 'dupont']);
    } finally {
      await close();
    }
  }, 180_000);

  it('one past its window shares objects with a newer one that lost a lock - the newer one is to blame, and what was promised to none but the old one is its own', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database, retention: '1h' });
    const first = await setting(world, pieces);
    const { id: old } = await backupSource(first.deps, { shop: first.shop, source: 'database', full: false, signal: never });
    await first.close();
    world.writeConfig({ vaults: ['nas'], database, retention: '14d' });
    const { config, deps, shop, close } = await setting(world, pieces);
    try {
      const { id: young, reusedSegments } = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      expect(reusedSegments).toBeGreaterThan(0);
      const vault = await deps.openVault(config.vaults.get('nas') as VaultConfig);
      const listing = await listShop(vault, 'dupont');
      let clock = new FakeClock(systemClock.nowMs() + 2 * 3_600_000);
      const found = async (): Promise<(string | undefined)[]> => {
        const codes = [];
        for (const snapshot of await listSnapshots(deps.catalog, 'dupont')) {
          const verify = { catalog: deps.catalog, clock, identities: null, trusted: [], signal: never, onProgress: () => {} };
          const { errors } = await verifyCopy(verify, vault, snapshot, listing, { percent: 0, chosen: new Set(), alreadyRead: new Set() });
          codes.push(errors[0]?.code);
        }
        return codes;
      };
      const isGood = async (): Promise<boolean[]> =>
        await Promise.all([young, old].map(async (id) => (await getSnapshot(deps.catalog, id)).good));
      expect(await found()).toEqual([undefined, undefined]);
      const shared = objectsOf(world, old, 'nas').find((row) => row.kind === 'segment') as StoredRow;
      const lock = new AdvisoryLock(world, shared.key);
      lock.remove();
      for (let time = 0; time < 2; time++) {
        expect(await found()).toEqual(['E_LOCK_DROPPED', undefined]);
        expect(await isGood()).toEqual([false, true]);
      }
      lock.putBack();
      expect(await found()).toEqual([undefined, undefined]);
      // its window is over, what it was locked for is not
      clock = new FakeClock((await getSnapshot(deps.catalog, old)).keepUntil + 1);
      const own = new AdvisoryLock(world, (objectsOf(world, old, 'nas').find((row) => row.kind === 'manifest') as StoredRow).key);
      own.remove();
      expect(await found()).toEqual([undefined, 'E_LOCK_DROPPED']);
      own.putBack();
      expect(await found()).toEqual([undefined, undefined]);
    } finally {
      await close();
    }
  }, 180_000);

  it('the sealed identity is gone from a vault, or is another - red, since nothing there can be opened without it', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database });
    const { deps, shop, close } = await setting(world, pieces);
    try {
      await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      await world.okHere(['verify', 'dupont']);
      const [key] = readdirSync(join(world.nasPath, 'dupont/keys'));
      const path = join(world.nasPath, 'dupont/keys', key as string);
      renameSync(path, join(world.dir, 'key'));
      const gone = await world.here(['verify', 'dupont']);
      expect(gone.status).toBe(6);
      expect(gone.json.shops[0].errors).toMatchObject([{ vault: 'nas', code: 'E_OBJECT_MISSING' }]);
      renameSync(join(world.dir, 'key'), path);
      await world.okHere(['verify', 'dupont']);
      const promise = (lockMode: string) => deps.catalog.db.updateTable('objects').set({ lockMode }).where('kind', '=', 'key').execute();
      await promise('GOVERNANCE');
      expect((await world.coffre(['verify', 'dupont'])).json.shops[0].errors).toMatchObject([{ code: 'E_LOCK_DROPPED' }]);
      await promise('advisory');
      writeFileSync(join(world.keyDir, 'dupont.age'), 'another');
      expect((await world.here(['verify', 'dupont'])).json.shops[0].errors).toMatchObject([{ code: 'E_OBJECT_ALTERED' }]);
    } finally {
      await close();
    }
  }, 180_000);
});
