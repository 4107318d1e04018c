import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Decimal, decimalsOf, divide, rounded } from '../../src/billing/money.ts';

const parts = (amount: string, weights: Readonly<Record<string, number>>, decimals = 2): Record<string, string> =>
  Object.fromEntries(
    [
      ...divide(
        new Decimal(amount),
        decimals,
        Object.entries(weights).map(([name, weight]) => ({ name, weight })),
      ),
    ].map(([name, part]) => [name, part.toFixed(decimals)]),
  );

test('halves go away from zero, in either direction', () => {
  expect(['0.005', '-0.005', '0.0049999', '2.675'].map((text) => rounded(new Decimal(text), 2).toFixed(2))).toEqual([
    ...['0.01', '-0.01', '0.00', '2.68'],
  ]);
});

test('the last cents go to the largest remainders, equal ones by name', () => {
  expect(parts('100.00', { c: 1, a: 1, b: 1 })).toEqual({ a: '33.34', b: '33.33', c: '33.33' });
  expect(parts('-100.00', { a: 1, b: 1, c: 1 })).toEqual({ a: '-33.34', b: '-33.33', c: '-33.33' });
  expect(parts('0.01', { a: 1, b: 9 })).toEqual({ a: '0.00', b: '0.01' });
  expect(parts('10.00', { a: 0, b: 0, c: 0 })).toEqual({ a: '3.34', b: '3.33', c: '3.33' });
  expect(parts('1000', { a: 2, b: 1 }, 0)).toEqual({ a: '667', b: '333' });
  expect(parts('10.00', {})).toEqual({});
});

test('whatever is divided - the parts add up to it, and none is a cent away from its share', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -1e12, max: 1e12 }),
      fc.array(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), { minLength: 1, maxLength: 40 }),
      (cents, weights) => {
        const found = divide(
          new Decimal(cents).div(100),
          2,
          weights.map((weight, i) => ({ name: `s${i}`, weight })),
        );
        const total = weights.reduce((sum, weight) => sum + BigInt(weight), 0n);
        let sum = 0n;
        weights.forEach((weight, i) => {
          const part = BigInt((found.get(`s${i}`) as Decimal).times(100).toFixed(0));
          sum += part;
          if (total === 0n) return;
          const apart = part * total - BigInt(cents) * BigInt(weight);
          expect((apart < 0n ? -apart : apart) < total).toBe(true);
        });
        expect(sum).toBe(BigInt(cents));
      },
    ),
  );
});

test('currencies have the decimals of ISO 4217', () => {
  expect(['EUR', 'CHF', 'JPY', 'TND'].map(decimalsOf)).toEqual([2, 2, 0, 3]);
});
