// The steps of a benchmark: each begins when everything is idle, says what it took, and is kept.
import type { Command } from './commands.ts';
import type { Measured, Meter } from './meter.ts';

export interface StepResult<Name extends string> extends Omit<Measured, 'stdout'> {
  readonly step: Name;
  readonly round: number;
}

/** Runs `command` once nobody works off the step before, notes its figures in `results` and says them on standard error. */
export async function measureStep<Name extends string>(
  meter: Meter,
  results: StepResult<Name>[],
  step: Name,
  round: number,
  command: Command,
): Promise<Measured> {
  await meter.settle();
  const measured = await meter.run(command);
  const { stdout: _, ...figures } = measured;
  results.push({ step, round, ...figures });
  const { client, server, store } = measured.cpuSeconds;
  const holders = measured.atPeak.slice(0, 3).map((one) => `${one.name} ${(one.bytes / 2 ** 20).toFixed(0)}`);
  console.error(
    `  ${step.padEnd(30)} ${measured.seconds.toFixed(1).padStart(6)} s   cpu: client ${client.toFixed(1)}, server ${server.toFixed(1)}, store ${store.toFixed(1)}   ${(measured.peakBytes / 2 ** 20).toFixed(0)} MiB (${holders.join(', ')})`,
  );
  return measured;
}

/** A different one first in each round: none always profits from what the same other one left in caches. */
export async function inTurn(round: number, contenders: readonly (() => Promise<void>)[]): Promise<void> {
  for (let i = 0; i < contenders.length; i++) await contenders[(i + round) % contenders.length]?.();
}
