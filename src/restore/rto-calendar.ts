// The calendar of a plan's promise: what its configuration says, made into what the RTO clock reads; and as it is kept with a request.
import * as z from 'zod';
import type { RtoPromise } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { publicHolidays } from './holidays.ts';
import type { RtoCalendar } from './rto-clock.ts';

const promiseSchema = z.object({
  targetMs: z.int().positive(),
  calendar: z.enum(['business', '24x7']),
  country: z.string().nullable(),
  region: z.string().nullable(),
  hours: z.object({ fromMinute: z.int(), toMinute: z.int(), days: z.array(z.int()) }),
  zone: z.string(),
}) satisfies z.ZodType<RtoPromise>;

/**
 * What was promised when a request was approved, from where it was kept: a plan that is changed since changes no promise that was given.
 * Throws E_CATALOG.
 */
export function parsePromise(text: string): RtoPromise {
  try {
    return promiseSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new CoffreError('E_CATALOG', 'a request’s promise cannot be read', { cause });
  }
}

/** Throws E_CONFIG for a country or part of one that nobody knows the holidays of. */
export async function calendarOf({ calendar, country, hours, region, zone }: RtoPromise): Promise<RtoCalendar> {
  if (calendar === '24x7') return '24x7';
  const holiday = country === null ? () => null : await publicHolidays(country, region);
  return { timezone: zone, ...hours, holiday };
}
