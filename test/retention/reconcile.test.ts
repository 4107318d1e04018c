import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { Ledger } from '../../src/billing/ledger.ts';
import { level } from '../../src/billing/level.ts';
import { listBreaches } from '../../src/catalog/breaches.ts';
import { recordDamageFound } from '../../src/catalog/damage.ts';
import { acknowledgeIncident, listIncidents } from '../../src/catalog/incidents.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { reconcile } from '../../src/retention/reconcile.ts';
import { watchShop } from '../../src/retention/watch.ts';
import { newId } from '../../src/segment/id.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import type { StoredObject } from '../../src/vault/vault.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { MemoryVault } from '../vault/memory-vault.ts';
import { SHOP } from './world.ts';

test('thousands of objects, compared page by page - each thing that is not as it should be is found once, wherever a page ends', async () => {
  const clock = new FakeClock();
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  // thousands of transactions, of which none must outlive the test
  await sql`pragma synchronous = off`.execute(catalog.db);
  const vault = new MemoryVault(clock, { name: 'offsite' });
  const ledger = new Ledger(catalog, clock);
  const objects: StoredObject[] = [];
  for (let i = 0; i < 3_300; i++) {
    const key = `${SHOP}/segments/${newId(clock)}.tar.zst`;
    const object = await vault.put({ key, body: Buffer.alloc(10 + (i % 7)), retainUntil: null });
    const as = { vault: 'offsite', shop: SHOP, key, kind: 'segment', refId: null, runId: null, expectedBytes: object.sizeBytes } as const;
    await ledger.stored(await ledger.intent(as), object, 'aa');
    objects.push(object);
  }
  const at = (i: number): StoredObject => objects[i] as StoredObject;
  // around where pages of a thousand end, at both ends, and in a stretch that is longer than one
  const missing = new Set([0, 999, 1000, 1001, 1999, 2000, 3298, 3299, ...Array.from({ length: 1_100 }, (_, i) => 2_050 + i)]);
  for (const i of missing) await vault.deleteVersion(at(i).key, at(i).versionId);
  const expected = [...missing].map((i) => `missing ${at(i).key}`);
  // one key with more versions than a page has room for, and strangers before, between and after ours
  for (let i = 0; i < 1_500; i++) vault.putDeleteMarker(at(998).key);
  expected.push(...Array.from({ length: 1_500 }, () => `delete marker ${at(998).key}`));
  const strangers = [`${SHOP}/a`, `${at(1002).key}.x`, at(5).key, `${SHOP}/z`];
  for (const key of strangers) await vault.put({ key, body: Buffer.alloc(3), retainUntil: null });
  expected.push(...strangers.map((key) => `foreign version ${key}`));

  const said: string[] = [];
  const { findings, versions, storedBytes } = await reconcile(catalog, ledger, vault, SHOP, undefined, async ({ what, key }) => {
    said.push(`${what} ${key}`);
  });
  expect(findings.map(({ what, key }) => `${what} ${key}`).sort()).toEqual(expected.sort());
  expect(said.sort()).toEqual(expected.filter((line) => line.startsWith('missing')).sort());
  expect(versions).toBe(objects.length - missing.size + 1_500 + strangers.length);
  expect(storedBytes).toBe(vault.heldBytes);
  expect(await level(catalog, { vault: 'offsite' })).toBe(vault.heldBytes);

  // what is gone is known to be gone, what is there stays
  const again = await reconcile(catalog, ledger, vault, SHOP);
  expect(again.findings.filter(({ what }) => what === 'missing')).toEqual([]);
  expect(again.findings).toHaveLength(1_500 + strangers.length);
});

test('a file of ours was written over - told as one alteration, by a verification and by each look, of one case, until it is ours again', async () => {
  const clock = new FakeClock();
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const path = await tempDir();
  const openVault = async () => new FilesystemVault({ name: 'nas', type: 'filesystem', path } as never, clock);
  const vault = await openVault();
  await vault.initialise();
  const ledger = new Ledger(catalog, clock);
  const key = `${SHOP}/segments/${newId(clock)}.tar.zst`;
  const object = await vault.put({ key, body: Buffer.alloc(100), retainUntil: null });
  const as = { vault: 'nas', shop: SHOP, key, kind: 'segment', refId: null, runId: null, expectedBytes: 100 } as const;
  await ledger.stored(await ledger.intent(as), object, 'aa');
  const file = join(path, key);
  chmodSync(file, 0o600);
  writeFileSync(file, Buffer.alloc(90, 1));

  // what a verification says of it
  const { versionId } = object;
  const objects = [{ key, versionId, sizeBytes: 100, code: 'E_OBJECT_ALTERED', detail: 'read' }];
  await recordDamageFound(catalog, clock, { vault: 'nas', shop: SHOP, objects, who: 'verify' });
  const told = async () => (await listIncidents(catalog.db, { all: true })).map((row) => [row.kind, row.versionId, row.goneAt !== null]);
  expect([await told(), (await listBreaches(catalog.db, { all: false })).length]).toEqual([[['altered', versionId, false]], 1]);

  const request = { shop: SHOP, vaults: ['nas'], retentionMs: 1, clockSkewMs: 60_000, who: 'test' };
  const found = async () => {
    const { errors, vaults } = await watchShop({ catalog, clock, openVault }, request);
    return [...errors, ...vaults.flatMap((one) => one.found.map(({ kind }) => kind))];
  };
  for (const _ of [1, 2]) {
    expect(await found()).toEqual(['altered']);
    expect([await told(), (await listBreaches(catalog.db, { all: true })).length]).toEqual([[['altered', versionId, false]], 1]);
  }
  expect(await level(catalog, { vault: 'nas' })).toBe(90);
  const [row] = await listIncidents(catalog.db);
  await acknowledgeIncident(catalog, clock, row?.id ?? '', { who: 'marie', reason: 'known' });
  expect(await found()).toEqual([]);
  // of what is not stored any more nobody says that it is damaged
  await recordDamageFound(catalog, clock, { vault: 'nas', shop: SHOP, objects, who: 'verify' });
  chmodSync(file, 0o600);
  writeFileSync(file, '');
  expect(await found()).toEqual([]);
  expect(await told()).toEqual([['altered', versionId, false]]);
});
