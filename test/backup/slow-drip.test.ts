// A store that takes what it is given, or gives what it is asked for, a byte now and then: never silent, and never done.
import { expect, test } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { systemClock } from '../../src/clock.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { makeWorld, type World } from '../world/world.ts';
import { database, MB, never, setting } from './setting.ts';

/** Well below what the requests of an upload may take together (two minutes, and two minutes and a half for 9 MB), well above the deadline. */
const SOON_MS = 90_000;

async function behindProxy(work: (world: World, proxy: FaultProxy) => Promise<void>): Promise<void> {
  await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
  const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
  try {
    world.writeConfig({ vaults: ['nas', 'offsite'], database, endpoint: proxy.endpoint, limits: { vaultDeadline: '4s' } });
    await work(world, proxy);
  } finally {
    await proxy.stop();
  }
}

test.each([
  ['a segment, one byte a second', 9 * MB, 1],
  ['a segment, 20 kB a second', 9 * MB, 20_000],
  ['a large part that is streamed, 20 kB a second', 60 * MB, 20_000],
])('%s - the vault leaves the run by limits.vaultDeadline, the other one has the snapshot', async (_what, bytes, bytesPerSecond) => {
  await behindProxy(async (world, proxy) => {
    const { deps, shop, close } = await setting(world, [{ name: 'dripped', bytes, estimatedBytes: bytes }]);
    try {
      // when the vaults were admitted, and before anything is sent
      const openSource: typeof deps.openSource = async (...of) => {
        const source = await deps.openSource(...of);
        const open: typeof source.open = async (options) => {
          await options.previous;
          proxy.set({ mode: 'throttle', bytesPerSecond });
          return await source.open(options);
        };
        return { ...source, open };
      };
      const beganMs = systemClock.monotonicMs();
      const request = { shop, source: 'database', full: true, signal: never } as const;
      const result = await backupSource({ ...deps, openSource }, request);
      expect(systemClock.monotonicMs() - beganMs).toBeLessThan(SOON_MS);
      expect(result).toMatchObject({ vaults: ['nas'], missing: [{ vault: 'offsite', code: 'E_VAULT_TIMEOUT' }] });
    } finally {
      proxy.set({ mode: 'reset' });
      await close();
    }
  });
});
