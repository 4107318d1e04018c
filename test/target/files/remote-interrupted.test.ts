// A restore onto a host that is cut off at one step or another: what is there then, and that the same restore again ends as it should.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CoffreError } from '../../../src/errors.ts';
import { localHost } from '../../../src/host/local.ts';
import { startFaultProxy } from '../../servers/fault-proxy.ts';
import { type Sshd, startSshd } from '../../servers/sshd.ts';
import { bash, describeTree, type TakenSnapshot } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import {
  breakingHost,
  contents,
  exchanged,
  halfSwapped,
  hostAt,
  type RemoteRestore,
  removeAll,
  restoreTo,
  snapshotOf,
} from './remote-restore.ts';

const code = (wanted: string): object => expect.objectContaining({ code: wanted });

let sshd: Sshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

/** Numbers of the programs that a restore starts: from the one named on, every so many. */
async function steps(taken: TakenSnapshot, directory: string, options: RemoteRestore, from: string, stride: number): Promise<number[]> {
  const host = breakingHost(localHost, Number.POSITIVE_INFINITY);
  await restoreTo(host, taken, directory, options);
  const first = host.programs.indexOf(from);
  expect(first).toBeGreaterThan(0);
  return host.programs.map((_, step) => step).filter((step) => step >= first && (step - first) % stride === 0);
}

