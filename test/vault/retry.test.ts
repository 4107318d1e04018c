// When a vault error is worth another attempt, and how long the waits are.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { CoffreError, type ErrorCode } from '../../src/errors.ts';
import { backoffMs, isOutcomeUnknown, isTransient, READ_RETRY, retrying, WRITE_RETRY } from '../../src/vault/retry.ts';

/** Sleeps at once and keeps what was asked. */
function sleeplessClock(): { clock: Clock; waits: number[] } {
  const waits: number[] = [];
  const sleep = async (delayMs: number): Promise<void> => {
    waits.push(delayMs);
  };
  return { clock: { ...systemClock, sleep }, waits };
}

const failing = (...codes: ErrorCode[]) => {
  const left = [...codes];
  return async (attempt: number): Promise<number> => {
    const code = left.shift();
    if (code) throw new CoffreError(code, `attempt ${attempt}`);
    return attempt;
  };
};

describe('retrying', () => {
  it('two transient errors - the third attempt’s result', async () => {
    const { clock, waits } = sleeplessClock();
    expect(await retrying(clock, READ_RETRY, failing('E_VAULT_UNREACHABLE', 'E_VAULT_IO'))).toBe(3);
    expect(waits).toHaveLength(2);
  });

  it('as many transient errors as attempts - the last error', async () => {
    const { clock, waits } = sleeplessClock();
    const work = failing('E_VAULT_IO', 'E_VAULT_IO', 'E_VAULT_TIMEOUT', 'E_VAULT_IO');
    await expect(retrying(clock, READ_RETRY, work)).rejects.toMatchObject({ code: 'E_VAULT_TIMEOUT', message: 'attempt 3' });
    expect(waits).toHaveLength(2);
  });

  it.each<ErrorCode>(['E_VAULT_DENIED', 'E_VAULT_AUTH', 'E_VAULT_SPACE', 'E_LOCKED', 'E_LOCK_DROPPED', 'E_CLOCK_SKEW', 'E_OBJECT_MISSING'])(
    '%s - no second attempt',
    async (code) => {
      const { clock, waits } = sleeplessClock();
      await expect(retrying(clock, WRITE_RETRY, failing(code))).rejects.toMatchObject({ code });
      expect(waits).toEqual([]);
    },
  );

  it('a signal that aborts - no further attempt', async () => {
    const { clock } = sleeplessClock();
    const stop = new AbortController();
    const work = async (): Promise<never> => {
      stop.abort();
      throw new CoffreError('E_VAULT_IO', 'once');
    };
    await expect(retrying(clock, WRITE_RETRY, work, stop.signal)).rejects.toMatchObject({ message: 'once' });
  });

  it('an error that is not ours - no second attempt', async () => {
    const { clock } = sleeplessClock();
    await expect(retrying(clock, WRITE_RETRY, () => Promise.reject(new TypeError('a defect')))).rejects.toThrow(TypeError);
  });
});

describe('backoffMs', () => {
  it('doubles up to its bound, and is never less than half of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (attempt, chance) => {
        const bound = Math.min(WRITE_RETRY.longestWaitMs, WRITE_RETRY.firstWaitMs * 2 ** (attempt - 2));
        const waitMs = backoffMs(WRITE_RETRY, attempt, () => chance);
        expect(waitMs).toBeGreaterThanOrEqual(Math.floor(bound / 2));
        expect(waitMs).toBeLessThanOrEqual(bound);
      }),
    );
  });
});

describe('error classes', () => {
  it('an unknown outcome - is every transient error and every stop, never a refusal', () => {
    for (const code of ['E_VAULT_TIMEOUT', 'E_VAULT_UNREACHABLE', 'E_VAULT_IO', 'E_INTERRUPTED', 'E_DEADLINE'] as const) {
      expect(isOutcomeUnknown(new CoffreError(code, 'x'))).toBe(true);
    }
    for (const code of ['E_VAULT_DENIED', 'E_VAULT_AUTH', 'E_BUCKET_MISSING', 'E_CLOCK_SKEW'] as const) {
      expect(isOutcomeUnknown(new CoffreError(code, 'x'))).toBe(false);
      expect(isTransient(new CoffreError(code, 'x'))).toBe(false);
    }
  });
});
