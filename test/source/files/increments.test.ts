// What did not change keeps its place in older segments; whatever happened to a tree between two readings, it comes back as it is.
import { linkSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import { restore } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { apply, change } from './random-changes.ts';
import { describeTree, makeAwkwardTree, type Segments, type TakenSnapshot, take } from './tree.ts';

/** Waits until no file of the tree is so new that its ctime could not be trusted. */
async function settle(): Promise<void> {
  await systemClock.sleep(60);
}

test('an unchanged tree - everything but the directories is carried, hard links and special files too', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  makeAwkwardTree(root);
  await settle();
  const segments: Segments = new Map();
  const first = await take(root, segments);
  const second = await take(root, segments, { previous: [first.entries] });
  const files = first.entries.filter((entry) => entry.type !== 'directory');
  expect(second.carried).toBe(files.length);
  const byPath = (entries: readonly FileEntry[]): FileEntry[] =>
    entries.filter((entry) => entry.type !== 'directory').toSorted((a, b) => (a.path < b.path ? -1 : 1));
  expect(byPath(second.entries)).toEqual(byPath(first.entries));
  expect(second.summary.counts).toEqual(first.summary.counts);
  expect(await restore(second, join(dir, 'restored'))).toEqual([]);
  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(root));
});

test('a file with the size and mtime of before but other content - is known by its ctime and read again', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  mkdirSync(root);
  writeFileSync(join(root, 'same'), 'aaaa');
  writeFileSync(join(root, 'other'), 'kept');
  await settle();
  const segments: Segments = new Map();
  const first = await take(root, segments);
  const { atime, mtime } = statSync(join(root, 'same'));
  writeFileSync(join(root, 'same'), 'bbbb');
  utimesSync(join(root, 'same'), atime, mtime);
  const second = await take(root, segments, { previous: [first.entries] });
  expect(second.carried).toBe(1);
  await restore(second, join(dir, 'restored'));
  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(root));
});

test('a file changed in the instant in which it was read - is not trusted the next time', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  mkdirSync(root);
  const segments: Segments = new Map();
  const first = await take(root, segments, { onPart: () => {}, onChunk: () => {} });
  writeFileSync(join(root, 'hot'), 'aaaa');
  const second = await take(root, segments, {
    previous: [first.entries],
    onPart: (_, phase) => phase === 'files' && writeFileSync(join(root, 'hot'), 'bbbb'),
  });
  expect(second.entries.find(({ path }) => path === 'hot')?.ctimeNs).toBe(0n);
  const third = await take(root, segments, { previous: [second.entries] });
  expect(third.carried).toBe(0);
});

test('a preferred index and an older one - the entry of the preferred one is carried', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  mkdirSync(root);
  writeFileSync(join(root, 'file'), 'x');
  await settle();
  const segments: Segments = new Map();
  const first = await take(root, segments);
  const second = await take(root, segments);
  const third = await take(root, segments, { previous: [second.entries, first.entries] });
  expect(third.entries[0]?.segment).toBe(second.entries[0]?.segment);
});

test('one of several hard links removed - the others are stored again together', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  mkdirSync(root);
  writeFileSync(join(root, 'a'), 'x');
  linkSync(join(root, 'a'), join(root, 'b'));
  linkSync(join(root, 'a'), join(root, 'c'));
  await settle();
  const segments: Segments = new Map();
  const first = await take(root, segments);
  rmSync(join(root, 'a'));
  const second = await take(root, segments, { previous: [first.entries] });
  expect(second.carried).toBe(0);
  expect(await restore(second, join(dir, 'restored'))).toEqual([]);
  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(root));
});

/** With the seed of a failure: `COFFRE_TEST_SEED=… npx vitest run …`. */
const SEED = process.env.COFFRE_TEST_SEED === undefined ? {} : { seed: Number(process.env.COFFRE_TEST_SEED) };

test('any changes over ten rounds - the last snapshot and an older one restore to the tree as it was', async () => {
  const round = fc.record({ changes: fc.array(change, { maxLength: 8 }), settled: fc.boolean() });
  const rounds = fc.array(round, { minLength: 10, maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(rounds, fc.nat(9), async (rounds, earlier) => {
      const dir = await tempDir();
      const root = join(dir, 'tree');
      mkdirSync(root);
      const segments: Segments = new Map();
      let snapshot = await take(root, segments);
      const kept: { snapshot: TakenSnapshot; wanted: string }[] = [];
      for (const [number, { changes, settled }] of rounds.entries()) {
        for (const step of changes) apply(root, step);
        // else nearly all of it is too young to be believed unchanged
        if (settled) await settle();
        snapshot = await take(root, segments, { previous: [snapshot.entries] });
        if (number === earlier || number === 9) kept.push({ snapshot, wanted: describeTree(root) });
      }
      for (const { snapshot, wanted } of kept) {
        expect(await restore(snapshot, join(dir, 'restored'))).toEqual([]);
        expect(describeTree(join(dir, 'restored'))).toBe(wanted);
        rmSync(join(dir, 'restored'), { recursive: true });
      }
      rmSync(root, { recursive: true });
    }),
    { numRuns: 6, ...SEED },
  );
}, 180_000);
