// A vault that hangs when locks are moved to their horizon: the run ends by its vault's deadline, or at once when it is told to stop.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { systemClock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { hangs, type LyingStore, startLyingStore } from '../servers/lying-store.ts';
import { sharedStore } from '../servers/s3.ts';
import { tempDir } from '../temp-dir.ts';
import { failure, inSeconds } from '../vault/conformance.ts';
import { makeWorld } from '../world/world.ts';
import { database, MB, setting } from './setting.ts';

/** Well below the two minutes that a request may take by default, well above any deadline set here. */
const SOON_MS = 60_000;

let gateway: LyingStore;
beforeAll(async () => {
  gateway = await startLyingStore((await sharedStore()).endpoint);
});
afterAll(async () => {
  await gateway.stop();
});

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const beganMs = systemClock.monotonicMs();
  try {
    return await work;
  } finally {
    expect(systemClock.monotonicMs() - beganMs).toBeLessThan(limitMs);
  }
}

describe('a store that never answers PutObjectRetention', () => {
  const backup = async (vaultDeadline: string, onLocking: (stop: AbortController) => void): Promise<unknown> => {
    await using world = await makeWorld({ database, endpoint: gateway.endpoint, limits: { vaultDeadline } });
    const { deps, shop, close } = await setting(world, [{ name: 'one', bytes: MB, estimatedBytes: MB }]);
    const stop = new AbortController();
    const debug = (fields: object): void => {
      if (!('event' in fields) || fields.event !== 'lock.started') return;
      gateway.lie(world.bucket.name, { on: 'PutObjectRetention', key: /\/segments\//, tell: hangs() });
      onLocking(stop);
    };
    try {
      const log = { ...deps.log, debug };
      return await backupSource({ ...deps, log }, { shop, source: 'database', full: true, signal: stop.signal }).catch((error) => error);
    } finally {
      gateway.lie(world.bucket.name);
      await close();
    }
  };

  it('limits.vaultDeadline - E_VAULT_TIMEOUT', async () => {
    const error = await within(
      SOON_MS,
      backup('3s', () => {}),
    );
    expect(error).toMatchObject({ code: 'E_VAULT_TIMEOUT', message: expect.stringContaining('longer than 3 s to lock') });
  });

  it('the run is stopped meanwhile - its reason, at once', async () => {
    const stopSoon = (stop: AbortController): void => {
      systemClock.after(2_000, () => stop.abort(new CoffreError('E_INTERRUPTED', 'stopped by the test')));
    };
    expect(await within(SOON_MS, backup('10m', stopSoon))).toMatchObject({ code: 'E_INTERRUPTED', message: 'stopped by the test' });
  });
});

describe('a folder whose disk hangs at a lock', () => {
  it('the signal aborts - its reason, at once; and the lock may be moved when the disk goes on', async () => {
    const root = await tempDir();
    const vault = new FilesystemVault(
      { name: 'nas', type: 'filesystem', path: root, media: 'disk', site: 'here', offsite: false },
      systemClock,
    );
    await vault.initialise();
    const { key, versionId } = await vault.put({ key: 'a', body: Buffer.from('x'), retainUntil: null });
    // whoever reads this waits until somebody writes
    const pipe = join(root, '.locks', `${key}.json`);
    execFileSync('mkfifo', [pipe]);
    const stop = new AbortController();
    const locking = failure(vault.extendLock(key, versionId, inSeconds(60), stop.signal), 'E_INTERRUPTED');
    systemClock.after(100, () => stop.abort());
    try {
      await within(30_000, locking);
    } finally {
      await (await open(pipe, 'w')).close();
      rmSync(pipe);
    }
    const lock = await vault.extendLock(key, versionId, inSeconds(90));
    expect((await vault.stat(key, versionId))?.lock).toEqual(lock);
  });
});
