// `restore --overwrite --delete` over a PrestaShop: what its snapshots leave out because of where it was found is not removed either.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PRESTASHOP, write } from '../source/shop/places.ts';
import { makeWorld } from '../world/world.ts';

it("the administration's backups - stay, what else the snapshot does not have - goes", async () => {
  await using world = await makeWorld({});
  const root = join(world.dir, 'shop');
  write(root, PRESTASHOP['8.1.2']);
  world.writeConfig({ vaults: ['nas'], files: { root, profile: 'prestashop' } });
  await world.ok(['backup', 'dupont']);
  writeFileSync(join(root, 'modules/intruder.php'), '<?php');
  writeFileSync(join(root, 'img/backups/intruder.php'), '<?php');
  await world.ok(['restore', 'dupont', '--source', 'files', '--to-dir', root, '--overwrite', '--delete']);
  expect(readdirSync(join(root, 'modules'))).toEqual(['backups']);
  expect(readdirSync(join(root, 'img/backups'))).toEqual(['kept.jpg']);
  expect(readdirSync(join(root, 'admin7q2x/backups'))).toEqual(['1700000000-ab12.sql.bz2']);
  expect(readdirSync(join(root, 'admin7q2x/autoupgrade/backup'))).toEqual(['auto-backupfiles.zip']);
  expect(readdirSync(join(root, 'var/cache'))).toEqual(['prod']);
}, 60_000);
