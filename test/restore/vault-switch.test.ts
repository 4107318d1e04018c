// A tree's restore through bin/coffre: a vault that is lost on the way, and paths that need few segments.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { objectsOf, StoredFile } from '../acceptance/attack.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { type Bucket, freshBucket } from '../servers/s3.ts';
import { bash } from '../source/files/tree.ts';
import { makeWorld, type World } from '../world/world.ts';

const MIB = 1024 * 1024;

describe('a tree of several segments in two vaults, one of them behind a proxy', () => {
  let bucket: Bucket;
  let proxy: FaultProxy;
  let world: World;
  let root: string;
  let segments: number;

  beforeAll(async () => {
    bucket = await freshBucket();
    proxy = await startFaultProxy(Number(new URL(bucket.store.endpoint).port));
    world = await makeWorld({ bucket });
    root = join(world.dir, 'shop');
    for (let folder = 0; folder < 12; folder++) {
      mkdirSync(join(root, `img/${folder}`), { recursive: true });
      for (let i = 0; i < 10; i++) writeFileSync(join(root, `img/${folder}/${i}.jpg`), randomBytes(MIB));
    }
    writeFileSync(join(root, 'index.php'), '<?php echo 1;');
    world.writeConfig({ vaults: ['offsite', 'nas'], files: { root }, endpoint: proxy.endpoint });
    segments = (await world.ok(['backup', 'dupont'])).json.snapshots[0].segments;
  }, 240_000);

  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
    await proxy?.stop();
    await bucket?.release();
  });

  const same = (directory: string): string =>
    bash('diff -r --no-dereference "$TREE" "$BACK" && echo same', { TREE: root, BACK: directory });

  test('nothing wrong - every segment is read once', async () => {
    const before = proxy.bytes.toClient;
    const back = join(world.dir, 'whole');
    const [restored] = (await world.ok(['restore', 'dupont', '--to-dir', back, '--from', 'offsite'])).json.restored;
    expect(restored).toMatchObject({ verified: true, problems: [], segments, files: 121 });
    expect(same(back)).toBe('same\n');
    expect(proxy.bytes.toClient - before).toBeGreaterThan(restored.readBytes * 0.9);
    expect(proxy.bytes.toClient - before).toBeLessThan(restored.readBytes * 1.1);
  }, 120_000);

  test('a connection of the only vault breaks in the middle of a segment - it is fetched again', async () => {
    proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 50 * MIB, afterwards: 'pass' });
    const back = join(world.dir, 'mended');
    const [restored] = (await world.ok(['restore', 'dupont', '--to-dir', back, '--from', 'offsite'])).json.restored;
    expect(restored.verified).toBe(true);
    expect(same(back)).toBe('same\n');
  }, 240_000);

  test('one path - only its segment and the directories are fetched', async () => {
    const before = proxy.bytes.toClient;
    const back = join(world.dir, 'one');
    const [restored] = (await world.ok(['restore', 'dupont', '--to-dir', back, '--from', 'offsite', '--path', 'img/7/3.jpg'])).json
      .restored;
    expect(restored).toMatchObject({ files: 1, bytes: MIB, segments: 2 });
    expect(existsSync(join(back, 'img/7/4.jpg'))).toBe(false);
    expect(bash('cmp "$A" "$B" && echo same', { A: join(root, 'img/7/3.jpg'), B: join(back, 'img/7/3.jpg') })).toBe('same\n');
    expect(proxy.bytes.toClient - before).toBeLessThan(40 * MIB);
  }, 120_000);

  test('every vault is lost in the middle - it fails, says so, and what is there cannot pass for the whole', async () => {
    proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 50 * MIB, afterwards: 'reset' });
    const back = join(world.dir, 'lost');
    const { status, json } = await world.coffre(['restore', 'dupont', '--to-dir', back, '--from', 'offsite']);
    proxy.set({ mode: 'pass' });
    expect(status).toBe(4);
    expect(json.error.code).toMatch(/^E_VAULT_/);
    const names = readdirSync(back);
    expect(names.length === 0 || names.some((name) => name.startsWith('.coffre-restore-incomplete'))).toBe(true);
  }, 240_000);

  test('the vault that is asked first has lost half of the segments - the other one gives them', async () => {
    const { id } = (await world.ok(['snapshots', 'dupont'])).json.snapshots[0];
    const lost = objectsOf(world, id, 'nas')
      .filter((row) => row.kind === 'segment')
      .slice(0, 2);
    for (const row of lost) new StoredFile(world, row).replace(Buffer.alloc(0));
    const back = join(world.dir, 'switched');
    const [restored] = (await world.ok(['restore', 'dupont', '--to-dir', back])).json.restored;
    expect(restored.verified).toBe(true);
    expect(restored.problems.map((problem: { vault: string }) => problem.vault)).toEqual(['nas', 'nas']);
    expect(same(back)).toBe('same\n');
  }, 240_000);
});
