// Ten rounds of random changes and an increment after each, through the real bin/coffre: the last snapshot and an older one restore to the tree as it was.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { apply, type Change, change } from '../source/files/random-changes.ts';
import { bash, describeTree } from '../source/files/tree.ts';
import { makeWorld } from '../world/world.ts';

const ROUNDS = 10;
/** Other histories: `COFFRE_TEST_SEED=7 npx vitest run …`. */
const SEED = Number(process.env.COFFRE_TEST_SEED ?? 1);

let dir: string;
let sshd: Sshd;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  sshd = await startSshd();
}, 60_000);
afterAll(async () => {
  await sshd?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

function history(seed: number): Change[][] {
  const rounds = fc.array(fc.array(change, { minLength: 4, maxLength: 12 }), { minLength: ROUNDS, maxLength: ROUNDS });
  return fc.sample(rounds, { seed, numRuns: 1 })[0] as Change[][];
}

it.each([
  { where: 'local', full: 'reread', seed: SEED },
  { where: 'ssh', full: 'fresh', seed: SEED + 1 },
] as const)(
  '$where, full: $full, seed $seed - as it was',
  async ({ where, full, seed }) => {
    const at = join(dir, `${where}-${full}`);
    const root = join(at, 'tree');
    mkdirSync(root, { recursive: true });
    await using world = await makeWorld({ vaults: ['nas'], files: { root }, full, ...(where === 'ssh' ? { host: sshd.hostLines() } : {}) });
    const backup = async (...more: string[]) => (await world.ok(['backup', 'dupont', '--source', 'files', ...more])).json.snapshots[0];
    // what stays as it is, and moves with what is above it
    bash('mkdir -p "$TREE/a/b" "$TREE/b"; cd "$TREE"; for i in $(seq 20); do echo $i > a/b/kept-$i; echo $i > b/kept-$i; done', {
      TREE: root,
    });
    const taken: { id: string; wanted: string }[] = [];
    let reused = 0;
    for (const [number, changes] of history(seed).entries()) {
      for (const step of changes) apply(root, step);
      if (number % 2 === 0) await systemClock.sleep(60);
      // a full one in the middle
      const snapshot = await backup(...(number === ROUNDS / 2 ? ['--full'] : []));
      expect(snapshot).toMatchObject({ complete: true, warnings: [] });
      reused += snapshot.reusedSegments;
      taken.push({ id: snapshot.id, wanted: describeTree(root) });
    }
    expect(reused).toBeGreaterThan(0);
    for (const number of [(seed * 5) % (ROUNDS - 1), ROUNDS - 1]) {
      const { id, wanted } = taken[number] as (typeof taken)[number];
      const target = join(at, `restored-${number}`);
      const args = ['restore', 'dupont', '--source', 'files', '--snapshot', id, '--to-dir', target];
      expect((await world.ok(where === 'ssh' ? [...args, '--to-host'] : args)).json).toMatchObject({ verified: true });
      expect(describeTree(target)).toBe(wanted);
      // the older tree becomes the last one, but for attributes and ACLs of files that look right otherwise (README)
      if (number === ROUNDS - 1) continue;
      await world.ok(['restore', 'dupont', '--source', 'files', '--to-dir', target, '--overwrite', '--delete', '--checksum']);
      expect(describeTree(target).split('# file: ')[0]).toBe(taken.at(-1)?.wanted.split('# file: ')[0]);
    }
  },
  120_000,
);
