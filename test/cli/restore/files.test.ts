// `coffre restore --to-dir` over a tree that is there, and again after it was killed: through bin/coffre, looked at with find and sha256sum.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkFilesOptions } from '../../../src/cli/restore/files.ts';
import { bash, describeTree } from '../../source/files/tree.ts';
import { makeWorld, type World } from '../../world/world.ts';

const MARKER = '.coffre-restore-incomplete-';
const SEGMENTS = 4;

test.each([
  [{ delete: true, overwrite: true }, '--delete'],
  [{ checksum: true }, '--checksum'],
  [{ delete: true, toDir: '/x' }, '--overwrite'],
])('%j has nothing to act on: E_USAGE', (options, says) => {
  expect(() => checkFilesOptions(options)).toThrow(expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining(says) }));
});

describe('with a shop', () => {
  let world: World;
  let root: string;
  let whole: string;
  let first: string;
  let second: string;

  beforeAll(async () => {
    world = await makeWorld({ vaults: ['nas'] });
    root = join(world.dir, 'shop');
    for (let directory = 0; directory < SEGMENTS; directory++) {
      const path = join(root, 'img/p', String(directory));
      mkdirSync(path, { recursive: true });
      for (let file = 0; file < 40; file++) writeFileSync(join(path, `${file}.jpg`), randomBytes(600_000));
    }
    bash(
      `cd "$ROOT"; mkdir -p config var/cache/prod modules/x; for i in {1..200}; do printf "<?php // $i" > modules/x/$i.php; done
       printf secret > config/parameters.php; chmod 640 config/parameters.php; ln modules/x/1.php modules/x/linked.php; ln -s img images; printf c > var/cache/prod/c`,
      { ROOT: root },
    );
    world.writeConfig({ vaults: ['nas'], files: { root, profile: 'prestashop', exclude: ['*.log'] } });
    first = (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots[0].id;
    bash(
      'cd "$ROOT"; rm -r var/cache/prod; printf "<?php // two" > modules/x/2.php; mv img/p/3/5.jpg img/p/3/moved.jpg; touch img/p/3/6.jpg',
      { ROOT: root },
    );
    second = (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots[0].id;
    whole = describeTree(root);
  }, 120_000);
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  const copy = (name: string): string => {
    const live = join(world.dir, name);
    bash('cp -a "$ROOT" "$LIVE"', { ROOT: root, LIVE: live });
    return live;
  };
  const inode = (path: string): string => bash('stat -c %i "$PATH_"', { PATH_: path });

  test('a tree damaged here and there - equal again from the segments that it needs alone; what was right keeps its inode', async () => {
    const live = copy('damaged');
    bash(
      `cd "$LIVE"; truncate -s 100 img/p/0/1.jpg; printf X | dd of=img/p/0/2.jpg bs=1 seek=5000 conv=notrunc status=none; rm img/p/0/3.jpg img/p/3/moved.jpg img/p/3/6.jpg
       chmod 777 config/parameters.php; rm images; ln -s /etc images; rm -r modules/x/7.php; mkdir modules/x/7.php; printf x > modules/x/7.php/x
       rm -r config; ln -s /etc config; touch -d 2001-01-01 img/p/0/4.jpg; rm modules/x/linked.php; cp -p modules/x/1.php modules/x/linked.php`,
      { LIVE: live },
    );
    const kept = inode(join(live, 'img/p/2/1.jpg'));
    const dry = (await world.ok(['restore', 'dupont', '--to-dir', live, '--overwrite', '--dry-run'])).json;
    expect(dry.files).toMatchObject({ exists: true, allowed: true, written: 11, deleted: 0 });
    const refused = await world.coffre(['restore', 'dupont', '--to-dir', live]);
    expect(refused.json.error).toMatchObject({
      code: 'E_TARGET_NOT_EMPTY',
      hint: expect.stringContaining('--overwrite makes this one equal'),
    });
    const [restored] = (await world.ok(['restore', 'dupont', '--to-dir', live, '--overwrite'])).json.restored;
    expect(restored).toMatchObject({ written: dry.files.written, bytes: dry.files.bytes, deleted: 0, resumed: 0, verified: true });
    expect(restored.unchanged).toBe(restored.files - restored.written);
    expect(describeTree(live)).toBe(whole);
    expect(inode(join(live, 'img/p/2/1.jpg'))).toBe(kept);
    const all = (await world.ok(['restore', 'dupont', '--to-dir', join(world.dir, 'all')])).json.restored[0];
    expect(describeTree(join(world.dir, 'all'))).toBe(whole);
    expect(all).toMatchObject({ written: all.files, unchanged: 0, resumed: 0, deleted: 0 });
    expect(restored.readBytes).toBeLessThan(all.readBytes * 0.7);
  }, 120_000);

  test('nothing differs - no segment but the directories’ is fetched', async () => {
    const live = copy('equal');
    const [restored] = (await world.ok(['restore', 'dupont', '--to-dir', live, '--overwrite', '--delete'])).json.restored;
    expect(restored).toMatchObject({ written: 0, bytes: 0, deleted: 0, segments: 1 });
    expect(describeTree(live)).toBe(whole);
  }, 60_000);

  test('--delete - what the snapshot does not have goes, what the configuration excludes stays; with --path, only what was chosen', async () => {
    const live = copy('more');
    const add = `cd "$LIVE"; mkdir -p var/cache/dev img/new modules/evil; printf c > var/cache/dev/c; printf l > error.log; printf x > img/new/x; printf x > img/p/0/new.jpg; printf x > modules/evil/shell.php`;
    bash(add, { LIVE: live });
    const chosen = (await world.ok(['restore', 'dupont', '--to-dir', live, '--overwrite', '--delete', '--path', 'img'])).json.restored[0];
    expect(chosen).toMatchObject({ deleted: 3, written: 0 });
    expect(existsSync(join(live, 'modules/evil/shell.php'))).toBe(true);
    const text = await world.coffre(['restore', 'dupont', '--to-dir', live, '--overwrite', '--delete']);
    expect(text.json.restored[0]).toMatchObject({ deleted: 2 });
    expect(
      bash(
        'cd "$LIVE"; cat var/cache/dev/c error.log; rm -r var/cache/dev error.log; touch -r "$ROOT" .; touch -r "$ROOT/var/cache" var/cache',
        { LIVE: live, ROOT: root },
      ),
    ).toBe('cl');
    expect(describeTree(live)).toBe(whole);
  }, 60_000);

  test('content changed behind equal size and time - --checksum finds it', async () => {
    const live = copy('sly');
    bash(
      'cd "$LIVE"; touch -r config/parameters.php ../ref; printf SECRET > config/parameters.php; touch -r ../ref config/parameters.php',
      { LIVE: live },
    );
    expect((await world.ok(['restore', 'dupont', '--to-dir', live, '--overwrite'])).json.restored[0].written).toBe(0);
    expect((await world.ok(['restore', 'dupont', '--to-dir', live, '--overwrite', '--checksum'])).json.restored[0].written).toBe(1);
    expect(describeTree(live)).toBe(whole);
  }, 60_000);

  /** Starts a restore and kills it once `when` holds. False: it was done before. */
  async function killed(args: readonly string[], when: () => boolean): Promise<boolean> {
    const child = world.start(args);
    child.stdout?.resume();
    child.stderr?.resume();
    const exit = once(child, 'exit');
    let done = false;
    exit.then(() => {
      done = true;
    });
    const deadline = Date.now() + 60_000;
    while (!done && !when()) {
      if (Date.now() > deadline) throw new Error('the restore neither wrote nor ended');
      await pause(3);
    }
    child.kill('SIGKILL');
    const [, signal] = await exit;
    return signal === 'SIGKILL';
  }
  const filesIn = (directory: string): number =>
    existsSync(directory)
      ? Number(bash('find "$DIR" -type f -size +1k 2>/dev/null | wc -l || true', { DIR: directory }).split('\n')[0])
      : 0;

  test('a fresh restore that was killed - the same command goes on; another snapshot is refused; every file was whole or is written again', async () => {
    let target = '';
    for (let attempt = 0; ; attempt++) {
      target = join(world.dir, `killed-${attempt}`);
      if (await killed(['restore', 'dupont', '--to-dir', target], () => filesIn(target) > 20)) break;
      if (attempt === 5) throw new Error('the restore was always done before it could be killed');
    }
    expect(readdirSync(target).some((name) => name.startsWith(MARKER))).toBe(true);
    const other = await world.coffre(['restore', 'dupont', '--to-dir', target, '--snapshot', first]);
    expect(other.json.error).toMatchObject({
      code: 'E_TARGET_NOT_EMPTY',
      message: expect.stringContaining(`interrupted restore of snapshot ${second}`),
      hint: expect.stringContaining(`--snapshot ${second} goes on with it`),
    });
    const [restored] = (await world.ok(['restore', 'dupont', '--to-dir', target])).json.restored;
    expect(restored.resumed).toBeGreaterThan(10);
    expect(restored.resumed + restored.written).toBe(restored.files);
    expect(describeTree(target)).toBe(whole);
  }, 120_000);

  test('a restore over a tree, killed again and again - each file is the old one or the new one at any time; in the end it is equal', async () => {
    const live = copy('torn');
    bash('cd "$LIVE"; for f in img/p/*/*.jpg; do printf old > $f; done; rm -r modules', { LIVE: live });
    const sums = new Set(
      bash('cd "$ROOT"; find . -type f | xargs sha256sum | cut -c1-64; printf old | sha256sum | cut -c1-64', { ROOT: root }).split('\n'),
    );
    const command = ['restore', 'dupont', '--to-dir', live, '--overwrite', '--delete'];
    const marker = (): string | undefined => readdirSync(live).find((name) => name.startsWith(MARKER));
    const staged = (): number => (marker() ? filesIn(join(live, marker() as string, 'tree')) : 0);
    const placed = (): boolean => existsSync(join(live, 'modules'));
    let kills = 0;
    for (const when of [() => staged() > 10, () => staged() > 60, placed]) {
      if (!(await killed(command, when))) break;
      kills += 1;
      const left = bash(`cd "$LIVE"; find . -path './${MARKER}*' -prune -o -type f -print0 | xargs -0 sha256sum | cut -c1-64`, {
        LIVE: live,
      }).trim();
      for (const sum of left.split('\n')) expect(sums.has(sum)).toBe(true);
    }
    expect(kills).toBeGreaterThan(0);
    await world.ok(command);
    expect(marker()).toBeUndefined();
    expect(describeTree(live)).toBe(whole);
    expect(readFileSync(join(live, 'config/parameters.php'), 'utf8')).toBe('secret');
  }, 180_000);
});
