// Files with attributes are found with getfattr, with GNU tar alone, one by one and in a sweep over the tree.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import { type Asked, ExtendedFiles } from '../../src/host/extended.ts';
import type { Host } from '../../src/host/host.ts';
import { localHost } from '../../src/host/local.ts';

const NEVER = new AbortController().signal;
const withoutGetfattr: Host = {
  ...localHost,
  start(argv, signal) {
    if (argv[0] !== 'getfattr') return localHost.start(argv, signal);
    return { ...localHost.start(['true'], signal), ended: Promise.reject(new CoffreError('E_TOOL_MISSING', 'getfattr cannot be started')) };
  },
};

let dir: string;
let root: string;
const special = [
  'acl',
  'back\\slash',
  'capable',
  'caf\xc3\xa9 [x]',
  'deep/er/attribute',
  'line\nbreak',
  'not utf8 \xff',
  'tab\tand\rreturn',
];
let files: Asked[];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  root = join(dir, 'tree');
  mkdirSync(join(root, 'deep/er'), { recursive: true });
  const plain = ['plain', '-rw', 'deep/plain', 'two\nlines', 'fran\xc3\xa7ais', 'bytes \xfe', ' leading', ...many(1200)];
  for (const path of [...special, ...plain]) writeFileSync(Buffer.from(`${root}/${path}`, 'latin1'), 'x');
  symlinkSync('plain', join(root, 'link'));
  for (const path of special.slice(2)) execFileSync('bash', ['-c', `setfattr -n user.k -v 1 -- ${quoted(path)}`]);
  for (const path of special.slice(0, 2)) execFileSync('bash', ['-c', `setfacl -m u:12345:r -- ${quoted(path)}`]);
  files = [...special, ...plain].map((path) => ({
    path,
    ctimeNs: statSync(Buffer.from(`${root}/${path}`, 'latin1'), { bigint: true }).ctimeNs,
  }));
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `deep/many${i}`);
const quoted = (path: string): string =>
  `$'${[...Buffer.from(`${root}/${path}`, 'latin1')].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}'`;

/** `host`, and what its programs are about. */
function watched(host: Host) {
  let count = 0;
  let running = 0;
  const sweeps: Promise<unknown>[] = [];
  const start: Host['start'] = (argv, signal) => {
    const program = host.start(argv, signal);
    count += 1;
    running += 1;
    const ended = program.ended.then(
      () => {},
      () => {},
    );
    ended.then(() => running--);
    if (argv.includes('--recursive')) sweeps.push(ended);
    return program;
  };
  return {
    host: { ...host, start },
    count: () => count,
    running: () => running,
    async ended() {
      await Promise.all(sweeps);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test.each([
  ['getfattr', localHost],
  ['GNU tar alone', withoutGetfattr],
])('%s, few files and the whole tree - exactly those with attributes or an ACL', async (_, host) => {
  const few = await new ExtendedFiles(host, root, systemClock).among(files.slice(0, 30), NEVER);
  const sweeps = watched(host);
  const whole = new ExtendedFiles(sweeps.host, root, systemClock);
  const all = await whole.among(files, NEVER);
  await sweeps.ended();
  const programs = sweeps.count();
  // files that were there long before it
  const old = files.map(({ path, ctimeNs }) => ({ path, ctimeNs: ctimeNs - 60_000_000_000n }));
  const swept = await whole.among(old, NEVER);
  if (host === localHost) expect(sweeps.count(), 'the sweep has told').toBe(programs);
  expect([...swept].sort()).toEqual([...special].sort());
  await whole.close();
  // what getfattr cannot be asked about counts as having some
  const allowed = host === localHost ? ['bytes \xfe'] : [];
  expect([...few].filter((path) => !allowed.includes(path)).sort()).toEqual([...special].sort());
  expect([...all].filter((path) => !allowed.includes(path)).sort()).toEqual([...special].sort());
});

test('an attribute that comes after the sweep - is found by its ctime', async () => {
  const sweeps = watched(localHost);
  const extended = new ExtendedFiles(sweeps.host, root, systemClock);
  await extended.among(files, NEVER);
  await sweeps.ended();
  execFileSync('setfattr', ['-n', 'user.k', '-v', '1', join(root, 'deep/many7')]);
  const late = { path: 'deep/many7', ctimeNs: statSync(join(root, 'deep/many7'), { bigint: true }).ctimeNs };
  expect(await extended.among([late, ...files.slice(0, 1)], NEVER)).toEqual(new Set(['acl', 'deep/many7']));
});

test('closed before the sweep has ended - nothing of it runs on', async () => {
  const sweeps = watched(localHost);
  const extended = new ExtendedFiles(sweeps.host, root, systemClock);
  await extended.among(files, NEVER);
  await extended.close();
  expect(sweeps.running()).toBe(0);
});

test('a file that is gone - is nobody’s error', async () => {
  const asked = [{ path: 'gone', ctimeNs: 0n }, ...files.slice(0, 12)];
  const found = await new ExtendedFiles(localHost, root, systemClock).among(asked, NEVER);
  expect(found.has('gone')).toBe(false);
  expect(found.has('acl')).toBe(true);
});
