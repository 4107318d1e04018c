// Medians of measured steps, how figures are printed, and on what they were measured.
import { execFile } from 'node:child_process';
import { arch, cpus, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { systemClock } from '../../../src/clock.ts';
import type { Measured } from './meter.ts';

export interface Median {
  readonly seconds: number;
  readonly clientCpuSeconds: number;
  readonly serverCpuSeconds: number;
  readonly storeCpuSeconds: number;
  /** The highest of all rounds. */
  readonly peakBytes: number;
}

/** Over all rounds, by step, in the order of their first run. */
export function mediansOf<Name extends string>(
  results: readonly (Pick<Measured, 'seconds' | 'cpuSeconds' | 'peakBytes'> & { readonly step: Name })[],
): Partial<Record<Name, Median>> {
  const medians: Partial<Record<Name, Median>> = {};
  for (const step of new Set(results.map((one) => one.step))) {
    const own = results.filter((one) => one.step === step);
    medians[step] = {
      seconds: median(own.map((one) => one.seconds)),
      clientCpuSeconds: median(own.map((one) => one.cpuSeconds.client)),
      serverCpuSeconds: median(own.map((one) => one.cpuSeconds.server)),
      storeCpuSeconds: median(own.map((one) => one.cpuSeconds.store)),
      peakBytes: Math.max(...own.map((one) => one.peakBytes)),
    };
  }
  return medians;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return round(((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2, 3);
}

export const round = (value: number, digits: number): number => Number(value.toFixed(digits));
export const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
export const mb = (bytes: number | undefined): string => (bytes === undefined ? '?' : `${(bytes / 1e6).toFixed(1)} MB`);

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

/** The first line of what a program says of its version. */
export async function versionOf(program: string, flag = '--version'): Promise<string> {
  const said = await promisify(execFile)(program, [flag]).catch(() => null);
  return said ? ((said.stdout || said.stderr).trim().split('\n')[0] ?? '') : 'missing';
}
