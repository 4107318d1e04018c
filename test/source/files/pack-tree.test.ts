// What the packing of ordinary files must not get wrong: where the root is, and what changes between the scan and the reading.
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { localHost } from '../../../src/host/local.ts';
import { END_OF_ARCHIVE } from '../../../src/host/ustar.ts';
import { FilesSource } from '../../../src/source/files/files-source.ts';
import { pack, type TreePacked } from '../../../src/source/files/pack-tree.ts';
import { statRoot, walkSync } from '../../../src/source/files/walk.ts';
import type { Warning } from '../../../src/source/source.ts';
import { restore } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { describeTree, type Segments, take } from './tree.ts';

function packed(root: string, path: string): TreePacked {
  const stats = lstatSync(join(root, path), { bigint: true });
  const packing = pack({
    root,
    paths: path,
    links: Uint8Array.of(0),
    sizes: Float64Array.of(Number(stats.size)),
    modes: Uint32Array.of(Number(stats.mode) & 0o7777),
    uids: Uint32Array.of(Number(stats.uid)),
    gids: Uint32Array.of(Number(stats.gid)),
    mtimesNs: BigInt64Array.of(stats.mtimeNs),
    ctimesNs: BigInt64Array.of(stats.ctimeNs),
    inodes: BigUint64Array.of(stats.ino),
    known: new Map(),
  });
  for (;;) {
    const next = packing.next();
    if (next.done) return next.value;
  }
}

test('a whole machine, whose root is / - its files are packed', async () => {
  const dir = await tempDir();
  writeFileSync(join(dir, 'file'), 'content');
  const result = packed('/', join(dir, 'file').slice(1));
  expect([...result.failed]).toEqual([]);
  expect(result.hashes[0]).toMatch(/^[0-9a-f]{64}$/);
});

test('an attribute set between the scan and the reading - is there in the next snapshot', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  mkdirSync(root);
  // enough files for one sweep over the whole tree, and for two parts
  for (let i = 0; i < 4200; i++) writeFileSync(join(root, `f${String(i).padStart(5, '0')}`), `${i}`);
  const late = join(root, 'f04150');
  // young files are asked about one by one
  await systemClock.sleep(1200);
  const segments: Segments = new Map();
  let parts = 0;
  const first = await take(root, segments, {
    onPart: (_, phase) => {
      if (phase !== 'files' || parts++ !== 1) return;
      // the sweep was over with the first part; what the scan saw of this file is older
      execFileSync('setfattr', ['-n', 'user.late', '-v', '1', late]);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
    },
  });
  expect(parts).toBeGreaterThan(1);
  await systemClock.sleep(60);
  const second = await take(root, segments, { previous: [first.entries] });
  await restore(second, join(dir, 'restored'));
  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(root));
});

test('a directory swapped for a symbolic link once it was seen - what lies behind the link is not listed', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  mkdirSync(join(root, 'd'), { recursive: true });
  mkdirSync(join(dir, 'outside'));
  writeFileSync(join(dir, 'outside/secret'), 'not theirs');
  const seen: string[] = [];
  const warnings: Warning[] = [];
  for (const step of walkSync(
    root,
    await statRoot(root),
    () => false,
    (warning) => warnings.push(warning),
  )) {
    if (step.type === 'files') seen.push(...step.files.map(({ path }) => path));
    else if (step.directory.path === '.') {
      renameSync(join(root, 'd'), join(root, 'was-d'));
      symlinkSync(join(dir, 'outside'), join(root, 'd'));
    }
  }
  expect(seen).toEqual([]);
  expect(warnings).toEqual([{ kind: 'vanished', where: 'd', message: 'gone before it was read' }]);
});

test.runIf(process.geteuid?.() === 0)(
  'a directory swapped for a symbolic link before tar reads in it - what lies behind is not stored, and the run is not complete',
  async () => {
    const dir = await tempDir();
    const root = join(dir, 'tree');
    mkdirSync(join(root, 'd'), { recursive: true });
    mkdirSync(join(dir, 'outside'));
    writeFileSync(join(dir, 'outside/secret'), 'root-only-content', { mode: 0o600 });
    writeFileSync(join(root, 'd/secret'), 'of the shop');
    chownSync(join(root, 'd/secret'), 1000, 1000);
    // hard links are packed by tar
    linkSync(join(root, 'd/secret'), join(root, 'd/another'));
    const segments: Segments = new Map();
    const taken = await take(root, segments, {
      onPart: (_, phase) => {
        if (phase !== 'files') return;
        renameSync(join(root, 'd'), join(root, 'was-d'));
        symlinkSync(join(dir, 'outside'), join(root, 'd'));
      },
    });
    for (const { bytes } of segments.values()) expect(bytes.includes('root-only-content')).toBe(false);
    expect(taken.summary.complete).toBe(false);
    expect(taken.entries.map(({ path }) => path)).not.toContain('d/secret');
  },
);

