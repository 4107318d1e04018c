// Billing periods: whole calendar months of a contract's time zone, and what part of a month some days are.
import { Temporal } from 'temporal-polyfill';
import type { ContractConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { calendarPeriod, type Period } from './month.ts';

/** Days are ISO dates, `to` the last one of the period. */
export interface BillingPeriod extends Period {
  readonly from: string;
  readonly to: string;
  readonly months: number;
}

type Calendar = Pick<ContractConfig, 'period' | 'firstMonth' | 'timezone'>;
type Term = Pick<ContractConfig, 'start' | 'end'>;

const MONTHS = { month: 1, quarter: 3, year: 12 } as const;
/** What was billed may be corrected, and what was not may still be billed, for so long. */
const CORRECTED_FOR_MONTHS = 6;

const startOf = (day: Temporal.PlainDate, timezone: string): Temporal.Instant => day.toZonedDateTime({ timeZone: timezone }).toInstant();

/** The contract's period in which a month (YYYY-MM) lies. Throws E_USAGE for what is no month. */
export function billingPeriod(calendar: Calendar, month: string): BillingPeriod {
  // what a typing error makes of a year is no year of any contract, and beyond four digits days are written otherwise
  if (!/^(19[7-9]|2\d\d)\d-(0[1-9]|1[0-2])$/.test(month)) {
    throw new CoffreError('E_USAGE', `no month: ${JSON.stringify(month)}`, {
      hint: 'a month is written YYYY-MM, such as 2026-03, from 1970 to 2999',
    });
  }
  return periodOfDay(calendar, Temporal.PlainDate.from(`${month}-01`));
}

function periodOfDay(calendar: Calendar, day: Temporal.PlainDate): BillingPeriod {
  const into = (day.month - calendar.firstMonth + 12) % MONTHS[calendar.period];
  return periodFrom(calendar, day.with({ day: 1 }).subtract({ months: into }));
}

function periodFrom({ period, timezone }: Calendar, first: Temporal.PlainDate): BillingPeriod {
  const months = MONTHS[period];
  const next = first.add({ months });
  return {
    ...{ from: first.toString(), to: next.subtract({ days: 1 }).toString(), months },
    ...{ start: startOf(first, timezone), end: startOf(next, timezone) },
  };
}

/** The period in which an instant lies. */
export function periodAt(calendar: Calendar, instant: Temporal.Instant): BillingPeriod {
  return periodOfDay(calendar, instant.toZonedDateTimeISO(calendar.timezone).toPlainDate());
}

export function periodBefore(calendar: Calendar, { from }: BillingPeriod): BillingPeriod {
  return periodFrom(calendar, Temporal.PlainDate.from(from).subtract({ months: MONTHS[calendar.period] }));
}

export function periodAfter(calendar: Calendar, { from }: BillingPeriod): BillingPeriod {
  return periodFrom(calendar, Temporal.PlainDate.from(from).add({ months: MONTHS[calendar.period] }));
}

/** Whether any day of it is of the contract: such a period is due whole. */
export function isDue({ end, start }: Term, { from, to }: BillingPeriod): boolean {
  return (start === null || start <= to) && (end === null || end >= from);
}

/**
 * The part of `asked` that periods of the contract are due for: those that hold its first and its last day are due whole. null: it had not
 * begun by then, or was over.
 */
export function partDue(contract: Calendar & Term, asked: Period): Period | null {
  const { end, start } = contract;
  const periodOf = (day: string): BillingPeriod => periodOfDay(contract, Temporal.PlainDate.from(day));
  const first = start === null ? asked.start : later(asked.start, periodOf(start).start);
  const last = end === null ? asked.end : earlier(asked.end, periodOf(end).end);
  return Temporal.Instant.compare(first, last) < 0 ? { start: first, end: last } : null;
}

const later = (a: Temporal.Instant, b: Temporal.Instant): Temporal.Instant => (Temporal.Instant.compare(a, b) < 0 ? b : a);
const earlier = (a: Temporal.Instant, b: Temporal.Instant): Temporal.Instant => (Temporal.Instant.compare(a, b) < 0 ? a : b);

/** When a contract runs, in words. */
export function termText({ end, start }: Term): string {
  if (start === null) return end === null ? 'it runs without end' : `it ran through ${end}`;
  return end === null ? `it runs from ${start} on` : `it runs from ${start} through ${end}`;
}

/** What says in which periods a contract runs. */
export type Running = Pick<ContractConfig, 'name' | 'vault' | 'shops' | 'timezone' | 'period' | 'firstMonth' | 'start' | 'end'>;

/** Those of which a period was due in a month, quarter or year. Throws E_USAGE for what is none. */
export function runningIn<T extends Running>(contracts: Iterable<T>, month: string): T[] {
  return [...contracts].filter((contract) => partDue(contract, calendarPeriod(month, contract.timezone)) !== null);
}

/** From then on nothing of the period is billed or corrected any more. */
export function closedFrom({ from, months }: Pick<BillingPeriod, 'from' | 'months'>, timezone: string): Temporal.Instant {
  return startOf(Temporal.PlainDate.from(closedOn({ from, months })), timezone);
}

/** The day on which it closes, in the contract's zone: the last one is the day before. */
export function closedOn({ from, months }: Pick<BillingPeriod, 'from' | 'months'>): string {
  return Temporal.PlainDate.from(from)
    .add({ months: months + CORRECTED_FOR_MONTHS })
    .toString();
}

/** A number of months, as a fraction in its lowest terms. */
export interface Months {
  readonly numerator: number;
  readonly denominator: number;
}

/**
 * How many months the days from `from` through `to` are: each calendar month counts as its days that are among them, divided by all its
 * days. A whole month is 1, whatever its length; the parts of a period add up to its months.
 */
export function monthsBetween(from: string, to: string): Months {
  const last = Temporal.PlainDate.from(to);
  let day = Temporal.PlainDate.from(from);
  let numerator = 0;
  let denominator = 1;
  while (Temporal.PlainDate.compare(day, last) <= 0) {
    const monthEnd = day.with({ day: day.daysInMonth });
    const until = Temporal.PlainDate.compare(monthEnd, last) < 0 ? monthEnd : last;
    const days = until.day - day.day + 1;
    numerator = numerator * day.daysInMonth + days * denominator;
    denominator *= day.daysInMonth;
    const divisor = greatestDivisor(numerator, denominator);
    numerator /= divisor;
    denominator /= divisor;
    day = until.add({ days: 1 });
  }
  return { numerator, denominator };
}

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));
