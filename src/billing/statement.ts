// What a contract costs for a period: lines, tax and each shop's part, from the peak and the contract's terms. Pure; every amount is decimal.

import { Temporal } from 'temporal-polyfill';
import type { ContractConfig } from '../config/config.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { type Decimal, Decimal as DecimalClass, decimalOf, decimalsOf, divide, plain, rounded, type Weight } from './money.ts';
import type { Peaks } from './peaks.ts';
import { type BillingPeriod, isDue, monthsBetween, periodBefore } from './period.ts';
import { pricesBetween } from './price.ts';
import type { CorrectionLine, StatementBody, StatementLine } from './statement-schema.ts';

/** Bytes of a TB. */
const TB = 1_000_000_000_000n;

/** The peak of a whole period, over the shops of the contract. */
export interface Measured {
  readonly period: BillingPeriod;
  readonly peaks: Pick<Peaks, 'sum' | 'shops'>;
}

export interface CorrectionInput {
  readonly line: CorrectionLine;
  /** How the corrected statement was divided among shops. */
  readonly weights: readonly Weight[];
}

export interface StatementInput {
  readonly contract: ContractConfig;
  readonly period: BillingPeriod;
  /** Of `measuredPeriod(contract, period)`; null when that is, or when nothing is known of it. */
  readonly measured: Measured | null;
  /** The last day of that period of which the ledger knows nothing yet; null or left out: it knows all of it. */
  readonly unmeasured?: string | null;
  /** In the order in which they were made. */
  readonly corrections?: readonly CorrectionInput[];
  /** Shops that the contract covers by the configuration: where nothing is stored they pay the same each. */
  readonly shops: readonly string[];
}

/** The period whose peak a statement bills: its own, or the one before where volume is paid in advance. null: none that is due. */
export function measuredPeriod(contract: ContractConfig, period: BillingPeriod): BillingPeriod | null {
  const measured = contract.paid === 'arrears' ? period : periodBefore(contract, period);
  return isDue(contract, measured) ? measured : null;
}

/** `ceil(max(0, peak - subscribed) / step) x step`, in TB as decimal text. */
export function variableTB({ price, subscribedTB }: Pick<ContractConfig, 'price' | 'subscribedTB'>, peakBytes: number): string {
  const over = BigInt(peakBytes) - bytesOf(subscribedTB);
  if (over <= 0n) return '0';
  const step = bytesOf(price.stepTB);
  const steps = (over + step - 1n) / step;
  return plain(decimalOf(price.stepTB).times(steps.toString()));
}

/** Six decimals of a TB at most: whole megabytes. */
const bytesOf = (volumeTB: number): bigint => BigInt(decimalOf(volumeTB).times(TB.toString()).toFixed(0));

/**
 * The statement of a period. Lines: subscribed volume of the period, variable use of the measured one, one line for each span of days
 * with one price; then corrections. Nothing but its input goes into it: the same input is the same document.
 */
export function statementOf(input: StatementInput): StatementBody {
  const { contract, measured, period } = input;
  const decimals = decimalsOf(contract.price.currency);
  const unknown = new Set<string>();
  const lines: StatementLine[] = [];
  const use = (kind: 'subscribed' | 'variable', of: BillingPeriod, quantityTB: string, indexedUntil = of.to): void => {
    if (quantityTB === '0') return;
    const found = pricesBetween(contract, of.from, of.to, indexedUntil);
    for (const day of found.unknownAnniversaries) unknown.add(day);
    for (const { from, index, to, unitPrice } of found.spans) {
      const months = monthsBetween(from, to);
      const exact = decimalOf(quantityTB).times(unitPrice).times(months.numerator).div(months.denominator);
      lines.push({ kind, from, to, quantityTB, months, unitPrice, index, amount: rounded(exact, decimals).toFixed(decimals) });
    }
  };
  // what is paid in advance is paid at the index of its first day: the next one is not known by then
  const indexedUntil = contract.paid === 'advance' ? period.from : period.to;
  if (isDue(contract, period)) use('subscribed', period, plain(decimalOf(contract.subscribedTB)), indexedUntil);
  if (measured) use('variable', measured.period, variableTB(contract, measured.peaks.sum.peakBytes));
  const taxOf = ({ kind }: StatementLine): string | null =>
    taxPercentOn(contract, kind === 'variable' && measured ? measured.period.to : period.to);
  return {
    ...bodyOf('period', input, lines, taxOf),
    period: periodFields(period),
    measured: measured && measuredFields(contract, measured),
    notices: [
      ...[...unknown].sort().map((day) => ({ code: 'index-unknown' as const, day })),
      ...(input.unmeasured ? [{ code: 'unmeasured' as const, day: input.unmeasured }] : []),
    ],
  };
}

