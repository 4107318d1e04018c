// A tree restored onto a host: what comes back, what survives, and what is left when it is cut off at any step.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { secretFromFile } from '../../../src/config/secret.ts';
import { CoffreError } from '../../../src/errors.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { SshHost } from '../../../src/host/ssh.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import type { Stays } from '../../../src/target/files/remote-scan.ts';
import { RemoteDirectoryTarget } from '../../../src/target/files/remote-target.ts';
import { startFaultProxy } from '../../servers/fault-proxy.ts';
import { type Sshd, startSshd } from '../../servers/sshd.ts';
import { asNobody, bash, describeTree, makeAwkwardTree, type TakenSnapshot, take } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import { breakingHost, type RemoteRestore, removeAll, restoreTo } from './remote-restore.ts';
import { each } from './restore.ts';

let sshd: Sshd;
let sshHost: SshHost;
let awkward: TakenSnapshot;
let awkwardTree: string;

beforeAll(async () => {
  sshd = await startSshd();
  sshHost = hostAt(sshd.port);
  awkwardTree = join(mkdtempSync(join(tmpdir(), 'coffre-test-')), 'tree');
  makeAwkwardTree(awkwardTree);
  awkward = await take(awkwardTree, new Map());
});

afterAll(async () => {
  await sshHost?.close();
  await sshd?.stop();
  rmSync(join(awkwardTree, '..'), { recursive: true, force: true });
});

function hostAt(port: number, knownHosts = sshd.knownHostsFile): SshHost {
  const { host, user, keyFile } = sshd;
  const config = {
    host,
    port,
    user,
    keys: [secretFromFile(keyFile)],
    passphrase: null,
    agent: null,
    knownHostsFile: knownHosts,
    connectTimeoutMs: 10_000,
  };
  return new SshHost({ type: 'ssh', ...config }, systemClock);
}

const HOSTS: readonly (readonly [name: string, host: () => Host])[] = [
  ['this machine', () => localHost],
  ['a host over SSH', () => sshHost],
];

const code = (wanted: string): object => expect.objectContaining({ code: wanted });

/** Names, types and contents alone: a copy beside it by hard links shows in link counts. */
function contents(root: string): string {
  return bash('cd "$TREE"; find . -printf "%y %m %p %l\\n" | sort; find . -type f -print0 | sort -z | xargs -0r sha256sum', { TREE: root });
}

/** A small tree of some files, their names and contents. */
async function snapshotOf(files: Record<string, string>): Promise<{ taken: TakenSnapshot; tree: string }> {
  const tree = join(await tempDir(), 'tree');
  mkdirSync(tree);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(tree, path, '..'), { recursive: true });
    writeFileSync(join(tree, path), content);
  }
  return { taken: await take(tree, new Map()), tree };
}

