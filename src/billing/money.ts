// Money: decimal arithmetic, one rounding rule, and sums divided without losing a cent.
import { Decimal as DecimalJs } from 'decimal.js';

/** Sixty digits: a quotient that does not end is never taken for one that ends in a five. */
export const Decimal = DecimalJs.clone({ precision: 60, rounding: DecimalJs.ROUND_HALF_UP, toExpNeg: -40, toExpPos: 40 });
export type Decimal = DecimalJs;

/** A number of the configuration, by its text: what was written is what counts. */
export const decimalOf = (value: number | string): Decimal => new Decimal(String(value));

/** Plain decimal text without needless zeros: `1`, `0.5`. */
export const plain = (value: Decimal): string => value.toFixed();

/** How many decimals amounts of a currency have, by ISO 4217: EUR 2, JPY 0. */
export function decimalsOf(currency: string): number {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
}

/** To the currency's smallest unit; halves go away from zero. */
export const rounded = (amount: Decimal, decimals: number): Decimal => amount.toDecimalPlaces(decimals, DecimalJs.ROUND_HALF_UP);

/** Whole number of the currency's smallest unit. The amount must be rounded. */
const toUnits = (amount: Decimal, decimals: number): bigint => BigInt(amount.times(new Decimal(10).pow(decimals)).toFixed(0));
const fromUnits = (units: bigint, decimals: number): Decimal => new Decimal(units.toString()).div(new Decimal(10).pow(decimals));

export interface Weight {
  readonly name: string;
  /** Whole, not negative. */
  readonly weight: number;
}

/**
 * Divides a rounded amount in proportion to weights, in parts of the smallest unit that add up to it: each part is first rounded towards
 * zero, then those with the largest remainders get one unit more (Hamilton); equal remainders go by name. Where all weights are 0 the
 * parts are as equal as can be. The parts come by name. Empty for no weights.
 */
export function divide(amount: Decimal, decimals: number, weights: readonly Weight[]): ReadonlyMap<string, Decimal> {
  const ordered = [...weights].sort((a, b) => (a.name < b.name ? -1 : 1));
  const isEven = ordered.every(({ weight }) => weight === 0);
  const sum = ordered.reduce((total, { weight }) => total + (isEven ? 1n : BigInt(weight)), 0n);
  const units = toUnits(amount, decimals);
  const size = units < 0n ? -units : units;
  const parts = ordered.map(({ name, weight }) => {
    const product = size * (isEven ? 1n : BigInt(weight));
    return { name, units: product / sum, remainder: product % sum };
  });
  let left = size - parts.reduce((total, part) => total + part.units, 0n);
  const more = new Set<string>();
  for (const { name } of [...parts].sort((a, b) => (a.remainder === b.remainder ? 0 : a.remainder > b.remainder ? -1 : 1))) {
    if (left === 0n) break;
    more.add(name);
    left--;
  }
  return new Map(
    parts.map((part) => {
      const own = part.units + (more.has(part.name) ? 1n : 0n);
      return [part.name, fromUnits(units < 0n ? -own : own, decimals)];
    }),
  );
}
