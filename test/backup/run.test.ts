import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { Ledger } from '../../src/billing/ledger.ts';
import { latestGood, snapshotSegments } from '../../src/catalog/snapshots.ts';
import { CoffreError } from '../../src/errors.ts';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld } from '../world/world.ts';
import { database, MB, never, setting } from './setting.ts';

const bound = (of: object, name: string | symbol): unknown => {
  const value = Reflect.get(of, name, of);
  return typeof value === 'function' ? value.bind(of) : value;
};

describe('a run', () => {
  it('parts small, larger than estimated and large - all stored in every vault, and what did not change is not stored again', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
    const pieces = [
      { name: 'small', bytes: 3 * MB, estimatedBytes: 3 * MB },
      { name: 'grew', bytes: 75 * MB, estimatedBytes: 1 * MB },
      { name: 'large', bytes: 60 * MB, estimatedBytes: 60 * MB },
    ];
    const { deps, shop, close } = await setting(world, pieces);
    try {
      const first = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      expect(first).toMatchObject({ vaults: ['nas', 'offsite'], segments: 3, reusedSegments: 0, complete: true, missing: [] });
      const good = await latestGood(deps.catalog, 'dupont', 'database');
      expect(good?.id).toBe(first.id);
      const sizes = (await snapshotSegments(deps.catalog, first.id)).map((segment) => segment.plainBytes);
      expect(sizes).toEqual(pieces.map((piece) => piece.bytes));
      expect(readdirSync(join(deps.config.stateDir, 'runs'))).toEqual([]);

      const second = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      // a large part is streamed: whether it changed is known only when it is stored
      expect(second).toMatchObject({ segments: 3, reusedSegments: 2 });
      expect((await world.okHere(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    } finally {
      await close();
    }
  });

  it('the source fails in the middle - no snapshot, its code, the level as the store says; the next run adopts', async () => {
    await using world = await makeWorld({ database });
    const pieces = [
      { name: 'one', bytes: 2 * MB, estimatedBytes: 2 * MB },
      { name: 'two', bytes: 2 * MB, estimatedBytes: 2 * MB },
    ];
    const broken = await setting(world, [...pieces, { name: 'three', bytes: MB, estimatedBytes: MB, fail: true }]);
    try {
      await expect(backupSource(broken.deps, { shop: broken.shop, source: 'database', full: true, signal: never })).rejects.toMatchObject({
        code: 'E_DB_READ',
      });
    } finally {
      await broken.close();
    }
    expect((await world.okHere(['snapshots'])).json.snapshots).toEqual([]);
    expect((await world.okHere(['billing', 'level'])).json.levelBytes).toBe((await inventory(world.bucket)).totalBytes);
    const mended = await setting(world, [...pieces, { name: 'three', bytes: MB, estimatedBytes: MB }]);
    try {
      const result = await backupSource(mended.deps, { shop: mended.shop, source: 'database', full: true, signal: never });
      expect(result).toMatchObject({ segments: 3, reusedSegments: 2, full: true });
      // adopted, not reused: locked for this snapshot's window and its margin, not for a week of increments as well
      const [{ last }] = (await mended.deps.catalog.db
        .selectFrom('objects')
        .select((eb) => eb.fn.max('retainUntil').as('last'))
        .execute()) as [{ last: number }];
      expect(last - Date.parse(result.lock.retainUntil)).toBeLessThan(60_000);
      // built on, although a cut-off run had stored them: no full archive
      const both = await setting(world, pieces);
      const increment = await backupSource(both.deps, { shop: both.shop, source: 'database', full: false, signal: never }).finally(
        both.close,
      );
      expect(increment).toMatchObject({ segments: 2, reusedSegments: 2, full: false });
      // what that snapshot took up is its own now: the next full reading stores everything anew
      const anew = await backupSource(mended.deps, { shop: mended.shop, source: 'database', full: true, signal: never });
      expect(anew).toMatchObject({ segments: 3, reusedSegments: 0, full: true });
    } finally {
      await mended.close();
    }
  });

  it('a vault that cannot be asked what a killed run left there - it leaves the run, and the other one has the snapshot', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
    const { deps, shop, close } = await setting(world, [{ name: 'one', bytes: MB, estimatedBytes: MB }]);
    try {
      const left = { shop: 'dupont', kind: 'segment', refId: 'x', runId: 'dead', expectedBytes: 1 } as const;
      await new Ledger(deps.catalog, deps.clock).intent({ ...left, vault: 'offsite', key: 'dupont/segments/x.sql.zst.age' });
      const openVault: typeof deps.openVault = async (config) => {
        const vault = await deps.openVault(config);
        const refuse = (): never => {
          throw new CoffreError('E_VAULT_DENIED', 'no right to list uploads');
        };
        return config.name === 'nas' ? vault : new Proxy(vault, { get: (it, name) => (name === 'listUploads' ? refuse : bound(it, name)) });
      };
      const result = await backupSource({ ...deps, openVault }, { shop, source: 'database', full: false, signal: never });
      expect(result).toMatchObject({ vaults: ['nas'], missing: [{ vault: 'offsite', code: 'E_VAULT_DENIED' }] });
    } finally {
      await close();
    }
  });

  it('its own journal cannot be written - the source is let go of all the same: it may hold locks of the shop’s database', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database });
    const { deps, shop, close } = await setting(world, [{ name: 'one', bytes: MB, estimatedBytes: MB }]);
    try {
      let held = 0;
      const openSource: typeof deps.openSource = async (...args) => {
        const source = await deps.openSource(...args);
        const [run] = readdirSync(join(deps.config.stateDir, 'runs'));
        mkdirSync(join(deps.config.stateDir, 'runs', run as string, 'index.ndjson'));
        const open: typeof source.open = async (options) => {
          const reading = await source.open(options);
          held++;
          const letGo = async (): Promise<void> => {
            held--;
          };
          return { ...reading, close: letGo };
        };
        return { ...source, open };
      };
      const run = backupSource({ ...deps, openSource }, { shop, source: 'database', full: false, signal: never });
      await expect(run).rejects.toMatchObject({ code: 'E_STATE' });
      expect(held).toBe(0);
    } finally {
      await close();
    }
  });

  it('stopped before its commit - the copies of index and manifest that it left on this machine go with the next run', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database });
    const { deps, shop, close } = await setting(world, [{ name: 'one', bytes: MB, estimatedBytes: MB }]);
    try {
      const stop = new AbortController();
      const debug = (fields: object): void => {
        if ('event' in fields && fields.event === 'lock.done') stop.abort(new CoffreError('E_INTERRUPTED', 'stopped by the test'));
      };
      const stopped = backupSource(
        { ...deps, log: { ...deps.log, debug } },
        { shop, source: 'database', full: false, signal: stop.signal },
      );
      await expect(stopped).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
      const kept = (folder: string): string[] => readdirSync(join(deps.config.stateDir, folder, 'dupont'));
      expect(kept('indexes')).toHaveLength(1);
      const { id } = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      expect(kept('indexes')).toEqual([`${id}.ndjson.zst`]);
      expect(kept('manifests')).toEqual([`${id}.nas.json`]);
    } finally {
      await close();
    }
  });

  it('a vault that dies in the middle leaves the run - the snapshot is in the other one, named degraded, and not good', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
    const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
    world.writeConfig({ vaults: ['nas', 'offsite'], database, endpoint: proxy.endpoint });
    const { deps, shop, close } = await setting(
      world,
      [1, 2, 3].map((n) => ({ name: `part ${n}`, bytes: 4 * MB, estimatedBytes: 4 * MB })),
    );
    try {
      await world.coffre(['doctor']);
      let stored = 0;
      const log = {
        ...deps.log,
        debug: (fields: object) => 'event' in fields && fields.event === 'segment.stored' && ++stored === 1 && proxy.set({ mode: 'reset' }),
      };
      const result = await backupSource({ ...deps, log }, { shop, source: 'database', full: false, signal: never });
      expect(result.vaults).toEqual(['nas']);
      expect(result.missing).toMatchObject([{ vault: 'offsite', code: 'E_VAULT_UNREACHABLE' }]);
      expect(await latestGood(deps.catalog, 'dupont', 'database')).toBeNull();
    } finally {
      await close();
      await proxy.stop();
    }
    const status = await world.here(['status']);
    expect(status.status).toBe(1);
    expect(status.json.shops[0].red.join('\n')).toContain('no good snapshot');
  });
});
