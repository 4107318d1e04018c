// Members too deep for tar's system calls: as they were, through the target in one process, and never through a symbolic link.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { localHost } from '../../../src/host/local.ts';
import { DeepLanding } from '../../../src/target/files/deep-landing.ts';
import { describeDeepTree, makeDeepTree, removeDeep } from '../../source/files/deep-tree.ts';
import { bash, type Segments, type TakenSnapshot, take } from '../../source/files/tree.ts';
import { restore } from './restore.ts';

const NEVER = new AbortController().signal;

let dir: string;
let root: string;
let snapshot: TakenSnapshot;
const segments: Segments = new Map();

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  root = join(dir, 'tree');
  makeDeepTree(root);
  snapshot = await take(root, segments);
}, 60_000);
afterAll(() => {
  if (dir) removeDeep(dir);
});

describe('a tree of deep paths', () => {
  it.each([
    ['checked before', false],
    ['proven at its end', true],
  ])(
    '%s - is as it was',
    async (name, unverified) => {
      expect(snapshot.summary).toMatchObject({ complete: true, warnings: [] });
      const target = join(dir, name);
      expect(await restore(snapshot, target, unverified)).toEqual([]);
      expect(describeDeepTree(target)).toBe(describeDeepTree(root));
    },
    60_000,
  );

  it('that lies deeper or less deep by now - unchanged files stay in their segments', async () => {
    const moved = join(dir, `moved-${'m'.repeat(200)}`);
    bash('mv "$FROM" "$TO"', { FROM: root, TO: moved });
    try {
      const again = await take(moved, segments, { previous: [snapshot.entries] });
      expect(again.summary).toMatchObject({ complete: true, warnings: [] });
      expect(again.carried).toBeGreaterThan(30);
      const target = join(dir, 'back-from-moved');
      expect(await restore(again, target)).toEqual([]);
      expect(describeDeepTree(target)).toBe(describeDeepTree(moved));
    } finally {
      bash('mv "$FROM" "$TO"', { FROM: moved, TO: root });
    }
  }, 60_000);
});

describe('a directory on the way that is a symbolic link', () => {
  const step = 'd'.repeat(200);
  /** Of a small tree whose first directory has another name: that of a link in the target. */
  function archive(): Buffer {
    const from = mkdtempSync(join(dir, 'from-'));
    bash('cd "$TREE"; mkdir in; echo stolen > in/file; ln in/file in/link', { TREE: from });
    const long = [step, ...Array.from({ length: 22 }, () => step)].join('/');
    return execFileSync('tar', ['-C', from, '--format=pax', `--transform=flags=rh;s,^in,${long},`, '-cf', '-', 'in/file', 'in/link']);
  }

  it('- refused, and nothing is written where it leads', async () => {
    const [target, outside] = [join(dir, 'target'), join(dir, 'outside')];
    mkdirSync(target);
    mkdirSync(outside);
    symlinkSync(outside, join(target, step));
    const deep = new DeepLanding({ host: localHost, directory: target }, NEVER);
    try {
      await expect(deep.add([archive()]).then(() => deep.finish())).rejects.toMatchObject({ code: 'E_TARGET_WRITE' });
    } finally {
      await deep.close();
    }
    expect(readdirSync(outside)).toEqual([]);
  });

  it('- where there is none, the same comes out', async () => {
    const target = join(dir, 'target-without');
    mkdirSync(target);
    const deep = new DeepLanding({ host: localHost, directory: target }, NEVER);
    try {
      await deep.add([archive()]);
      await deep.finish();
    } finally {
      await deep.close();
    }
    expect(bash('cd "$TREE"; find . -type f -links 2 -execdir cat {} \\;', { TREE: target })).toBe('stolen\nstolen\n');
  });
});
