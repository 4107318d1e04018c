// A tree made equal to a snapshot: what is fetched, what stays as it is, what goes, and what a kill in the middle leaves.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bash, describeTree, makeAwkwardTree, take } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import { type DeltaRun, landingDirectory, restoreOver } from './delta.ts';
import { rawArchive } from './raw-tar.ts';
import { bytes, each } from './restore.ts';

const MARKER = /^\.coffre-restore-incomplete-/;
const code = (wanted: string): object => expect.objectContaining({ code: wanted });
const markers = (directory: string): string[] => readdirSync(directory).filter((name) => MARKER.test(name));
/** Inodes by path, of everything but directories. */
const inodes = (root: string): Map<string, string> => {
  const texts = bash(`cd "$TREE"; find . ! -type d -printf '%P\\0%i\\0'`, { TREE: root }).split('\0');
  return new Map(texts.flatMap((text, at) => (at % 2 === 0 && text !== '' ? [[text, texts[at + 1] as string] as const] : [])));
};

/** An awkward tree, its snapshot, and a second copy of it that a test may damage. */
async function copied(make: (root: string) => void = makeAwkwardTree) {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  const live = join(dir, 'live');
  make(root);
  const before = describeTree(root);
  const snapshot = await take(root, new Map());
  bash('cp -a "$TREE" "$LIVE"', { TREE: root, LIVE: live });
  return { dir, root, live, before, snapshot };
}

const small = (root: string): void =>
  void bash(
    'mkdir -p "$TREE/d/e" "$TREE/other"; cd "$TREE"; for f in a b d/c d/e/f other/g; do printf "content of $f" > $f; done; ln a link; ln -s a sym',
    { TREE: root },
  );

test('a tree that is equal already - nothing but directories is asked for, every inode stays, the marker goes', async () => {
  const { live, before, snapshot } = await copied();
  const was = inodes(live);
  const { differences, landing, segments } = await restoreOver(snapshot, live, { removeAllBut: () => 'no' });
  expect(differences).toEqual([]);
  // the index does not say which device a device is
  const devices = process.geteuid?.() === 0 ? 1 : 0;
  expect(landing).toMatchObject({ written: devices, deleted: 0, resumed: 0 });
  expect(segments).toBe(devices);
  expect(describeTree(live)).toBe(before);
  const is = inodes(live);
  for (const [path, inode] of was) if (path !== 'null') expect([path, is.get(path)]).toEqual([path, inode]);
});

test('awkward damage of every kind - the tree is equal again by find, sha256sum, getfattr and getfacl; others keep their inode', async () => {
  const { live, before, snapshot } = await copied();
  bash(
    `cd "$TREE"; printf longer >> img/p/1/2/3/123.jpg; : > index.php; rm empty-file; chmod 600 setuid; rm -r sticky; printf file > sticky
     mkdir x; mv secret x/; mkdir secret; printf in > secret/way; rm relative-link; ln -s elsewhere relative-link
     rm -r links/deep; ln -s /etc links/deep; rm -r empty; ln -s /etc empty; rm pipe; printf no > pipe
     chown 7:7 big 2>/dev/null || chmod 711 big; touch -d 2001-01-01 no-rights; rm hard-three; cp -p links/one hard-three; setfacl -b empty-file 2>/dev/null || true
     rm -rf var; touch -d 2001-01-01 . img; chmod 700 img/p; setfattr -x user.coffre index.php 2>/dev/null || true`,
    { TREE: live },
  );
  const was = inodes(live);
  const etc = bash('ls -la --time-style=full-iso /etc | sha256sum');
  const { differences, landing } = await restoreOver(snapshot, live, { removeAllBut: () => 'no' });
  expect(differences).toEqual([]);
  expect(describeTree(live)).toBe(before);
  expect(bash('ls -la --time-style=full-iso /etc | sha256sum')).toBe(etc);
  // x, x/secret; secret/way stood in the way and is not counted
  expect(landing?.deleted).toBe(2);
  const is = inodes(live);
  expect(is.get('all-hole')).toBe(was.get('all-hole'));
  expect(is.get('setuid')).not.toBe(was.get('setuid'));
  expect(is.get('sparse')).toBe(was.get('sparse'));
});

