// A tree with everything awkward that a file system takes, through the real bin/coffre: on this machine and on a host over SSH.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { bash, describeTree } from '../source/files/tree.ts';
import { makeWorld, type World } from '../world/world.ts';
import { describeHuge, makeExtremeTree } from './extreme-tree.ts';

let dir: string;
let root: string;
let sshd: Sshd;
let wanted: string;
let huge: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  root = join(dir, 'tree');
  sshd = await startSshd();
  await makeExtremeTree(root);
  // all but the socket, which no backup keeps: what was bound to it makes it anew
  wanted = withoutSocket(describeTree(root));
  huge = describeHuge(root);
}, 60_000);
afterAll(async () => {
  await sshd?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

function withoutSocket(description: string): string {
  return description.replace(/^s .* \.\/sockets\/socket -> \n/m, '').replace(/^# file: \.\/sockets\/socket\n(.+\n)+\n/m, '');
}

function expectSame(tree: string): void {
  expect(describeTree(tree)).toBe(wanted);
  expect(describeHuge(tree)).toBe(huge);
}

describe.each(['local', 'ssh'] as const)('%s', (where) => {
  let world: World;
  beforeAll(async () => {
    world = await makeWorld({ vaults: ['nas'], files: { root }, ...(where === 'ssh' ? { host: sshd.hostLines() } : {}) });
  }, 60_000);
  afterAll(() => world?.[Symbol.asyncDispose]());
  const backup = async () => (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots[0];
  const restore = async (target: string, ...more: string[]) => {
    const { json } = await world.ok(['restore', 'dupont', '--source', 'files', '--to-dir', target, '--keep-setuid', ...more]);
    expect(json).toMatchObject({ verified: true });
  };

  it('in full - everything comes back, the socket is named, and a terabyte of holes takes no room', async () => {
    const full = await backup();
    expect(full.complete).toBe(true);
    expect(full.warnings).toEqual([{ kind: 'skipped', where: 'sockets/socket', message: expect.stringContaining('socket') }]);
    expect(full.storedBytes).toBeLessThan(1_000_000);
    await restore(join(dir, `${where}-full`));
    expectSame(join(dir, `${where}-full`));
  }, 120_000);

  it('unchanged - no file data is stored again, and everything comes back', async () => {
    // over SSH what was written within a second before it was read is read once more
    if (where === 'ssh') await systemClock.sleep(1000);
    await backup();
    const unchanged = await backup();
    expect(unchanged).toMatchObject({ complete: true, warnings: [{ kind: 'skipped' }] });
    // the directories alone: their archive is made anew each time
    expect(unchanged.segments - unchanged.reusedSegments).toBeLessThan(2);
    expect(unchanged.newBytes).toBeLessThan(40_000);
    const target = join(dir, `${where}-unchanged`);
    if (where === 'local') await restore(target);
    else {
      await restore(target, '--to-host');
      expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
    }
    expectSame(target);
    // a tree made equal that is equal already
    await restore(target, '--overwrite', '--delete', ...(where === 'ssh' ? ['--to-host'] : []));
    expectSame(target);
  }, 120_000);

  it('over a damaged tree - everything is as it was', async () => {
    // attributes and ACLs of a file that looks right otherwise are not compared (README)
    const target = join(dir, `${where}-unchanged`);
    bash(
      `cd "$TREE"; setfattr -x user.empty attributes/odd; touch attributes/odd; rm devices/zero times/fifo-1902-01-01; setfacl -b acl/inherits; touch acl/inherits; setcap -r attributes/caps/program; touch attributes/caps/program
       chown 0:0 owners/largest; touch -h times/link-2038*; rm linked-from-the-bottom; printf wrong | dd of=huge/file bs=1 conv=notrunc status=none; printf other > links/one; rm -r 'empty'; printf x > new`,
      { TREE: target },
    );
    await restore(target, '--overwrite', '--delete', ...(where === 'ssh' ? ['--to-host'] : []));
    expectSame(target);
  }, 120_000);
});
