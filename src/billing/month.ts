// A calendar month, quarter or year in a contract's time zone, as two instants.
import { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../errors.ts';

/** Half-open: `start` belongs to it, `end` to the next one. */
export interface Period {
  readonly start: Temporal.Instant;
  readonly end: Temporal.Instant;
}

/**
 * `month` is YYYY-MM. It begins at the first instant of its first day there, also where clocks change at midnight; months with a
 * change to or from summer time are an hour shorter or longer. Throws E_USAGE.
 */
export function monthPeriod(month: string, timezone: string): Period {
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) {
    throw new CoffreError('E_USAGE', `no month: ${JSON.stringify(month)}`, { hint: 'a month is written YYYY-MM, such as 2026-03' });
  }
  const first = Temporal.PlainDate.from(`${month}-01`);
  const startOf = (day: Temporal.PlainDate): Temporal.Instant => day.toZonedDateTime({ timeZone: timezone }).toInstant();
  return { start: startOf(first), end: startOf(first.add({ months: 1 })) };
}

/** `text` is YYYY-MM, YYYY-Q1 to YYYY-Q4, or YYYY. Throws E_USAGE. */
export function calendarPeriod(text: string, timezone: string): Period {
  const [, year = '', quarter] = /^(\d{4})(?:-Q([1-4]))?$/.exec(text) ?? [];
  if (year === '') return monthPeriod(text, timezone);
  const month = (number: number): string => `${year}-${String(number).padStart(2, '0')}`;
  const [first, last] = quarter === undefined ? [1, 12] : [Number(quarter) * 3 - 2, Number(quarter) * 3];
  return { start: monthPeriod(month(first), timezone).start, end: monthPeriod(month(last), timezone).end };
}

/**
 * The ledger says nothing of what is to come: a peak of it would be no more than the level of now. `forecast`: what tells of it, for the hint. Throws E_USAGE for a period that has
 * begun in none of `timezones`, and for what is no month.
 */
export function requireBegun(
  month: string,
  timezones: Iterable<string>,
  now: Temporal.Instant,
  forecast = 'coffre billing forecast',
): void {
  for (const timezone of new Set(timezones)) if (Temporal.Instant.compare(calendarPeriod(month, timezone).start, now) <= 0) return;
  throw new CoffreError('E_USAGE', `${month} has not begun`, {
    hint: `${forecast} tells what the present period is going to be`,
  });
}