describe.each(HOSTS)('%s', (name, host) => {
  const isSsh = name !== 'this machine';

  test('an awkward tree into a directory that is not there - it is the same, and nothing of ours is left', async () => {
    const dir = await tempDir();
    const restored = await restoreTo(host(), awkward, join(dir, 'shops', 'restored'));
    expect(restored.differences).toEqual([]);
    expect(describeTree(join(dir, 'shops', 'restored'))).toBe(describeTree(awkwardTree));
    expect(readdirSync(join(dir, 'shops'))).toEqual(['restored']);
  });

  test.skipIf(isSsh)('segments that are not proven before their end - the tree is the same', async () => {
    const dir = await tempDir();
    mkdirSync(join(dir, 'restored'));
    const restored = await restoreTo(host(), awkward, join(dir, 'restored'), { unverified: true });
    expect(restored.differences).toEqual([]);
    expect(describeTree(join(dir, 'restored'))).toBe(describeTree(awkwardTree));
    expect(readdirSync(dir)).toEqual(['restored']);
  });

  test.skipIf(isSsh)(
    'over a tree that differs a little - only what differs is written, what the snapshot has not survives, and the old files stay untouched until the swap',
    async () => {
      const { taken, tree } = await snapshotOf({ 'a/one': 'one', 'a/two': 'two', 'b/three': 'three', top: 'top' });
      const dir = await tempDir();
      const live = join(dir, 'live');
      bash(
        'cp -a "$TREE" "$LIVE"; cd "$LIVE"; printf damaged > a/two; rm b/three; mkdir -p new/deep; printf upload > new/deep/file; ln -s /etc a/link',
        {
          TREE: tree,
          LIVE: live,
        },
      );
      const before = contents(live);
      const seen: string[] = [];
      const restored = await restoreTo(host(), taken, live, { overwrite: true, onSegment: () => seen.push(contents(live)) });
      expect(restored.differences).toEqual([]);
      expect([...restored.written].sort()).toEqual(['a/two', 'b/three']);
      expect(new Set(seen)).toEqual(new Set([before]));
      bash('cd "$LIVE"; rm -r new a/link; touch -r "$TREE/a" a; touch -r "$TREE" .', { TREE: tree, LIVE: live });
      expect(describeTree(live)).toBe(describeTree(tree));
      expect(readdirSync(dir)).toEqual(['live']);
    },
  );

  test('with delete - the tree is the snapshot and nothing else', async () => {
    const dir = await tempDir();
    const live = join(dir, 'live');
    bash(
      'cp -a "$TREE" "$LIVE"; cd "$LIVE"; rm -r img; ln -s /etc img; rm index.php; mkdir -p index.php/x; printf y > index.php/x/y; mkdir more; printf x > "more/a b"',
      {
        TREE: awkwardTree,
        LIVE: live,
      },
    );
    const restored = await restoreTo(host(), awkward, live, { overwrite: true, removeAllBut: removeAll });
    expect(restored.differences).toEqual([]);
    expect(describeTree(live)).toBe(describeTree(awkwardTree));
    expect(readdirSync(dir)).toEqual(['live']);
  });

  test.skipIf(isSsh)('keeping the old tree - it is beside, shares no file with the new one, and is named', async () => {
    const { taken, tree } = await snapshotOf({ same: 'same', changed: 'new' });
    const dir = await tempDir();
    const live = join(dir, 'live');
    bash('cp -a "$TREE" "$LIVE"; printf old > "$LIVE/changed"', { TREE: tree, LIVE: live });
    const before = describeTree(live);
    const { notes } = await restoreTo(host(), taken, live, { overwrite: true, keepOld: true, removeAllBut: removeAll });
    const [kept = '', ...more] = readdirSync(dir).filter((name) => name !== 'live');
    expect(more).toEqual([]);
    expect(kept).toMatch(/^live\.coffre-old-/);
    expect(notes.join()).toContain(join(dir, kept));
    expect(describeTree(join(dir, kept))).toBe(before);
    expect(describeTree(live)).toBe(describeTree(tree));
  });

  test.skipIf(isSsh)('a directory that holds something, without overwrite - is refused, and nothing was made', async () => {
    const dir = await tempDir();
    mkdirSync(join(dir, 'live'));
    writeFileSync(join(dir, 'live', 'file'), 'x');
    await expect(restoreTo(host(), awkward, join(dir, 'live'))).rejects.toMatchObject({
      code: 'E_TARGET_NOT_EMPTY',
      hint: expect.stringContaining('--overwrite'),
    });
    expect(bash('cd "$D"; find . | sort | tr "\\n" " "', { D: dir })).toBe('. ./live ./live/file ');
  });
});

test('two restores into one directory - the second is refused as busy', async () => {
  const { taken } = await snapshotOf({ a: 'a' });
  const dir = await tempDir();
  const { promise: second, resolve, reject } = Promise.withResolvers<void>();
  let begun = false;
  await Promise.all([
    restoreTo(localHost, taken, join(dir, 'x'), {
      onSegment: () => {
        if (begun) return;
        begun = true;
        restoreTo(localHost, taken, join(dir, 'x')).then(() => reject(new Error('it was not refused')), resolve);
        bash('sleep 0.1');
      },
    }).catch(() => {}),
    second,
  ]);
  onTestFinished(() => rmSync(join(dir, 'x'), { recursive: true, force: true }));
});

/** Numbers of the programs that a restore starts: from the one named on, every so many. */
async function steps(taken: TakenSnapshot, directory: string, options: RemoteRestore, from: string, stride: number): Promise<number[]> {
  const host = breakingHost(localHost, Number.POSITIVE_INFINITY);
  await restoreTo(host, taken, directory, options);
  const first = host.programs.indexOf(from);
  expect(first).toBeGreaterThan(0);
  return host.programs.map((_, step) => step).filter((step) => step >= first && (step - first) % stride === 0);
}

