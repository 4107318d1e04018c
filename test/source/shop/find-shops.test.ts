import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { localHost } from '../../../src/host/local.ts';
import { isShopName } from '../../../src/segment/layout.ts';
import { findShops } from '../../../src/source/shop/find-shops.ts';
import { tempDir } from '../../temp-dir.ts';
import { PRESTASHOP, write } from './places.ts';

test('a machine with shops of several ages - each is found once, by a name that says which, with its database', async () => {
  const dir = await tempDir();
  write(join(dir, 'www/dupont'), PRESTASHOP['8.1.2']);
  write(join(dir, 'home/martin/public_html'), PRESTASHOP['1.7.8.7']);
  write(join(dir, 'home/old/domains/www.Éxample.net/htdocs'), PRESTASHOP['1.6.1.24']);
  // a copy that a shop keeps in itself, and the remains of one where nothing is looked for
  write(join(dir, 'www/dupont/old'), PRESTASHOP['1.7.8.7']);
  write(join(dir, 'www/other/vendor/prestashop'), PRESTASHOP['8.1.2']);
  write(join(dir, 'www/html'), { 'wp-includes/version.php': "<?php\n$wp_version = '6.4.2';\n" });
  mkdirSync(join(dir, 'www/nothing'));
  symlinkSync(join(dir, 'www'), join(dir, 'home/www'));
  const found = await findShops(localHost, [join(dir, 'www'), join(dir, 'home'), join(dir, 'absent')]);
  expect(found.map(({ name, application, root }) => [name, application, root.slice(dir.length + 1)])).toEqual([
    ['martin', 'PrestaShop 1.7.8.7', 'home/martin/public_html'],
    ['example-net', 'PrestaShop 1.6.1.24', 'home/old/domains/www.Éxample.net/htdocs'],
    ['dupont', 'PrestaShop 8.1.2', 'www/dupont'],
    [expect.any(String), 'WordPress 6.4.2', 'www/html'],
  ]);
  expect(found.every(({ name }) => isShopName(name))).toBe(true);
  expect(found[0]?.database).toMatchObject({ name: 'ps', user: 'ps' });
  expect(JSON.stringify(found)).not.toContain("p'w");
});

test('two of one name, and one without a telling folder - names that differ', async () => {
  const dir = await tempDir();
  for (const place of ['a/dupont/www', 'b/dupont/www']) write(join(dir, place), PRESTASHOP['8.1.2']);
  const found = await findShops(localHost, [dir]);
  expect(found.map(({ name }) => name)).toEqual(['dupont', 'dupont-2']);
});

test('nowhere to look - nothing, and no error', async () => {
  expect(await findShops(localHost, [])).toEqual([]);
  expect(await findShops(localHost, ['/nowhere/at/all'])).toEqual([]);
});