test('without removing - what the snapshot does not have stays', async () => {
  const { live, before, snapshot } = await copied(small);
  bash('cd "$TREE"; printf mine > d/mine; mkdir d/own; printf x > d/own/x; rm b', { TREE: live });
  const { differences, landing } = await restoreOver(snapshot, live);
  expect(differences).toEqual([]);
  expect(landing).toEqual({ written: 1, bytes: 12, unchanged: 6, resumed: 0, deleted: 0 });
  expect(readFileSync(join(live, 'd/own/x'), 'utf8')).toBe('x');
  bash('cd "$TREE"; rm -r d/own d/mine; touch -r "$ROOT/d" d', { TREE: live, ROOT: join(live, '../tree') });
  expect(describeTree(live)).toBe(before);
});

test('removing - what is excluded stays, with the directories above it; times of directories are the snapshot’s', async () => {
  const { live, snapshot, root } = await copied(small);
  bash(
    'cd "$TREE"; mkdir -p d/cache/deep gone/cache gone/x d/gone; printf k > d/cache/deep/k; printf k > gone/cache/k; printf x > gone/x/x',
    { TREE: live },
  );
  const { differences, landing } = await restoreOver(snapshot, live, {
    removeAllBut: (path) => (/(^|\/)cache$/.test(path) ? 'whole' : 'no'),
  });
  expect(differences).toEqual([]);
  expect(landing?.deleted).toBe(3);
  expect(bash('cd "$TREE"; find d/cache gone -type f | sort', { TREE: live })).toBe('d/cache/deep/k\ngone/cache/k\n');
  expect(existsSync(join(live, 'gone/x'))).toBe(false);
  expect(statSync(join(live, 'd'), { bigint: true }).mtimeNs).toBe(statSync(join(root, 'd'), { bigint: true }).mtimeNs);
  expect(statSync(live, { bigint: true }).mtimeNs).toBe(statSync(root, { bigint: true }).mtimeNs);
});

test('one link of a group written over - all links of the inode are replaced together', async () => {
  const { live, before, snapshot } = await copied(small);
  bash('cd "$TREE"; rm link; printf "content of a" > link; touch -r a link', { TREE: live });
  const { differences, wanted } = await restoreOver(snapshot, live);
  expect([differences, wanted]).toEqual([[], ['a', 'link']]);
  expect(describeTree(live)).toBe(before);
});

test('two files of the snapshot that share an inode on disk - are parted', async () => {
  const { live, before, snapshot } = await copied(
    (root) => void bash('mkdir "$TREE"; cd "$TREE"; printf same > a; cp -p a b; cp -p a c', { TREE: root }),
  );
  bash('cd "$TREE"; ln -f a b', { TREE: live });
  const { differences, wanted } = await restoreOver(snapshot, live);
  expect([differences, wanted]).toEqual([[], ['b']]);
  bash('touch -r "$ROOT" "$TREE"', { ROOT: join(live, '../tree'), TREE: live });
  expect(describeTree(live)).toBe(before);
});

test('content changed behind an equal size and time - only reading the contents finds it', async () => {
  const { live, before, snapshot } = await copied(small);
  bash('cd "$TREE"; touch -r d/c ref; printf "CONTENT of d/c" > d/c; touch -r ref d/c; rm ref; touch -r "$ROOT" .', {
    TREE: live,
    ROOT: join(live, '../tree'),
  });
  expect((await restoreOver(snapshot, live)).wanted).toEqual([]);
  expect(describeTree(live)).not.toBe(before);
  expect((await restoreOver(snapshot, live, { checksum: true })).wanted).toEqual(['d/c']);
  expect(describeTree(live)).toBe(before);
});

