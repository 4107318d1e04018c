// What a verification finds altered or gone is an incident at once: the time in which the client is to be told runs from the finding.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { Ledger } from '../../src/billing/ledger.ts';
import { listBreaches } from '../../src/catalog/breaches.ts';
import { listIncidents } from '../../src/catalog/incidents.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { getSnapshot } from '../../src/catalog/snapshots.ts';
import { recordDamage } from '../../src/restore/restore-run.ts';
import { chooseReading, listShop, verifyCopy } from '../../src/restore/verify.ts';
import { watchShop } from '../../src/retention/watch.ts';
import { newId } from '../../src/segment/id.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

test('an index written over, a manifest gone, and no lock any more - one incident each and one case, which the next look adds nothing to', async () => {
  const clock = new FakeClock();
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const path = await tempDir();
  const openVault = async () => new FilesystemVault({ name: 'nas', type: 'filesystem', path } as never, clock);
  const vault = await openVault();
  await vault.initialise();
  const ledger = new Ledger(catalog, clock);
  const id = newId(clock);
  const keepUntil = clock.nowMs() + 86_400_000;
  const put = async (kind: 'manifest' | 'index'): Promise<{ row: number; key: string }> => {
    const key = `dupont/${kind}s/${id}`;
    const object = await vault.put({ key, body: Buffer.from(kind), retainUntil: clock.now().add({ hours: 24 }) });
    const row = await ledger.intent({ vault: 'nas', shop: 'dupont', key, kind, refId: id, runId: null, expectedBytes: object.sizeBytes });
    await ledger.stored(row, object, 'aa');
    return { row, key };
  };
  const [manifest, index] = [await put('manifest'), await put('index')];
  await sql`insert into "snapshots" ("id", "shop", "source", "runId", "startedAt", "asOf", "completedAt", "full", "complete", "state",
    "keepUntil", "plainBytes", "storedBytes", "freshBytes", "segments", "reusedSegments", "counts", "warnings", "requiredVaults", "durationMs")
    values (${id}, 'dupont', 'files', ${id}, 1, 1, 1, 1, 1, 'committed', ${keepUntil}, 0, 0, 0, 0, 0, '{}', '[]', '["nas"]', 0)`.execute(
    catalog.db,
  );
  const copy = { snapshotId: id, vault: 'nas', committedAt: 1, verifiedAt: null, verifyError: null };
  await catalog.db
    .insertInto('snapshotVaults')
    .values({ ...copy, manifestObject: manifest.row, indexObject: index.row })
    .execute();

  const verified = async (): Promise<string[]> => {
    const deps = { catalog, clock, identities: null, trusted: [], signal: new AbortController().signal, onProgress: () => {} };
    const reading = await chooseReading(catalog, 'nas', 'dupont', 0);
    const { errors } = await verifyCopy(deps, vault, await getSnapshot(catalog, id), await listShop(vault, 'dupont'), reading);
    return errors.map(({ code }) => code).sort();
  };
  expect([await verified(), await listIncidents(catalog.db)]).toEqual([[], []]);
  // a lock alone takes nothing from what is stored
  rmSync(join(path, '.locks', `${index.key}.json`), { force: true });
  expect([await verified(), await listBreaches(catalog.db, { all: true })]).toEqual([['E_LOCK_DROPPED'], []]);

  rmSync(join(path, manifest.key), { force: true });
  chmodSync(join(path, index.key), 0o600);
  writeFileSync(join(path, index.key), 'theirs');
  const foundAt = clock.nowMs();
  // a restore came upon it first
  await recordDamage(catalog, clock, { snapshot: id, vault: 'nas', key: index.key, code: 'E_OBJECT_ALTERED', message: 'read' });
  expect(await listIncidents(catalog.db)).toMatchObject([{ kind: 'altered', key: index.key }]);
  for (const _ of [1, 2]) expect(await verified()).toEqual(['E_OBJECT_ALTERED', 'E_OBJECT_MISSING']);
  const told = async () => (await listIncidents(catalog.db)).map(({ key, kind }) => [key, kind]).sort();
  const both = [
    [index.key, 'altered'],
    [manifest.key, 'missing'],
  ];
  expect(await told()).toEqual(both);
  clock.advance(3_600_000);
  await watchShop({ catalog, clock, openVault }, { shop: 'dupont', vaults: ['nas'], retentionMs: 1, clockSkewMs: 60_000, who: 'test' });
  expect(await told()).toEqual(both);
  expect(await listBreaches(catalog.db, { all: true })).toMatchObject([{ vault: 'nas', openedAt: foundAt }]);
});
