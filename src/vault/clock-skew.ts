// Compares our clock with a store's: retain-until dates are absolute and made from ours.
import type { Temporal } from 'temporal-polyfill';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Vault } from './vault.ts';

/** A Date header has whole seconds, cut off. */
const DATE_HEADER_MS = 1_000;

export interface ClockSkew {
  readonly localTime: Temporal.Instant;
  readonly storeTime: Temporal.Instant;
  /** How far the store's clock surely is from ours, in ms; negative when the store's is behind. 0 when they may agree. */
  readonly skewMs: number;
}

/** Skew that is certain, given that the answer's date was taken somewhere between `before` and `after`. Pure. */
export function certainSkewMs(before: Temporal.Instant, after: Temporal.Instant, storeTime: Temporal.Instant): number {
  const earliest = storeTime.epochMilliseconds;
  const latest = earliest + DATE_HEADER_MS;
  if (latest < before.epochMilliseconds) return latest - before.epochMilliseconds;
  if (earliest > after.epochMilliseconds) return earliest - after.epochMilliseconds;
  return 0;
}

/**
 * Asks the store for its time. null when it has no clock of its own. Throws E_CLOCK_SKEW with both times when they differ
 * by more than `limitMs`, or what reaching the store throws.
 */
export async function checkSkew(vault: Vault, clock: Clock, limitMs: number): Promise<ClockSkew | null> {
  const before = clock.now();
  const storeTime = await vault.serverTime();
  if (storeTime === null) return null;
  const after = clock.now();
  const skewMs = certainSkewMs(before, after, storeTime);
  if (Math.abs(skewMs) > limitMs) {
    const seconds = Math.round(Math.abs(skewMs) / 1000);
    throw new CoffreError(
      'E_CLOCK_SKEW',
      `vault ${vault.name}: its clock says ${storeTime}, ours says ${after}: ${seconds} s apart, ${Math.round(limitMs / 1000)} s allowed`,
    );
  }
  return { localTime: after, storeTime, skewMs };
}
