// How long prune takes to plan: `npm run bench -- prune`. 1,000,000 segments and 20,000 snapshots in a real catalog, planned as a dry run does,
// read, decided and added up; in a process of its own, whose memory and event loop are watched.
//   fleet  500 shops, each with 2,000 segments and 40 snapshots: planned shop by shop, as the daemon does every morning
//   one    all of it in one shop: planned by the thread for large shops
//   reconcile  the same shop compared with a store that lists the same, and each lock read back: memory alone is a goal there
// Goals: 5 s, 512 MiB. They are reported and do not change the exit status; a plan that is not the right one does.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { machine } from './measuring/figures.ts';
import { readOptions } from './measuring/options.ts';
import type { Planned } from './prune/measure.ts';
import type { Reconciled } from './prune/reconcile.ts';

const USAGE = `usage: npm run bench -- prune [--json] [--rounds N] [--scale FRACTION] [--only fleet,one,reconcile]
  full size takes about a minute and 2 GB in the temporary folder`;
const GOAL = { seconds: 5, peakBytes: 512 * 1024 * 1024 };

const options = readOptions(USAGE, ['fleet', 'one', 'reconcile']);
const run = async (script: string, args: readonly (string | number)[]): Promise<string> => {
  const path = join(import.meta.dirname, 'prune', script);
  return (await promisify(execFile)(process.execPath, [path, ...args.map(String)], { maxBuffer: 1 << 24 })).stdout;
};

interface ComparedResult extends Reconciled {
  readonly step: 'reconcile';
  readonly goal: { readonly memory: boolean };
}

interface Result extends Planned {
  readonly step: string;
  readonly goal: { readonly seconds: boolean; readonly memory: boolean };
}

const results: Result[] = [];
const compared: ComparedResult[] = [];
try {
  for (const step of ['fleet', 'one']) {
    const alsoCompared = step === 'one' && options.wanted('reconcile');
    if (!options.wanted(step) && !alsoCompared) continue;
    const shops = step === 'one' ? 1 : Math.max(1, Math.round(500 * options.scale));
    const [segments, snapshots] = step === 'one' ? [1_000_000 * options.scale, 20_000 * options.scale] : [2_000, 40];
    const dir = await mkdtemp(join(tmpdir(), 'coffre-bench-prune-'));
    try {
      console.error(`${step}: filling a catalog`);
      await run('fill.ts', [dir, shops, segments, snapshots]);
      const rounds: Planned[] = [];
      for (let round = 0; options.wanted(step) && round < options.rounds; round++)
        rounds.push(JSON.parse(await run('measure.ts', [dir])) as Planned);
      const planned = rounds.toSorted((a, b) => a.seconds - b.seconds)[Math.floor(rounds.length / 2)];
      if (planned) {
        const goal = { seconds: planned.seconds <= GOAL.seconds, memory: planned.peakBytes <= GOAL.peakBytes };
        results.push({ step, ...planned, goal });
      }
      if (alsoCompared) {
        const reconciled = JSON.parse(await run('reconcile.ts', [dir])) as Reconciled;
        compared.push({ step: 'reconcile', ...reconciled, goal: { memory: reconciled.peakBytes <= GOAL.peakBytes } });
      }
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  const told = results.map(
    (it) =>
      `${it.step.padEnd(6)} ${it.segments} segments, ${it.snapshots} snapshots, ${it.shops} shops: ${it.seconds.toFixed(2)} s (${it.cpuSeconds.toFixed(2)} s CPU), ` +
      `${(it.peakBytes / 1024 / 1024).toFixed(0)} MiB, event loop held for ${it.eventLoop.maxMs.toFixed(0)} ms at most ` +
      `(${it.eventLoop.p99Ms.toFixed(0)} ms in 99 of 100); ${it.goes} objects go, ${it.kept} snapshots stay`,
  );
  const text = [
    ...told,
    ...compared.map(
      (it) =>
        `${it.step} ${it.versions} versions, ${it.locks} locks: ${it.seconds.toFixed(1)} s (${it.cpuSeconds.toFixed(1)} s CPU), ${(it.peakBytes / 1024 / 1024).toFixed(0)} MiB`,
    ),
  ].join('\n');
  if (options.json) {
    console.error(text);
    console.log(JSON.stringify({ bench: 'prune', machine: await machine(), goal: GOAL, results: [...results, ...compared] }, null, 2));
  } else console.log(text);
} catch (error) {
  console.error(`bench prune: ${(error as Error).message}`);
  process.exitCode = 1;
}