test('a restore that fails before all is there - the tree is as it was; again, it goes on with what it had', async () => {
  const { live, before, snapshot } = await copied(
    (root) =>
      void bash(
        'mkdir -p "$TREE"/{a,b,c}; for d in a b c; do head -c 34000000 /dev/urandom > "$TREE/$d/large"; printf small > "$TREE/$d/small"; done',
        { TREE: root },
      ),
  );
  bash('cd "$TREE"; rm -r a b; : > c/large', { TREE: live });
  const damaged = bash('cd "$TREE"; find . ! -name ".coffre*" ! -path "./.coffre*" ! -path . | sort; stat -c %s c/large', { TREE: live });
  await expect(restoreOver(snapshot, live, { failAfter: 2 })).rejects.toThrow('cut off');
  expect(bash('cd "$TREE"; find . ! -name ".coffre*" ! -path "./.coffre*" ! -path . | sort; stat -c %s c/large', { TREE: live })).toBe(
    damaged,
  );
  expect(markers(live)).toHaveLength(1);
  await expect(restoreOver(snapshot, live, { overwrite: false })).rejects.toEqual(code('E_TARGET_NOT_EMPTY'));
  const again = await restoreOver(snapshot, live);
  expect(again.differences).toEqual([]);
  expect(again.landing?.resumed).toBeGreaterThan(0);
  expect((again.landing?.resumed ?? 0) + (again.landing?.written ?? 0)).toBe(5);
  expect(describeTree(live)).toBe(before);
}, 60_000);

test('a fresh restore that was cut off - the same snapshot goes on, another is refused, and with overwrite replaces it', async () => {
  const { dir, before, snapshot } = await copied(
    (root) =>
      void bash(
        'mkdir -p "$TREE"/{a,b,c}; for d in a b c; do head -c 34000000 /dev/urandom > "$TREE/$d/large"; printf small > "$TREE/$d/small"; done',
        { TREE: root },
      ),
  );
  const restored = join(dir, 'restored');
  await expect(restoreOver(snapshot, restored, { overwrite: false, failAfter: 2 })).rejects.toThrow('cut off');
  await expect(restoreOver(snapshot, restored, { id: 'other', overwrite: false })).rejects.toMatchObject({
    code: 'E_TARGET_NOT_EMPTY',
    message: expect.stringContaining('interrupted restore of snapshot snapshot'),
    hint: expect.stringContaining('--snapshot snapshot goes on with it; --overwrite'),
  });
  const half = join(dir, 'half');
  cpSync(restored, half, { recursive: true, preserveTimestamps: true });
  const { differences, landing } = await restoreOver(snapshot, restored, { overwrite: false });
  expect(differences).toEqual([]);
  expect(landing).toMatchObject({ unchanged: 0, deleted: 0 });
  expect(landing?.resumed).toBeGreaterThan(0);
  expect(describeTree(restored)).toBe(before);
  expect((await restoreOver(snapshot, half, { id: 'other' })).differences).toEqual([]);
  expect(describeTree(half)).toBe(before);
}, 60_000);

test('a fresh restore - its marker is there until everything was compared, and its root has the snapshot’s time in the end', async () => {
  const { dir, before, snapshot } = await copied();
  const restored = join(dir, 'restored');
  const target = landingDirectory(restored, { overwrite: false });
  await target.prepare('snapshot');
  for (const { id, phase, bytes: content } of snapshot.segments) {
    await target.extract({ id, phase, plaintext: bytes(content), unverified: false }, null, new AbortController().signal);
    expect(markers(restored)).toHaveLength(1);
  }
  expect(await target.compare(each(snapshot.entries))).toEqual([]);
  expect(markers(restored)).toHaveLength(1);
  await target.close();
  expect(describeTree(restored)).toBe(before);
});

test('a fresh restore whose tail names a directory where a file lies - E_FORMAT', async () => {
  const { dir } = await copied(small);
  const target = landingDirectory(join(dir, 'restored'), { overwrite: false });
  await target.prepare('snapshot');
  onTestFinished(() => target.close());
  const signal = new AbortController().signal;
  const files = rawArchive({ name: 'l', type: '2', link: '../live' });
  const tail = rawArchive({ name: './', type: '5' }, { name: 'l', type: '5', mode: 0o700 });
  await target.extract({ id: 'a', phase: 'files', plaintext: bytes(files), unverified: false }, null, signal);
  await expect(target.extract({ id: 'b', phase: 'tail', plaintext: bytes(tail), unverified: false }, null, signal)).rejects.toEqual(
    code('E_FORMAT'),
  );
});

