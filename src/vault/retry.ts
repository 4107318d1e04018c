// Which vault errors a repetition may cure, and how long to wait before it: exponential backoff with full jitter.
import type { Clock } from '../clock.ts';
import { CoffreError, type ErrorCode } from '../errors.ts';

/** Transient on their own: the next attempt may find the store well again. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['E_VAULT_UNREACHABLE', 'E_VAULT_TIMEOUT', 'E_VAULT_IO']);

/** True when the same request may succeed later without anybody's doing. */
export function isTransient(error: unknown): boolean {
  return error instanceof CoffreError && TRANSIENT.has(error.code);
}

/**
 * True when the store may or may not have carried out the request: what was being written must be looked up (by listing
 * its key) before the ledger may say that it is or is not there.
 */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof CoffreError && (TRANSIENT.has(error.code) || error.code === 'E_INTERRUPTED' || error.code === 'E_DEADLINE');
}

export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  /** Upper bound of the first wait; it doubles from there. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
}

/** For requests that change nothing: short, because the call's own deadline still bounds all attempts together. */
export const READ_RETRY: RetryPolicy = { attempts: 3, firstWaitMs: 200, longestWaitMs: 2_000 };
/** For whole segments, by callers who write a new intent for each attempt: long enough for a store to restart. */
export const WRITE_RETRY: RetryPolicy = { attempts: 5, firstWaitMs: 1_000, longestWaitMs: 30_000 };

/**
 * How long to wait before attempt `attempt` (2 is the first repetition): a random part of the doubled bound, so that many
 * segments that failed together do not come back together.
 */
export function backoffMs(policy: RetryPolicy, attempt: number, random: () => number = Math.random): number {
  const bound = Math.min(policy.longestWaitMs, policy.firstWaitMs * 2 ** (attempt - 2));
  return Math.round(bound * (0.5 + random() / 2));
}

/** Runs `work` until it succeeds, fails for good, or has used up its attempts; throws the last error. */
export async function retrying<T>(
  clock: Clock,
  policy: RetryPolicy,
  work: (attempt: number) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt >= policy.attempts || !isTransient(error) || signal?.aborted) throw error;
      await clock.sleep(backoffMs(policy, attempt + 1), signal);
    }
  }
}