/**
 * The rate in force on a day, null: none is agreed. For services that go on and are billed by periods it is the last day of the period that
 * counts: then they count as supplied (directive 2006/112/EC, article 64; in France article 269, 1, a bis of the CGI).
 */
export function taxPercentOn({ taxPercent, taxRates }: Pick<ContractConfig, 'taxPercent' | 'taxRates'>, day: string): string | null {
  return taxRates.findLast(({ from }) => from <= day)?.percent ?? taxPercent;
}

export interface CorrectionsInput {
  /** With the tax rate and the currency of what they correct. */
  readonly contract: ContractConfig;
  readonly corrections: readonly CorrectionInput[];
  readonly shops: readonly string[];
  /** Day of issue. */
  readonly day: string;
}

/** A statement of nothing but corrections, for a contract that may have no other statement to put them on. */
export function correctionStatementOf({ contract, corrections, day, shops }: CorrectionsInput): StatementBody {
  const input = { contract, corrections, shops, measured: null, period: { to: day } };
  return bodyOf('correction', input, [], () => contract.taxPercent);
}

type BodyInput = Omit<StatementInput, 'period'> & { readonly period: Pick<BillingPeriod, 'to'> };

function bodyOf(
  kind: StatementBody['kind'],
  input: BodyInput,
  charges: readonly StatementLine[],
  taxOf: (line: StatementLine) => string | null,
): StatementBody {
  const { contract } = input;
  const { currency } = contract.price;
  const decimals = decimalsOf(currency);
  const corrections = input.corrections ?? [];
  const lines = [...charges, ...corrections.map(({ line }) => line)];
  const net = sumOf(lines);
  const taxes = taxesOf(lines, taxOf, taxPercentOn(contract, input.period.to), decimals);
  const isOne = taxes.length === 1 && lines.every((line) => taxOf(line) !== null);
  const tax = sumOf(taxes);
  return {
    ...{ version: 2, kind, contract: contract.name, title: contract.title, vault: contract.vault, timezone: contract.timezone },
    period: null,
    measured: null,
    terms: termsOf(input),
    ...{ currency, decimals, lines, net: net.toFixed(decimals) },
    tax: taxes.length === 0 ? null : { percent: isOne ? (taxes[0]?.percent ?? null) : null, amount: tax.toFixed(decimals) },
    taxes,
    total: net.plus(tax).toFixed(decimals),
    rebilling: rebillingOf(kind, input, sumOf(charges), decimals),
    notices: [],
  };
}

/** By rate, the highest first. Without any line: nothing at the rate of the period. */
function taxesOf(
  lines: readonly StatementLine[],
  taxOf: (line: StatementLine) => string | null,
  ofPeriod: string | null,
  decimals: number,
): NonNullable<StatementBody['taxes']> {
  const rates = Map.groupBy(lines, (line) => rateText(taxOf(line)));
  if (lines.length === 0) rates.set(rateText(ofPeriod), []);
  const found = [...rates].flatMap(([percent, some]) => (percent === null ? [] : [{ percent, net: sumOf(some) }]));
  found.sort((a, b) => decimalOf(b.percent).cmp(a.percent));
  return found.map(({ net, percent }) => ({
    ...{ percent, net: net.toFixed(decimals) },
    amount: rounded(net.times(percent).div(100), decimals).toFixed(decimals),
  }));
}

const rateText = (percent: string | null): string | null => (percent === null ? null : plain(decimalOf(percent)));

const sumOf = (lines: readonly { readonly amount: string }[]): Decimal =>
  lines.reduce((sum, { amount }) => sum.plus(amount), new DecimalClass(0));

const instantText = (epochMs: number): string => Temporal.Instant.fromEpochMilliseconds(epochMs).toString();

const periodFields = ({ end, from, months, start, to }: BillingPeriod) => ({
  ...{ from, to, months, start: start.toString(), end: end.toString() },
});

