import { expect, test } from 'vitest';
import { planMembers } from '../../src/restore/members.ts';
import type { FileEntry } from '../../src/source/source.ts';

const SEGMENTS = [{ id: 'one' }, { id: 'two', partial: true as const }];
const entry = (path: string, type: FileEntry['type'], sizeBytes: number, segment: string, target?: string): FileEntry => ({
  ...{ path, type, sizeBytes, segment, mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, ctimeNs: 0n, inode: 1n },
  ...(target === undefined ? {} : { target }),
});

async function* tree(): AsyncGenerator<FileEntry> {
  yield entry('a/one', 'file', 100, 'one');
  yield entry('a/two', 'hardlink', 100, 'one', 'a/one');
  yield entry('b/three', 'file', 7, 'two');
  yield entry('.', 'directory', 4096, 'two');
  yield entry('a', 'directory', 4096, 'two');
  yield entry('b', 'directory', 4096, 'two');
}

test('everything - every file is counted, no directory, a hard link without bytes', async () => {
  expect(await planMembers(tree, SEGMENTS, { matches: null, missing: null })).toMatchObject({ files: 3, fileBytes: 107 });
});

test('chosen paths - their own bytes, not those of the segments they lie in', async () => {
  const plan = await planMembers(tree, SEGMENTS, { matches: (path) => path === 'b' || path === 'b/three', missing: null });
  expect(plan).toMatchObject({ files: 1, fileBytes: 7 });
  expect([...plan.members]).toEqual([['two', ['b/three', '.', 'b']]]);
});