test.skipIf(process.geteuid?.() !== 0)(
  'another file system mounted in the tree - its files are restored, nothing in it is removed',
  async () => {
    const { live, before, snapshot } = await copied();
    const mounted = join(live, 'img');
    bash(
      'mv "$IMG" "$IMG.there"; mkdir "$IMG"; mount -t tmpfs -o size=20m tmpfs "$IMG"; rmdir "$IMG.there/p/1/2/3" 2>/dev/null || true; rm -r "$IMG.there"',
      { IMG: mounted },
    );
    onTestFinished(() => void bash('umount "$IMG"', { IMG: mounted }));
    bash('cd "$IMG"; mkdir -p p/1/2/3/123.jpg more; printf x > p/1/2/3/123.jpg/x; printf x > more/x', { IMG: mounted });
    const { differences, landing } = await restoreOver(snapshot, live, { removeAllBut: () => 'no' });
    expect(differences).toEqual([]);
    expect(readFileSync(join(live, 'img/p/1/2/3/123.jpg'), 'utf8')).toBe('jpeg');
    expect(landing?.deleted).toBe(0);
    expect(readdirSync(mounted).sort()).toEqual(['more', 'p']);
    bash('rm -r "$IMG/more"; touch -r "$ROOT/img" "$IMG"', { IMG: mounted, ROOT: join(live, '../tree') });
    // sizes of directories and inodes of another file system are its own
    expect(describeTree(live)).toBe(before);
  },
);

test('another process at it - E_BUSY; once it is gone, its marker is taken over', async () => {
  const { live, snapshot } = await copied(small);
  const sleeper = spawn('sleep', ['60']);
  onTestFinished(() => void sleeper.kill());
  const started = readFileSync(`/proc/${sleeper.pid}/stat`, 'latin1').split(') ')[1]?.split(' ')[19];
  const marker = join(live, '.coffre-restore-incomplete-x');
  mkdirSync(marker, { mode: 0o700 });
  writeFileSync(join(marker, 'restore.json'), JSON.stringify({ snapshot: 'snapshot', overwrite: true, pid: sleeper.pid, started }));
  await expect(restoreOver(snapshot, live)).rejects.toEqual(code('E_BUSY'));
  sleeper.kill();
  await once(sleeper, 'exit');
  expect((await restoreOver(snapshot, live)).differences).toEqual([]);
  expect(markers(live)).toEqual([]);
});

