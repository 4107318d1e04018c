import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { billingPeriod, closedFrom, isDue, monthsBetween, periodAfter, periodBefore } from '../../src/billing/period.ts';
import { pricesBetween } from '../../src/billing/price.ts';
import { measuredPeriod, statementOf, variableTB } from '../../src/billing/statement.ts';
import { contractC } from './contract.ts';

const quarter = contractC({ period: 'quarter' });

test.each([
  ['month', 1, '2026-05', '2026-05-01', '2026-05-31'],
  ['quarter', 1, '2026-05', '2026-04-01', '2026-06-30'],
  ['quarter', 2, '2026-01', '2025-11-01', '2026-01-31'],
  ['year', 1, '2028-02', '2028-01-01', '2028-12-31'],
  ['year', 6, '2026-05', '2025-06-01', '2026-05-31'],
] as const)('%s from month %i, asked for %s - %s to %s', (period, firstMonth, month, from, to) => {
  expect(billingPeriod(contractC({ period, firstMonth }), month)).toMatchObject({ from, to });
});

test('a quarter with the change of clocks begins and ends at midnight there', () => {
  const { start, end } = billingPeriod(quarter, '2026-03');
  expect([start.toString(), end.toString()]).toEqual(['2025-12-31T23:00:00Z', '2026-03-31T22:00:00Z']);
  expect(periodAfter(quarter, billingPeriod(quarter, '2026-03')).start.equals(end)).toBe(true);
  expect(periodBefore(quarter, billingPeriod(quarter, '2026-03')).end.equals(start)).toBe(true);
});

test('no month is refused', () => {
  for (const month of ['2026-13', '2026', '2026-1', '', '1969-12', '9999-12', '0000-01'])
    expect(() => billingPeriod(quarter, month)).toThrow(/no month/);
});

test('March may be corrected through September, a quarter six months after its last day', () => {
  expect(closedFrom(billingPeriod(contractC(), '2026-03'), 'Europe/Paris').toString()).toBe('2026-09-30T22:00:00Z');
  expect(closedFrom(billingPeriod(quarter, '2026-03'), 'Europe/Paris').toString()).toBe('2026-09-30T22:00:00Z');
});

test('days are parts of their month; the parts of a period add up to its months', () => {
  expect(monthsBetween('2026-02-01', '2026-02-28')).toEqual({ numerator: 1, denominator: 1 });
  expect(monthsBetween('2028-02-29', '2028-02-29')).toEqual({ numerator: 1, denominator: 29 });
  expect(monthsBetween('2026-04-01', '2026-06-01')).toEqual({ numerator: 61, denominator: 30 });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 0, max: 400 }),
      (later, months, cut) => {
        const first = Temporal.PlainDate.from('2026-01-01').add({ months: later });
        const last = first.add({ months }).subtract({ days: 1 });
        const days = cut % (first.until(last, { largestUnit: 'days' }).days || 1);
        const a = monthsBetween(first.toString(), first.add({ days }).toString());
        const b = monthsBetween(first.add({ days: days + 1 }).toString(), last.toString());
        expect(a.numerator * b.denominator + b.numerator * a.denominator).toBe(months * a.denominator * b.denominator);
      },
    ),
  );
});

test('a first and a last day - every period that holds one of the contract is due', () => {
  const due = (month: string) => isDue({ start: '2026-03-31', end: '2026-05-01' }, billingPeriod(contractC(), month));
  expect(['2026-02', '2026-03', '2026-04', '2026-05', '2026-06'].map(due)).toEqual([false, true, true, true, false]);
});

test('steps of half a TB, of bytes beyond what doubles count', () => {
  const of = (peakBytes: number, subscribedTB = 1.5, stepTB = 0.5) =>
    variableTB(contractC({ subscribedTB, price: { perTBMonth: '23', currency: 'EUR', stepTB } }), peakBytes);
  expect([of(1.5e12), of(1.5e12 + 1), of(2e12), of(2e12 + 1), of(0), of(9_007_199_254_740_991, 0.1, 0.000001)]).toEqual([
    ...['0', '0.5', '0.5', '1', '0', '9007.099255'],
  ]);
});

const spans = (contract: Parameters<typeof pricesBetween>[0], from: string, to: string) =>
  pricesBetween(contract, from, to).spans.map((span) => `${span.from} ${span.to} ${span.unitPrice}${span.index ? ` ${span.index.s}` : ''}`);

test('prices change on their day; the same price on both sides of a day is one line', () => {
  const prices = [
    { from: '2026-02-10', perTBMonth: '22.50', s0: null },
    { from: '2026-03-01', perTBMonth: '22.5', s0: null },
  ];
  expect(spans(contractC({ prices }), '2026-01-01', '2026-03-31')).toEqual(['2026-01-01 2026-02-09 23', '2026-02-10 2026-03-31 22.5']);
});

