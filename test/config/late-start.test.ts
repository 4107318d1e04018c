import { expect, test } from 'vitest';
import { lateStart, lateStartText } from '../../src/config/late-start.ts';
import { contractC } from '../billing/contract.ts';

test('a year from March, of a contract that begins in January - most of it is before, and the warning says which days are due', () => {
  const contract = contractC({ period: 'year', firstMonth: 3, start: '2026-01-15' });
  const late = lateStart(contract);
  expect(late).toEqual({ from: '2025-03-01', to: '2026-02-28' });
  expect(late && lateStartText(contract, late)).toContain('2025-03-01 to 2026-02-28 in which that lies is due whole');
});

test('half of the period or more is after the beginning, or there is none - nothing is said', () => {
  expect(lateStart(contractC({ period: 'year', firstMonth: 3, start: '2026-03-01' }))).toBeNull();
  expect(lateStart(contractC({ start: '2026-04-16' }))).toBeNull();
  expect(lateStart(contractC({ start: '2026-04-17' }))).not.toBeNull();
  expect(lateStart(contractC({}))).toBeNull();
});
