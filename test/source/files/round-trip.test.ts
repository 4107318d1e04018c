// A tree read, stored and restored is the same tree, as judged by find, sha256sum, getfattr and getfacl.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { restore, restoreByHand } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { bash, describeTree, makeAwkwardTree, type Segments, take } from './tree.ts';

test('an awkward tree - restored by the target, it is the same in every respect', async () => {
  const dir = await tempDir();
  makeAwkwardTree(join(dir, 'tree'));
  const snapshot = await take(join(dir, 'tree'), new Map());
  expect(snapshot.summary).toMatchObject({ complete: true, warnings: [] });

  expect(await restore(snapshot, join(dir, 'restored'))).toEqual([]);

  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(join(dir, 'tree')));
});

test('segments too large to be checked first - restored through staging, the tree is the same and nothing is left over', async () => {
  const dir = await tempDir();
  makeAwkwardTree(join(dir, 'tree'));
  const snapshot = await take(join(dir, 'tree'), new Map());

  expect(await restore(snapshot, join(dir, 'restored'), true)).toEqual([]);

  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(join(dir, 'tree')));
});

test('an awkward tree - extracted by hand with GNU tar alone, it is the same', async () => {
  const dir = await tempDir();
  makeAwkwardTree(join(dir, 'tree'));
  restoreByHand(await take(join(dir, 'tree'), new Map()), join(dir, 'restored'));
  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(join(dir, 'tree')));
});

test('sparse files - keep their holes', async () => {
  const dir = await tempDir();
  makeAwkwardTree(join(dir, 'tree'));
  const snapshot = await take(join(dir, 'tree'), new Map());
  await restore(snapshot, join(dir, 'restored'));
  const occupied = (tree: string): number =>
    Number(bash('du -sk --apparent-size=no "$TREE" 2>/dev/null || du -sk "$TREE"', { TREE: tree }).split('\t')[0]);
  expect(occupied(join(dir, 'restored', 'all-hole'))).toBeLessThan(64);
  expect(occupied(join(dir, 'restored', 'sparse'))).toBeLessThan(1024);
  const sha256 = bash('sha256sum < "$TREE/sparse"', { TREE: join(dir, 'tree') }).slice(0, 64);
  expect(snapshot.entries.find((entry) => entry.path === 'sparse')?.sha256).toBe(sha256);
});

test('an unchanged tree read twice - gives the same plaintext', async () => {
  const dir = await tempDir();
  makeAwkwardTree(join(dir, 'tree'));
  const first = await take(join(dir, 'tree'), new Map());
  const second = await take(join(dir, 'tree'), new Map());
  expect(
    second.segments.map(({ name, bytes }) => [name, bytes.equals(first.segments.find((one) => one.name === name)?.bytes as Buffer)]),
  ).toEqual(first.segments.map(({ name }) => [name, true]));
});

test('a file above the size of a segment - is a part of its own, the small ones around it stay together', async () => {
  const dir = await tempDir();
  mkdirSync(join(dir, 'tree'));
  for (const name of ['a', 'c']) writeFileSync(join(dir, 'tree', name), name);
  writeFileSync(join(dir, 'tree', 'b'), Buffer.alloc(50 * 1024 * 1024, 'b'));
  const segments: Segments = new Map();
  const snapshot = await take(join(dir, 'tree'), segments);
  expect(snapshot.segments.map(({ name }) => name)).toEqual(['b', 'a', 'directories']);
  expect(await restore(snapshot, join(dir, 'restored'))).toEqual([]);
  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(join(dir, 'tree')));
});
