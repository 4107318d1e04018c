// How long a shop's restore took, and would take, against what its plan promises. Pure.
import type { RunRow } from '../catalog/runs.ts';
import type { ShopConfig } from '../config/config.ts';
import type { Fit } from '../restore/recovery-fit.ts';
import { type Alarm, raise } from './alarm.ts';
import type { RestoreEstimate } from './restore-estimate.ts';

export interface RecoveryFacts {
  readonly shop: ShopConfig;
  /** Newest first within each kind. */
  readonly runs: readonly RunRow[];
  /** How long a restore would take. Left out: nobody looked. */
  readonly recovery?: RestoreEstimate;
}

/** Milliseconds. */
export interface RecoveryEstimate {
  readonly expectedMs: number;
  readonly lowMs: number;
  readonly highMs: number;
  /** The vault that it would be read from. */
  readonly vault: string;
  readonly fit: Fit;
}

/** Slower than promised is red; not known is a note, as long as nobody can measure without a first restore or drill. */
export function checkRecovery({ recovery, runs, shop }: RecoveryFacts, red: Alarm[], notes: string[]): RecoveryEstimate | null {
  const estimate = recovery?.estimate ?? null;
  const fit = recovery?.fit ?? null;
  if (estimate === null || fit === null) {
    const missing =
      recovery?.notMeasured?.missing.map(
        ({ source, phase, vault }) => `${source} ${phase}${vault === undefined ? '' : ` from ${vault}`}`,
      ) ?? [];
    if (lastRestore(runs) === null) notes.push('no restore was ever measured: the recovery time is a guess');
    else if (missing.length > 0)
      notes.push(`the recovery time is not known, never measured: ${missing.join(', ')}; coffre drill ${shop.name} measures it`);
    return null;
  }
  const { expectedMs, lowMs, highMs, vault } = estimate;
  const minutes = (ms: number): string => `${Math.ceil(ms / 60_000)} min`;
  const span = `about ${minutes(expectedMs)} (${minutes(lowMs)} to ${minutes(highMs)})`;
  const target = minutes(shop.plan.rto.targetMs);
  if (fit === 'no')
    raise(
      red,
      'recovery',
      {},
      `a restore would take ${span} from ${vault}, the plan promises ${target}; coffre estimate ${shop.name} says what would make it faster`,
    );
  else if (fit === 'tight') notes.push(`a restore would take ${span} from ${vault}: at its slowest longer than the plan’s ${target}`);
  return { expectedMs: Math.round(expectedMs), lowMs: Math.round(lowMs), highMs: Math.round(highMs), vault, fit };
}

export function lastRestore(runs: readonly RunRow[]): { readonly bytes: number; readonly durationMs: number } | null {
  const run = runs.find((candidate) => candidate.kind === 'restore' && candidate.state === 'done' && candidate.detail !== null);
  if (!run?.detail) return null;
  const { bytes, durationMs } = JSON.parse(run.detail) as { bytes: number; durationMs: number };
  return { bytes, durationMs };
}
