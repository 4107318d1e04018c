import { expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { retryAfterMs } from '../../src/schedule/retry.ts';

const MINUTE = 60_000;

const OWN: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['E_STATE', 'E_STATE_SPACE', 'E_CATALOG']);

test('every code that may pass by itself is tried again after its first failure, no other is but what is wrong on this very machine', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    expect(retryAfterMs(code, 1) !== null, code).toBe(ERRORS[code].retry === 'backoff' || OWN.has(code));
  }
});

test('the pauses grow to an hour and stay there', () => {
  expect([1, 2, 3, 4, 5, 50].map((failures) => retryAfterMs('E_VAULT_TIMEOUT', failures))).toEqual(
    [1, 5, 15, 60, 60, 60].map((minutes) => minutes * MINUTE),
  );
});

test('a kept snapshot that is not good is tried twice more', () => {
  expect([1, 2, 3].map((failures) => retryAfterMs('E_INCOMPLETE', failures))).toEqual([60 * MINUTE, 240 * MINUTE, null]);
});