/** Regular files of the kernel's own: the first cannot be read, although it can be opened and says that it has 4096 bytes. */
const KERNEL = '/sys/devices/virtual/net/lo';
function isUnreadable(path: string): boolean {
  try {
    readFileSync(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EINVAL';
  }
}

test.runIf(isUnreadable(`${KERNEL}/duplex`))(
  'a file that fails in the middle of its reading - its segment holds, the others are whole, the run is not complete',
  async () => {
    const dir = await tempDir();
    const segments: Segments = new Map();
    const names = ['duplex', 'mtu'];
    const exclude = readdirSync(KERNEL).filter((name) => !names.includes(name));
    const taken = await take(KERNEL, segments, { config: { exclude } });
    expect(taken.summary.complete).toBe(false);
    expect(taken.summary.warnings).toContainEqual({
      kind: 'unreadable',
      where: 'duplex',
      message: 'zeros in place of what cannot be read: EINVAL',
    });
    expect(taken.entries.find(({ path }) => path === 'duplex')?.unstable).toBe(true);
    await restore(taken, join(dir, 'restored'));
    expect(readFileSync(join(dir, 'restored/mtu'), 'latin1')).toMatch(/^65536\n/);
  },
);

test('a reading that is to read everything - carries no hard links either', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  mkdirSync(root);
  writeFileSync(join(root, 'one'), 'content');
  linkSync(join(root, 'one'), join(root, 'two'));
  await systemClock.sleep(60);
  const first = await take(root, new Map());
  const source = new FilesSource({ root, profile: 'generic', exclude: [] }, localHost, systemClock);
  const previous = async function* () {
    yield first.entries;
  };
  const signal = new AbortController().signal;
  const reading = await source.open({ signal, previous: [previous()], scratchDir: await tempDir(), reread: true });
  const read: string[] = [];
  for await (const item of reading.items()) {
    if (item.type === 'carry') throw new Error('carried');
    for await (const _ of item.read(signal));
    read.push(...item.outcome().entries.flatMap((entry) => ('path' in entry ? [entry.path] : [])));
  }
  await reading.close();
  expect(read).toEqual(['one', 'two', '.']);
});

test('a file that grows all the time - the index says the size that its last copy in the archive has', async () => {
  const root = await tempDir();
  const names = Array.from({ length: 200 }, (_, i) => `link-${i}`);
  writeFileSync(join(root, 'log'), '');
  // the packer is told of files, not of inodes: one writer keeps them all busy
  for (const name of names) linkSync(join(root, 'log'), join(root, name));
  const writer = spawn('sh', ['-c', 'while echo more; do :; done >> "$0"', join(root, 'log')], { stdio: 'ignore' });
  const pieces: Buffer[] = [];
  let result: TreePacked;
  try {
    while (lstatSync(join(root, 'log')).size === 0) await systemClock.sleep(5);
    const one = (value: number): number[] => names.map(() => value);
    const zeros = names.map(() => 0n);
    const packing = pack({
      ...{
        root,
        paths: names.join('\0'),
        links: Uint8Array.from(one(0)),
        sizes: Float64Array.from(one(0)),
        modes: Uint32Array.from(one(0o644)),
      },
      ...{ uids: Uint32Array.from(one(0)), gids: Uint32Array.from(one(0)), inodes: BigUint64Array.from(zeros), known: new Map() },
      ...{ mtimesNs: BigInt64Array.from(zeros), ctimesNs: BigInt64Array.from(zeros) },
    });
    let next = packing.next();
    for (; !next.done; next = packing.next()) pieces.push(Buffer.from(next.value));
    result = next.value;
  } finally {
    writer.kill('SIGKILL');
  }
  const listed = execFileSync('tar', ['-tv', '--numeric-owner', '-f', '-'], {
    input: Buffer.concat([...pieces, END_OF_ARCHIVE]),
    encoding: 'utf8',
  });
  const sizes = new Map(
    listed
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map((fields) => [fields[5], Number(fields[2])]),
  );
  expect(result.failed.size).toBe(0);
  expect([...names.keys()].map((i) => result.seenAnew.get(i)?.sizeBytes)).toEqual(names.map((name) => sizes.get(name)));
});
