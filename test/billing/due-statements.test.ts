import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { periodsToIssue } from '../../src/billing/due-statements.ts';
import type { ContractConfig } from '../../src/config/config.ts';
import { contractC } from './contract.ts';

const due = (other: Partial<ContractConfig>, last: string | null, now: string, since: string | null = '2025-01-01T00:00:00Z'): string[] =>
  periodsToIssue(contractC(other), last, Temporal.Instant.from(now), since === null ? null : Date.parse(since)).map(({ from }) => from);

test('in arrears - a month is due five minutes after its end, in the contract’s zone', () => {
  expect(due({}, '2026-02-01', '2026-03-31T22:04:59Z')).toEqual([]);
  expect(due({}, '2026-02-01', '2026-03-31T22:05:00Z')).toEqual(['2026-03-01']);
});

test('in advance - a quarter is due when it begins', () => {
  expect(due({ period: 'quarter', paid: 'advance' }, '2026-01-01', '2026-04-01T08:00:00Z')).toEqual(['2026-04-01']);
});

test('the daemon was away for months - what was missed, oldest first, and nothing that is beyond six months', () => {
  expect(due({}, '2026-02-01', '2026-06-10T08:00:00Z')).toEqual(['2026-03-01', '2026-04-01', '2026-05-01']);
  expect(due({}, '2025-06-01', '2026-06-10T08:00:00Z')).toEqual([
    '2025-12-01',
    '2026-01-01',
    '2026-02-01',
    '2026-03-01',
    '2026-04-01',
    '2026-05-01',
  ]);
});

test('a contract that was never billed - the newest period alone', () => {
  expect(due({}, null, '2026-06-10T08:00:00Z')).toEqual(['2026-05-01']);
});

test('nor anything that ended before the ledger began; what is paid in advance is due', () => {
  const now = '2026-06-10T08:00:00Z';
  expect(due({}, null, now, '2026-05-31T21:59:59Z')).toEqual(['2026-05-01']);
  expect([due({}, null, now, '2026-05-31T22:00:00Z'), due({}, null, now, null)]).toEqual([[], []]);
  // a gap is another matter
  expect(due({}, '2026-03-01', now, null)).toEqual(['2026-04-01', '2026-05-01']);
  expect(due({ paid: 'advance' }, null, now, null)).toEqual(['2026-06-01']);
});

test('before the first day and after the last one - nothing; paid in advance, the last use comes after the end', () => {
  const term = { start: '2026-03-15', end: '2026-04-20' };
  expect(due(term, null, '2026-03-20T08:00:00Z')).toEqual([]);
  expect(due(term, null, '2026-04-02T08:00:00Z')).toEqual(['2026-03-01']);
  expect(due(term, '2026-04-01', '2026-07-02T08:00:00Z')).toEqual([]);
  expect(due({ ...term, paid: 'advance' }, '2026-04-01', '2026-07-02T08:00:00Z')).toEqual(['2026-05-01']);
});
