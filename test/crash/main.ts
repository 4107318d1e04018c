// `npm run crash`: the crash matrix from the command line.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { inSetting } from '../bench/measuring/setting.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { makeBucket } from '../servers/s3.ts';
import type { RunningStore } from '../servers/store.ts';
import type { FoundViolation } from './bench.ts';
import type { Side } from './effects.ts';
import { type MatrixReport, runMatrix } from './matrix.ts';
import { OPERATIONS, type Operation } from './scenarios.ts';

const USAGE = `usage: npm run crash -- [--json] [--runs N] [--seed S] [--only ${OPERATIONS.join(',')}] [--lanes N] [--store N] [--keep DIR]
                        [--at SCENARIO:NUMBER:before|after[,NUMBER:before|after]...]

Kills coffre with SIGKILL before and after what it does to vaults, catalog and files, runs it again, and checks that nothing
is lost, leaked or risen again. Status 1 when anything is. A tenth of the kills, 40 at most (--store N: so many), are in a real
object store, the others in folders whose locks are made to end by a moved clock. Interrupted, it says what it has found so far.
--keep leaves a copy of each world in which something was violated.
--at repeats one kill, or the others after it in the runs that make up for it.`;

/** Every scenario gets two dozen. */
const DEFAULT_RUNS = 300;

function refuse(message: string): never {
  console.error(`${message}\n${USAGE}`);
  process.exit(2);
}

function read() {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      options: { json: flag, help: flag, runs: text, seed: text, only: text, lanes: text, at: text, store: text, keep: text },
    }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function whole(name: string, value: string | undefined, otherwise: number, least = 1): number {
  const number = Number(value ?? otherwise);
  return Number.isInteger(number) && number >= least ? number : refuse(`--${name} is a whole number, at least ${least}`);
}

const values = read();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const operations = (values.only?.split(',') ?? [...OPERATIONS]) as Operation[];
for (const operation of operations) if (!OPERATIONS.includes(operation)) refuse(`--only knows no ${operation}`);
const at = values.at === undefined ? null : /^(.*?):(\d+:(?:before|after)(?:,\d+:(?:before|after))*)$/.exec(values.at);
if (values.at !== undefined && at === null) refuse('--at is SCENARIO:NUMBER:before or SCENARIO:NUMBER:after, or several after a comma');
const atKills = (at?.[2] ?? '').split(',').map((one) => {
  const [number, side] = one.split(':') as [string, Side];
  return { number: Number(number), side };
});

const wanted = whole('runs', values.runs, DEFAULT_RUNS);
const mayUseStore = at === null && (operations.includes('backup') || operations.includes('prune'));
/** In a real store, slower than folders. */
const storeKills = Math.min(wanted, whole('store', values.store, mayUseStore ? Math.min(40, Math.ceil(wanted / 10)) : 0, 0));
let told = 0;
const matrix = (store: RunningStore | null, mariadb: Mariadb, signal: AbortSignal) =>
  runMatrix({
    mariadb,
    runs: wanted - storeKills,
    ...(store ? { store: { kills: storeKills, bucket: () => makeBucket(store) } } : {}),
    seed: whole('seed', values.seed, 1),
    lanes: whole('lanes', values.lanes, availableParallelism()),
    operations,
    ...(values.keep === undefined ? {} : { keep: values.keep }),
    signal,
    ...(at ? { at: { scenario: at[1] as string, kills: atKills } } : {}),
    onRun: (kills, found) => {
      for (const it of found) process.stderr.write(`${line(it)}\n`);
      if (process.stderr.isTTY) process.stderr.write(`\rkills: ${kills} `);
      else if (kills >= told + 20) {
        told = kills;
        process.stderr.write(`kills: ${kills}\n`);
      }
    },
  });
const mariadb = await startMariadb();
const report = await (storeKills > 0
  ? inSetting(({ store, signal }) => matrix(store, mariadb, signal))
  : matrix(null, mariadb, interrupted())
).finally(() => mariadb.stop());
if (values.json) console.log(JSON.stringify(report, null, 2));
else console.log(describe(report));
process.exitCode = report.violations === 0 ? 0 : 1;

/** Ends with what has been found so far, as a run with a store does. */
function interrupted(): AbortSignal {
  const interruption = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interruption.abort());
  return interruption.signal;
}

function describe({ points, runs, worlds, cuts, violations, seed, durationMs, restores, scenarios, found }: MatrixReport): string {
  const lines = scenarios.map(
    (it) =>
      `  ${it.name}: ${it.points} effects of ${Object.keys(it.effects).length} kinds, ${it.kills} kills at ${it.names} different ones`,
  );
  for (const it of found)
    lines.push(`  VIOLATED ${it.truth}: ${it.detail} [${it.scenario}; ${it.when}; killed ${it.killed.join(', then ')}]`);
  return [
    `crash matrix: ${runs} kills in ${worlds} worlds at ${points} points, ${cuts} of them power cuts, ${restores} restores, ${violations} violations (seed ${seed}, ${Math.round(durationMs / 1000)} s)`,
    ...lines,
  ].join('\n');
}

function line(it: FoundViolation): string {
  return `VIOLATED ${it.truth}: ${it.detail} [${it.scenario}; ${it.when}; killed ${it.killed.join(', then ')}]`;
}