/** A host on which only the first of the swap's two renames happens; `isLost`: and nothing more after it. */
function halfSwapped(isLost: boolean): Host {
  let swapped = false;
  const lost = { status: null, lost: true };
  return {
    ...localHost,
    start(argv, signal) {
      if (swapped && isLost) return { ...localHost.start(['true'], signal), ended: Promise.resolve(lost) };
      if (!argv.includes('--max-args=2')) return localHost.start(argv, signal);
      swapped = true;
      const program = localHost.start(['bash', '-c', 'IFS= read -r -d "" a; IFS= read -r -d "" b; mv -T -- "$a" "$b"'], signal);
      return { ...program, ended: program.ended.then(() => (isLost ? lost : { status: null, lost: false })) };
    },
  };
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
    const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`d${i % 7}/file${i}`, `${i}`.repeat(50_000)]));
    const { taken, tree } = await snapshotOf(files);
    const proxy = await startFaultProxy(sshd.port);
    const dir = await tempDir();
    const bytes = Object.values(files).join('').length;
    try {
      const knownHosts = join(dir, 'known_hosts');
      writeFileSync(knownHosts, readFileSync(sshd.knownHostsFile, 'utf8').replace(`:${sshd.port} `, `:${proxy.port} `));
      const host = hostAt(proxy.port, knownHosts);
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
    const again = await restoreTo(sshHost, taken, join(dir, 'shop'));
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
});

test('checksum - a file that looks the same and is not is written', async () => {
  const { taken, tree } = await snapshotOf({ 'a/one': 'one', 'a/two': 'two' });
  const live = join(await tempDir(), 'live');
  bash('cp -a "$TREE" "$LIVE"; printf ONE > "$LIVE/a/one"; touch -r "$TREE/a/one" "$LIVE/a/one"', { TREE: tree, LIVE: live });
  const target = new RemoteDirectoryTarget(live, localHost, { checksum: true });
  expect(await target.preview('snapshot', each<FileEntry>(taken.entries))).toEqual({
    exists: true,
    allowed: false,
    written: 1,
    bytes: 3,
    unchanged: 1,
    deleted: 0,
  });
  await target.close();
  expect((await restoreTo(localHost, taken, live, { overwrite: true })).written).toEqual([]);
  expect((await restoreTo(localHost, taken, live, { overwrite: true, checksum: true })).written).toEqual(['a/one']);
  expect(describeTree(live)).toBe(describeTree(tree));
});

test('what stays although the snapshot does not have it - stays with the directories above it, the rest goes', async () => {
  const { taken, tree } = await snapshotOf({ 'a/one': 'one' });
  const live = join(await tempDir(), 'live');
  bash(
    'cp -a "$TREE" "$LIVE"; cd "$LIVE"; mkdir -p var/cache/x var/other a/more; printf 1 > var/cache/x/1; printf 2 > var/other/2; printf 3 > a/more/3',
    {
      TREE: tree,
      LIVE: live,
    },
  );
  const removeAllBut: Stays = (path) => (path === 'var/cache' ? 'whole' : 'no');
  const { landing } = await restoreTo(localHost, taken, live, { overwrite: true, removeAllBut });
  expect(landing).toMatchObject({ deleted: 4 });
  expect(bash('cd "$LIVE"; find . | sort | tr "\\n" " "', { LIVE: live })).toBe(
    '. ./a ./a/one ./var ./var/cache ./var/cache/x ./var/cache/x/1 ',
  );
});

test.skipIf(process.geteuid?.() !== 0)(
  'a file system that is full - E_TARGET_SPACE, what is there stays, and with more room the same restore goes on',
  async () => {
    const { taken, tree } = await snapshotOf({
      'a/one': 'x'.repeat(300_000),
      'b/two': 'y'.repeat(300_000),
      'c/three': 'z'.repeat(3_000_000),
    });
    const dir = await tempDir();
    bash('mount -t tmpfs -o size=1m tmpfs "$D"', { D: dir });
    onTestFinished(() => void bash('umount "$D"', { D: dir }));
    await expect(restoreTo(localHost, taken, join(dir, 'shop'))).rejects.toEqual(code('E_TARGET_SPACE'));
    expect(existsSync(join(dir, 'shop'))).toBe(false);
    bash('mount -o remount,size=20m "$D"', { D: dir });
    await restoreTo(localHost, taken, join(dir, 'shop'));
    expect(describeTree(join(dir, 'shop'))).toBe(describeTree(tree));
    expect(readdirSync(dir)).toEqual(['shop']);
  },
);

