// What the database benchmark says in the end: medians, ratios against the goals, and on what it was measured.
import type { Consistency } from '../../../src/source/source.ts';
import type { Mariadb } from '../../servers/mariadb.ts';
import { type Median, type machine, mb, mediansOf, mib, round, versionOf } from '../measuring/figures.ts';
import type { StepResult } from '../measuring/steps.ts';
import type { BenchShop } from './shop.ts';

export type StepName =
  | 'coffre backup'
  | 'a: mariadb-dump, rclone'
  | 'b: mydumper'
  | 'coffre restore'
  | 'c: zstd -d, mariadb'
  | 'd: myloader'
  | `coffre, ${Second['after']}`;

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
  readonly steps: StepResult<StepName>[];
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
  const medians = mediansOf(report.steps);
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

/** What took part, by the versions that they name themselves. */
export async function versions(server: Mariadb, store: string): Promise<Record<string, string>> {
  return {
    node: process.version,
    mariadb: (await server.sql('SELECT VERSION()')).trim(),
    store: store === 'ceph' ? await versionOf('radosgw') : store,
    mydumper: await versionOf('mydumper'),
    rclone: await versionOf('rclone', 'version'),
    age: await versionOf('age'),
    zstd: await versionOf('zstd'),
  };
}
