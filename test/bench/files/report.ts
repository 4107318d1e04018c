// What the files benchmark says in the end: medians, ratios against the goals, and on what it was measured.
import { type Median, type machine, mb, mediansOf, mib, round, versionOf } from '../measuring/figures.ts';
import type { StepResult } from '../measuring/steps.ts';
import { type Cost, describeCost } from './cost.ts';

export const STEPS = ['first', 'unchanged', 'changed', 'restore', 'one', 'delta'] as const;
export type Step = (typeof STEPS)[number];
export type Contender = 'coffre' | 'restic' | 'pipeline';
export type StepName = `${Contender} ${Step}` | 'put' | 'put locked';

export interface Report {
  readonly scale: number;
  readonly rounds: number;
  readonly machine: ReturnType<typeof machine>;
  readonly versions: Readonly<Record<string, string>>;
  readonly steps: StepResult<StepName>[];
  /** What each stored, in bytes, of the whole tree. */
  readonly stored: { coffre?: number; restic?: number; pipeline?: number };
  /** Objects that coffre stored, and how many of them the raw client had in flight. */
  readonly put: { objects?: number; inFlight: number };
  /** What coffre stored and reused in the runs after the first. */
  readonly increments: { readonly step: Step; readonly newBytes: number; readonly segments: number; readonly reusedSegments: number }[];
  tree?: { readonly files: number; readonly bytes: number };
  damaged?: number;
  cost?: Cost;
}

const RATIOS = {
  first_restic: { ours: 'coffre first', peer: 'restic first', atMost: 0.6 },
  first_pipeline: { ours: 'coffre first', peer: 'pipeline first', atMost: 0.8 },
  unchanged_restic: { ours: 'coffre unchanged', peer: 'restic unchanged', atMost: 0.3 },
  changed_restic: { ours: 'coffre changed', peer: 'restic changed', atMost: null },
  restore_restic: { ours: 'coffre restore', peer: 'restic restore', atMost: 0.5 },
  restore_pipeline: { ours: 'coffre restore', peer: 'pipeline restore', atMost: 0.9 },
  one_restic: { ours: 'coffre one', peer: 'restic one', atMost: null },
  one_pipeline: { ours: 'coffre one', peer: 'pipeline one', atMost: null },
  delta_restic: { ours: 'coffre delta', peer: 'restic delta', atMost: null },
} as const satisfies Record<string, { readonly ours: StepName; readonly peer: StepName; readonly atMost: number | null }>;
/** Rates, not times: ours divided by the store's. */
const PUT_RATIOS = {
  first_putrate: { peer: 'put', atLeast: 0.9 },
  first_putrate_locked: { peer: 'put locked', atLeast: null },
} as const;
type RatioName = keyof typeof RATIOS | keyof typeof PUT_RATIOS;
const MEMORY_GOAL_MIB = 512;

export interface Summary {
  readonly bench: 'files';
  /** Of medians: our time by the peer's; for first_putrate our rate by the store's. One that was not measured is missing. */
  readonly ratios: Partial<Record<RatioName, number>>;
  readonly goals: Partial<Record<RatioName | 'peakRssMiB', string>>;
  readonly met: Partial<Record<RatioName | 'peakRssMiB', boolean>>;
  readonly medians: Partial<Record<StepName, Median>>;
  /** The highest sum over coffre's process tree in any step. */
  readonly peakRssMiB: number;
}

