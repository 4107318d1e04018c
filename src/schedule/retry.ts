// When a job that failed is tried again before its next slot. Pure.
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { JobName } from './jobs.ts';

const MINUTE_MS = 60_000;

/** Nothing was stored, or not all of it: try soon, then hourly until the next slot takes over. */
const NOTHING_KEPT_MS = [1, 5, 15, 60].map((minutes) => minutes * MINUTE_MS);
/** A snapshot was kept that is not good: each further try keeps one more, so there are few of them. */
const KEPT_BUT_NOT_GOOD_MS = [60, 240].map((minutes) => minutes * MINUTE_MS);
/** A drill reads everything each time, and nobody waits for it. */
const DRILL_MS = [60, 240].map((minutes) => minutes * MINUTE_MS);
/** A person must act; but what is wrong is on this very machine, and its next look finds that it was mended. */
const OF_THIS_MACHINE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['E_STATE', 'E_STATE_SPACE', 'E_CATALOG']);
const KEPT_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['E_INCOMPLETE']);

/**
 * Milliseconds to wait after the `failures`-th failure in a row (from 1) of one slot; null: not before the next slot, because the
 * same input fails the same way or a person must act first.
 */
export function retryAfterMs(code: ErrorCode, failures: number, job: JobName = 'database'): number | null {
  if (ERRORS[code].retry !== 'backoff' && !OF_THIS_MACHINE.has(code)) return null;
  if (job === 'drill' && code !== 'E_BUSY') return DRILL_MS[failures - 1] ?? null;
  if (KEPT_CODES.has(code)) return KEPT_BUT_NOT_GOOD_MS[failures - 1] ?? null;
  return NOTHING_KEPT_MS[Math.min(failures, NOTHING_KEPT_MS.length) - 1] ?? null;
}
