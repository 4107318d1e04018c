// A tree scanned by find is the tree that walk gives: every field of every entry, the order, the lists of names, the warnings.
import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { findRoot, findScan, gnuFindVersion, resolveRoot, type TreeToFind } from '../../../src/source/files/find-scan.ts';
import { pruneTests } from '../../../src/source/files/prune.ts';
import { type Found, type FoundDirectory, type FoundFiles, statRoot } from '../../../src/source/files/walk.ts';
import { walk } from '../../../src/source/files/walk-here.ts';
import { compilePatterns } from '../../../src/source/path-pattern.ts';
import type { Warning } from '../../../src/source/source.ts';
import { tempDir } from '../../temp-dir.ts';
import { asNobody, bash, makeAwkwardTree } from './tree.ts';

const NEVER = new AbortController().signal;

interface Scanned {
  /** `files` steps of one directory joined: how many names a step holds is each scan's own affair. */
  readonly steps: readonly (readonly Found[] | { directory: Found; names: string | null })[];
  readonly warnings: readonly Warning[];
}

async function gather(scan: (warn: (warning: Warning) => void) => AsyncIterable<FoundFiles | FoundDirectory>): Promise<Scanned> {
  const warnings: Warning[] = [];
  const steps: Scanned['steps'][number][] = [];
  let files: Found[] = [];
  let ended = true;
  for await (const step of scan((warning) => warnings.push(warning))) {
    if (step.type === 'files') {
      files.push(...step.files);
      ended = step.last;
      continue;
    }
    expect(ended, 'the last group of a directory says so').toBe(true);
    if (files.length > 0) steps.push(files);
    files = [];
    steps.push({ directory: step.directory, names: step.dumpdir?.toString('latin1') ?? null });
  }
  const key = (warning: Warning): string => `${warning.where} ${warning.kind}`;
  return { steps, warnings: warnings.sort((a, b) => (key(a) < key(b) ? -1 : 1)) };
}

async function both(root: string, exclude: readonly string[] = [], options: Partial<TreeToFind> = {}) {
  const scratchDir = await tempDir();
  const rootFound = await statRoot(root);
  const walked = await gather((warn) => walk(root, rootFound, compilePatterns(exclude), warn, NEVER));
  const found = await gather((warn) =>
    findScan({ host: localHost, root, exclude, clock: systemClock, scratchDir, ...options }, warn, NEVER),
  );
  expect(readdirSync(scratchDir)).toEqual([]);
  return { walked, found };
}

test('an awkward tree - find and walk give the same, in memory and through runs on disk', async () => {
  const root = join(await tempDir(), 'tree');
  makeAwkwardTree(root);
  const socket = createServer().listen(join(root, 'socket'));
  const { walked, found } = await both(root);
  expect(found).toEqual(walked);
  expect(found.warnings).toEqual([{ kind: 'skipped', where: 'socket', message: 'a socket' }]);
  expect((await both(root, [], { memoryBytes: 1500 })).found).toEqual(walked);
  socket.close();
});

test('names around the separator, a root with every special character - the order is that of the walk', async () => {
  const root = join(await tempDir(), '[a]*?\\b \'c"\n$d');
  bash(
    'mkdir -p "$TREE"; cd "$TREE"; mkdir -p a/b a! a-b "a b" "a/b/c d" ab; for d in a a/b a! a-b "a b" ab .; do touch "$d/a" "$d/z" "$d/!"; done; for i in {1..600}; do : > "ab/f$i"; done',
    { TREE: root },
  );
  const { walked, found } = await both(root, ['ab/f1*', 'a b']);
  expect(found).toEqual(walked);
});

test('excluded things - neither listed nor entered, by whichever pattern', async () => {
  const root = join(await tempDir(), 'tree[1]');
  bash(
    `mkdir -p "$TREE"; cd "$TREE"
    mkdir -p var/cache/prod/deep var/logs img/a img/tmp x/node_modules/y node_modules '[b]' b 'q?' qq cache/one/compile
    for d in . var var/cache var/cache/prod var/logs img img/a img/tmp x x/node_modules x/node_modules/y '[b]' b 'q?' qq cache/one cache/one/compile; do
      touch "$d/f.log" "$d/f.txt" "$d/[b]" "$d/.hidden" "$d/caché.tmp"; done; touch x/y node_modules/file; rm -r node_modules; touch node_modules`,
    { TREE: root },
  );
  for (const exclude of [
    ['*.log'],
    ['var/cache/**'],
    ['/var/cache', './img'],
    ['node_modules/'],
    ['img/*.txt', 'img/?'],
    ['[b]', 'q\\?'],
    ['q?/'],
    ['cache/*/compile', '**/prod', 'x/**/y'],
    ['.hidden', 'cach?.tmp', 'caché.*'],
    ['tree\\[1]', 'tree[1]'],
    ['**', '/'],
  ]) {
    const { walked, found } = await both(root, exclude);
    expect(found, exclude.join(' ')).toEqual(walked);
  }
});