export function summarise(report: Report): Summary {
  const medians = mediansOf(report.steps);
  const ratios: Partial<Record<RatioName, number>> = {};
  const goals: Partial<Record<RatioName | 'peakRssMiB', string>> = {};
  const met: Partial<Record<RatioName | 'peakRssMiB', boolean>> = {};
  for (const [name, { ours, peer, atMost }] of Object.entries(RATIOS) as [keyof typeof RATIOS, (typeof RATIOS)[keyof typeof RATIOS]][]) {
    const [own, theirs] = [medians[ours], medians[peer]];
    if (!own || !theirs) continue;
    const ratio = round(own.seconds / theirs.seconds, 3);
    ratios[name] = ratio;
    if (atMost === null) continue;
    goals[name] = `<= ${atMost}`;
    met[name] = ratio <= atMost;
  }
  for (const [name, { peer, atLeast }] of Object.entries(PUT_RATIOS) as [
    keyof typeof PUT_RATIOS,
    (typeof PUT_RATIOS)[keyof typeof PUT_RATIOS],
  ][]) {
    const [own, raw] = [medians['coffre first'], medians[peer]];
    if (!own || !raw) continue;
    // the same bytes: the rates are to each other as the times are, the other way round
    const ratio = round(raw.seconds / own.seconds, 3);
    ratios[name] = ratio;
    if (atLeast === null) continue;
    goals[name] = `>= ${atLeast}`;
    met[name] = ratio >= atLeast;
  }
  const ours = report.steps.filter((one) => one.step.startsWith('coffre '));
  const peakRssMiB = Math.ceil(Math.max(0, ...ours.map((one) => one.peakBytes)) / 2 ** 20);
  goals.peakRssMiB = `<= ${MEMORY_GOAL_MIB}`;
  if (ours.length > 0) met.peakRssMiB = peakRssMiB <= MEMORY_GOAL_MIB;
  return { bench: 'files', ratios, goals, met, medians, peakRssMiB };
}

export function tableOf(report: Report, summary: Summary): string {
  const { tree } = report;
  const lines = [
    '',
    `scale ${report.scale}, median of ${report.rounds}${tree ? `: ${tree.files} files, ${mb(tree.bytes)}` : ''}`,
    `${report.machine.at}, ${report.machine.cores} x ${report.machine.processor}, ${mib(report.machine.memoryBytes)}`,
  ];
  if (tree) lines.push(...stepsTable(report, summary));
  if (report.cost) lines.push(describeCost(report.cost));
  return lines.join('\n');
}

function stepsTable({ stored, put, increments, damaged }: Report, { ratios, goals, met, medians, peakRssMiB }: Summary): string[] {
  const lines = [
    '',
    `${'step'.padEnd(24)}${'seconds'.padStart(9)}${'client'.padStart(9)}${'store'.padStart(9)}  cpu s${'memory'.padStart(12)}`,
  ];
  for (const [step, one] of Object.entries(medians)) {
    const figures = [one.seconds, one.clientCpuSeconds, one.storeCpuSeconds].map((value) => value.toFixed(2).padStart(9));
    lines.push(`${step.padEnd(24)}${figures.join('')}       ${mib(one.peakBytes).padStart(12)}`);
  }
  lines.push('');
  for (const [name, ratio] of Object.entries(ratios) as [RatioName, number][]) {
    const goal = goals[name];
    lines.push(
      `${name.padEnd(22)} ${ratio.toFixed(2)}${goal === undefined ? '' : `   goal ${goal.padEnd(7)} ${met[name] ? 'met' : 'NOT MET'}`}`,
    );
  }
  lines.push(`${'peakRssMiB'.padEnd(22)} ${peakRssMiB}    goal ${goals.peakRssMiB?.padEnd(7)} ${met.peakRssMiB ? 'met' : 'NOT MET'}`, '');
  lines.push(
    'Ratios are times, ours by the peer’s; first_putrate is a rate: coffre’s bytes a second by those of bare PUTs without lock',
    `headers (first_putrate_locked: with them, as coffre sends them), ${put.objects ?? '?'} objects of the same sizes, ${put.inFlight} in flight.`,
    `stored: coffre ${mb(stored.coffre)}, restic ${mb(stored.restic)}, pipeline ${mb(stored.pipeline)}`,
  );
  for (const { step, newBytes, segments, reusedSegments } of increments)
    lines.push(`coffre ${step}: ${mb(newBytes)} stored, ${reusedSegments} of ${segments} segments reused`);
  if (damaged !== undefined) lines.push(`delta: ${damaged} files damaged in each copy`);
  return lines;
}

/** What took part, by the versions that they name themselves. */
export async function versions(store: string): Promise<Record<string, string>> {
  return {
    node: process.version,
    store: store === 'ceph' ? await versionOf('radosgw') : store,
    restic: await versionOf('restic', 'version'),
    rclone: await versionOf('rclone', 'version'),
    tar: await versionOf('tar'),
    age: await versionOf('age'),
    zstd: await versionOf('zstd'),
  };
}
