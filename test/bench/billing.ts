// How long the peaks of a ledger of 10,000,000 rows take: `npm run bench -- billing`. A year of 200 shops in a real catalog, written with its
// hash chain by plain inserts, its days anchored as the daemon does daily, the last day left as it is before its anchor.
//   seconds.month, seconds.year   the command `coffre --json billing peaks`, its start included; the median of some rounds
//   daemon                        the same in the daemon's thread, and for how long its loop was held
// What comes out is compared with what the writer of the rows added up. Goals: 1 s, 5 s. They are reported and do not change the exit
// status; a wrong peak does.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { catalogPath } from '../../src/catalog/open.ts';
import { systemClock } from '../../src/clock.ts';
import type { Measured } from './billing/measure.ts';
import { machine } from './measuring/figures.ts';
import { readOptions } from './measuring/options.ts';

const USAGE = `usage: npm run bench -- billing [--json] [--rounds N] [--scale FRACTION]
  full size takes about five minutes and 6 GB in the temporary folder`;
const GOAL = { month: 1, year: 5 };
const ROWS = 10_000_000;
const SHOPS = 200;

const options = readOptions(USAGE, ['peaks']);
const run = async (script: string, args: readonly (string | number)[]): Promise<string> => {
  const path = join(import.meta.dirname, 'billing', script);
  return (await promisify(execFile)(process.execPath, [path, ...args.map(String)], { maxBuffer: 1 << 24 })).stdout;
};
interface Expected {
  readonly rows: number;
  readonly months: readonly (readonly [string, { readonly peakBytes: number; readonly at: number }])[];
  readonly year: { readonly peakBytes: number; readonly at: number };
}

const dir = await mkdtemp(join(tmpdir(), 'coffre-bench-billing-'));
try {
  const rows = Math.round(ROWS * options.scale);
  console.error(`writing a ledger of ${rows} rows`);
  const filledMs = systemClock.monotonicMs();
  await run('fill.ts', [dir, rows, SHOPS]);
  const fillSeconds = (systemClock.monotonicMs() - filledMs) / 1000;
  const expected = JSON.parse(await readFile(join(dir, 'expected.json'), 'utf8')) as Expected;
  const [month, ofMonth] = expected.months.at(-1) as (typeof expected.months)[number];
  console.error('anchoring its days');
  const measured = JSON.parse(await run('measure.ts', [dir, month, month.slice(0, 4)])) as Measured;
  const config = join(dir, 'coffre.yaml');
  await writeFile(
    config,
    `{ timezone: UTC, stateDir: ${dir}, encryption: none, signing: { keyFile: ${dir}/signing.key },
       listen: { socket: null }, vaults: { offsite: { type: filesystem, path: ${dir}/vault, media: disk } },
       plans: {}, shops: {}, contracts: { csi: { vault: offsite, subscribedTB: 1, price: { perTBMonth: "23.00" } } } }`,
    { mode: 0o600 },
  );
  const ask = async (flag: string, period: string, peak: { peakBytes: number; at: number }): Promise<number> => {
    const seconds: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const startedMs = systemClock.monotonicMs();
      const coffre = join(import.meta.dirname, '../../bin/coffre');
      const { stdout } = await promisify(execFile)(coffre, ['--config', config, '--json', 'billing', 'peaks', flag, period]);
      seconds.push((systemClock.monotonicMs() - startedMs) / 1000);
      const [contract] = (JSON.parse(stdout) as { contracts: { peakBytes: number; at: string }[] }).contracts;
      if (contract?.peakBytes !== peak.peakBytes || Date.parse(contract.at) !== peak.at) {
        throw new Error(`${period}: ${contract?.peakBytes} at ${contract?.at}, the writer added up ${peak.peakBytes} at ${peak.at}`);
      }
    }
    return seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)] as number;
  };
  const seconds = { month: await ask('--month', month, ofMonth), year: await ask('--year', month.slice(0, 4), expected.year) };
  const catalogBytes = (await stat(catalogPath(dir))).size;
  const goal = { month: seconds.month <= GOAL.month, year: seconds.year <= GOAL.year };
  const { eventLoopMaxMs, peakBytes, ...other } = measured;
  const text =
    `${expected.rows} rows, ${SHOPS} shops, ${(catalogBytes / 1e9).toFixed(1)} GB: a month in ${seconds.month.toFixed(2)} s, the year in ` +
    `${seconds.year.toFixed(2)} s; in the daemon ${other.threadMonthSeconds.toFixed(2)} and ${other.threadYearSeconds.toFixed(2)} s, its loop ` +
    `held for ${eventLoopMaxMs.toFixed(0)} ms at most, ${(peakBytes / 1024 / 1024).toFixed(0)} MiB; ${other.anchors} days anchored in ` +
    `${other.anchorSeconds.toFixed(0)} s (a day each day: ${((other.anchorSeconds / other.anchors) * 1000).toFixed(0)} ms)`;
  if (options.json) {
    console.error(text);
    const daemon = { monthSeconds: other.threadMonthSeconds, yearSeconds: other.threadYearSeconds, eventLoopMaxMs, peakBytes };
    const anchoring = { days: other.anchors, seconds: other.anchorSeconds, loopMaxMs: other.longestAnchorMs };
    const document = { rows: expected.rows, shops: SHOPS, chained: true, catalogBytes, fillSeconds, seconds, daemon, anchoring };
    console.log(JSON.stringify({ bench: 'billing', machine: await machine(), goal: GOAL, reached: goal, ...document }, null, 2));
  } else console.log(text);
} catch (error) {
  console.error(`bench billing: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await rm(dir, { recursive: true, force: true });
}
