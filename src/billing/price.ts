// What a terabyte and month costs on each day: the price agreed, and its indexation P = P0 x S / S0 from each anniversary on. Pure.
import { Temporal } from 'temporal-polyfill';
import type { ContractConfig } from '../config/config.ts';
import { decimalOf, plain, rounded } from './money.ts';

type Prices = Pick<ContractConfig, 'price' | 'prices' | 'index'>;

/** An indexed price is rounded to so many decimals, before anything is multiplied with it: it is checked by hand as it is printed. */
const PRICE_DECIMALS = 4;

/** How a price was indexed. Index values as decimal text, days as ISO dates. */
export interface Indexation {
  /** P0 and S0. */
  readonly basePrice: string;
  readonly s0: string;
  /** The value used, and the day from which it counted. */
  readonly s: string;
  readonly date: string;
  /** The day from which the price is indexed with it. */
  readonly anniversary: string;
}

/** Days with one price; `to` is the last of them. */
export interface PriceSpan {
  readonly from: string;
  readonly to: string;
  /** Of a TB and month, as decimal text. */
  readonly unitPrice: string;
  /** null: the price as it was agreed. */
  readonly index: Indexation | null;
}

export interface PricesFound {
  readonly spans: readonly PriceSpan[];
  /** Anniversaries whose index nobody has entered: the price before goes on, until somebody does. */
  readonly unknownAnniversaries: readonly string[];
}

/**
 * The prices of the days from `from` through `to`, in order. At an anniversary counts the newest index value of that day or of the year
 * before it. A price that has an `s0` of its own is indexed by the anniversaries after its first day alone. `indexedUntil`: anniversaries
 * after that day do not count yet.
 */
export function pricesBetween(prices: Prices, from: string, to: string, indexedUntil = to): PricesFound {
  const changes = [...prices.prices.map((price) => price.from), ...anniversaries(prices.index?.anniversary ?? null, indexedUntil)].filter(
    (day) => day > from && day <= to,
  );
  const days = [...new Set([from, ...changes])].sort();
  const spans: PriceSpan[] = [];
  const unknown = new Set<string>();
  days.forEach((day, position) => {
    const next = days[position + 1];
    const until = next === undefined ? to : Temporal.PlainDate.from(next).subtract({ days: 1 }).toString();
    const price = priceOn(prices, day, indexedUntil, unknown);
    const last = spans.at(-1);
    if (last && last.unitPrice === price.unitPrice && JSON.stringify(last.index) === JSON.stringify(price.index)) {
      spans[spans.length - 1] = { ...last, to: until };
    } else spans.push({ from: day, to: until, ...price });
  });
  return { spans, unknownAnniversaries: [...unknown].sort() };
}

function priceOn(prices: Prices, day: string, indexedUntil: string, unknown: Set<string>): Pick<PriceSpan, 'unitPrice' | 'index'> {
  const agreed = prices.prices.findLast((price) => price.from <= day) ?? null;
  const basePrice = plain(decimalOf(agreed?.perTBMonth ?? prices.price.perTBMonth));
  const asAgreed = { unitPrice: basePrice, index: null };
  const { index } = prices;
  if (index === null) return asAgreed;
  const own = agreed?.s0 ?? null;
  const passed = anniversaries(index.anniversary, day < indexedUntil ? day : indexedUntil).filter(
    (anniversary) => own === null || anniversary > (agreed?.from ?? ''),
  );
  for (const anniversary of passed.reverse()) {
    const yearBefore = Temporal.PlainDate.from(anniversary).subtract({ years: 1 }).toString();
    const value = index.values.findLast(({ date }) => date <= anniversary && date > yearBefore);
    if (value === undefined) {
      unknown.add(anniversary);
      continue;
    }
    const s0 = decimalOf(own ?? index.s0);
    const unitPrice = rounded(decimalOf(basePrice).times(decimalOf(value.value)).div(s0), PRICE_DECIMALS);
    const s = plain(decimalOf(value.value));
    return { unitPrice: unitPrice.toFixed(PRICE_DECIMALS), index: { basePrice, s0: plain(s0), s, date: value.date, anniversary } };
  }
  return asAgreed;
}

/** The first one and those each year after it, up to a day. One of 29 February is on the 28th in common years. */
function anniversaries(first: string | null, upTo: string): string[] {
  if (first === null) return [];
  const day = Temporal.PlainDate.from(first);
  const found: string[] = [];
  for (let years = 0; ; years++) {
    const anniversary = day.add({ years }).toString();
    if (anniversary > upTo) return found;
    found.push(anniversary);
  }
}