test('an excluded directory - find does not look into it', async () => {
  const root = await tempDir();
  bash('cd "$TREE"; chmod 755 .; mkdir -p var/cache/closed keep; chmod 0 var/cache/closed', { TREE: root });
  const { found } = await asNobody(() => both(root, ['var/cache/**']));
  expect(found.warnings).toEqual([]);
  expect(pruneTests('/srv/*', ['var/cache/**', '*.log', 'a/*/b'])).toEqual(['-path', '/srv/\\*/var/cache/*', '-o', '-name', '*.log']);
});

test('directories and files without rights - the same warnings, and no list of names for what could not be listed', async () => {
  const root = await tempDir();
  bash(
    `cd "$TREE"; chmod 755 .; mkdir -p "clo'sed"/in "$(printf 'caf\\351\\n')"/in open/by-name excluded/closed; touch open/by-name/f file
    chmod 0 clo* caf* file excluded/closed; chmod 644 open/by-name`,
    { TREE: root },
  );
  await asNobody(async () => {
    const { walked, found } = await both(root, ['excl*/closed']);
    if (process.geteuid?.() === 0) return;
    expect(found).toEqual(walked);
    expect(found.warnings.map(({ kind, message }) => `${kind} ${message}`)).toEqual([
      'unreadable EACCES',
      'unreadable EACCES',
      'unreadable EACCES',
    ]);
  });
});

test('a root that is missing, a file, a link or closed - is refused by name, a link is followed', async () => {
  const dir = await tempDir();
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, 'real'));
  mkdirSync(join(dir, 'closed'), { mode: 0o700 });
  writeFileSync(join(dir, 'file'), 'x');
  symlinkSync('real', join(dir, 'link'));
  expect(await resolveRoot(localHost, join(dir, 'link'))).toBe(join(dir, 'real'));
  expect(await resolveRoot(localHost, '/nonexistent/shop')).toBe('/nonexistent/shop');
  await expect(findRoot(localHost, '/nonexistent/shop')).rejects.toMatchObject({
    code: 'E_FILES_ROOT',
    message: expect.stringContaining('ENOENT'),
  });
  for (const name of ['file', 'link']) await expect(findRoot(localHost, join(dir, name))).rejects.toMatchObject({ code: 'E_FILES_ROOT' });
  const tree = { host: localHost, root: join(dir, 'closed'), exclude: [], clock: systemClock, scratchDir: dir };
  await asNobody(async () => {
    if (process.geteuid?.() === 0) return;
    await expect(gather((warn) => findScan(tree, warn, NEVER))).rejects.toMatchObject({
      code: 'E_FILES_ROOT',
      message: expect.stringContaining('EACCES'),
    });
  });
});

test('find that is killed, ends badly or is another find - no listing is believed', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  bash('mkdir -p "$TREE"/{1..50}; touch "$TREE"/{1..50}/{a..z}', { TREE: root });
  const tree = { root, exclude: [], clock: systemClock, scratchDir: dir };
  const through = (script: string): Host => ({
    ...localHost,
    start: (argv, signal) => localHost.start(argv.includes('-mindepth') ? ['sh', '-c', script, ...argv] : argv, signal),
  });
  for (const script of ['"$0" "$@" | head -c 30000; kill -9 $$', '"$0" "$@" | head -c 30001', '"$0" "$@"; exit 1', '"$0" "$@"; exit 2']) {
    await expect(
      gather((warn) => findScan({ ...tree, host: through(script) }, warn, NEVER)),
      script,
    ).rejects.toMatchObject({ code: 'E_FILES_READ' });
  }
  const busybox: Host = { ...localHost, start: (_argv, signal) => localHost.start(['echo', 'BusyBox v1.35.0'], signal) };
  await expect(gnuFindVersion(busybox)).rejects.toMatchObject({ code: 'E_TOOL_MISSING' });
  expect(await gnuFindVersion(localHost)).toMatch(/^\d/);
});

test('a run that is stopped while find runs - throws the reason', async () => {
  const stop = new AbortController();
  const host: Host = {
    ...localHost,
    start: (argv, signal) => {
      if (argv.includes('-mindepth')) systemClock.after(50, () => stop.abort(new Error('enough')));
      return localHost.start(argv.includes('-mindepth') ? ['sleep', '60'] : argv, signal);
    },
  };
  const root = await tempDir();
  const scan = findScan({ host, root, exclude: [], clock: systemClock, scratchDir: root }, () => {}, stop.signal);
  await expect(gather(() => scan)).rejects.toThrow('enough');
});

test('files that vanish under find - are named or left out, and the rest is whole', async () => {
  const root = await tempDir();
  bash('cd "$TREE"; mkdir -p {a..z}; touch {a..z}/{1..40}', { TREE: root });
  const host: Host = {
    ...localHost,
    start: (argv, signal) => {
      const find = localHost.start(argv, signal);
      if (argv.includes('-mindepth')) for (const name of ['y', 'z']) rmSync(join(root, name), { recursive: true });
      return find;
    },
  };
  const scanned = await gather((warn) => findScan({ host, root, exclude: [], clock: systemClock, scratchDir: root }, warn, NEVER));
  expect(scanned.warnings.filter(({ kind }) => kind !== 'vanished')).toEqual([]);
  for (const name of 'abcdefghijklmnopqrstuvwx') {
    expect(scanned.steps.some((step) => 'directory' in step && step.directory.path === name && step.names?.split('\0').length === 42)).toBe(
      true,
    );
  }
});
