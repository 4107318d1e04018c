// What did not change keeps its place in older segments; whatever happened to a tree between two readings, it comes back as it is.
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import { restore, restoreByHand } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { describeTree, makeAwkwardTree, type Segments, take } from './tree.ts';

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

type Change =
  | { readonly op: 'write'; readonly path: string; readonly size: number }
  | { readonly op: 'mkdir' | 'remove' | 'chmod' | 'symlink'; readonly path: string }
  | { readonly op: 'link' | 'rename'; readonly path: string; readonly to: string };

/** Few names, so that files become directories and back, and links meet what was there. */
const path = fc.array(fc.constantFrom('a', 'b', 'é\xe9', '-x'), { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('write' as const), path, size: fc.integer({ min: 0, max: 3000 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constantFrom('mkdir' as const, 'remove' as const, 'chmod' as const, 'symlink' as const), path }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('link' as const, 'rename' as const), path, to: path }) },
);

/** Does what can be done; the rest (a parent that is a file …) is no change. */
function apply(root: string, step: Change): void {
  const at = (name: string): Buffer => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')]);
  const isLeaf = (name: string): boolean => !lstatSync(at(name)).isDirectory();
  try {
    if (step.op === 'write') writeFileSync(at(step.path), Buffer.alloc(step.size, step.path));
    else if (step.op === 'mkdir') mkdirSync(at(step.path), { recursive: true });
    else if (step.op === 'remove') rmSync(at(step.path), { recursive: true });
    else if (step.op === 'chmod') chmodSync(at(step.path), isLeaf(step.path) ? 0o640 : 0o711);
    else if (step.op === 'symlink') symlinkSync('a/b', at(step.path));
    else if (step.op === 'link') linkSync(at(step.path), at(step.to));
    else if (step.op === 'rename') renameSync(at(step.path), at(step.to));
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
  }
}

test('any changes over any rounds - the last snapshot restores to the tree, through the target and by hand', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(change, { maxLength: 12 }), { minLength: 1, maxLength: 5 }), async (rounds) => {
      const dir = await tempDir();
      const root = join(dir, 'tree');
      mkdirSync(root);
      const segments: Segments = new Map();
      let snapshot = await take(root, segments);
      for (const changes of rounds) {
        for (const step of changes) apply(root, step);
        snapshot = await take(root, segments, { previous: [snapshot.entries] });
      }
      expect(await restore(snapshot, join(dir, 'restored'))).toEqual([]);
      const wanted = describeTree(root);
      expect(describeTree(join(dir, 'restored'))).toBe(wanted);
      restoreByHand(snapshot, join(dir, 'by-hand'));
      expect(describeTree(join(dir, 'by-hand'))).toBe(wanted);
      for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true });
    }),
    { numRuns: 20 },
  );
});
