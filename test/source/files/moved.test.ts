// A moved file keeps its place in an older segment, whatever takes the name that it has there.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { restore, restoreByHand } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { describeTree, type Segments, take } from './tree.ts';

test('a moved file whose old name was taken later - comes back with its own content, through the target and by hand', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  mkdirSync(root);
  writeFileSync(join(root, 'old'), 'the first content');
  writeFileSync(join(root, 'other'), 'kept as it is');
  await systemClock.sleep(60);
  const segments: Segments = new Map();
  const first = await take(root, segments);
  renameSync(join(root, 'old'), join(root, 'new'));
  await systemClock.sleep(60);
  const second = await take(root, segments, { previous: [first.entries] });
  expect(second.entries.find(({ path }) => path === 'new')?.member).toBe('old');
  writeFileSync(join(root, 'old'), 'something else altogether');
  await systemClock.sleep(60);
  const third = await take(root, segments, { previous: [second.entries] });
  expect(await restore(third, join(dir, 'restored'))).toEqual([]);
  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(root));
  restoreByHand(third, join(dir, 'by-hand'));
  expect(describeTree(join(dir, 'by-hand'))).toBe(describeTree(root));
});