function measuredFields(contract: ContractConfig, { peaks, period }: Measured): StatementBody['measured'] {
  const subscribed = decimalOf(contract.subscribedTB);
  const variable = variableTB(contract, peaks.sum.peakBytes);
  return {
    ...periodFields(period),
    ...{ peakBytes: peaks.sum.peakBytes, peakAt: instantText(peaks.sum.at) },
    ...{ subscribedTB: plain(subscribed), variableTB: variable, billedTB: plain(subscribed.plus(variable)) },
    shops: peaks.shops.map(({ at, peakBytes, shareBytes, shop }) => ({ shop, peakBytes, peakAt: instantText(at), shareBytes })),
  };
}

/** What counts for this period alone: an index value that is entered later changes nothing. */
function termsOf({ contract, period, shops }: BodyInput): StatementBody['terms'] {
  const text = (value: number | string): string => plain(decimalOf(value));
  const { end, firstMonth, index, paid, price, rebill, start, subscribedTB, taxPercent, taxRates } = contract;
  return {
    ...{ subscribedTB: text(subscribedTB), stepTB: text(price.stepTB), period: contract.period, paid, firstMonth, start, end },
    perTBMonth: text(price.perTBMonth),
    prices: contract.prices
      .filter(({ from }) => from <= period.to)
      .map(({ from, perTBMonth, s0 }) => ({ from, perTBMonth: text(perTBMonth), s0: s0 === null ? null : text(s0) })),
    index: index && {
      ...{ s0: text(index.s0), anniversary: index.anniversary },
      values: index.values.filter(({ date }) => date <= period.to).map(({ date, value }) => ({ date, value: text(value) })),
    },
    taxPercent: rateText(taxPercentOn(contract, period.to)),
    taxRates: [
      ...(taxPercent === null ? [] : [{ from: null, percent: text(taxPercent) }]),
      ...taxRates.filter(({ from }) => from <= period.to).map(({ from, percent }) => ({ from, percent: text(percent) })),
    ],
    rebill,
    covers: contract.shops === null ? null : [...contract.shops].sort(),
    shops: [...shops].sort(),
  };
}

/** Charges by the measured weights; each correction to its shop, or as the statement that it corrects. */
function rebillingOf(kind: StatementBody['kind'], input: BodyInput, charges: Decimal, decimals: number): StatementBody['rebilling'] {
  const { contract, measured } = input;
  if (contract.rebill === 'none') return null;
  const by = contract.rebill;
  const weights = new Map<string, number>();
  for (const shop of input.shops) weights.set(shop, by === 'flat' ? 1 : 0);
  for (const { peakBytes, shareBytes, shop } of measured?.peaks.shops ?? []) {
    // the daemon's own objects: the store bills them, no shop does; they are divided with the rest
    if (shop === DAEMON_SHOP) continue;
    if (by !== 'flat') weights.set(shop, by === 'share' ? shareBytes : peakBytes);
    else if (peakBytes > 0) weights.set(shop, 1);
  }
  const amounts = new Map<string, Decimal>();
  let unassigned: Decimal = new DecimalClass(0);
  const assign = (amount: Decimal, to: readonly Weight[]): void => {
    if (to.length === 0) unassigned = unassigned.plus(amount);
    for (const [shop, part] of divide(amount, decimals, to)) amounts.set(shop, (amounts.get(shop) ?? new DecimalClass(0)).plus(part));
  };
  if (kind === 'period')
    assign(
      charges,
      [...weights].map(([name, weight]) => ({ name, weight })),
    );
  for (const { line, weights: earlier } of input.corrections ?? []) {
    assign(decimalOf(line.amount), line.shop === null ? earlier : [{ name: line.shop, weight: 1 }]);
  }
  // what is nothing but corrections was divided by their weights; where those are not the same, no one weight tells
  const used = kind === 'period' ? weights : (commonWeights(input.corrections ?? []) ?? new Map<string, number>());
  const shops = [...amounts].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    by,
    shops: shops.map(([shop, amount]) => ({ shop, weight: used.get(shop) ?? 0, amount: amount.toFixed(decimals) })),
    unassigned: unassigned.toFixed(decimals),
  };
}

/** By which all of them were divided; null: not by the same, or one names its shop. */
function commonWeights(corrections: readonly CorrectionInput[]): Map<string, number> | null {
  const [first, ...others] = corrections.map(({ line, weights }) =>
    line.shop === null ? new Map(weights.map(({ name, weight }) => [name, weight])) : null,
  );
  if (!first) return null;
  const isSame = (one: Map<string, number> | null): boolean =>
    one !== null && one.size === first.size && [...first].every(([shop, weight]) => one.get(shop) === weight);
  return others.every(isSame) ? first : null;
}
