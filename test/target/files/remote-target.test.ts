// A tree restored onto a host: what comes back, what survives, and what is refused.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import type { SshHost } from '../../../src/host/ssh.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import type { Stays } from '../../../src/target/files/remote-scan.ts';
import { RemoteDirectoryTarget } from '../../../src/target/files/remote-target.ts';
import { type Sshd, startSshd } from '../../servers/sshd.ts';
import { asNobody, bash, describeTree, makeAwkwardTree, type TakenSnapshot, take } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import { contents, hostAt, removeAll, restoreTo, snapshotOf } from './remote-restore.ts';
import { each } from './restore.ts';

let sshd: Sshd;
let sshHost: SshHost;
let awkward: TakenSnapshot;
let awkwardTree: string;

beforeAll(async () => {
  sshd = await startSshd();
  sshHost = hostAt(sshd);
  awkwardTree = join(mkdtempSync(join(tmpdir(), 'coffre-test-')), 'tree');
  makeAwkwardTree(awkwardTree);
  awkward = await take(awkwardTree, new Map());
});

afterAll(async () => {
  await sshHost?.close();
  await sshd?.stop();
  rmSync(join(awkwardTree, '..'), { recursive: true, force: true });
});

const HOSTS: readonly (readonly [name: string, host: () => Host])[] = [
  ['this machine', () => localHost],
  ['a host over SSH', () => sshHost],
];

const code = (wanted: string): object => expect.objectContaining({ code: wanted });

describe.each(HOSTS)('%s', (name, host) => {
  // a start costs more over SSH: what is the same on any host is tested on this one
  const testHere: (title: string, run: () => Promise<void>) => void = name === 'this machine' ? test : () => {};

  test('an awkward tree into a directory that is not there - it is the same, and nothing of ours is left', async () => {
    const dir = await tempDir();
    const restored = await restoreTo(host(), awkward, join(dir, 'shops', 'restored'));
    expect(restored.differences).toEqual([]);
    expect(describeTree(join(dir, 'shops', 'restored'))).toBe(describeTree(awkwardTree));
    expect(readdirSync(join(dir, 'shops'))).toEqual(['restored']);
  });

  testHere('segments that are not proven before their end - the tree is the same', async () => {
    const dir = await tempDir();
    mkdirSync(join(dir, 'restored'));
    const restored = await restoreTo(host(), awkward, join(dir, 'restored'), { unverified: true });
    expect(restored.differences).toEqual([]);
    expect(describeTree(join(dir, 'restored'))).toBe(describeTree(awkwardTree));
    expect(readdirSync(dir)).toEqual(['restored']);
  });

  testHere(
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

  testHere('a file that the shop writes while its tree is restored - is not lost with the old tree, which is named', async () => {
    const { taken } = await snapshotOf({ same: 'same', changed: 'new' });
    const dir = await tempDir();
    const live = join(dir, 'live');
    mkdirSync(live);
    writeFileSync(join(live, 'changed'), 'old content');
    const restored = await restoreTo(host(), taken, live, {
      overwrite: true,
      onSegment: () => writeFileSync(join(live, 'invoice.pdf'), 'written meanwhile'),
    });
    expect(restored.differences).toEqual([]);
    const [kept] = readdirSync(dir).filter((entry) => entry !== 'live');
    expect(kept).toMatch(/^live\.coffre-old-/);
    expect(readFileSync(join(dir, kept as string, 'invoice.pdf'), 'utf8')).toBe('written meanwhile');
    expect(restored.notes.join()).toContain(join(dir, kept as string));
    expect(readFileSync(join(live, 'changed'), 'utf8')).toBe('new');
  });

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

  testHere('keeping the old tree - it is beside, shares no file with the new one, and is named', async () => {
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

  testHere('a directory that holds something, without overwrite - is refused, and nothing was made', async () => {
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
