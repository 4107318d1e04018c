// How long prune takes to plan: `npm run bench -- prune`. 1,000,000 segments and 20,000 snapshots in a real catalog, planned as a dry run does,
// read, decided and added up; in a process of its own, whose memory and event loop are watched.
//   fleet  500 shops, each with 2,000 segments and 40 snapshots: planned shop by shop, as the daemon does every morning
//   one    all of it in one shop: planned by the thread for large shops
// Goals: 5 s, 512 MiB. They are reported and do not change the exit status; a plan that is not the right one does.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { machine } from './measuring/figures.ts';
import { readOptions } from './measuring/options.ts';
import type { Planned } from './prune/measure.ts';

const USAGE = `usage: npm run bench -- prune [--json] [--rounds N] [--scale FRACTION] [--only fleet,one]
  full size takes about a minute and 2 GB in the temporary folder`;
const GOAL = { seconds: 5, peakBytes: 512 * 1024 * 1024 };

const options = readOptions(USAGE, ['fleet', 'one']);
const run = async (script: string, args: readonly (string | number)[]): Promise<string> => {
  const path = join(import.meta.dirname, 'prune', script);
  return (await promisify(execFile)(process.execPath, [path, ...args.map(String)], { maxBuffer: 1 << 24 })).stdout;
};

interface Result extends Planned {
  readonly step: string;
  readonly goal: { readonly seconds: boolean; readonly memory: boolean };
}

const results: Result[] = [];
try {
  for (const step of ['fleet', 'one']) {
    if (!options.wanted(step)) continue;
    const shops = step === 'one' ? 1 : Math.max(1, Math.round(500 * options.scale));
    const [segments, snapshots] = step === 'one' ? [1_000_000 * options.scale, 20_000 * options.scale] : [2_000, 40];
    const dir = await mkdtemp(join(tmpdir(), 'coffre-bench-prune-'));
    try {
      console.error(`${step}: filling a catalog`);
      await run('fill.ts', [dir, shops, segments, snapshots]);
      const rounds: Planned[] = [];
      for (let round = 0; round < options.rounds; round++) rounds.push(JSON.parse(await run('measure.ts', [dir])) as Planned);
      const planned = rounds.toSorted((a, b) => a.seconds - b.seconds)[Math.floor(rounds.length / 2)] as Planned;
      const goal = { seconds: planned.seconds <= GOAL.seconds, memory: planned.peakBytes <= GOAL.peakBytes };
      results.push({ step, ...planned, goal });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  const text = results
    .map(
      (it) =>
        `${it.step.padEnd(6)} ${it.segments} segments, ${it.snapshots} snapshots, ${it.shops} shops: ${it.seconds.toFixed(2)} s (${it.cpuSeconds.toFixed(2)} s CPU), ` +
        `${(it.peakBytes / 1024 / 1024).toFixed(0)} MiB, event loop held for ${it.eventLoop.maxMs.toFixed(0)} ms at most ` +
        `(${it.eventLoop.p99Ms.toFixed(0)} ms in 99 of 100); ${it.goes} objects go, ${it.kept} snapshots stay`,
    )
    .join('\n');
  if (options.json) {
    console.error(text);
    console.log(JSON.stringify({ bench: 'prune', machine: await machine(), goal: GOAL, results }, null, 2));
  } else console.log(text);
} catch (error) {
  console.error(`bench prune: ${(error as Error).message}`);
  process.exitCode = 1;
}
