// `npm run crash`: the crash matrix from the command line.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type FoundViolation, type MatrixReport, runMatrix } from './matrix.ts';
import { OPERATIONS, type Operation } from './scenarios.ts';

const USAGE = `usage: npm run crash -- [--json] [--runs N] [--seed S] [--only ${OPERATIONS.join(',')}] [--lanes N] [--at SCENARIO:NUMBER:before|after]

Kills coffre with SIGKILL before and after what it does to vaults, catalog and files, runs it again, and checks that nothing
is lost, leaked or risen again. Status 1 when anything is.`;

function refuse(message: string): never {
  console.error(`${message}\n${USAGE}`);
  process.exit(2);
}

function read() {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({ options: { json: flag, help: flag, runs: text, seed: text, only: text, lanes: text, at: text } }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function whole(name: string, value: string | undefined, otherwise: number): number {
  const number = Number(value ?? otherwise);
  return Number.isInteger(number) && number > 0 ? number : refuse(`--${name} is a whole number above 0`);
}

const values = read();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const operations = (values.only?.split(',') ?? [...OPERATIONS]) as Operation[];
for (const operation of operations) if (!OPERATIONS.includes(operation)) refuse(`--only knows no ${operation}`);
const at = values.at === undefined ? null : /^(.*):(\d+):(before|after)$/.exec(values.at);
if (values.at !== undefined && at === null) refuse('--at is SCENARIO:NUMBER:before or SCENARIO:NUMBER:after');

const report = await runMatrix({
  runs: whole('runs', values.runs, 264),
  seed: whole('seed', values.seed, 1),
  lanes: whole('lanes', values.lanes, availableParallelism()),
  operations,
  ...(at ? { at: { scenario: at[1] as string, number: Number(at[2]), side: at[3] as 'before' | 'after' } } : {}),
  onRun: (kills, found) => {
    for (const it of found) process.stderr.write(`${line(it)}\n`);
    if (process.stderr.isTTY) process.stderr.write(`\rkills: ${kills} `);
    else if (kills % 20 === 0) process.stderr.write(`kills: ${kills}\n`);
  },
});
if (values.json) console.log(JSON.stringify(report, null, 2));
else console.log(describe(report));
process.exitCode = report.violations === 0 ? 0 : 1;

function describe({ points, runs, violations, seed, durationMs, restores, scenarios, found }: MatrixReport): string {
  const lines = scenarios.map(
    (it) =>
      `  ${it.name}: ${it.points} effects of ${Object.keys(it.effects).length} kinds, ${it.kills} kills at ${it.names} different ones`,
  );
  for (const it of found)
    lines.push(`  VIOLATED ${it.truth}: ${it.detail} [${it.scenario}; ${it.when}; killed ${it.killed.join(', then ')}]`);
  return [
    `crash matrix: ${runs} kills at ${points} points, ${restores} restores, ${violations} violations (seed ${seed}, ${Math.round(durationMs / 1000)} s)`,
    ...lines,
  ].join('\n');
}

function line(it: FoundViolation): string {
  return `VIOLATED ${it.truth}: ${it.detail} [${it.scenario}; ${it.when}; killed ${it.killed.join(', then ')}]`;
}
