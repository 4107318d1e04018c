// A tree restored onto a host: what comes back, what survives, and what is left when it is cut off at any step.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { secretFromFile } from '../../../src/config/secret.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { SshHost } from '../../../src/host/ssh.ts';
import { type Sshd, startSshd } from '../../servers/sshd.ts';
import { bash, describeTree, makeAwkwardTree, type TakenSnapshot, take } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import { breakingHost, restoreTo } from './remote-restore.ts';

let sshd: Sshd;
let sshHost: SshHost;
let awkward: TakenSnapshot;
let awkwardTree: string;

beforeAll(async () => {
  sshd = await startSshd();
  sshHost = hostAt(sshd.port);
  awkwardTree = join(mkdtempSync(join(tmpdir(), 'coffre-test-')), 'tree');
  makeAwkwardTree(awkwardTree);
  awkward = await take(awkwardTree, new Map());
});

afterAll(async () => {
  await sshHost?.close();
  await sshd?.stop();
  rmSync(join(awkwardTree, '..'), { recursive: true, force: true });
});

function hostAt(port: number): SshHost {
  const { host, user, keyFile, knownHostsFile } = sshd;
  const config = {
    host,
    port,
    user,
    keys: [secretFromFile(keyFile)],
    passphrase: null,
    agent: null,
    knownHostsFile,
    connectTimeoutMs: 10_000,
  };
  return new SshHost({ type: 'ssh', ...config }, systemClock);
}

const HOSTS: readonly (readonly [name: string, host: () => Host])[] = [
  ['this machine', () => localHost],
  ['a host over SSH', () => sshHost],
];

const code = (wanted: string): object => expect.objectContaining({ code: wanted });

/** Names, types and contents alone: a copy beside it by hard links shows in link counts. */
function contents(root: string): string {
  return bash('cd "$TREE"; find . -printf "%y %m %p %l\\n" | sort; find . -type f -print0 | sort -z | xargs -0r sha256sum', { TREE: root });
}

/** A small tree of some files, their names and contents. */
async function snapshotOf(files: Record<string, string>): Promise<{ taken: TakenSnapshot; tree: string }> {
  const tree = join(await tempDir(), 'tree');
  mkdirSync(tree);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(tree, path, '..'), { recursive: true });
    writeFileSync(join(tree, path), content);
  }
  return { taken: await take(tree, new Map()), tree };
}

describe.each(HOSTS)('%s', (_, host) => {
  test('an awkward tree into a directory that is not there - it is the same, and nothing of ours is left', async () => {
    const dir = await tempDir();
    const restored = await restoreTo(host(), awkward, join(dir, 'shops', 'restored'));
    expect(restored.differences).toEqual([]);
    expect(describeTree(join(dir, 'shops', 'restored'))).toBe(describeTree(awkwardTree));
    expect(readdirSync(join(dir, 'shops'))).toEqual(['restored']);
  });

  test('segments that are not proven before their end - the tree is the same', async () => {
    const dir = await tempDir();
    mkdirSync(join(dir, 'restored'));
    const restored = await restoreTo(host(), awkward, join(dir, 'restored'), { unverified: true });
    expect(restored.differences).toEqual([]);
    expect(describeTree(join(dir, 'restored'))).toBe(describeTree(awkwardTree));
    expect(readdirSync(dir)).toEqual(['restored']);
  });

  test('over a tree that differs a little - only what differs is written, what the snapshot has not survives, and the old files stay untouched until the swap', async () => {
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
    const restored = await restoreTo(host(), awkward, live, { overwrite: true, delete: true });
    expect(restored.differences).toEqual([]);
    expect(describeTree(live)).toBe(describeTree(awkwardTree));
    expect(readdirSync(dir)).toEqual(['live']);
  });

  test('keeping the old tree - it is beside, shares no file with the new one, and is named', async () => {
    const { taken, tree } = await snapshotOf({ same: 'same', changed: 'new' });
    const dir = await tempDir();
    const live = join(dir, 'live');
    bash('cp -a "$TREE" "$LIVE"; printf old > "$LIVE/changed"', { TREE: tree, LIVE: live });
    const before = describeTree(live);
    const { notes } = await restoreTo(host(), taken, live, { overwrite: true, keepOld: true, delete: true });
    const [kept = '', ...more] = readdirSync(dir).filter((name) => name !== 'live');
    expect(more).toEqual([]);
    expect(kept).toMatch(/^live\.coffre-old-/);
    expect(notes.join()).toContain(join(dir, kept));
    expect(describeTree(join(dir, kept))).toBe(before);
    expect(describeTree(live)).toBe(describeTree(tree));
  });

  test('a directory that holds something, without overwrite - is refused, and nothing was made', async () => {
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

describe('cut off at every step', () => {
  test('a fresh restore - the directory is absent or whole at each moment, and the same restore again ends with the same tree', async () => {
    const { taken, tree } = await snapshotOf({ 'a/one': 'one', 'b/two': 'two' });
    const whole = describeTree(tree);
    for (let step = 0; ; step += 1) {
      const dir = await tempDir();
      const broken = breakingHost(localHost, step);
      const failed = await restoreTo(broken, taken, join(dir, 'shop')).then(
        () => null,
        (error: unknown) => error,
      );
      if (existsSync(join(dir, 'shop'))) expect(describeTree(join(dir, 'shop'))).toBe(whole);
      if (broken.started() <= step) {
        expect(failed).toBeNull();
        break;
      }
      const again = await restoreTo(localHost, taken, join(dir, 'shop')).catch((error: { code: string }) => error);
      // cut off after the rename: it is all there
      if ('code' in again) expect(again.code).toBe('E_TARGET_NOT_EMPTY');
      expect(describeTree(join(dir, 'shop'))).toBe(whole);
      expect(readdirSync(dir)).toEqual(['shop']);
    }
  });

  test.each([
    ['swapping', {}],
    ['swapping, with delete', { delete: true }],
    ['swapping, keeping the old tree', { keepOld: true, delete: true }],
  ])(
    'a restore over a tree, %s - the directory is the old or the new tree, and the same restore again ends with the new one',
    async (_, more) => {
      const { taken, tree } = await snapshotOf({ 'a/one': 'one', 'a/two': 'two', 'b/three': 'three' });
      const whole = contents(tree);
      for (let step = 0; ; step += 1) {
        const dir = await tempDir();
        const live = join(dir, 'live');
        bash('cp -a "$TREE" "$LIVE"; printf damaged > "$LIVE/a/two"; mv "$LIVE/b" "$LIVE/a/b"', { TREE: tree, LIVE: live });
        const before = contents(live);
        const isNew = (): boolean => {
          const now = contents(live);
          if (now === before) return false;
          if (!('delete' in more)) bash('rm -rf "$LIVE/a/b"; touch -r "$TREE/a" "$LIVE/a"', { TREE: tree, LIVE: live });
          expect(contents(live)).toBe(whole);
          return true;
        };
        const broken = breakingHost(localHost, step);
        await restoreTo(broken, taken, live, { overwrite: true, ...more }).catch(() => {});
        expect(existsSync(live), `step ${step}`).toBe(true);
        if (broken.started() <= step) {
          expect(isNew()).toBe(true);
          break;
        }
        if (isNew()) bash('touch "$LIVE/a/one"', { LIVE: live });
        await restoreTo(localHost, taken, live, { overwrite: true, ...more });
        expect(isNew(), `step ${step}`).toBe(true);
        const left = readdirSync(dir).filter((name) => name !== 'live' && !name.startsWith('live.coffre-old-'));
        expect(left, `step ${step}`).toEqual([]);
      }
    },
  );
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
