// Peaks of any period, for several contracts in one reading of the ledger.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { ContractConfig } from '../config/config.ts';
import type { Period } from './month.ts';
import { PeakScan, type Peaks, type Scope } from './peaks.ts';
import { type MovesSource, readMoves } from './period-moves.ts';

/** What a contract covers: its shops; all of its vault, the daemon's own objects included, when it names none, since the store bills them. */
export function scopeOf({ shops, vault }: Pick<ContractConfig, 'shops' | 'vault'>): Scope {
  const named = shops === null ? null : new Set(shops);
  return { vault, covers: (shop) => named?.has(shop) ?? true };
}

/** One for each scope, in their order. Throws E_LEDGER_PURGED when rows of the period are gone. */
export async function periodPeaks(catalog: Catalog, period: Period, scopes: readonly Scope[], source?: MovesSource): Promise<Peaks[]> {
  const scan = new PeakScan(period.start.epochMilliseconds, scopes);
  await readMoves(catalog, period, scan, source);
  return scan.end();
}

/**
 * The peak of a contract in a period (month, quarter, year): instants in epoch milliseconds; each of its shops with its own peak and its
 * share at the contract's. Throws E_LEDGER_PURGED when rows of the period are gone.
 */
export async function contractPeaks(catalog: Catalog, contract: Pick<ContractConfig, 'shops' | 'vault'>, period: Period): Promise<Peaks> {
  const [peaks] = await periodPeaks(catalog, period, [scopeOf(contract)]);
  return peaks as Peaks;
}

/** The same from the ledger's rows alone, whatever anchors and packed days say. Reads the whole ledger up to the period's end: for a thread. */
export async function rowPeaks(catalog: Catalog, contract: Pick<ContractConfig, 'shops' | 'vault'>, period: Period): Promise<Peaks> {
  const [peaks] = await periodPeaks(catalog, period, [scopeOf(contract)], 'rows');
  return peaks as Peaks;
}

/** The same of a period told in epoch milliseconds, as threads tell it to each other. */
export async function spanPeaks(
  catalog: Catalog,
  contract: Pick<ContractConfig, 'shops' | 'vault'>,
  startMs: number,
  endMs: number,
): Promise<Peaks> {
  const [start, end] = [Temporal.Instant.fromEpochMilliseconds(startMs), Temporal.Instant.fromEpochMilliseconds(endMs)];
  return await contractPeaks(catalog, contract, { start, end });
}
