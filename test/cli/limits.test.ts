// limits.bandwidth and limits.memory of the real daemon: two shops at once on a real store.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Temporal } from 'temporal-polyfill';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { leastMemoryBytes } from '../../src/config/memory.ts';
import { recipientOf } from '../../src/segment/age.ts';
import { createIdentity } from '../../src/segment/identity-store.ts';
import { ProcessTreeWatch } from '../bench/measuring/process-tree.ts';
import { inventory } from '../servers/s3.ts';
import { Random } from '../shop/random.ts';
import { makeWorld, type World } from '../world/world.ts';

/** A tree of files that do not compress, a megabyte each. */
function tree(megabytes: number, seed: string): string {
  const root = mkdtempSync(join(tmpdir(), 'coffre-limits-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'img'));
  for (let i = 0; i < megabytes; i++) writeFileSync(join(root, `img/${i}.jpg`), new Random(`${seed}/${i}`).bytes(1_000_000));
  return root;
}

/** dupont and martin, a tree each. */
async function twoShops(megabytes: number, limits: Readonly<Record<string, string>>): Promise<World> {
  const world = await makeWorld({ files: { root: tree(megabytes, 'dupont') }, limits });
  onTestFinished(() => world[Symbol.asyncDispose]());
  const { keyDir, recovery, configFile } = world;
  await createIdentity({ keyDir, shop: 'martin', recoveryRecipients: [await recipientOf(recovery)], clock: systemClock });
  const martin = ['  martin:', '    plan: plan', '    vaults: [offsite]', `    files: { root: ${tree(megabytes, 'martin')} }`];
  writeFileSync(configFile, `${readFileSync(configFile, 'utf8')}${martin.join('\n')}\n`);
  return world;
}

interface Line {
  readonly event?: string;
  readonly level: string;
  readonly time: string;
  readonly shop?: string;
  readonly msg: string;
  readonly [more: string]: unknown;
}

/** Runs the daemon until both shops, which it backs up at once because they have no snapshot yet, are done. */
async function daemonBacksUp(world: World): Promise<{ readonly lines: readonly Line[]; readonly peakBytes: number }> {
  const child = world.start(['--log-level', 'debug', 'daemon']);
  const ended = new Promise((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const watch = new ProcessTreeWatch(child.pid as number);
  const lines: Line[] = [];
  if (!child.stderr) throw new Error('no stderr');
  for await (const text of createInterface({ input: child.stderr })) {
    const line = JSON.parse(text) as Line;
    lines.push(line);
    if (line.event === 'run.failed') throw new Error(line.msg);
    if (lines.filter((one) => one.event === 'run.done').length === 2) child.kill('SIGTERM');
  }
  await ended;
  return { lines, peakBytes: watch.stop().highWater[0]?.bytes ?? 0 };
}

test('two shops at once, 10 MB/s - share it: 40 MB take no less than four seconds, no PUT fails', async () => {
  const world = await twoShops(20, { bandwidth: '10MB/s' });
  const { lines } = await daemonBacksUp(world);
  const at = (event: string): number[] =>
    lines.filter((line) => line.event === event).map((line) => Temporal.Instant.from(line.time).epochMilliseconds);
  expect(Math.max(...at('run.started'))).toBeLessThan(Math.min(...at('run.done')));
  const took = (Math.max(...at('run.done')) - Math.min(...at('run.started'))) / 1000;
  expect(took).toBeGreaterThan(3.6);
  // a shop without a snapshot is red until it has one, and that is said
  const troubles = lines.filter((line) => (line.level === 'error' || line.level === 'warn') && line.event?.startsWith('alarm.') !== true);
  expect(troubles).toEqual([]);
  // each byte was sent once
  expect((await inventory(world.bucket)).totalBytes).toBeLessThan(42e6);
});

test('two shops at once, the least memory that works - the process stays under it', async () => {
  const limitBytes = leastMemoryBytes(2);
  const world = await twoShops(200, { memory: `${limitBytes / 1e6}MB` });
  const { lines, peakBytes } = await daemonBacksUp(world);
  const measured = lines.filter((line) => line.event === 'run.memory');
  expect(measured).toHaveLength(2);
  for (const one of measured) expect(one.peakInFlightBytes).toBeLessThanOrEqual(one.budgetBytes as number);
  expect(peakBytes).toBeLessThan(limitBytes);
});
