// The tree of a shop on another machine: restored there through SSH by the real bin/coffre, over what is there, cut off and gone on with.
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { bash, describeTree, makeAwkwardTree } from '../source/files/tree.ts';
import { makeWorld, type World } from '../world/world.ts';

let sshd: Sshd;
/** Before sshd: all that coffre says to the shop's host goes through it. */
let proxy: FaultProxy;
let world: World;
let root: string;
/** On the host, which is this machine. */
let there: string;

beforeAll(async () => {
  sshd = await startSshd();
  proxy = await startFaultProxy(sshd.port);
  world = await makeWorld({ vaults: ['nas'] });
  root = join(world.dir, 'shop');
  there = join(world.dir, 'there');
  makeAwkwardTree(root);
  bash('mkdir "$T" "$ROOT/images"; for i in $(seq 40); do head -c 100000 /dev/urandom > "$ROOT/images/$i"; done', { T: there, ROOT: root });
  const knownHostsFile = join(world.dir, 'known_hosts');
  writeFileSync(knownHostsFile, sshd.knownHostsFor(proxy.port));
  // the backup is local: only the way back is what is tested here
  world.writeConfig({ vaults: ['nas'], files: { root } });
  await world.ok(['backup', 'dupont', '--source', 'files']);
  world.writeConfig({ vaults: ['nas'], files: { root }, host: sshd.hostLines({ port: proxy.port, knownHostsFile }) });
}, 120_000);
afterEach(() => proxy.set({ mode: 'pass' }));
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await proxy?.stop();
  await sshd?.stop();
});

const restore = (directory: string, ...more: string[]) =>
  world.coffre(['restore', 'dupont', '--source', 'files', '--to-dir', directory, '--to-host', '--keep-setuid', ...more]);

it('into a directory that is not there - the tree is the same, every byte went through SSH, and nothing of ours is left there', async () => {
  const before = proxy.bytes.toServer;
  const { status, json, stdout, stderr } = await restore(join(there, 'fresh'));
  expect(status, stdout + stderr).toBe(0);
  expect(json).toMatchObject({ verified: true });
  expect(describeTree(join(there, 'fresh'))).toBe(describeTree(root));
  expect(proxy.bytes.toServer - before).toBeGreaterThan(4_000_000);
  expect(readdirSync(there)).toEqual(['fresh']);
}, 60_000);

it('over a damaged tree - refused without --overwrite; with it only what differs goes over the line, and the old tree is kept where asked', async () => {
  const live = join(there, 'live');
  bash('cp -a "$ROOT" "$LIVE"; cd "$LIVE"; printf x >> images/7; rm images/8; printf y > upload; touch -r "$ROOT" .', {
    ROOT: root,
    LIVE: live,
  });
  const refused = await restore(live);
  expect(refused.json).toMatchObject({ error: { code: 'E_TARGET_NOT_EMPTY' } });
  const preview = await restore(live, '--overwrite', '--delete', '--dry-run');
  expect(preview.json, preview.stderr).toMatchObject({ files: { exists: true, allowed: true, deleted: 1 } });
  expect(existsSync(join(live, 'upload'))).toBe(true);
  const before = proxy.bytes.toServer;
  const { status, json, stdout, stderr } = await restore(live, '--overwrite', '--delete', '--keep-old');
  expect(status, stdout + stderr).toBe(0);
  expect(json.restored[0]).toMatchObject({ deleted: 1, verified: true });
  expect(proxy.bytes.toServer - before).toBeLessThan(1_500_000);
  expect(describeTree(live)).toBe(describeTree(root));
  const [kept = ''] = readdirSync(there).filter((name) => name.startsWith('live.coffre-old-'));
  expect(existsSync(join(there, kept, 'upload'))).toBe(true);
  expect(json.restored[0].warnings.join()).toContain(kept);
  expect(readdirSync(there).filter((name) => name.startsWith('.'))).toEqual([]);
}, 60_000);

it('a connection that is cut on the way - E_SSH_LOST, the directory is not there yet; the same command goes on', async () => {
  const directory = join(there, 'cut');
  proxy.set({ mode: 'cut', direction: 'toServer', afterBytes: 3_000_000, afterwards: 'reset' });
  const cut = await restore(directory);
  expect(cut.json, cut.stdout).toMatchObject({ error: { code: expect.stringMatching(/^E_SSH_/) } });
  expect(existsSync(directory)).toBe(false);
  proxy.set({ mode: 'pass' });
  const { status, json, stdout, stderr } = await restore(directory);
  expect(status, stdout + stderr).toBe(0);
  expect(json.restored[0].resumed).toBeGreaterThan(0);
  expect(describeTree(directory)).toBe(describeTree(root));
  expect(readdirSync(there).filter((name) => name.startsWith('.'))).toEqual([]);
}, 60_000);
