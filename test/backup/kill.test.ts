import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';

/** The nth log line of an event: the process is killed when it appears. */
interface Moment {
  readonly event: string;
  readonly nth: number;
}

const stored = (nth: number): Moment => ({ event: 'segment.stored', nth });
const at = (event: string): Moment => ({ event, nth: 1 });

/**
 * Each round: the runs that are killed, one after the other, each taking up what the ones before it stored; then one that must
 * succeed. Once the locks have begun everything is stored, so those moments come last.
 */
const ROUNDS: readonly (readonly Moment[])[] = [
  [at('run.started'), stored(1), stored(1), stored(2), stored(1), at('lock.started')],
  [stored(1), stored(2), stored(1), at('lock.started'), at('lock.done'), at('manifest.stored')],
  [stored(1), stored(1), stored(2), stored(1), at('lock.done')],
  [stored(2), stored(1), at('lock.started'), at('lock.done'), at('manifest.stored'), at('vault.committed')],
];

/** Runs a backup and kills it with SIGKILL when the moment comes; false when the run ended before it. */
async function killedAt(world: World, moment: Moment): Promise<boolean> {
  const child = world.start(['--log-level', 'debug', 'backup', 'dupont', '--full']);
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let seen = 0;
  let killed = false;
  for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
    if (!line.includes(`"event":"${moment.event}"`)) continue;
    seen++;
    if (seen === moment.nth) {
      child.kill('SIGKILL');
      killed = true;
    }
  }
  await exited;
  return killed;
}

function writeTree(root: string, round: number): void {
  for (let directory = 0; directory < 8; directory++) {
    const path = join(root, `d${directory}`);
    mkdirSync(path, { recursive: true });
    // compresses well: many segments, little to store
    for (let file = 0; file < 8; file++) writeFileSync(join(path, `f${file}`), Buffer.alloc(4 << 20, `${round} ${directory} ${file} `));
  }
}

async function meteredExactly(world: World): Promise<void> {
  const level = (await world.ok(['billing', 'level'])).json;
  expect(level.levelBytes).toBe((await inventory(world.bucket)).totalBytes);
}

describe('a backup killed with SIGKILL', () => {
  it('at 23 moments: the next one succeeds and adopts what was stored, older snapshots restore, leftovers go, nothing is missing', async () => {
    await using world = await makeWorld();
    const root = join(world.dir, 'shop');
    world.writeConfig({ files: { root }, retention: '20s', limits: { runDeadline: '40s' } });
    let kills = 0;
    let betweenPutAndManifest = 0;
    let adoptions = 0;
    for (const [round, moments] of ROUNDS.entries()) {
      writeTree(root, round);
      for (const moment of moments) {
        expect(await killedAt(world, moment), `killed at ${moment.event} ${moment.nth}`).toBe(true);
        kills++;
        if (moment.event === 'segment.stored' || moment.event.startsWith('lock.')) betweenPutAndManifest++;
        await meteredExactly(world);
      }
      const { json } = await world.ok(['backup', 'dupont', '--full']);
      const [snapshot] = json.snapshots;
      adoptions += snapshot.reusedSegments;
      expect(snapshot.reusedSegments, 'segments adopted').toBeGreaterThan(0);
      // prune takes nothing that any snapshot names
      await world.ok(['prune', 'dupont']);
      expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
      await meteredExactly(world);
      const target = join(world.dir, 'back');
      await world.ok(['restore', 'dupont', '--to-dir', target, '--snapshot', snapshot.id]);
      expect(execFileSync('diff', ['-r', root, target]).toString()).toBe('');
      rmSync(target, { recursive: true });
    }
    expect(kills).toBeGreaterThanOrEqual(20);
    expect(betweenPutAndManifest).toBeGreaterThanOrEqual(15);
    expect(adoptions).toBeGreaterThan(0);

    // windows and provisional locks end; then nothing but the newest snapshot is left in the store
    const deadline = systemClock.monotonicMs() + 150_000;
    const newest = (await world.ok(['snapshots', 'dupont'])).json.snapshots[0];
    let left = 0;
    for (;;) {
      await world.ok(['prune', 'dupont']);
      await meteredExactly(world);
      left = (await inventory(world.bucket, 'prod/dupont/')).versions.length;
      // its segments, index and manifest, and the shop's sealed identity
      if (left === newest.segments + 3 || systemClock.monotonicMs() > deadline) break;
      await systemClock.sleep(3000);
    }
    expect(left, 'versions left in the store').toBe(newest.segments + 3);
    expect((await inventory(world.bucket)).uploads).toEqual([]);
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    await world.ok(['restore', 'dupont', '--to-dir', join(world.dir, 'last')]);
    expect(execFileSync('diff', ['-r', root, join(world.dir, 'last')]).toString()).toBe('');
  }, 900_000);
});