test('a tree in use by somebody who exchanges a directory for a symbolic link at any moment - nothing outside is touched', async () => {
  const { dir, live, snapshot } = await copied(
    (root) =>
      void bash('mkdir -p "$TREE"/img/{0..9}/{0..9}; for d in "$TREE"/img/*/*; do for f in 1 2 3; do printf x$f > $d/$f; done; done', {
        TREE: root,
      }),
  );
  const outside = join(dir, 'outside');
  bash('mkdir "$OUT"; cp -a "$LIVE/img" "$OUT/img"; rm -r "$LIVE"/img/*/*/1', { OUT: outside, LIVE: live });
  bash('find "$OUT" -type d -exec chmod 711 {} +; find "$OUT" -type f -exec sh -c \'printf outside > "$1"; chmod 604 "$1"\' _ {} \\;', {
    OUT: outside,
  });
  const before = describeTree(outside);
  let stop = false;
  const attack = (async () => {
    while (!stop) {
      for (const name of ['img', 'img/4']) {
        try {
          renameSync(join(live, name), join(live, 'hidden'));
          bash('ln -s "$TO" "$FROM"', { TO: join(outside, name), FROM: join(live, name) });
          await new Promise((resolve) => setTimeout(resolve, 2));
          bash('rm -f "$FROM" 2>/dev/null; [ -d "$FROM" ] || mv -T "$HIDDEN" "$FROM"', {
            FROM: join(live, name),
            HIDDEN: join(live, 'hidden'),
          });
        } catch {
          bash('rm -rf "$HIDDEN"', { HIDDEN: join(live, 'hidden') });
        }
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
    }
  })();
  for (let round = 0; round < 6; round++) {
    await restoreOver(snapshot, live, { removeAllBut: () => 'no' }).catch(() => {});
    // find goes down by descriptors: it does not follow what is exchanged under it either
    bash('find "$LIVE" -name 1 -delete 2>/dev/null || true', { LIVE: live });
  }
  stop = true;
  await attack;
  expect(describeTree(outside)).toBe(before);
}, 60_000);

test('by somebody who is not root, over directories without rights to write - equal again', async () => {
  const dir = await tempDir();
  bash('chmod 777 "$DIR"', { DIR: dir });
  const root = join(dir, 'tree');
  bash(
    'mkdir -p "$TREE/closed/in"; cd "$TREE"; printf a > closed/a; printf b > closed/in/b; chmod 640 closed/a; chmod 500 closed closed/in; touch -d "2020-01-01 00:00:00.5" closed',
    { TREE: root },
  );
  const describe = (directory: string): string =>
    bash('cd "$TREE"; find . ! -type d -printf "%P %m %s %T@\\n" -o -printf "%P %m %T@\\n" | sort; sha256sum closed/a closed/in/b', {
      TREE: directory,
    });
  const live = join(dir, 'live');
  bash('chmod -R a+rX "$TREE"', { TREE: root });
  const snapshotted = describe(root);
  restoreAsNobody(root, live);
  bash(
    'cd "$TREE"; rm -r closed/a; mkdir closed/a; printf x > closed/a/x; printf x > closed/in/x; chown -R --reference=. .; chmod 500 closed/a',
    {
      TREE: live,
    },
  );
  const { differences, landing } = restoreAsNobody(root, live);
  expect(differences).toEqual([]);
  expect(landing).toMatchObject({ written: 1, unchanged: 1, deleted: 1 });
  expect(describe(live)).toBe(snapshotted);
});

/** A process whose real user is nobody's: an effective user alone may not look into its own /proc. */
function restoreAsNobody(root: string, live: string): DeltaRun {
  const child = new URL('./restore-over-in-child.ts', import.meta.url).pathname;
  const become = process.geteuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const [program = '', ...args] = [...become, process.execPath, child, root, live, 'remove'];
  // the temporary folder of whoever runs this may be closed to nobody
  const said = execFileSync(program, args, { encoding: 'utf8', env: { ...process.env, TMPDIR: dirname(live) } });
  return JSON.parse(said.slice(said.indexOf('{'))) as DeltaRun;
}

test('a preview - says what would be written and removed, and touches nothing', async () => {
  const { live, snapshot } = await copied(small);
  bash('cd "$TREE"; rm b; mkdir own; printf x > own/x', { TREE: live });
  const before = describeTree(live);
  const target = landingDirectory(live, { removeAllBut: () => 'no' });
  expect(await target.preview('snapshot', each(snapshot.entries))).toEqual({
    exists: true,
    allowed: true,
    written: 1,
    bytes: 12,
    unchanged: 6,
    deleted: 2,
  });
  const refused = landingDirectory(live, { overwrite: false });
  expect(await refused.preview('snapshot', each(snapshot.entries))).toMatchObject({ allowed: false });
  expect(describeTree(live)).toBe(before);
});

test('a segment that turns out wrong at its end - nothing of the tree was touched', async () => {
  const { live, snapshot } = await copied(small);
  bash('cd "$TREE"; rm b', { TREE: live });
  const before = bash('cd "$TREE"; find . ! -path "./.coffre*" ! -path . -printf "%p %i %T@\\n" | sort', { TREE: live });
  const target = landingDirectory(live);
  await target.prepare('snapshot');
  for await (const _ of target.missing(each(snapshot.entries)));
  const [segment] = snapshot.segments;
  if (!segment) throw new Error('no segment');
  const cut = { id: segment.id, phase: segment.phase, plaintext: bytes(segment.bytes.subarray(0, 1536)), unverified: false };
  await expect(target.extract(cut, ['b'], new AbortController().signal)).rejects.toEqual(code('E_FORMAT'));
  await target.close();
  expect(bash('cd "$TREE"; find . ! -path "./.coffre*" ! -path . -printf "%p %i %T@\\n" | sort', { TREE: live })).toBe(before);
});
