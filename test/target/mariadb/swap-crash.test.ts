// SIGKILL after every step of a swap: the next restore puts the old state back entirely, or finishes the new one entirely.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Dumped } from '../../source/mariadb/dumped.ts';
import { type DatabaseServer, startDatabaseServer } from '../../source/mariadb/server.ts';
import type { ChildTask } from './swap-in-child.ts';
import { beginAnew, beside, look, makeBoth, makeSwap, restoreInto } from './swap-setting.ts';

const CHILD = join(import.meta.dirname, 'swap-in-child.ts');
let server: DatabaseServer;
let dumped: Dumped;
let dumpDir: string;
let dumpFile: string;
let before: string;
let wanted: string;

beforeAll(async () => {
  server = await startDatabaseServer(['--event-scheduler=ON']);
  ({ dumped, before, wanted } = await makeBoth(server));
  dumpDir = mkdtempSync(join(tmpdir(), 'coffre-swap-'));
  dumpFile = join(dumpDir, 'dump');
  writeFileSync(dumpFile, serialize(dumped));
}, 60_000);
afterAll(async () => {
  rmSync(dumpDir, { recursive: true, force: true });
  await server.stop();
});

/** The step after which it was killed; null: it came to its end. */
async function runChild(task: Omit<ChildTask, 'where' | 'dumpFile'>): Promise<string | null> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify({ ...task, where: server.where, dumpFile })], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.once('close', (...how) => resolve(how)));
  if (signal === 'SIGKILL') return out;
  if (code !== 0) throw new Error(`the child ended with ${code}: ${err}`);
  return null;
}

/** A restore that is refused once it has repaired. */
async function repairOnly(): Promise<void> {
  const target = makeSwap(server.where, 'shop', { overwrite: false });
  await expect(target.prepare({ snapshot: 'none', tables: null })).rejects.toMatchObject({ code: 'E_TARGET_NOT_EMPTY' });
  await target.close();
}

test('the whole database: after any step all old or all new, and the next restore ends as an undisturbed one', async () => {
  const outcomes: string[] = [];
  for (let dieAfter = 1; ; dieAfter += 1) {
    await beginAnew(server);
    const step = await runChild({ dieAfter });
    if (step === null) break;
    await repairOnly();
    const state = await look(server, 'shop');
    if (state !== before) expect(state, `killed after ${step} (${dieAfter})`).toBe(wanted);
    outcomes.push(`${step}: ${state === before ? 'old' : 'new'}`);
    if (dieAfter % 3 === 0) {
      await restoreInto(makeSwap(server.where, 'shop'), dumped);
      expect(await look(server, 'shop'), `restored after a kill after ${step}`).toBe(wanted);
      expect(await beside(server, 'shop')).toBe('NULL');
    }
  }
  expect(await look(server, 'shop')).toBe(wanted);
  expect(await beside(server, 'shop')).toBe('NULL');
  expect(outcomes).toContain('drop TRIGGER: old');
  expect(outcomes).toContain('rename: new');
  expect(outcomes).toContain('committed: new');
  expect(outcomes.length).toBeGreaterThan(10);
  // once new, never old again
  expect(outcomes.map((outcome) => outcome.endsWith('new')).join()).toMatch(/^(false,)*(true,?)*$/);
}, 600_000);

test('single tables: after any step the old ones with their triggers and all foreign keys, or the new ones', async () => {
  const tables = ['parent', 'only_new'];
  await beginAnew(server);
  await restoreInto(makeSwap(server.where, 'shop'), dumped, { tables });
  const swapped = await look(server, 'shop');
  const states: string[] = [];
  for (let dieAfter = 1; ; dieAfter += 1) {
    await beginAnew(server);
    const step = await runChild({ dieAfter, tables });
    if (step === null) break;
    await repairOnly();
    const state = await look(server, 'shop');
    if (state !== before) expect(state, `killed after ${step} (${dieAfter})`).toBe(swapped);
    states.push(`${step}: ${state === before ? 'old' : 'new'}`);
  }
  expect(states).toContain('drop TRIGGER: old');
  expect(states).toContain('foreign key: new');
}, 600_000);

test('the repair itself is killed after any step: the next one ends it', async () => {
  // after the first trigger went; after the tables moved; after the end
  for (const dieAfter of [4, 8, 9, 12]) {
    for (let inRepair = 1; ; inRepair += 1) {
      await beginAnew(server);
      await runChild({ dieAfter });
      const step = await runChild({ dieAfter: inRepair, repairOnly: true });
      await repairOnly();
      const state = await look(server, 'shop');
      if (state !== before) expect(state, `killed after ${dieAfter}, then after ${step}`).toBe(wanted);
      if (step === null) break;
    }
  }
}, 600_000);
