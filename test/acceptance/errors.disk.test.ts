import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeWorld, type World } from '../world/world.ts';
import { fails, heldBytes, meteredExactly, recovers } from './faults.ts';
import { writeTree } from './tree.ts';

/** A file system of its own at `path`, whose size can be changed while it is used. Needs root. */
class SmallDisk {
  readonly path: string;

  constructor(path: string, size: string) {
    this.path = path;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'coffre-test', path]);
  }

  /** Only so much is free from now on; 0 means none. */
  leave(freeBytes: number): void {
    const { blocks, bfree, bsize } = statfsSync(this.path);
    this.#resize(Math.max(4096, (blocks - bfree) * bsize + freeBytes));
  }

  grow(): void {
    this.#resize(500_000_000);
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['--lazy', this.path]);
  }

  #resize(bytes: number): void {
    execFileSync('mount', ['-o', `remount,size=${bytes}`, this.path]);
  }
}

async function shopIn(
  options: Parameters<typeof makeWorld>[0],
): Promise<{ world: World; root: string; disk: (what: string) => SmallDisk }> {
  const world = await makeWorld(options);
  const root = join(world.dir, 'shop');
  writeTree(root);
  world.writeConfig({ ...options, files: { root } });
  return { world, root, disk: (what) => new SmallDisk(what, '500m') };
}

const temporaryFiles = (folder: string): string => execFileSync('find', [folder, '-name', '.tmp-*']).toString();

describe.skipIf(process.getuid?.() !== 0)('a full disk', () => {
  it('under a filesystem vault from the start - E_VAULT_SPACE, and the first backup after it succeeds', async () => {
    const { world, root, disk } = await shopIn({ vaults: ['nas'] });
    await using _ = world;
    using full = disk(world.nasPath);
    full.leave(0);
    await fails(world, ['backup', 'dupont'], { code: 'E_VAULT_SPACE', says: /nas/, hint: /space/ });
    full.leave(1_000_000);
    await fails(world, ['backup', 'dupont'], { code: 'E_VAULT_SPACE', says: /nas/, hint: /space/ });
    full.grow();
    await recovers(world, root);
    expect(temporaryFiles(world.nasPath)).toBe('');
  }, 120_000);

  it('under a filesystem vault in use, at whatever point of a run - E_VAULT_SPACE, older snapshots stay, nothing is left over', async () => {
    const { world, root, disk } = await shopIn({ vaults: ['nas'] });
    await using _ = world;
    using full = disk(world.nasPath);
    const { id } = (await world.ok(['backup', 'dupont'])).json.snapshots[0];
    // some segments, so that there are many moments
    writeTree(root, { directories: 6, filesEach: 2, fileBytes: 8_000_000 });
    for (const freeBytes of [0, 8192, 20_000_000, 40_000_000, 40_000_000, 20_000_000, 32_020_000]) {
      full.leave(freeBytes);
      await fails(world, ['backup', 'dupont'], { code: 'E_VAULT_SPACE', says: /nas/, hint: /space/ });
      expect(temporaryFiles(world.nasPath), `${freeBytes} bytes free`).toBe('');
      const { json } = await world.ok(['billing', 'level']);
      expect(json.levelBytes, `level with ${freeBytes} bytes free`).toBe(heldBytes(world.nasPath));
    }
    await world.ok(['restore', 'dupont', '--snapshot', id, '--to-dir', join(world.dir, 'older')]);
    full.grow();
    const backup = await recovers(world, root);
    expect(backup.json.snapshots[0].reusedSegments, 'taken up from the runs that failed').toBeGreaterThan(0);
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  }, 240_000);

  it('under one of two vaults - E_DEGRADED names it, the other has the snapshot, later both have one', async () => {
    const { world, root, disk } = await shopIn({ vaults: ['nas', 'offsite'] });
    await using _ = world;
    using full = disk(world.nasPath);
    await world.ok(['backup', 'dupont']);
    writeTree(root, { fileBytes: 500_000 });
    full.leave(600_000);
    const { json } = await fails(world, ['backup', 'dupont'], { code: 'E_DEGRADED', says: /nas.*\[E_VAULT_SPACE\]/s, hint: /space/ });
    expect(json.snapshots[0]).toMatchObject({
      vaults: ['offsite'],
      lock: { mode: 'COMPLIANCE', verified: true },
      missing: [{ vault: 'nas', code: 'E_VAULT_SPACE' }],
    });
    full.grow();
    await recovers(world, root);
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  }, 120_000);

  it('under stateDir, at whatever point of a run - E_STATE_SPACE, and later runs go on from there', async () => {
    const { world, root, disk } = await shopIn({});
    await using _ = world;
    using full = disk(world.stateDir);
    full.leave(0);
    await fails(world, ['backup', 'dupont'], { code: 'E_STATE_SPACE', says: /state/, hint: /space/ });
    full.grow();
    await recovers(world, root);
    for (const freeBytes of [0, 40_000, 65_536, 98_304, 131_072, 196_608, 262_144]) {
      writeTree(root);
      full.leave(freeBytes);
      const outcome = await world.coffre(['backup', 'dupont', '--full']);
      if (outcome.status !== 0) {
        expect(outcome.json?.error, `${freeBytes} bytes free: ${outcome.stdout} ${outcome.stderr}`).toMatchObject({
          code: 'E_STATE_SPACE',
          hint: expect.stringMatching(/space/),
        });
        expect(outcome.status).toBe(11);
      }
      full.grow();
      await meteredExactly(world);
    }
    await recovers(world, root);
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  }, 240_000);

  it('under the target of a restore - E_TARGET_SPACE, what is there is marked, and elsewhere it succeeds', async () => {
    const { world, root, disk } = await shopIn({});
    await using _ = world;
    writeFileSync(join(root, 'large'), randomBytes(3_000_000));
    await world.ok(['backup', 'dupont']);
    const target = join(world.dir, 'small');
    using small = disk(target);
    small.leave(1_000_000);
    await fails(world, ['restore', 'dupont', '--to-dir', target], { code: 'E_TARGET_SPACE', hint: /space/ });
    expect(execFileSync('ls', ['-A', target]).toString()).toMatch(/^\.coffre-restore-incomplete-/m);
    await fails(world, ['restore', 'dupont', '--to-dir', target], { code: 'E_TARGET_NOT_EMPTY', says: /coffre-restore-incomplete|holds/ });
    const elsewhere = join(world.dir, 'elsewhere');
    await world.ok(['restore', 'dupont', '--to-dir', elsewhere]);
    expect(execFileSync('diff', ['-r', root, elsewhere]).toString()).toBe('');
    rmSync(elsewhere, { recursive: true });
  }, 120_000);
});
