// What the profile and the shop's own patterns leave out of a tree.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../temp-dir.ts';
import { bash, take } from './tree.ts';

test('a PrestaShop tree - its caches are left out and their directories kept, with what the shop excludes', async () => {
  const root = join(await tempDir(), 'tree');
  mkdirSync(root);
  for (const path of [
    'var/cache/prod/x',
    'var/logs/a.log',
    'img/tmp/y',
    'img/p/1/1.jpg',
    'cache/smarty/compile/z',
    'node_modules/m/i.js',
    'config/defines.inc.php',
  ]) {
    bash('mkdir -p "$(dirname "$TREE")"', { TREE: join(root, path) });
    writeFileSync(join(root, path), 'x');
  }
  const snapshot = await take(root, new Map(), { config: { profile: 'prestashop', exclude: ['*.log', 'node_modules'] } });
  expect(snapshot.entries.map(({ path }) => path).sort()).toEqual([
    '.',
    'cache',
    'cache/smarty',
    'cache/smarty/compile',
    'config',
    'config/defines.inc.php',
    'img',
    'img/p',
    'img/p/1',
    'img/p/1/1.jpg',
    'img/tmp',
    'var',
    'var/cache',
    'var/logs',
  ]);
});
