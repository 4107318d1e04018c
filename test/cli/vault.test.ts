// vault prepare: a new disk in the place of a dead one, and the way back to green.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { makeWorld } from '../world/world.ts';

it('a dead disk replaced - its objects and copies are forgotten, verify passes, a catch-up fills the new one and makes status green of it', {
  timeout: 120_000,
}, async () => {
  await using world = await makeWorld({ vaults: ['nas', 'offsite'] });
  const root = join(world.dir, 'shop');
  mkdirSync(root);
  writeFileSync(join(root, 'index.php'), '<?php');
  world.writeConfig({ vaults: ['nas', 'offsite'], files: { root } });
  await world.ok(['backup', 'dupont']);
  const before = (await world.coffre(['status'])).json;

  rmSync(world.nasPath, { recursive: true });
  // a probe's empty folder does not make it a disk with something on it
  mkdirSync(join(world.nasPath, '_coffre/probe'), { recursive: true });
  expect((await world.coffre(['verify', 'dupont'])).status).not.toBe(0);
  expect((await world.coffre(['backup', 'dupont'])).status).not.toBe(0);
  const { json } = await world.ok(['vault', 'prepare', 'nas']);
  expect(json.gone).toMatchObject({ elsewhere: expect.any(Number), lost: 0 });
  expect(json.gone.elsewhere).toBeGreaterThan(0);
  expect(json.gone.objects).toBeGreaterThan(3);
  // again: everything was said
  expect((await world.ok(['vault', 'prepare', 'nas'])).json.gone).toBeUndefined();

  await world.ok(['verify', 'dupont']);
  // the one that was there before, and the one that was taken while the disk was dead
  expect((await world.ok(['catch-up'])).json.results[0].copied).toMatchObject([{ vault: 'nas' }, { vault: 'nas' }]);
  expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  await world.ok(['prune']);
  const after = (await world.coffre(['status'])).json;
  expect(reds(after)).toEqual(reds(before));

  // the ledger says what is there now, no more
  using catalog = new DatabaseSync(join(world.stateDir, 'catalog.db'), { readOnly: true });
  const sum = (sql: string) => catalog.prepare(sql).get()?.bytes;
  expect(sum(`select sum(bytes) bytes from ledger where vault = 'nas'`)).toBe(
    sum(`select sum(sizeBytes) bytes from objects where vault = 'nas' and state in ('stored', 'tombstone')`),
  );
  expect(catalog.prepare(`select detail from audit where what = 'vault prepare'`).all()).toHaveLength(1);
});

const reds = (status: { shops: { red: string[] }[] }): string[] => status.shops.flatMap((shop) => shop.red);
