// The target directory: what it refuses, what it never lets out, and what it says when it cannot write.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CoffreError } from '../../../src/errors.ts';
import { localHost } from '../../../src/host/local.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import { DirectoryTarget } from '../../../src/target/files/directory-target.ts';
import { asNobody, bash, take } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import { bytes, each, restore } from './restore.ts';

const NEVER = new AbortController().signal;

async function prepared(): Promise<{ target: DirectoryTarget; directory: string; outside: string }> {
  const dir = await tempDir();
  const directory = join(dir, 'restored');
  const outside = join(dir, 'outside');
  mkdirSync(outside);
  const target = new DirectoryTarget(directory, localHost);
  await target.prepare('snapshot');
  onTestFinished(() => target.close());
  return { target, directory, outside };
}

/** An archive made by GNU tar from a tree that `script` builds in an empty directory. */
function archive(script: string, ...args: string[]): Buffer {
  const dir = bash('mktemp -d').trim();
  try {
    bash(`cd "$TREE"; ${script}`, { TREE: dir });
    return execFileSync('tar', ['-C', dir, '-cf', '-', '--format=pax', '-P', ...args], { maxBuffer: 1 << 28 });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function extract(target: DirectoryTarget, content: Buffer, members: string[] | null = null, unverified = false): Promise<void> {
  await target.extract({ id: 'segment', phase: 'files', plaintext: bytes(content), unverified }, members, NEVER);
}

const code = (wanted: string): object => expect.objectContaining({ code: wanted });

test('a directory that holds something - is refused', async () => {
  const dir = await tempDir();
  writeFileSync(join(dir, 'file'), 'x');
  await expect(new DirectoryTarget(dir, localHost).prepare('snapshot')).rejects.toMatchObject({
    code: 'E_TARGET_NOT_EMPTY',
    hint: expect.stringMatching(/directory that is empty.*databases only/),
  });
});

test('an empty directory, or one that is not there - is taken, and closed to others while it fills', async () => {
  const dir = await tempDir();
  await new DirectoryTarget(dir, localHost).prepare('snapshot');
  await new DirectoryTarget(join(dir, 'a', 'b'), localHost).prepare('snapshot');
  expect(bash('stat -c %a "$TREE"', { TREE: join(dir, 'a', 'b') })).toBe('700\n');
});

test('a target that is a file, or below one - cannot be written', async () => {
  const dir = await tempDir();
  writeFileSync(join(dir, 'file'), 'x');
  await expect(new DirectoryTarget(join(dir, 'file'), localHost).prepare('snapshot')).rejects.toEqual(code('E_TARGET_WRITE'));
  await expect(new DirectoryTarget(join(dir, 'file', 'below'), localHost).prepare('snapshot')).rejects.toEqual(code('E_TARGET_WRITE'));
});

test('members chosen - these and no others come out, names that look like patterns or options included', async () => {
  const { target, directory } = await prepared();
  const content = archive(`printf 1 > '*'; printf 2 > -x; printf 3 > ab; mkdir d; printf 4 > d/in`, '--', '*', '-x', 'ab', 'd/in');
  await extract(target, content, ['*', '-x', 'd/in']);
  expect(bash('cd "$TREE"; find . -type f | sort | tr "\\n" " "', { TREE: directory })).toBe('./* ./-x ./d/in ');
});

test('a member chosen that the segment lacks - is an error', async () => {
  const { target } = await prepared();
  await expect(extract(target, archive('printf 1 > a', 'a'), ['a', 'b'])).rejects.toEqual(code('E_FORMAT'));
});

test.each([
  ['an absolute name', 'no relative path', archive('printf x > a', '--transform=s,a,/tmp/coffre-escaped,', 'a')],
  ['a name with ..', 'no plain path', archive('printf x > a', '--transform=s,a,../escaped,', 'a')],
  ['a name with .. inside', 'no plain path', archive('printf x > a', '--transform=s,a,d/../../escaped,', 'a')],
  [
    'a hard link to something outside',
    'no plain path',
    archive('printf x > a; ln a b', '--transform=flags=h;s,a,../outside/secret,', 'a', 'b'),
  ],
  [
    'a way through a symbolic link',
    'leads through a symbolic link',
    archive('ln -s ../outside l; mkdir d; printf x > d/escaped', '--transform=flags=r;s,^d/,l/,', 'l', 'd/escaped'),
  ],
  [
    'a way through a hard link to a symbolic link',
    'leads through a symbolic link',
    archive('ln -s ../outside l; ln l m; mkdir d; printf x > d/escaped', '--transform=flags=r;s,^d/,m/,', 'l', 'm', 'd/escaped'),
  ],
  [
    'a symbolic link in the place of a used directory',
    'a symbolic link and a directory',
    archive('mkdir d; printf x > d/file; ln -s ../outside l', '--transform=flags=r;s,^l$,d,', 'd/file', 'l'),
  ],
  ['a symbolic link as the root', 'a symbolic link and a directory', archive('ln -s ../outside l', '--transform=flags=r;s,^l$,./,', 'l')],
  ['global headers', 'type "g"', archive('printf x > a', '--pax-option=path=../escaped', 'a')],
  ['an old GNU archive', 'not ustar', execFileSync('bash', ['-c', 'cd "$(mktemp -d)"; : > a; tar --format=gnu -cf - a; rm -r "$PWD"'])],
])('an archive with %s - is refused, and nothing appears outside', async (_, why, content) => {
  const { target, outside, directory } = await prepared();
  await expect(extract(target, content)).rejects.toEqual(
    expect.objectContaining({ code: 'E_FORMAT', message: expect.stringContaining(why) }),
  );
  expect(readdirSync(outside)).toEqual([]);
  expect(existsSync('/tmp/coffre-escaped')).toBe(false);
  expect(existsSync(join(directory, '..', 'escaped'))).toBe(false);
});

test('a symbolic link in one segment, a way through it in another - is refused whichever comes first', async () => {
  const link = archive('ln -s ../outside l', 'l');
  const through = archive('mkdir l; printf x > l/escaped', 'l/escaped');
  for (const order of [
    [link, through],
    [through, link],
  ]) {
    const { target, outside } = await prepared();
    await extract(target, order[0] as Buffer);
    await expect(extract(target, order[1] as Buffer)).rejects.toEqual(code('E_FORMAT'));
    expect(readdirSync(outside)).toEqual([]);
  }
});

test('an archive that is cut off - is refused at every length', async () => {
  const { target } = await prepared();
  const content = archive('printf 12345 > a; ln -s a b', 'a', 'b');
  const end = content.length - 10240 + 1024 * 5;
  for (let length = 0; length < Math.min(end, 4096); length += 512) {
    await expect(extract(target, content.subarray(0, length))).rejects.toEqual(code('E_FORMAT'));
  }
});

test('an unproven segment that turns out wrong at its end - leaves nothing visible', async () => {
  const { target, directory } = await prepared();
  const content = archive('mkdir d; head -c 300000 /dev/zero > d/file', 'd/file');
  const plaintext = async function* () {
    yield* bytes(content);
    throw new CoffreError('E_OBJECT_ALTERED', 'not what the manifest says');
  };
  for (const phase of ['files', 'tail'] as const) {
    await expect(target.extract({ id: 'large', phase, plaintext: plaintext(), unverified: true }, null, NEVER)).rejects.toEqual(
      code('E_OBJECT_ALTERED'),
    );
    expect(bash('cd "$TREE"; find . -type f', { TREE: directory })).toBe('');
  }
  await target.close();
  expect(readdirSync(directory)).toEqual([]);
});

test('a restore that is stopped - rejects with the reason', async () => {
  const { target } = await prepared();
  const stop = new AbortController();
  const endless = async function* () {
    yield* bytes(archive('head -c 300000 /dev/zero > file', 'file').subarray(0, 200_000), 1000);
    stop.abort(new CoffreError('E_INTERRUPTED', 'enough'));
    yield Buffer.alloc(1);
  };
  await expect(target.extract({ id: 'x', phase: 'files', plaintext: endless(), unverified: false }, null, stop.signal)).rejects.toEqual(
    code('E_INTERRUPTED'),
  );
});

test.skipIf(process.geteuid?.() !== 0)('a file system that is full - is said, staged or not', async () => {
  const dir = await tempDir();
  bash('mount -t tmpfs -o size=1m tmpfs "$TREE"', { TREE: dir });
  onTestFinished(() => void bash('umount "$TREE"', { TREE: dir }));
  const content = archive('head -c 3000000 /dev/urandom > file', 'file');
  const target = new DirectoryTarget(join(dir, 'restored'), localHost);
  await target.prepare('snapshot');
  await expect(extract(target, content)).rejects.toEqual(code('E_TARGET_SPACE'));
  rmSync(join(dir, 'restored', 'file'), { force: true });
  await expect(extract(target, content, null, true)).rejects.toEqual(code('E_TARGET_SPACE'));
  const tail = { id: 'tail', phase: 'tail' as const, plaintext: bytes(content), unverified: true };
  await expect(target.extract(tail, null, NEVER)).rejects.toEqual(code('E_TARGET_SPACE'));
});

test('restored by somebody who is not root - modes and times come back, owners become his', async () => {
  const dir = await tempDir();
  chmodSync(dir, 0o777);
  const root = join(dir, 'tree');
  bash(
    'mkdir -p "$TREE/closed"; cd "$TREE"; printf a > closed/a; chmod 640 closed/a; chmod 500 closed; setfattr -n user.x -v y closed/a; touch -d "2020-01-01 00:00:00.5" closed',
    {
      TREE: root,
    },
  );
  const snapshot = await take(root, new Map());
  expect(await asNobody(() => restore(snapshot, join(dir, 'restored')))).toEqual([]);
  expect(bash('cd "$TREE"; getfattr -n user.x --only-values closed/a; stat -c " %a %Y" closed', { TREE: join(dir, 'restored') })).toBe(
    'y 500 1577836800\n',
  );
});

test('compare - names each entry that differs and how', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  bash(
    'mkdir "$TREE"; cd "$TREE"; for f in size mode time type gone linked same; do printf x > $f; done; ln linked link; ln -s same symlink',
    { TREE: root },
  );
  const snapshot = await take(root, new Map());
  const restored = join(dir, 'restored');
  await restore(snapshot, restored);
  const at = (name: string): string => join(restored, name);
  bash('cd "$TREE"; touch -r size /tmp/coffre-ref.$$; printf yy > size; touch -r /tmp/coffre-ref.$$ size; rm /tmp/coffre-ref.$$', {
    TREE: restored,
  });
  chmodSync(at('mode'), 0o600);
  utimesSync(at('time'), 1, 1);
  rmSync(at('type'));
  mkdirSync(at('type'));
  rmSync(at('gone'));
  bash('cd "$TREE"; cp -p linked copy; mv copy linked; ln -sfT other symlink', { TREE: restored });
  const target = new DirectoryTarget(restored, localHost);
  const differences = await target.compare(each<FileEntry>(snapshot.entries.filter((entry) => entry.path !== '.')));
  expect(differences.map((line) => line.replace(/mtime \d+, not \d+/, 'mtime'))).toEqual([
    'gone: ENOENT',
    'mode: mode 0600, not 0644',
    'size: size 2, not 1',
    'symlink: mtime, target other, not same',
    'time: mtime',
    'type: is no file',
    'linked: no hard link to link',
  ]);
  symlinkSync('x', at('nothing'));
  expect(readFileSync(at('same'), 'utf8')).toBe('x');
});
