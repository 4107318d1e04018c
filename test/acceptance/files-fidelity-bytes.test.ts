// What an increment sends, through the real bin/coffre, here and over SSH: nothing for what did not change, one small segment for what did.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { bash } from '../source/files/tree.ts';
import { makeWorld } from '../world/world.ts';

const FILES = 3000;
const FILE_BYTES = 6000;
/** Of one file in the compressed index: its hash is most of it. */
const INDEX_BYTES = 60;

let dir: string;
let sshd: Sshd;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  sshd = await startSshd();
  bash(
    'mkdir -p "$TREE"; cd "$TREE"; head -c $((FILES * SIZE)) /dev/urandom | split -a 4 -d -b $SIZE - f; for i in {0..29}; do d=img/p/$((i / 10))/$i; mkdir -p $d; mv f$(printf %02d $i)?? $d; done',
    { TREE: join(dir, 'tree'), FILES: String(FILES), SIZE: String(FILE_BYTES) },
  );
}, 60_000);
afterAll(async () => {
  await sshd?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

it.each(['local', 'ssh'] as const)(
  '%s - an unchanged tree costs no file data, one changed file one small segment',
  async (where) => {
    const root = join(dir, 'tree');
    await using world = await makeWorld({ vaults: ['nas'], files: { root }, ...(where === 'ssh' ? { host: sshd.hostLines() } : {}) });
    const backup = async () => (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots[0];
    // over SSH what was written within a second before it was read is read once more
    await systemClock.sleep(1000);
    const full = await backup();
    expect(full).toMatchObject({ files: FILES, reusedSegments: 0 });
    expect(full.newBytes).toBeGreaterThan(FILES * FILE_BYTES);

    const unchanged = await backup();
    expect(unchanged).toMatchObject({ files: FILES, reusedSegments: full.segments, segments: full.segments });
    // index and manifest alone, which each snapshot has of its own
    expect(unchanged.newBytes).toBeLessThan(FILES * INDEX_BYTES);

    bash('echo changed > "$TREE/img/p/1/15/f1500"', { TREE: root });
    await systemClock.sleep(1000);
    const changed = await backup();
    expect(changed.files).toBe(FILES);
    expect(changed.segments - changed.reusedSegments).toBe(1);
    expect(changed.newBytes - unchanged.newBytes).toBeLessThan(5000);
  },
  60_000,
);
