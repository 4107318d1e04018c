// How rows of the main tables are made: how many there are, when things happened, and the values that many tables share.
import type { Random } from './random.ts';
import { ADJECTIVES, NOUNS } from './words.ts';

/** A value of a column; null is NULL. Binary columns (`hex`) take hexadecimal text. */
export type Value = string | number | null;

export interface RowMaker {
  readonly table: string;
  readonly columns: readonly string[];
  /** Columns whose values are given in hexadecimal. */
  readonly hex?: readonly string[];
  /** How many rows a shop has that is `megabytes` of SQL large. */
  rows(megabytes: number): number;
  /** Row `n` of `rows`, from 1. `megabytes` tells how many others there are to refer to. */
  make(random: Random, n: number, megabytes: number): readonly Value[];
}

/** Rows for each megabyte of SQL, so that the whole comes out at about one megabyte. */
const PER_MB = {
  products: 32,
  images: 95,
  words: 70,
  indexed: 3000,
  customers: 130,
  carts: 410,
  orders: 210,
  details: 520,
  guests: 1050,
  connections: 1560,
} as const;

export const count = (what: keyof typeof PER_MB, megabytes: number): number => Math.max(12, Math.round(PER_MB[what] * megabytes));
export const scaled = (perMegabyte: number) => (megabytes: number) => Math.max(6, Math.round(perMegabyte * megabytes));

/** Seconds between the shop's first visit and its last: two years, up to 2026-06-01. */
const LIFE_SECONDS = 2 * 365 * 86_400;
const OPENED_MS = 1_717_200_000_000;

/** An instant of the shop's life as DATETIME text; `share` 0 is its opening, 1 its last day. */
export function moment(share: number): string {
  const at = OPENED_MS + Math.floor(Math.max(0, Math.min(1, share)) * LIFE_SECONDS) * 1000;
  return isoText(at).slice(0, 19).replace('T', ' ');
}

/** ISO 8601 text of epoch milliseconds without the Date class: days since 1970 to a civil date (Howard Hinnant's algorithm). */
function isoText(epochMs: number): string {
  const days = Math.floor(epochMs / 86_400_000);
  const z = days + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const seconds = Math.floor((epochMs - days * 86_400_000) / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${year}-${two(month)}-${two(day)}T${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

export const money = (random: Random, high: number): string => (random.int(100, high * 100) / 100).toFixed(6);
export const productName = (random: Random): string => `${random.pick(NOUNS)} ${random.pick(ADJECTIVES)} ${random.pick(ADJECTIVES)}`;
export const reference = (n: number): string => {
  let text = '';
  for (let rest = n * 7919 + 11; text.length < 9; rest = Math.floor(rest / 26) + 31 * n) text += String.fromCharCode(65 + (rest % 26));
  return text;
};
export const ago = (n: number, all: number): string => moment(n / (all + 1));
export const BCRYPT = '$2y$10$';

type Make = RowMaker['make'];
export const maker = (table: string, columns: string, rows: RowMaker['rows'], make: Make, hex?: readonly string[]): RowMaker => ({
  table,
  columns: columns.split(' '),
  rows,
  make,
  ...(hex ? { hex } : {}),
});

export const products = (mb: number): number => count('products', mb);
export const orders = (mb: number): number => count('orders', mb);
export const customers = (mb: number): number => count('customers', mb);
export const guests = (mb: number): number => count('guests', mb);
export const connections = (mb: number): number => count('connections', mb);