describe('cut off in the middle', () => {
  test('a fresh restore - the directory is absent or whole at each moment, and the same restore again ends with the same tree', async () => {
    const { taken, tree } = await snapshotOf({ 'a/one': 'one', 'b/two': 'two' });
    const whole = describeTree(tree);
    for (const step of await steps(taken, join(await tempDir(), 'shop'), {}, 'mkdir', 2)) {
      const dir = await tempDir();
      // what is cut off while it clears away is a note, no failure
      await restoreTo(breakingHost(localHost, step), taken, join(dir, 'shop')).catch((error) => expect(error).toEqual(code('E_SSH_LOST')));
      const isWhole = existsSync(join(dir, 'shop'));
      if (isWhole) expect(describeTree(join(dir, 'shop'))).toBe(whole);
      const again = restoreTo(localHost, taken, join(dir, 'shop'));
      // cut off after the rename: it is all there
      if (isWhole) await expect(again).rejects.toEqual(code('E_TARGET_NOT_EMPTY'));
      else await again;
      expect(describeTree(join(dir, 'shop'))).toBe(whole);
      expect(readdirSync(dir), `step ${step}`).toEqual(['shop']);
    }
  });

  test.each<[string, RemoteRestore, string, number]>([
    ['at any time', {}, 'mkdir', 5],
    ['from its proof to its end', { removeAllBut: removeAll }, 'sync', 1],
    ['keeping the old tree', { keepOld: true, removeAllBut: removeAll }, 'sync', 2],
  ])(
    'a restore over a tree, %s - the directory is the old or the new tree, and the same restore again ends with the new one',
    async (_, more, from, stride) => {
      const options = { overwrite: true, ...more };
      const { taken, tree } = await snapshotOf({ 'a/one': 'one', 'a/two': 'two', 'b/three': 'three' });
      const whole = contents(tree);
      const damaged = async (): Promise<{ dir: string; live: string }> => {
        const dir = await tempDir();
        const live = join(dir, 'live');
        bash('cp -a "$TREE" "$LIVE"; printf damaged > "$LIVE/a/two"; mv "$LIVE/b" "$LIVE/a/b"', { TREE: tree, LIVE: live });
        return { dir, live };
      };
      const sample = await damaged();
      const before = contents(sample.live);
      for (const step of await steps(taken, sample.live, options, from, stride)) {
        const { dir, live } = await damaged();
        const isNew = (): boolean => {
          if (contents(live) === before) return false;
          if (!more.removeAllBut) bash('rm -rf "$LIVE/a/b"', { LIVE: live });
          expect(contents(live), `step ${step}`).toBe(whole);
          return true;
        };
        // what is cut off while it clears away is a note, no failure
        await restoreTo(breakingHost(localHost, step), taken, live, options).catch((error) => expect(error).toEqual(code('E_SSH_LOST')));
        // between the two renames there is no directory: they are one program here
        expect(existsSync(live), `step ${step}`).toBe(true);
        isNew();
        await restoreTo(localHost, taken, live, options);
        expect(isNew(), `step ${step}`).toBe(true);
        const left = readdirSync(dir).filter((name) => name !== 'live' && !name.startsWith('live.coffre-old-'));
        expect(left, `step ${step}`).toEqual([]);
      }
    },
  );

  test('between the two renames - the next restore finishes the swap, whatever it is of', async () => {
    const { taken, tree } = await snapshotOf({ 'a/one': 'one' });
    const { taken: other, tree: otherTree } = await snapshotOf({ other: 'other' });
    for (const keepOld of [false, true]) {
      const dir = await tempDir();
      const live = join(dir, 'live');
      bash('cp -a "$TREE" "$LIVE"; printf damaged > "$LIVE/a/one"', { TREE: tree, LIVE: live });
      const half = halfSwapped(true);
      const options = { overwrite: true, keepOld, removeAllBut: removeAll };
      await expect(restoreTo(half, taken, live, options)).rejects.toEqual(code('E_SSH_LOST'));
      expect(existsSync(live)).toBe(false);
      await expect(restoreTo(localHost, other, live, { snapshot: 'other' })).rejects.toEqual(code('E_TARGET_NOT_EMPTY'));
      expect(contents(live)).toBe(contents(tree));
      await restoreTo(localHost, other, live, { ...options, snapshot: 'other' });
      expect(contents(live)).toBe(contents(otherTree));
      expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
    }
  });

  test('lost once both have changed places - there is the new tree; the next restore knows it, and puts the old one aside', async () => {
    const { taken, tree } = await snapshotOf({ 'a/one': 'one' });
    const { taken: other, tree: otherTree } = await snapshotOf({ other: 'other' });
    for (const keepOld of [false, true]) {
      const dir = await tempDir();
      const live = join(dir, 'live');
      bash('cp -a "$TREE" "$LIVE"; printf damaged > "$LIVE/a/one"', { TREE: tree, LIVE: live });
      const before = contents(live);
      const options = { overwrite: true, keepOld, removeAllBut: removeAll };
      await expect(restoreTo(exchanged(true), taken, live, options)).rejects.toEqual(code('E_SSH_LOST'));
      expect(contents(live)).toBe(contents(tree));
      await restoreTo(localHost, other, live, { ...options, snapshot: 'other' });
      expect(contents(live)).toBe(contents(otherTree));
      expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
      const kept = readdirSync(dir).filter((name) => name.startsWith('live.coffre-old-'));
      expect(kept.map((name) => contents(join(dir, name))).includes(before)).toBe(keepOld);
    }
  });

  test('both have changed places and nobody heard of it - it is looked at, and the restore ends', async () => {
    const { taken, tree } = await snapshotOf({ 'a/one': 'one' });
    const dir = await tempDir();
    const live = join(dir, 'live');
    bash('cp -a "$TREE" "$LIVE"; printf damaged > "$LIVE/a/one"', { TREE: tree, LIVE: live });
    await restoreTo(exchanged(false), taken, live, { overwrite: true });
    expect(contents(live)).toBe(contents(tree));
    expect(readdirSync(dir)).toEqual(['live']);
  });

  test('the swap is killed half-way, the host is still there - the old tree is back at once', async () => {
    const { taken, tree } = await snapshotOf({ 'a/one': 'one' });
    const dir = await tempDir();
    const live = join(dir, 'live');
    bash('cp -a "$TREE" "$LIVE"; printf damaged > "$LIVE/a/one"', { TREE: tree, LIVE: live });
    const before = contents(live);
    await expect(restoreTo(halfSwapped(false), taken, live, { overwrite: true })).rejects.toEqual(code('E_TARGET_WRITE'));
    expect(contents(live)).toBe(before);
    await restoreTo(localHost, taken, live, { overwrite: true });
    expect(contents(live)).toBe(contents(tree));
    expect(readdirSync(dir)).toEqual(['live']);
  });

  test('a connection that is cut while segments arrive - E_SSH_LOST, and the same restore again writes only what is missing', async () => {
    // more than a channel holds, so that tar has taken some of it when the line is cut
    const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`d${i % 7}/file${i}`, `${i}`.repeat(400_000)]));
    const { taken, tree } = await snapshotOf(files);
    const proxy = await startFaultProxy(sshd.port);
    const dir = await tempDir();
    const bytes = Object.values(files).join('').length;
    try {
      const knownHosts = join(dir, 'known_hosts');
      writeFileSync(knownHosts, readFileSync(sshd.knownHostsFile, 'utf8').replace(`:${sshd.port} `, `:${proxy.port} `));
      const host = hostAt(sshd, proxy.port, knownHosts);
      let cut = false;
      try {
        const restored = restoreTo(host, taken, join(dir, 'shop'), {
          onSegment: () => {
            if (!cut) proxy.set({ mode: 'cut', direction: 'toServer', afterBytes: Math.round(bytes / 2), afterwards: 'reset' });
            cut = true;
          },
        });
        await expect(restored).rejects.toEqual(code('E_SSH_LOST'));
      } finally {
        await host.close();
      }
    } finally {
      await proxy.stop();
    }
    expect(existsSync(join(dir, 'shop'))).toBe(false);
    const second = hostAt(sshd);
    const again = await restoreTo(second, taken, join(dir, 'shop')).finally(() => second.close());
    expect(again.landing?.resumed).toBeGreaterThan(0);
    expect(again.landing?.written).toBeGreaterThan(0);
    expect(again.written.length + (again.landing?.resumed ?? 0)).toBe(40);
    expect(describeTree(join(dir, 'shop'))).toBe(describeTree(tree));
    expect(readdirSync(dir).sort()).toEqual(['known_hosts', 'shop']);
  });

  test('over a tree, after what was restored before - only the rest is written', async () => {
    const { taken, tree } = await snapshotOf({ 'a/one': 'one', 'a/two': 'two', 'b/three': 'three' });
    const dir = await tempDir();
    const live = join(dir, 'live');
    bash('cp -a "$TREE" "$LIVE"; rm -r "$LIVE/a"; mkdir "$LIVE/kept"; printf x > "$LIVE/kept/x"', { TREE: tree, LIVE: live });
    const cut = restoreTo(localHost, taken, live, {
      overwrite: true,
      onSegment: (name) => {
        if (name.startsWith('directories')) throw new CoffreError('E_SSH_LOST', 'cut');
      },
    });
    await expect(cut).rejects.toEqual(code('E_SSH_LOST'));
    // the shop goes on living meanwhile
    writeFileSync(join(live, 'kept', 'new'), 'new');
    const again = await restoreTo(localHost, taken, live, { overwrite: true });
    expect(again.written).toEqual([]);
    expect(again.landing).toMatchObject({ written: 0, resumed: 2, unchanged: 1, deleted: 0 });
    expect(bash('cd "$LIVE"; cat a/one a/two b/three kept/x kept/new', { LIVE: live })).toBe('onetwothreexnew');
    expect(readdirSync(dir)).toEqual(['live']);
  });

  test('files that may have attributes, over the tree that was restored just now - nothing is written again', async () => {
    const { taken } = await snapshotOf({ 'a/one': 'one', 'b/two': 'two' });
    // as GNU tar packs a tree that is read over SSH
    const extended = {
      ...taken,
      entries: taken.entries.map((entry) => (entry.type === 'file' ? { ...entry, extended: true as const } : entry)),
    };
    const dir = await tempDir();
    await restoreTo(localHost, extended, join(dir, 'shop'));
    const again = await restoreTo(localHost, extended, join(dir, 'shop'), { overwrite: true });
    expect(again.landing).toMatchObject({ written: 0, unchanged: 2 });
  });
});
