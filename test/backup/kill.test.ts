import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
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
 * succeed. Before each of them so many directories get a new content that its moment comes whatever it takes up.
 */
const ROUNDS: readonly (readonly Moment[])[] = [
  [at('run.started'), stored(1), stored(1), stored(2), stored(1), at('lock.started')],
  [stored(1), stored(2), stored(1), at('lock.started'), at('lock.done'), at('manifest.stored')],
  [stored(1), stored(1), stored(2), stored(1), at('lock.done')],
  [stored(2), stored(1), at('lock.started'), at('lock.done'), at('manifest.stored'), at('vault.committed')],
];

const DIRECTORIES = 8;
const LARGE = 'large.bin';
/** Provisional locks, and with them the taking up, end so long after the start of their run: runDeadline and retention together. */
const TAKEN_UP_WITHIN_MS = 60_000;

/** What killed runs stored of the contents that are in the tree now, by the name of the segment; when their run began. */
type There = Map<string, number>;

/** A run that a kill came too late for: what it says in its log is there before the kill is, and on a busy machine it may end meanwhile. */
async function ranToItsEnd(world: World): Promise<boolean> {
  await using catalog = await openCatalog(world.stateDir);
  const run = await catalog.db.selectFrom('runs').select('state').where('kind', '=', 'backup').orderBy('id', 'desc').executeTakeFirst();
  return run?.state === 'done';
}

/** Runs a backup and kills it with SIGKILL when the moment comes, if any; false when the run ended before it. */
async function run(world: World, moment: Moment | null, there: There, twice: string[]): Promise<boolean> {
  const startedMs = systemClock.monotonicMs();
  const child = world.start(['--log-level', 'debug', 'backup', 'dupont', '--full']);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.stdout?.resume();
  let seen = 0;
  let killed = false;
  for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
    const isMoment = line.includes(`"event":"${moment?.event}"`) && ++seen === moment?.nth;
    if (isMoment) {
      child.kill('SIGKILL');
      killed = true;
    }
    if (!line.includes('"event":"segment.stored"')) continue;
    const name = String(JSON.parse(line).msg);
    if (!/^d[0-9]/.test(name) && name !== LARGE) continue;
    if (systemClock.monotonicMs() - (there.get(name) ?? -Infinity) < TAKEN_UP_WITHIN_MS) twice.push(name);
    // a content too large for memory cannot be taken back when it turns out to be stored: its lines must have come into the journal
    if (!(isMoment && name === LARGE)) there.set(name, startedMs);
  }
  const status = await ended;
  expect(twice, 'stored again although a killed run had stored it').toEqual([]);
  if (moment === null) expect(status).toBe(0);
  // what was adopted belongs to its snapshot then, and the full after it stores everything anew
  else if (await ranToItsEnd(world)) there.clear();
  return killed;
}

/** Puts a new content into some of the directories. */
function change(root: string, content: string, directories: readonly number[], there: There): void {
  for (const directory of directories) {
    const path = join(root, `d${directory}`);
    mkdirSync(path, { recursive: true });
    // compresses well: many segments, little to store
    for (let file = 0; file < 8; file++) writeFileSync(join(path, `f${file}`), Buffer.alloc(4 << 20, `${content} ${directory} ${file} `));
    there.delete(`d${directory}/f0`);
  }
}

/** What a killed process had sent whole may still be landing in a busy store: then it is metered a moment later. */
async function meteredExactly(world: World): Promise<void> {
  const deadline = systemClock.monotonicMs() + 20_000;
  for (;;) {
    const level = (await world.okHere(['billing', 'level'])).json;
    const { totalBytes } = await inventory(world.bucket);
    if (level.levelBytes !== totalBytes && systemClock.monotonicMs() < deadline) continue;
    expect(level.levelBytes).toBe(totalBytes);
    return;
  }
}

describe('a backup killed with SIGKILL', () => {
  it('at 23 moments: the next one succeeds and adopts what was stored, older snapshots restore, leftovers go, nothing is missing', async () => {
    await using world = await makeWorld();
    const root = join(world.dir, 'shop');
    world.writeConfig({ files: { root }, retention: '20s', limits: { runDeadline: '40s' } });
    let kills = 0;
    let betweenPutAndManifest = 0;
    let adoptions = 0;
    const twice: string[] = [];
    for (const [round, moments] of ROUNDS.entries()) {
      const there: There = new Map();
      const all = Array.from({ length: DIRECTORIES }, (_, directory) => directory);
      change(root, `${round}`, all, there);
      writeFileSync(join(root, LARGE), Buffer.alloc(50 << 20, `${round} large `));
      for (const [i, moment] of moments.entries()) {
        if (i > 0)
          change(
            root,
            `${round}.${i}`,
            Array.from({ length: moment.nth }, (_, n) => (3 * i + n) % DIRECTORIES),
            there,
          );
        expect(await run(world, moment, there, twice), `killed at ${moment.event} ${moment.nth}`).toBe(true);
        kills++;
        if (moment.event === 'segment.stored' || moment.event.startsWith('lock.')) betweenPutAndManifest++;
        await meteredExactly(world);
      }
      // nothing is left of a run that the last kill came too late for, and on a busy machine the first ones' locks may have ended
      const isLeft = [...there.values()].some((startedMs) => systemClock.monotonicMs() - startedMs < TAKEN_UP_WITHIN_MS - 10_000);
      await run(world, null, there, twice);
      // what else is asked in each round is asked of bin/coffre in the first one and at the end
      const ok = round === 0 ? world.ok : world.okHere;
      const [snapshot] = (await ok(['snapshots', 'dupont'])).json.snapshots;
      adoptions += snapshot.reusedSegments;
      if (isLeft) expect(snapshot.reusedSegments, 'segments adopted').toBeGreaterThan(0);
      // prune takes nothing that any snapshot names
      await ok(['prune', 'dupont']);
      expect((await ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
      await meteredExactly(world);
      const target = join(world.dir, 'back');
      await ok(['restore', 'dupont', '--to-dir', target, '--snapshot', snapshot.id]);
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
      await world.okHere(['prune', 'dupont']);
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
