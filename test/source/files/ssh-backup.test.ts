// bin/coffre backs up a shop on a host reached over SSH: in full, unchanged, over a line that breaks, and after a host stayed away.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { startFaultProxy } from '../../servers/fault-proxy.ts';
import { type Sshd, startSshd } from '../../servers/sshd.ts';
import { tempDir } from '../../temp-dir.ts';
import { makeWorld } from '../../world/world.ts';
import { bash, describeTree, makeAwkwardTree } from './tree.ts';

let sshd: Sshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

async function shopOverProxy(megabytes: number) {
  const dir = await tempDir();
  const root = join(dir, 'shop');
  makeAwkwardTree(root);
  bash('cd "$TREE"; mkdir random; for i in $(seq $MEGABYTES); do head -c 1000000 /dev/urandom > random/$i; done', {
    TREE: root,
    MEGABYTES: String(megabytes),
  });
  const proxy = await startFaultProxy(sshd.port);
  onTestFinished(() => proxy.stop());
  const knownHostsFile = join(dir, 'known_hosts');
  writeFileSync(knownHostsFile, sshd.knownHostsFor(proxy.port));
  return { dir, root, proxy, host: sshd.hostLines({ port: proxy.port, knownHostsFile }) };
}

test('a shop over ssh - backed up over a line that breaks, unchanged without new data, restored the same', async () => {
  const { dir, root, proxy, host } = await shopOverProxy(12);
  await using world = await makeWorld({ host, files: { root } });
  proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 8_000_000 });
  const first = await world.ok(['backup', 'dupont', '--source', 'files']);
  await proxy.cutDone();
  const [full] = first.json.snapshots;
  expect(full).toMatchObject({ reusedSegments: 0, complete: true, warnings: [] });
  const described = describeTree(root);

  // what was written within a second before it was read is read once more
  await systemClock.sleep(1000);
  await world.ok(['backup', 'dupont', '--source', 'files']);
  const [unchanged] = (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots;
  expect(unchanged).toMatchObject({ files: full.files, plainBytes: expect.any(Number), complete: true });
  expect(unchanged.segments - unchanged.reusedSegments).toBeLessThan(2);
  expect(unchanged.newBytes).toBeLessThan(50_000);

  const restored = join(dir, 'restored');
  await world.ok(['restore', 'dupont', '--source', 'files', '--to-dir', restored, '--keep-setuid']);
  expect(describeTree(restored)).toBe(described);
  expect(describeTree(root)).toBe(described);
}, 180_000);

test('a host that stays away in the middle of a backup - there is no snapshot, and the next run makes one', async () => {
  const { root, proxy, host } = await shopOverProxy(3);
  await using world = await makeWorld({ host, files: { root }, limits: { runDeadline: '10s' } });
  proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 2_000_000, afterwards: 'reset' });
  const failed = await world.coffre(['backup', 'dupont', '--source', 'files']);
  expect(failed.status).toBe(1);
  expect(failed.json).toMatchObject({ snapshots: [], error: { code: 'E_DEADLINE' } });

  proxy.set({ mode: 'pass' });
  world.writeConfig({ host, files: { root } });
  expect((await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots).toMatchObject([{ complete: true, warnings: [] }]);
}, 120_000);
