import { expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { retryAfterMs } from '../../src/schedule/retry.ts';

const MINUTE = 60_000;

test('every code that may pass by itself is tried again after its first failure, no other is', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    expect(retryAfterMs(code, 1) !== null, code).toBe(ERRORS[code].retry === 'backoff');
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
