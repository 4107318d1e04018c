// An archive whose stream broke off somewhere, and was gone on with, holds the same tree: wherever it broke.
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../../src/clock.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { restoreByHand } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { bash, describeTree, take } from './tree.ts';

const impatient: Clock = { ...systemClock, sleep: async () => {} };

/** tar's output ends after so many bytes, and with it the connection; each time that tar is started the next number counts. */
function breaking(cuts: number[]): Host {
  return {
    ...localHost,
    type: 'ssh',
    name: 'a host',
    start(argv, signal) {
      const cut = argv.includes('--create') ? cuts.shift() : undefined;
      if (cut === undefined) return localHost.start(argv, signal);
      const tar = localHost.start(['sh', '-c', '"$0" "$@" | head -c "$CUT"'.replace('$CUT', String(cut)), ...argv], signal);
      return { ...tar, kill: () => tar.kill(), ended: tar.ended.then(() => ({ status: null, lost: true })) };
    },
  };
}

test('a stream that breaks at any place - the restored tree and the index are the same', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  bash(
    `mkdir -p "$TREE/sub"; cd "$TREE"; printf small > a; head -c 3000 /dev/urandom > b; ln b sub/b-again; ln -s b c; mkfifo d
    truncate -s 400K sparse; for at in 10000 110000 210000 310000; do head -c 5000 /dev/urandom | dd of=sparse bs=1 seek=$at conv=notrunc status=none; done
    head -c 70000 /dev/urandom > sub/e; ln a "sub/$(printf 'caf\\351\\n')"; : > sub/empty; setfattr -n user.coffre -v value b; sleep 1.1`,
    { TREE: root },
  );
  const whole = await take(root, new Map(), { host: breaking([]) });
  const described = describeTree(root);
  const [packed] = whole.segments;
  let refused = 0;
  for (const cut of [
    0, 1, 511, 512, 1024, 1500, 3333, 6000, 10_241, 20_480, 20_900, 21_504, 30_000, 45_000, 70_000, 90_000, 100_000, 112_000,
  ]) {
    if (cut > (packed?.bytes.length as number)) break;
    const segments = new Map();
    // and once more while it is gone on with, and in the tail
    const snapshot = await take(root, segments, { host: breaking([cut, cut >> 1, 700]), clock: impatient }).catch((error) => {
      expect(error).toMatchObject({ code: 'E_SSH_LOST' });
      refused += 1;
      return null;
    });
    if (!snapshot) continue;
    expect(snapshot.summary, `cut at ${cut}`).toEqual(whole.summary);
    expect(snapshot.entries.map(({ segment: _, ...entry }) => entry)).toEqual(whole.entries.map(({ segment: _, ...entry }) => entry));
    const restored = mkdtempSync(join(dir, 'restored-'));
    restoreByHand(snapshot, restored);
    expect(describeTree(restored), `cut at ${cut}`).toBe(described);
  }
  // a cut within the map of a sparse file cannot be mended
  expect(refused).toBeLessThan(3);
});

test('a connection that never comes back - the reading fails, and says which host', async () => {
  const root = join(await tempDir(), 'tree');
  bash('mkdir "$TREE"; head -c 100000 /dev/urandom > "$TREE/a"', { TREE: root });
  const host = breaking([1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000]);
  await expect(take(root, new Map(), { host, clock: impatient })).rejects.toMatchObject({
    code: 'E_SSH_LOST',
    message: expect.stringContaining('a host'),
  });
});
