import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { fingerprint, loadSigningKey } from '../../src/segment/signing-key.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';

/** What is on paper, as files outside of what burns. */
async function paperKit(world: World): Promise<{ readonly identity: string; readonly credentials: string; readonly fingerprint: string }> {
  const kit = join(world.dir, 'kit');
  mkdirSync(kit);
  const identity = join(kit, 'recovery.key');
  const credentials = join(kit, 'reading.json');
  const { accessKey: accessKeyId, secretKey: secretAccessKey } = world.bucket.store;
  writeFileSync(identity, `${world.recovery}\n`, { mode: 0o600 });
  writeFileSync(credentials, JSON.stringify({ accessKeyId, secretAccessKey }), { mode: 0o600 });
  return { identity, credentials, fingerprint: fingerprint(await loadSigningKey(join(world.keyDir, 'signing.key'))) };
}

function burn(world: World): void {
  for (const path of [world.stateDir, world.keyDir, world.configFile]) rmSync(path, { recursive: true, force: true });
}

async function rebuildArgs(world: World): Promise<string[]> {
  const kit = await paperKit(world);
  const { endpoint, region } = world.bucket.store;
  return [
    ...['catalog', 'rebuild', '--from', 'offsite', '--endpoint', endpoint, '--region', region, '--bucket', world.bucket.name],
    ...['--prefix', 'prod', '--credentials-file', kit.credentials, '--identity-file', kit.identity, '--fingerprint', kit.fingerprint],
  ];
}

/** What the configuration names and no vault holds: passwords and credentials. */
function putCredentialsBack(world: World): void {
  const { accessKey: accessKeyId, secretKey: secretAccessKey } = world.bucket.store;
  writeFileSync(join(world.keyDir, 'offsite.json'), JSON.stringify({ accessKeyId, secretAccessKey }), { mode: 0o600 });
}

function shopTree(world: World): string {
  const root = join(world.dir, 'shop');
  mkdirSync(join(root, 'img'), { recursive: true });
  for (let i = 0; i < 30; i++) writeFileSync(join(root, 'img', `${i}.jpg`), `picture ${i} `.repeat(100 + i));
  writeFileSync(join(root, 'index.php'), '<?php');
  return root;
}

// biome-ignore lint/suspicious/noExplicitAny: rows of any table
function rowsOf(world: World, sql: string): any[] {
  const database = new DatabaseSync(join(world.stateDir, 'catalog.db'), { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

const identical = (a: string, b: string): string =>
  execFileSync('rsync', ['-rlptgoD', '--checksum', '--dry-run', '--delete', '--itemize-changes', `${a}/`, `${b}/`]).toString('utf8');

async function levelOf(world: World, shop: string, vault: string): Promise<number> {
  const { json } = await world.ok(['billing', 'level']);
  return json.shops.find((row: { shop: string; vault: string }) => row.shop === shop && row.vault === vault).levelBytes;
}

describe('a machine that burnt down', () => {
  it('comes back from the bucket and the paper kit: restore, backup with reuse, prune, level and evidence', async () => {
    await using world = await makeWorld();
    const root = shopTree(world);
    world.writeConfig({ files: { root } });
    await world.ok(['backup', 'dupont']);
    const second = await world.ok(['backup', 'dupont', '--full']);
    await world.ok(['catalog', 'checkpoint']);
    writeFileSync(join(root, 'new.php'), 'came after the checkpoint');
    const third = await world.ok(['backup', 'dupont']);
    const config = readFileSync(world.configFile, 'utf8');
    const before = {
      ledger: rowsOf(world, `select * from ledger order by id`),
      snapshots: rowsOf(
        world,
        `select id, shop, source, asOf, completedAt, keepUntil, state, complete, segments, requiredVaults, counts from snapshots order by id`,
      ),
      segments: rowsOf(
        world,
        `select id, kind, phase, name, key, plainSha256, storedSha256, sealedTo, createdAt from segments order by id`,
      ),
      audit: rowsOf(world, `select * from audit`),
    };
    const args = await rebuildArgs(world);
    burn(world);

    const { json } = await world.ok(args);
    expect(json).toMatchObject({
      from: 'offsite',
      config: { file: world.configFile, written: true },
      snapshots: 3,
      lost: [],
      tampering: [],
      signing: { isNew: true },
      newer: [{ id: third.json.snapshots[0].id }],
    });
    expect(json.missingSecrets).toEqual([join(world.keyDir, 'offsite.json')]);
    expect(readFileSync(world.configFile, 'utf8')).toBe(config);
    expect(
      rowsOf(
        world,
        `select id, shop, source, asOf, completedAt, keepUntil, state, complete, segments, requiredVaults, counts from snapshots order by id`,
      ),
    ).toEqual(before.snapshots);
    expect(
      rowsOf(world, `select id, kind, phase, name, key, plainSha256, storedSha256, sealedTo, createdAt from segments order by id`),
    ).toEqual(before.segments);
    const known = rowsOf(world, `select * from ledger order by id`);
    const told = rowsOf(world, `select ledgerRow from checkpoints`)[0].ledgerRow;
    expect(told).toBeGreaterThan(5);
    expect(known.slice(0, told)).toEqual(before.ledger.slice(0, told));

    putCredentialsBack(world);
    expect((await world.ok(['billing', 'ledger', '--check'])).json.chain).toMatchObject({ brokenAt: null });
    for (const shop of ['dupont', '_coffre']) {
      expect(await levelOf(world, shop, 'offsite'), shop).toBe((await inventory(world.bucket, `prod/${shop}/`)).totalBytes);
    }
    const back = join(world.dir, 'back');
    await world.ok(['restore', 'dupont', '--to-dir', back]);
    expect(identical(root, back)).toBe('');
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    // an older one, as of the second backup
    await world.ok(['restore', 'dupont', '--snapshot', second.json.snapshots[0].id, '--to-dir', join(world.dir, 'older')]);
    expect(existsSync(join(world.dir, 'older', 'new.php'))).toBe(false);

    writeFileSync(join(root, 'newest.php'), 'after the fire');
    const fourth = await world.ok(['backup', 'dupont']);
    expect(fourth.json.snapshots[0]).toMatchObject({ missing: [], complete: true });
    expect(fourth.json.snapshots[0].reusedSegments).toBeGreaterThan(0);
    await world.ok(['prune']);
    expect(await levelOf(world, 'dupont', 'offsite')).toBe((await inventory(world.bucket, 'prod/dupont/')).totalBytes);
    expect(rowsOf(world, `select what from audit`).map((row) => row.what)).toContain('catalog rebuild');

    const again = await world.coffre(args);
    expect(again.json.error.code).toBe('E_STATE_NOT_EMPTY');
  }, 480_000);
});
