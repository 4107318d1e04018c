// A file that was moved or touched stays in the segment that holds it: whatever happens to its names afterwards, a restore has the tree as it was.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { follow, steps } from '../by-hand.ts';
import { bash, describeTree } from '../source/files/tree.ts';
import { makeWorld, type World } from '../world/world.ts';

/** What happens before each backup but the first, each in a folder of its own, where `a`, `b0`, `c0`, `d/x`, `d/y`, `e/x`, `e/y` are. */
const HISTORIES: readonly (readonly string[])[] = [
  ['mv a b'],
  ['mv a b', 'head -c 5000 /dev/urandom > a'],
  ['mv a b; head -c 5000 /dev/urandom > a'],
  ['mv a b', 'mkdir a; echo 1 > a/inside'],
  ['mv a b', 'ln -s b a'],
  ['mv a b', 'mv b0 a'],
  ['mv a b', 'mv b c; echo new > a'],
  ['mv a b', 'mv b a'],
  ['mv a t; mv b0 a; mv t b0'],
  ['mv a t', 'mv b0 a', 'mv t b0'],
  ['mv a t', 'mv b0 a', 'mv c0 b0', 'mv t c0'],
  ['mv d f', 'mv f g'],
  ['mv d f', 'mkdir d; echo new > d/x; echo new > d/y'],
  ['mv d t', 'mv e d', 'mv t e'],
  ['touch a'],
  ['touch a', 'touch a', 'mv a b'],
  ['mv a b', 'touch b'],
  ['mv a b', 'touch b; echo new > a'],
  ['mv a b', 'rm b'],
  ['mv a b0'],
  ['mv a b', 'echo more >> b'],
  ['mv a b', 'chmod 600 b'],
  ['mv a b', 'setfattr -n user.coffre -v late b'],
  ['mv a b', 'setfacl -m u:65534:r b', 'setfacl -b b'],
  ['mv a b', 'ln b c', 'rm b'],
  ['mv a b', 'ln b a'],
  ['ln a b', 'mv a c', 'rm b'],
  ['cp -p a b; cp -p a c; rm a', 'rm b', 'mv c a'],
  ['mv a b', 'cp -p b c; rm b', 'cp -p c b'],
  ['mv a t; mkdir a; mv t a/b'],
  ['mv a d/a', 'mv d f'],
  ['mv a t; mv d a; mv t d'],
  ['mv a "$(printf "caf\\351")"', 'touch "$(printf "caf\\351")"; echo new > a', 'mv "$(printf "caf\\351")" "$(printf "new\\nline")"'],
];
const ROUNDS = 5;

let dir: string;
let world: World;
let root: string;
const taken: { id: string; newBytes: number; wanted: string }[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  root = join(dir, 'tree');
  world = await makeWorld({ vaults: ['nas'], files: { root } });
  for (let round = 0; round < ROUNDS; round++) {
    for (const [number, history] of HISTORIES.entries()) {
      // sizes and times of its own: what looks alike is looked for within one folder
      const begin = `mkdir -p d e; for f in a b0 c0 d/x d/y e/x e/y; do head -c ${5000 + number} /dev/urandom > $f; touch -d @${1e9 + number}.123456789 $f; done`;
      bash(`mkdir -p "$AT"; cd "$AT"; ${round === 0 ? begin : (history[round - 1] ?? ':')}`, { AT: join(root, String(number)) });
    }
    // what is too young is not believed to be unchanged
    await systemClock.sleep(60);
    const [snapshot] = (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots;
    taken.push({ id: snapshot.id, newBytes: snapshot.newBytes, wanted: describeTree(root) });
  }
}, 120_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

it('every snapshot - restores to the tree as it was', async () => {
  for (const { id, wanted } of taken) {
    const target = join(dir, `restored-${id}`);
    const { json } = await world.ok(['restore', 'dupont', '--source', 'files', '--snapshot', id, '--to-dir', target]);
    expect(json).toMatchObject({ verified: true });
    expect(describeTree(target)).toBe(wanted);
  }
}, 60_000);

it('the last snapshot over the tree of the first - only what differs is written, and the tree is as it was', async () => {
  const [first, last] = [taken[0], taken.at(-1)];
  const target = join(dir, 'over');
  cpSync(join(dir, `restored-${first?.id}`), target, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  await world.ok(['restore', 'dupont', '--source', 'files', '--to-dir', target, '--overwrite', '--delete']);
  expect(describeTree(target)).toBe(last?.wanted);
}, 60_000);

it.each([1, ROUNDS - 1])(
  'snapshot %i - comes back by hand',
  async (number) => {
    const { id, wanted } = taken[number] as (typeof taken)[number];
    const desk = join(dir, `desk-${number}`);
    cpSync(world.nasPath, desk, { recursive: true });
    writeFileSync(join(desk, 'recovery.key'), `${world.recovery}\n`);
    const target = join(dir, `by-hand-${number}`);
    const { fingerprint } = (await world.ok(['keys'])).json.signing;
    const variables = {
      SHOP: 'dupont',
      SNAPSHOT: id,
      FINGERPRINT: fingerprint,
      TARGET: target,
    };
    const { status, stdout, stderr } = await follow(desk, steps('open', 'signature', 'check', 'files'), variables);
    expect(status, stdout + stderr).toBe(0);
    expect(describeTree(target)).toBe(wanted);
  },
  60_000,
);

it('what was only moved or touched - is not stored again', () => {
  // the changes of all folders that store anything anew are a few files of 5 kB, against 1.1 MB at first
  for (const { newBytes } of taken.slice(1)) expect(newBytes).toBeLessThan((taken[0]?.newBytes ?? 0) / 4);
});
