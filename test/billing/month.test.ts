import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { monthPeriod, requireBegun } from '../../src/billing/month.ts';

const hours = (month: string, zone: string): number => {
  const { start, end } = monthPeriod(month, zone);
  return (end.epochMilliseconds - start.epochMilliseconds) / 3_600_000;
};

test('a month with a change of clocks - an hour shorter in spring, longer in autumn', () => {
  expect(hours('2026-02', 'Europe/Paris')).toBe(28 * 24);
  expect(hours('2026-03', 'Europe/Paris')).toBe(31 * 24 - 1);
  expect(hours('2026-10', 'Europe/Paris')).toBe(31 * 24 + 1);
  expect(monthPeriod('2026-03', 'Europe/Paris').start.toString()).toBe('2026-02-28T23:00:00Z');
  expect(monthPeriod('2026-03', 'Europe/Paris').end.toString()).toBe('2026-03-31T22:00:00Z');
});

test('months follow one another without gap or overlap, over the year’s end too', () => {
  for (const zone of ['Europe/Paris', 'America/Sao_Paulo', 'Asia/Beirut', 'UTC']) {
    const months = ['2026-10', '2026-11', '2026-12', '2027-01', '2027-02', '2027-03', '2027-04'];
    for (let i = 1; i < months.length; i++) {
      const before = monthPeriod(months[i - 1] ?? '', zone).end;
      expect(before.equals(monthPeriod(months[i] ?? '', zone).start)).toBe(true);
    }
  }
});

test('clocks that skip midnight of the first - the month begins at the first instant there is', () => {
  // Paraguay, 2017-10-01: 00:00 became 01:00
  expect(monthPeriod('2017-10', 'America/Asuncion').start.toString()).toBe('2017-10-01T04:00:00Z');
});

test.each(['2026-13', '2026-3', 'march', '2026-03-01', ''])('%j is no month - E_USAGE', (month) => {
  expect(() => monthPeriod(month, 'Europe/Paris')).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
});

test('a period is refused until it has begun in some zone that is asked about', () => {
  const asked = (now: string, ...zones: string[]) => requireBegun('2026-Q2', zones, Temporal.Instant.from(now));
  expect(() => asked('2026-03-31T21:59:59Z', 'UTC', 'Europe/Paris')).toThrow(/2026-Q2 has not begun/);
  asked('2026-03-31T22:00:00Z', 'UTC', 'Europe/Paris');
  expect(() => asked('2026-03-31T22:00:00Z', 'UTC')).toThrow(/has not begun/);
});
