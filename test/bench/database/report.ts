// What the database benchmark says in the end: medians, ratios against the goals, and on what it was measured.
import { execFile } from 'node:child_process';
import { arch, cpus, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { systemClock } from '../../../src/clock.ts';
import type { Consistency } from '../../../src/source/source.ts';
import type { Mariadb } from '../../servers/mariadb.ts';
import type { Measured } from './measure.ts';
import type { BenchShop } from './shop.ts';

export type StepName =
  | 'coffre backup'
  | 'a: mariadb-dump, rclone'
  | 'b: mydumper'
  | 'coffre restore'
  | 'c: zstd -d, mariadb'
  | 'd: myloader'
  | `coffre, ${Second['after']}`;

export interface StepResult extends Omit<Measured, 'stdout'> {
  readonly step: StepName;
  readonly round: number;
}

/** A backup after the first one. */
export interface Second {
  readonly after: 'nothing changed' | 'newest 1 % changed' | 'every 100th changed';
  readonly changedRows: number;
  readonly seconds: number;
  /** Stored by this run. */
  readonly newBytes: number;
  readonly segments: number;
  readonly reusedSegments: number;
}

export interface Report {
  readonly scale: number;
  readonly rounds: number;
  readonly shop: BenchShop;
  readonly serverSettings: readonly string[];
  readonly machine: ReturnType<typeof machine>;
  readonly versions: Readonly<Record<string, string>>;
  readonly steps: StepResult[];
  /** Bytes: `sql` what coffre read, the others what each stored. */
  readonly sizes: { sql?: number; coffre?: number; a?: number; b?: number };
  /** Of each full backup. */
  readonly consistency: Consistency[];
  readonly second: Second[];
}

type Line = 'a' | 'b' | 'c' | 'd';

/** At most this share of the peer's time (issue 3). */
export const GOALS: Readonly<Record<Line, number>> = { a: 0.7, b: 1.0, c: 0.38, d: 0.6 };
const PAIRS: Readonly<Record<Line, readonly [ours: StepName, peer: StepName]>> = {
  a: ['coffre backup', 'a: mariadb-dump, rclone'],
  b: ['coffre backup', 'b: mydumper'],
  c: ['coffre restore', 'c: zstd -d, mariadb'],
  d: ['coffre restore', 'd: myloader'],
};
const LINES = ['a', 'b', 'c', 'd'] as const;

export interface Median {
  readonly seconds: number;
  readonly clientCpuSeconds: number;
  readonly serverCpuSeconds: number;
  readonly storeCpuSeconds: number;
  /** The highest of all rounds. */
  readonly peakBytes: number;
}

export interface Summary {
  readonly bench: 'database';
  /** Our median over the peer's; a line that was not measured is missing. */
  readonly ratios: Partial<Record<Line, number>>;
  readonly goals: Readonly<Record<Line, number>>;
  readonly met: Partial<Record<Line, boolean>>;
  readonly medians: Partial<Record<StepName, Median>>;
  /** Highest resident memory of coffre's process tree. */
  readonly peakRssBytes: { readonly backup: number; readonly restore: number };
  /** Longest time that a full backup held up commits. */
  readonly blockedMs: number;
}

export function summarise(report: Report): Summary {
  const medians: Partial<Record<StepName, Median>> = {};
  for (const [step, results = []] of Object.entries(Object.groupBy(report.steps, (one) => one.step))) {
    medians[step as StepName] = {
      seconds: median(results.map((one) => one.seconds)),
      clientCpuSeconds: median(results.map((one) => one.cpuSeconds.client)),
      serverCpuSeconds: median(results.map((one) => one.cpuSeconds.server)),
      storeCpuSeconds: median(results.map((one) => one.cpuSeconds.store)),
      peakBytes: Math.max(...results.map((one) => one.peakBytes)),
    };
  }
  const ratios: Partial<Record<Line, number>> = {};
  const met: Partial<Record<Line, boolean>> = {};
  for (const line of LINES) {
    const [ours, peer] = PAIRS[line].map((step) => medians[step]);
    if (!ours || !peer) continue;
    const ratio = round(ours.seconds / peer.seconds, 3);
    ratios[line] = ratio;
    met[line] = ratio <= GOALS[line];
  }
  const peak = (step: StepName): number => medians[step]?.peakBytes ?? 0;
  return {
    bench: 'database',
    ratios,
    goals: GOALS,
    met,
    medians,
    peakRssBytes: { backup: peak('coffre backup'), restore: peak('coffre restore') },
    blockedMs: Math.max(0, ...report.consistency.map((one) => one.blockedMs)),
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return round(((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2, 3);
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const mb = (bytes: number | undefined): string => (bytes === undefined ? '?' : `${(bytes / 1e6).toFixed(1)} MB`);

export function tableOf(report: Report, summary: Summary): string {
  const { shop, sizes } = report;
  const lines = [
    '',
    `${shop.tables} tables, ${shop.rows} rows, ${mb(shop.innodbBytes)} of InnoDB; scale ${report.scale}, median of ${report.rounds}`,
    `${report.machine.at}, ${report.machine.cores} x ${report.machine.processor}, ${mib(report.machine.memoryBytes)}`,
    '',
    `${'step'.padEnd(28)}${'seconds'.padStart(9)}${'client'.padStart(9)}${'server'.padStart(9)}${'store'.padStart(9)}  cpu s${'memory'.padStart(12)}`,
  ];
  for (const [step, one] of Object.entries(summary.medians)) {
    const figures = [one.seconds, one.clientCpuSeconds, one.serverCpuSeconds, one.storeCpuSeconds].map((value) =>
      value.toFixed(1).padStart(9),
    );
    lines.push(`${step.padEnd(28)}${figures.join('')}       ${mib(one.peakBytes).padStart(12)}`);
  }
  lines.push('');
  for (const line of LINES) {
    const ratio = summary.ratios[line];
    if (ratio === undefined) continue;
    const [ours, peer] = PAIRS[line];
    const verdict = summary.met[line] ? 'met' : 'NOT MET';
    lines.push(`${ours.padEnd(16)} / ${peer.padEnd(26)} ${ratio.toFixed(2)}   goal ${GOALS[line].toFixed(2)}   ${verdict}`);
  }
  if (sizes.coffre !== undefined) {
    lines.push('', `coffre read ${mb(sizes.sql)} and stored ${mb(sizes.coffre)}; a stored ${mb(sizes.a)}, b ${mb(sizes.b)}`);
    lines.push(`consistent by ${report.consistency[0]?.method ?? 'nothing'}; commits blocked for at most ${summary.blockedMs} ms`);
  }
  for (const one of report.second) {
    lines.push(
      `${one.after} (${one.changedRows} rows): ${one.seconds.toFixed(1)} s, ${mb(one.newBytes)} stored, ${one.reusedSegments} of ${one.segments} segments reused`,
    );
  }
  return lines.join('\n');
}

export function machine() {
  const [first] = cpus();
  return {
    at: systemClock.now().toString().slice(0, 10),
    cores: cpus().length,
    processor: first?.model ?? arch(),
    memoryBytes: totalmem(),
    kernel: release(),
  };
}

/** What took part, by the versions that they name themselves. */
export async function versions(server: Mariadb, store: string): Promise<Record<string, string>> {
  const run = promisify(execFile);
  const first = async (program: string, flag = '--version'): Promise<string> => {
    const said = await run(program, [flag]).catch(() => null);
    return said ? ((said.stdout || said.stderr).trim().split('\n')[0] ?? '') : 'missing';
  };
  return {
    node: process.version,
    mariadb: (await server.sql('SELECT VERSION()')).trim(),
    store: store === 'ceph' ? await first('radosgw') : store,
    mydumper: await first('mydumper'),
    rclone: await first('rclone', 'version'),
    age: await first('age'),
    zstd: await first('zstd'),
  };
}
