import { AsyncLocalStorage } from 'node:async_hooks';
import { DatabaseSync } from 'node:sqlite';
import { Kysely, Migrator } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { MIGRATIONS } from '../../src/catalog/migrations/migrations.ts';
import { catalogPath, openCatalog } from '../../src/catalog/open.ts';
import { lastProbe, recordProbe } from '../../src/catalog/probes.ts';
import { NodeSqliteDialect, openSqlite, switchToWal } from '../../src/catalog/sqlite.ts';
import { WalFlush } from '../../src/catalog/wal-flush.ts';
import type { S3VaultConfig } from '../../src/config/config.ts';
import { vaultPlace } from '../../src/config/vault-place.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

const OFFSITE: S3VaultConfig = {
  name: 'offsite',
  type: 's3',
  endpoint: 'https://s3.example.net',
  region: 'fr-1',
  bucket: 'backups',
  prefix: 'prod',
  forcePathStyle: true,
  media: 'object',
  site: null,
  offsite: true,
  lock: { mode: 'COMPLIANCE' },
  credentials: { read: () => '', from: 'a test' },
  pruneCredentials: null,
  readCredentials: null,
  timeouts: { connectMs: 1, requestMs: 1 },
  uploadBytesPerSecond: null,
};

test('a proof is of a place - the name, credentials and timeouts may change; endpoint, bucket, prefix and lock mode may not', async () => {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const clock = new FakeClock();
  await recordProbe(catalog, clock, { name: 'offsite', place: vaultPlace(OFFSITE) }, 'proven', []);
  const outcome = async (change: Partial<S3VaultConfig>): Promise<string | undefined> =>
    (await lastProbe(catalog, vaultPlace({ ...OFFSITE, ...change })))?.outcome;
  expect(await outcome({})).toBe('proven');
  expect(await outcome({ name: 'elsewhere', media: 'tape', timeouts: { connectMs: 2, requestMs: 2 } })).toBe('proven');
  expect(await outcome({ endpoint: 'https://s3.example.org' })).toBeUndefined();
  expect(await outcome({ bucket: 'others' })).toBeUndefined();
  expect(await outcome({ prefix: '' })).toBeUndefined();
  expect(await outcome({ bucket: 'backups/prod', prefix: '' })).toBeUndefined();
  expect(await outcome({ lock: { mode: 'GOVERNANCE' } })).toBeUndefined();
  const folder = { name: 'offsite', type: 'filesystem', path: '/srv/coffre', media: 'disk', site: null, offsite: false } as const;
  expect(await lastProbe(catalog, vaultPlace(folder))).toBeNull();
});

test('a catalog from before places were written down - its proofs count for no place, new ones do', async () => {
  const stateDir = await tempDir();
  await migrateBefore(stateDir, '003');
  const old = new DatabaseSync(catalogPath(stateDir));
  old.exec(`insert into "probes" ("vault", "at", "outcome", "steps") values ('offsite', 1, 'proven', '[]')`);
  old.close();
  const catalog = await openCatalog(stateDir);
  onTestFinished(() => catalog.close());
  expect(await catalog.db.selectFrom('probes').select(['vault', 'place', 'outcome']).execute()).toEqual([
    { vault: 'offsite', place: null, outcome: 'proven' },
  ]);
  for (const place of [vaultPlace(OFFSITE), 'offsite', '', 'null']) expect(await lastProbe(catalog, place), place).toBeNull();
  await recordProbe(catalog, new FakeClock(), { name: 'offsite', place: vaultPlace(OFFSITE) }, 'proven', []);
  expect(await lastProbe(catalog, vaultPlace(OFFSITE))).toMatchObject({ outcome: 'proven' });
});

/** The catalog as it was when only the migrations before `name` existed. */
async function migrateBefore(stateDir: string, name: string): Promise<void> {
  const path = catalogPath(stateDir);
  const database = openSqlite(path);
  await switchToWal(database, path);
  const db = new Kysely({ dialect: new NodeSqliteDialect(database, path, new AsyncLocalStorage(), new WalFlush(`${path}-wal`)) });
  const migrations = Object.fromEntries(Object.entries(MIGRATIONS).filter(([known]) => known < name));
  const { error } = await new Migrator({ db, provider: { getMigrations: async () => migrations } }).migrateToLatest();
  await db.destroy();
  expect(error).toBeUndefined();
}
