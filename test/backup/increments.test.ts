// What changes, moves and dies in a tree over several runs: what is stored anew, what is not, and what a restore brings back.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeWorld, type World } from '../world/world.ts';

const FILES = 40;
const FILE_BYTES = 100_000;

let dir: string;
let root: string;
let world: World;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  root = join(dir, 'tree');
  mkdirSync(join(root, 'img'), { recursive: true });
  for (let i = 0; i < FILES; i++) writeFileSync(join(root, 'img', `${i}.jpg`), randomBytes(FILE_BYTES));
  world = await makeWorld({ vaults: ['nas'], files: { root } });
  await backup();
}, 120_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function backup() {
  const { json } = await world.okHere(['backup', 'dupont', '--source', 'files']);
  return json.snapshots[0] as { newBytes: number; segments: number; reusedSegments: number; files: number };
}

/** Every path with type, mode, size, mtime and content, by the system's own tools. */
const listed = (tree: string): string =>
  execFileSync(
    'bash',
    ['-c', 'cd "$1" && find . -printf "%y %m %s %T@ %p\\n" | sort && find . -type f -exec sha256sum {} + | sort', 'sh', tree],
    {
      encoding: 'utf8',
    },
  );

async function expectEqualRestore(): Promise<void> {
  const restored = join(dir, `restored-${randomBytes(4).toString('hex')}`);
  const { json } = await world.okHere(['restore', 'dupont', '--source', 'files', '--to-dir', restored]);
  expect(json.verified).toBe(true);
  expect(listed(restored)).toBe(listed(root));
}

const SMALL = 60_000;

test('a folder is renamed - no content is stored again, and a restore has the new names', async () => {
  renameSync(join(root, 'img'), join(root, 'pictures'));
  expect((await backup()).newBytes).toBeLessThan(SMALL);
  await expectEqualRestore();
  // what was moved once more, or not at all since, keeps its place too
  renameSync(join(root, 'pictures', '1.jpg'), join(root, 'one.jpg'));
  expect((await backup()).newBytes).toBeLessThan(SMALL);
  expect((await backup()).newBytes).toBeLessThan(SMALL);
  await expectEqualRestore();
});

test('times are touched, contents stay - no content is stored again, and a restore has the new times', async () => {
  for (const name of readdirSync(join(root, 'pictures'))) utimesSync(join(root, 'pictures', name), 1_700_000_000, 1_700_000_000);
  expect((await backup()).newBytes).toBeLessThan(SMALL);
  await expectEqualRestore();
});

test('a copy beside the original, and a mode that changed - are stored, for a member comes out once', async () => {
  execFileSync('cp', ['-p', join(root, 'pictures', '2.jpg'), join(root, 'copy.jpg')]);
  execFileSync('chmod', ['600', join(root, 'pictures', '3.jpg')]);
  const { newBytes } = await backup();
  expect(newBytes).toBeGreaterThan(2 * FILE_BYTES);
  expect(newBytes).toBeLessThan(2 * FILE_BYTES + SMALL);
  await expectEqualRestore();
});

test('more than half of a segment is dead - its live files are stored anew once, then it is left behind', async () => {
  for (let i = 5; i < 30; i++) rmSync(join(root, 'pictures', `${i}.jpg`));
  // this run still builds on it, and counts what is alive
  expect((await backup()).newBytes).toBeLessThan(SMALL);
  const rewritten = await backup();
  expect(rewritten.newBytes).toBeGreaterThan(10 * FILE_BYTES);
  expect((await backup()).newBytes).toBeLessThan(SMALL);
  await expectEqualRestore();
});

test('a file too large for memory is moved and touched - it is not stored again, and comes back under its name with its time', async () => {
  const large = join(root, 'large.bin');
  writeFileSync(large, randomBytes(50_000_000));
  expect((await backup()).newBytes).toBeGreaterThan(50_000_000);
  renameSync(large, join(root, 'larger.bin'));
  expect((await backup()).newBytes).toBeLessThan(SMALL);
  utimesSync(join(root, 'larger.bin'), 1_700_000_000, 1_700_000_000);
  expect((await backup()).newBytes).toBeLessThan(SMALL);
  await expectEqualRestore();
});
