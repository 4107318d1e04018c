// A tree whose paths are longer than a system call takes, through the real bin/coffre: on this machine and on a host over SSH.
import { cpSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { follow, steps } from '../by-hand.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { describeDeepTree, makeDeepTree, removeDeep } from '../source/files/deep-tree.ts';
import { bash } from '../source/files/tree.ts';
import { makeWorld, type World } from '../world/world.ts';

let dir: string;
let root: string;
let sshd: Sshd;
let wanted: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  root = join(dir, 'tree');
  sshd = await startSshd();
  makeDeepTree(root);
  wanted = describeDeepTree(root);
}, 60_000);
afterAll(async () => {
  await sshd?.stop();
  if (dir) removeDeep(dir);
});

describe.each(['local', 'ssh'] as const)('%s', (where) => {
  let world: World;
  let target: string;
  beforeAll(async () => {
    world = await makeWorld({ vaults: ['nas'], files: { root }, ...(where === 'ssh' ? { host: sshd.hostLines() } : {}) });
    target = join(dir, `${where}-restored`);
  }, 60_000);
  afterAll(() => world?.[Symbol.asyncDispose]());
  const restore = async (to: string, ...more: string[]) => {
    const { json } = await world.ok(['restore', 'dupont', '--source', 'files', '--to-dir', to, '--keep-setuid', ...more]);
    expect(json).toMatchObject({ verified: true });
  };

  it('in full, then unchanged - nothing is stored again, and everything comes back', async () => {
    // over SSH what was written within a second before it was read is read once more
    if (where === 'ssh') await systemClock.sleep(1000);
    const full = (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots[0];
    expect(full).toMatchObject({ complete: true, warnings: [] });
    const again = (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots[0];
    expect(again).toMatchObject({ complete: true, warnings: [] });
    // the directories alone
    expect(again.segments - again.reusedSegments).toBeLessThan(2);
    await restore(target);
    expect(describeDeepTree(target)).toBe(wanted);
  }, 60_000);

  it.runIf(where === 'local')(
    'by hand - the same tree',
    async () => {
      const { snapshots } = (await world.ok(['snapshots', 'dupont'])).json;
      const desk = join(dir, 'desk');
      cpSync(world.nasPath, desk, { recursive: true });
      writeFileSync(join(desk, 'recovery.key'), `${world.recovery}\n`);
      const fingerprint = (await world.ok(['keys'])).json.signing.fingerprint;
      const variables = { SHOP: 'dupont', SNAPSHOT: snapshots[0].id, FINGERPRINT: fingerprint, TARGET: join(dir, 'by-hand') };
      const { status, stdout, stderr } = await follow(desk, steps('open', 'signature', 'check', 'files'), variables);
      expect(status, stdout + stderr).toBe(0);
      expect(describeDeepTree(join(dir, 'by-hand'))).toBe(wanted);
    },
    60_000,
  );

  it.runIf(where === 'local')(
    'over a damaged tree - everything is as it was',
    async () => {
      bash(
        `cd "$TREE"; rm top; printf wrong > zz; for i in {1..23}; do cd -P dd*; done
       printf damaged > bottom; rm pipe attr; rm -r nothing; ln -s /etc nothing; printf new > new; mkdir -p stray/below; touch large; chmod 600 acl; rm $'caf\\351'
       cd -P ./-C*; for i in {1..23}; do cd -P ee*; done; rm -r $'dir\\nwith\\351' long-link; cp -p large x; mv x large`,
        { TREE: target },
      );
      await restore(target, '--overwrite', '--delete');
      expect(describeDeepTree(target)).toBe(wanted);
    },
    60_000,
  );

  it.runIf(where === 'ssh')(
    'onto the host - the same tree',
    async () => {
      const to = join(dir, 'to-host');
      await restore(to, '--to-host');
      expect(describeDeepTree(to)).toBe(wanted);
      expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
      // a tree that holds such paths cannot be copied by the host's cp, and stays as it is (README)
      const { status, json } = await world.coffre([
        'restore',
        'dupont',
        '--source',
        'files',
        '--to-dir',
        to,
        '--to-host',
        '--overwrite',
        '--keep-setuid',
      ]);
      expect([status === 0, json.error.code]).toEqual([false, 'E_TARGET_WRITE']);
      expect(describeDeepTree(to)).toBe(wanted);
    },
    60_000,
  );

  it.runIf(where === 'local')(
    'one path - that file, however deep',
    async () => {
      const to = join(dir, `${where}-one`);
      await restore(to, '--path', '**/dir?with?/-rf');
      const found = bash('cd "$TREE"; find . ! -type d -execdir sh -c \'cat "$1"; basename "$1"\' sh {} \\;', { TREE: to });
      expect(found).toBe('in-rf\nin-rf\n');
    },
    60_000,
  );
});
