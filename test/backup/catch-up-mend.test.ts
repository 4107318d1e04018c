import { rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { flipped, inCatalog, objectsOf, StoredFile, type StoredRow } from '../acceptance/attack.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';
import { database, MB, never, setting } from './setting.ts';

const kindOf = (rows: readonly StoredRow[], kind: string): StoredRow => rows.find((row) => row.kind === kind) as StoredRow;

/** Two snapshots that share two segments, in both vaults. */
async function twoSnapshots(world: World): Promise<readonly [string, string]> {
  const ids: string[] = [];
  for (const names of [
    ['a', 'b'],
    ['a', 'b', 'c'],
  ]) {
    const { deps, shop, close } = await setting(
      world,
      names.map((name) => ({ name, bytes: MB, estimatedBytes: MB })),
    );
    try {
      ids.push((await backupSource(deps, { shop, source: 'database', full: false, signal: never })).id);
    } finally {
      await close();
    }
  }
  return [ids[0] as string, ids[1] as string];
}

it('objects gone from a store, altered in a folder - verify --repair says it, stores them anew, and what they are called by is signed anew', {
  timeout: 240_000,
}, async () => {
  const vaults = ['nas', 'offsite'] as const;
  await using world = await makeWorld({ vaults, database, lockMode: 'GOVERNANCE' });
  world.writeConfig({ vaults, database, lockMode: 'GOVERNANCE' });
  const [first, second] = await twoSnapshots(world);
  const both = [second, first];

  // from the store a segment that both snapshots use, and the index of the second
  const stored = objectsOf(world, second, 'offsite');
  const shared = objectsOf(world, first, 'offsite').find((row) => row.kind === 'segment') as StoredRow;
  for (const { key, versionId } of [shared, kindOf(stored, 'index')]) {
    const request = { Bucket: world.bucket.name, Key: `prod/${key}`, VersionId: versionId, BypassGovernanceRetention: true };
    await world.bucket.client.send(new DeleteObjectCommand(request));
  }
  // in the folder the other shared segment and the first snapshot's manifest; of the second its manifest is gone
  const other = objectsOf(world, first, 'nas').find((row) => row.kind === 'segment' && row.key !== shared.key) as StoredRow;
  for (const row of [other, kindOf(objectsOf(world, first, 'nas'), 'manifest')]) {
    const file = new StoredFile(world, row);
    file.replace(flipped(file.content));
  }
  unlinkSync(join(world.nasPath, kindOf(objectsOf(world, second, 'nas'), 'manifest').key));

  const verified = await world.here(['verify', 'dupont', '--read-data', '--repair']);
  expect(verified.status).toBe(6);
  const [result] = verified.json.shops;
  const codes = result.snapshots.flatMap((it: { vaults: { errors: { code: string }[] }[] }) =>
    it.vaults.flatMap((copy) => copy.errors.map((error) => error.code)),
  );
  expect(new Set(codes)).toEqual(new Set(['E_OBJECT_MISSING', 'E_OBJECT_ALTERED']));
  expect(result.repaired.left).toEqual([]);
  const mended = result.repaired.copied.map(
    (it: { snapshot: string; vault: string; objects: number }) => `${it.vault} ${it.snapshot} ${it.objects}`,
  );
  // the store: segment, index and manifest, then the other manifest; the folder: segment and manifest, then the other manifest
  expect(mended.sort()).toEqual([`nas ${first} 1`, `nas ${second} 2`, `offsite ${first} 1`, `offsite ${second} 3`]);

  const again = await world.okHere(['verify', 'dupont', '--read-data']);
  expect(again.json.ok).toBe(true);
  const { json } = await world.here(['status']);
  expect(json.shops[0].lacking).toEqual([]);
  expect(json.shops[0].copies.verifyErrors).toBe(0);
  const { shops } = (await world.okHere(['billing', 'level'])).json as { shops: { vault: string; levelBytes: number }[] };
  const level = shops.filter((row) => row.vault === 'offsite').reduce((sum, row) => sum + row.levelBytes, 0);
  expect(level).toBe((await inventory(world.bucket)).totalBytes);

  // mended, and yet somebody deleted them: two objects of the store and a file
  const missing = inCatalog(world, (catalog) => catalog.prepare(`select count(*) n from incidents where kind = 'missing'`).get());
  expect(missing).toEqual({ n: 3 });

  // each vault alone gives both back; what was replaced is a stray that prune will take, not somebody else's
  for (const vault of vaults) {
    for (const id of both) {
      const rows = objectsOf(world, id, vault);
      expect(rows.filter((row) => row.kind === 'manifest')).toHaveLength(1);
    }
  }
  const strays = inCatalog(world, (catalog) =>
    catalog.prepare(`select count(*) n from objects where kind = 'stray' and state = 'stored'`).get(),
  );
  // both old manifests of the store; a folder keeps none
  expect(strays).toEqual({ n: 2 });
  const pruned = await world.okHere(['prune', 'dupont']);
  expect(pruned.json.results[0]).toMatchObject({ errors: [], foreign: [] });

  // without a catalog the higher revision counts: the older one names what is gone
  rmSync(world.stateDir, { recursive: true });
  const recovery = join(world.dir, 'recovery.key');
  writeFileSync(recovery, `${world.recovery}\n`, { mode: 0o600 });
  const rebuilt = await world.here(['catalog', 'rebuild', '--from', 'offsite', '--identity-file', recovery]);
  expect(rebuilt.json, rebuilt.stderr).toMatchObject({ tampering: [], strangers: [], shops: [{ snapshots: 2 }] });
  const shown = (await world.here(['verify', 'dupont', '--read-data'])).json.shops[0].snapshots;
  expect(shown.map((it: { vaults: object[] }) => it.vaults)).toMatchObject(both.map(() => [{ vault: 'offsite', ok: true }]));
  // what the folder holds may be ours: nothing is written beside it before somebody has looked
  const blind = (await world.here(['catch-up', 'dupont'])).json.results[0];
  expect(blind).toMatchObject({ copied: [], left: both.map((snapshot) => ({ snapshot, vault: 'nas', code: 'E_VERSION_FOREIGN' })) });
  expect(blind.left[0].hint).toContain('coffre catalog rebuild --from nas');
  await world.here(['catalog', 'rebuild', '--from', 'nas', '--identity-file', recovery]);
  expect((await world.okHere(['catch-up', 'dupont'])).json.results[0]).toMatchObject({ copied: [], left: [] });
  expect((await world.okHere(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
});