test.skipIf(process.geteuid?.() !== 0)('a mount point - is refused, nothing was made', async () => {
  const dir = await tempDir();
  mkdirSync(join(dir, 'mounted'));
  bash('mount -t tmpfs -o size=1m tmpfs "$D"', { D: join(dir, 'mounted') });
  onTestFinished(() => void bash('umount "$D"', { D: join(dir, 'mounted') }));
  await expect(restoreTo(localHost, awkward, join(dir, 'mounted'))).rejects.toEqual(code('E_TARGET_WRITE'));
  expect(readdirSync(dir)).toEqual(['mounted']);
});

test('a tool that is missing or another one - E_TOOL_MISSING', async () => {
  const dir = await tempDir();
  for (const missing of ['flock', 'tar', 'cp']) {
    const host: Host = { ...localHost, start: (argv, signal) => localHost.start(argv[0] === missing ? ['echo', 'other'] : argv, signal) };
    await expect(restoreTo(host, awkward, join(dir, 'x'))).rejects.toEqual(code('E_TOOL_MISSING'));
  }
  expect(readdirSync(dir)).toEqual([]);
});

test('a folder of that name that somebody else made - is left alone', async () => {
  const dir = await tempDir();
  mkdirSync(join(dir, '.coffre-restore-x.tree'));
  await expect(restoreTo(localHost, awkward, join(dir, 'x'))).rejects.toEqual(code('E_TARGET_WRITE'));
  expect(readdirSync(dir)).toEqual(['.coffre-restore-x.tree']);
});

test('somebody who is not root - modes and times come back, everything is his, and the result says so; his closed directories are no obstacle', async () => {
  const dir = await tempDir();
  bash('chmod 777 "$D"', { D: dir });
  const tree = join(dir, 'tree');
  bash(
    'mkdir -p "$TREE/closed/inner"; cd "$TREE"; printf a > closed/inner/a; printf b > b; chmod 640 closed/inner/a; touch -d "2020-01-01 00:00:00.5" closed/inner; chmod 500 closed/inner closed',
    { TREE: tree },
  );
  const taken = await take(tree, new Map());
  const live = join(dir, 'live');
  const said = await asNobody(async () => {
    const { notes } = await restoreTo(localHost, taken, live);
    execFileSync('chmod', ['u+w', join(live, 'closed', 'inner')]);
    writeFileSync(join(live, 'closed', 'inner', 'a'), 'damaged');
    writeFileSync(join(live, 'closed', 'inner', 'more'), 'more');
    execFileSync('chmod', ['500', join(live, 'closed', 'inner')]);
    const again = await restoreTo(localHost, taken, live, { overwrite: true, removeAllBut: removeAll });
    expect(again.written).toEqual(['closed/inner/a']);
    return notes.join();
  });
  expect(said).toMatch(/not root.*belongs to/);
  expect(contents(live)).toBe(contents(tree));
  expect(bash('stat -c "%u %a %Y" "$LIVE/closed/inner"', { LIVE: live })).toBe('65534 500 1577836800\n');
  expect(readdirSync(dir).sort()).toEqual(['live', 'tree']);
});

test('an archive that leads out of the tree - is refused', async () => {
  const { taken } = await snapshotOf({ 'd/x': 'x' });
  const evil = bash(
    'd=$(mktemp -d); cd "$d"; ln -s /tmp l; mkdir d; printf x > d/escaped; tar --format=pax --transform="flags=r;s,^d/,l/," -cf - l d/escaped; rm -r "$d"',
  );
  const [first] = taken.segments;
  const forged = { ...taken, segments: [{ ...first, bytes: Buffer.from(evil, 'latin1') }] } as unknown as TakenSnapshot;
  const entries = ['l', 'l/escaped'].map((path) => ({ ...taken.entries[0], path, segment: first?.id }));
  const dir = await tempDir();
  await expect(restoreTo(localHost, { ...forged, entries } as TakenSnapshot, join(dir, 'x'))).rejects.toEqual(code('E_FORMAT'));
  expect(existsSync('/tmp/escaped')).toBe(false);
});
