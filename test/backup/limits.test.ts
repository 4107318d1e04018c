// A run under limits.bandwidth: what our own limit holds back is not the vault's time, whatever limits.vaultDeadline says.
import { expect, onTestFinished, test } from 'vitest';
import { type BackupDeps, backupSource } from '../../src/backup/run.ts';
import { systemClock } from '../../src/clock.ts';
import type { S3VaultConfig } from '../../src/config/config.ts';
import { S3Vault } from '../../src/vault/s3.ts';
import { SharedBandwidth } from '../../src/vault/throttle.ts';
import { makeWorld } from '../world/world.ts';
import { database, MB, never, setting } from './setting.ts';

test.each([
  ['a segment', 9 * MB, 3 * MB],
  ['a large part, streamed', 60 * MB, 0.4 * MB],
])('%s that our limit makes last longer than the vault may take - is stored, and the vault stays', async (_what, bytes, rate) => {
  const world = await makeWorld({ database, limits: { vaultDeadline: '1s' } });
  onTestFinished(() => world[Symbol.asyncDispose]());
  const it = await setting(world, [{ name: 'rows', bytes, estimatedBytes: bytes }]);
  onTestFinished(() => it.close());
  const bandwidth = new SharedBandwidth(systemClock);
  const deps: BackupDeps = {
    ...it.deps,
    openVault: async (vault) => new S3Vault(vault as S3VaultConfig, systemClock, { bandwidth: bandwidth.at(rate) }),
  };
  const result = await backupSource(deps, { shop: it.shop, source: 'database', full: true, signal: never });
  expect(result).toMatchObject({ missing: [], vaults: ['offsite'] });
  expect(result.durationMs).toBeGreaterThan((result.newBytes / rate) * 850);
  expect(result.durationMs).toBeGreaterThan(1500);
});
