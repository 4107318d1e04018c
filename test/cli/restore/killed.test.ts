// `coffre restore --to-dir` killed at several moments over a tree of links: GNU tar leaves placeholders, empty files without any right, where
// symbolic links with `..` or absolute targets are to be. The same command must go on and end with the tree as it was.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bash, describeTree } from '../../source/files/tree.ts';
import { makeWorld, type World } from '../../world/world.ts';

const DIRECTORIES = 40;
/** What share of the tree is there, and whether the tars are killed too. */
const MOMENTS = [
  [0.02, true],
  [0.6, false],
  [0.9, true],
] as const;

let world: World;
let root: string;
let whole: string;
let entries: number;

beforeAll(async () => {
  world = await makeWorld({ vaults: ['nas'] });
  root = join(world.dir, 'shop');
  for (let directory = 0; directory < DIRECTORIES; directory++) {
    const path = join(root, 'many', String(directory));
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < 10; file++) writeFileSync(join(path, `${file}.jpg`), randomBytes(120_000));
  }
  bash(
    `cd "$ROOT"/many; for d in *; do
       ln -s ../0/0.jpg $d/up; ln -s /etc/hostname $d/absolute; ln -s ../../../outside/$d $d/outside; ln -s 1.jpg $d/beside
       ln $d/up $d/up-again; ln $d/0.jpg $d/linked; [ $d = 0 ] || ln $d/1.jpg 0/from-$d; chown -h 1:2 $d/up 2>/dev/null || :
     done; for d in *; do touch -h -d @1600000000.123456789 $d/up $d/absolute $d; done`,
    { ROOT: root },
  );
  world.writeConfig({ vaults: ['nas'], files: { root } });
  await world.ok(['backup', 'dupont', '--source', 'files']);
  whole = describeTree(root);
  entries = count(root);
}, 120_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** Entries of a tree that may be in the making. */
function count(directory: string): number {
  try {
    return readdirSync(directory, { recursive: true }).length;
  } catch {
    return 0;
  }
}

/** Empty files without any right: the tree itself has none. */
const placeholdersIn = (directory: string): number =>
  Number(bash(`find "$DIR" -type f -size 0 -perm 000 -printf x | wc -c`, { DIR: directory }));

/** Processes that a process has started, and those that these have. */
function descendants(pid: number): number[] {
  const children: number[] = [];
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const text = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim();
      if (text !== '') children.push(...text.split(' ').map(Number));
    }
  } catch {
    // it has ended
  }
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** Starts the restore and kills it, with its tars when it says so, once the target holds so many entries. False: it was done before. */
async function killed(target: string, whenThere: number, withTars: boolean): Promise<boolean> {
  const child = world.start(['restore', 'dupont', '--to-dir', target]);
  child.stdout?.resume();
  child.stderr?.resume();
  const exit = once(child, 'exit');
  let done = false;
  exit.then(() => {
    done = true;
  });
  const deadline = performance.now() + 60_000;
  while (!done && count(target) < whenThere) {
    if (performance.now() > deadline) throw new Error('the restore neither wrote nor ended');
    await pause(3);
  }
  const tars = child.pid === undefined || !withTars ? [] : descendants(child.pid);
  child.kill('SIGKILL');
  for (const tar of tars) {
    try {
      process.kill(tar, 'SIGKILL');
    } catch {
      // it ended with the other end of its pipe
    }
  }
  const [, signal] = await exit;
  return signal === 'SIGKILL';
}

test('killed at several moments, with its tars and without - the same command goes on, and the tree is as it was', async () => {
  let kills = 0;
  let placeholders = 0;
  for (const [share, withTars] of MOMENTS) {
    const target = join(world.dir, `killed-${share}`);
    // and once more while it goes on
    for (const there of withTars ? [share, share + 0.1] : [share]) {
      if (!(await killed(target, there * entries, withTars))) break;
      kills++;
      placeholders += placeholdersIn(target);
    }
    const { json } = await world.ok(['restore', 'dupont', '--to-dir', target, ...(finished(target) ? ['--overwrite'] : [])]);
    expect(json.verified).toBe(true);
    expect(describeTree(target), `killed at ${share}, with its tars: ${withTars}`).toBe(whole);
  }
  expect(kills).toBeGreaterThanOrEqual(3);
  expect(placeholders).toBeGreaterThan(0);
}, 240_000);

/** Whether the restore was done before it could be killed. */
function finished(target: string): boolean {
  return existsSync(target) && !readdirSync(target).some((name) => name.startsWith('.coffre-restore-incomplete-'));
}
