import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { tempDir } from '../temp-dir.ts';
import { makeRandom } from './random.ts';
import { CutFolder, readLog, STRACE } from './write-log.ts';

const run = promisify(execFile);
const WRITER = join(import.meta.dirname, 'catalog-writer.ts');
const TRANSACTIONS = 45;
const CUTS = 120;

interface Found {
  readonly cuts: number;
  /** Commits that had returned and are gone. */
  readonly lost: number;
  /** Transactions of which a part is there, or one after one that is not. */
  readonly torn: number;
  /** Files that SQLite, or coffre, calls damaged. */
  readonly damaged: readonly string[];
  /** Steps of each kind. */
  readonly steps: Readonly<Record<string, number>>;
}

/** Writes a catalog under strace, then looks at what is left of it by power cuts all along. */
async function cutAllAlong(flushing: 'flushed' | 'unflushed'): Promise<Found> {
  const dir = realpathSync(await tempDir());
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir, { mode: 0o700 });
  const log = join(dir, 'strace.log');
  await run('strace', [...STRACE, '-o', log, process.execPath, '--disable-warning=ExperimentalWarning', WRITER, stateDir, flushing]);
  const steps = readLog(readFileSync(log, 'utf8'), stateDir);
  const random = makeRandom(20261123);
  // a cut after any step; those around a commit and a checkpoint are among them
  const after = new Set(Array.from({ length: CUTS }, () => random(steps.length)));
  const folder = new CutFolder();
  const kinds: Record<string, number> = {};
  const damaged: string[] = [];
  let [committed, lost, torn, cuts] = [0, 0, 0, 0];
  for (const [i, step] of steps.entries()) {
    kinds[step.type] = (kinds[step.type] ?? 0) + 1;
    if (step.type === 'said') committed = Number(step.text);
    folder.apply(step);
    if (!after.has(i)) continue;
    const left = join(dir, 'left');
    mkdirSync(left);
    // shared memory is made anew by whoever opens the file first
    folder.write(left, random, (name) => name.endsWith('-shm'));
    cuts++;
    try {
      // as coffre does after the power is back; some of them, for it takes its time
      if (cuts % 10 === 0) await (await openCatalog(left)).close();
      const parts = read(join(left, 'catalog.db'));
      const whole = parts.length / 3;
      if (parts.some((part, at) => part !== `part ${(at % 3) + 1}`) || !Number.isInteger(whole)) torn++;
      if (whole < committed) lost++;
      if (whole > committed + 1) damaged.push(`${whole} transactions after ${committed} commits`);
    } catch (error) {
      damaged.push(`after step ${i}: ${(error as Error).message}`);
    }
    rmSync(left, { recursive: true });
  }
  expect(committed).toBe(TRANSACTIONS);
  return { cuts, lost, torn, damaged, steps: kinds };
}

/** Who wrote the rows, in their order. Throws when the file is damaged. */
function read(path: string): string[] {
  const database = new DatabaseSync(path);
  try {
    const [{ integrity_check: verdict } = {}] = database.prepare('pragma integrity_check').all();
    if (verdict !== 'ok') throw new Error(String(verdict));
    if (database.prepare(`select 1 from sqlite_schema where name = 'audit'`).get() === undefined) return [];
    return database
      .prepare('select who from audit order by id')
      .all()
      .map((row) => String(row.who));
  } finally {
    database.close();
  }
}

test('power cut at any moment of commits, checkpoints, opening and closing - what was committed is there, whole, and nothing is damaged', async () => {
  const found = await cutAllAlong('flushed');
  expect(found.cuts).toBeGreaterThan(80);
  expect(found.steps).toMatchObject({ made: expect.any(Number), unlinked: expect.any(Number), 'folder synced': expect.any(Number) });
  // one for each commit, and those of checkpoints
  expect(found.steps.synced).toBeGreaterThan(TRANSACTIONS);
  expect(found).toMatchObject({ lost: 0, torn: 0, damaged: [] });
});

test('commits that are not flushed - found lost', async () => {
  expect((await cutAllAlong('unflushed')).lost).toBeGreaterThan(0);
});