test('each anniversary takes the newest value of the year before it, and none that came later', () => {
  const index = {
    ...{ s0: 100, anniversary: '2024-02-29' },
    values: [
      { date: '2023-02-28', value: 99 },
      { date: '2024-02-28', value: 101 },
      { date: '2024-03-01', value: 999 },
      { date: '2025-02-28', value: 103 },
    ],
  };
  expect(spans(contractC({ index }), '2024-02-01', '2025-03-31')).toEqual([
    ...['2024-02-01 2024-02-28 23', '2024-02-29 2025-02-27 23.2300 101', '2025-02-28 2025-03-31 23.6900 103'],
  ]);
});

test('an index that nobody entered - the price before goes on, and it is said', () => {
  const index = { s0: 100, anniversary: '2025-06-02', values: [{ date: '2025-05-30', value: 110 }] };
  const contract = contractC({ index });
  expect(spans(contract, '2026-06-01', '2026-06-30')).toEqual(['2026-06-01 2026-06-30 25.3000 110']);
  expect(pricesBetween(contract, '2026-06-01', '2026-06-30').unknownAnniversaries).toEqual(['2026-06-02']);
});

test('a new price with its own S0 - indexed from the next anniversary on', () => {
  const index = {
    ...{ s0: 100, anniversary: '2025-06-02' },
    values: [
      { date: '2025-05-30', value: 110 },
      { date: '2026-05-30', value: 121 },
    ],
  };
  const prices = [{ from: '2025-09-01', perTBMonth: '25.00', s0: 110 }];
  expect(spans(contractC({ index, prices }), '2025-08-01', '2026-06-30')).toEqual([
    ...['2025-08-01 2025-08-31 25.3000 110', '2025-09-01 2026-06-01 25', '2026-06-02 2026-06-30 27.5000 121'],
  ]);
});

test('paid in advance - the volume of this period, the use of the one before; after the end the use alone', () => {
  const contract = contractC({ paid: 'advance', start: '2026-03-01', end: '2026-04-30', shops: ['dupont'] });
  const peaks = { sum: { peakBytes: 1.5e12, at: 0 }, shops: [{ shop: 'dupont', peakBytes: 1.5e12, at: 0, shareBytes: 1.5e12 }] };
  const of = (month: string) => {
    const period = billingPeriod(contract, month);
    const measured = measuredPeriod(contract, period);
    const body = statementOf({ contract, period, measured: measured && { period: measured, peaks }, shops: ['dupont'] });
    return body.lines.map((line) => (line.kind === 'correction' ? '' : `${line.kind} ${line.from} ${line.amount}`));
  };
  expect(of('2026-03')).toEqual(['subscribed 2026-03-01 23.00']);
  expect(of('2026-04')).toEqual(['subscribed 2026-04-01 23.00', 'variable 2026-03-01 23.00']);
  expect(of('2026-05')).toEqual(['variable 2026-04-01 23.00']);
});

test('paid in advance - volume at the index of its first day, whatever comes within the period; use at the index of its days', () => {
  const values = [{ date: '2026-05-30', value: 110 }];
  const contract = contractC({ period: 'quarter', paid: 'advance', index: { s0: 100, anniversary: '2026-06-02', values } });
  const of = (month: string) => {
    const period = billingPeriod(contract, month);
    const peaks = { sum: { peakBytes: 2e12, at: 0 }, shops: [] };
    const body = statementOf({ contract, period, measured: { period: periodBefore(contract, period), peaks }, shops: [] });
    expect(body.notices).toEqual([]);
    return body.lines.map((line) => (line.kind === 'correction' ? '' : `${line.kind} ${line.from} ${line.unitPrice}`));
  };
  expect(of('2026-04')).toEqual(['subscribed 2026-04-01 23', 'variable 2026-01-01 23']);
  expect(of('2026-07')).toEqual(['subscribed 2026-07-01 25.3000', 'variable 2026-04-01 23', 'variable 2026-06-02 25.3000']);
});

test('shops pay by their own peak, by equal parts or not at all', () => {
  const peaks = {
    sum: { peakBytes: 3e12, at: 0 },
    shops: [
      { shop: '_coffre', peakBytes: 5, at: 0, shareBytes: 5 },
      { shop: 'dupont', peakBytes: 2e12, at: 0, shareBytes: 2e12 },
      { shop: 'gone', peakBytes: 2e12, at: 0, shareBytes: 1e12 },
    ],
  };
  const of = (rebill: 'share' | 'peak' | 'flat' | 'none') => {
    const contract = contractC({ rebill });
    const period = billingPeriod(contract, '2026-03');
    const { rebilling } = statementOf({ contract, period, measured: { period, peaks }, shops: ['dupont', 'new'] });
    return rebilling?.shops.map(({ amount, shop }) => `${shop} ${amount}`) ?? null;
  };
  expect(of('share')).toEqual(['dupont 46.00', 'gone 23.00', 'new 0.00']);
  expect(of('peak')).toEqual(['dupont 34.50', 'gone 34.50', 'new 0.00']);
  expect(of('flat')).toEqual(['dupont 23.00', 'gone 23.00', 'new 23.00']);
  expect(of('none')).toBeNull();
});
