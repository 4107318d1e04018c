// Whether a predicted restore keeps the plan's promise, whenever it is approved. Pure.
import { Temporal } from 'temporal-polyfill';
import type { RtoPromise } from '../config/config.ts';
import type { Range } from './estimate.ts';
import { countedBetween, type RtoCalendar } from './rto-clock.ts';

/** yes: with all its uncertainty. tight: as expected, but not at its slowest. no: not even as expected. */
export type Fit = 'yes' | 'tight' | 'no';

/** Looked at for the approval that makes the most of the time count. */
const DAYS_TRIED = 14;

/**
 * The promise's hours without its holidays, which only ever stop the clock: the approval that counts most is on a day that is none, so the
 * worst case needs no list of them.
 */
export function hoursOf({ calendar, hours, zone }: RtoPromise): RtoCalendar {
  return calendar === '24x7' ? '24x7' : { timezone: zone, ...hours, holiday: () => null };
}

/** Of a restore that takes `durationMs`, the most that the clock counts, whenever within two weeks of `from` it is approved. Milliseconds. */
export function mostCountedMs(calendar: RtoCalendar, durationMs: number, from: Temporal.Instant): number {
  if (calendar === '24x7') return durationMs;
  const { timezone, fromMinute } = calendar;
  const today = from.toZonedDateTimeISO(timezone).toPlainDate();
  let most = 0;
  for (let day = 0; day < DAYS_TRIED; day++) {
    const plainTime = Temporal.PlainTime.from({ hour: Math.floor(fromMinute / 60), minute: fromMinute % 60 });
    const opening = today.add({ days: day }).toZonedDateTime({ timeZone: timezone, plainTime }).toInstant();
    most = Math.max(most, countedBetween(calendar, opening, opening.add({ milliseconds: Math.ceil(durationMs) })));
  }
  return Math.min(durationMs, most);
}

/** `certain`: it was measured of this very shop; else a `no` needs that not even the least that is likely fits. */
export function fitOf(promise: RtoPromise, range: Range, from: Temporal.Instant, certain = true): Fit {
  const calendar = hoursOf(promise);
  const within = (durationMs: number): boolean =>
    // a duration that fits by itself counts no more than itself
    durationMs <= promise.targetMs || mostCountedMs(calendar, durationMs, from) <= promise.targetMs;
  if (!within(certain ? range.expectedMs : range.lowMs)) return 'no';
  if (!within(range.expectedMs)) return 'tight';
  return within(range.highMs) ? 'yes' : 'tight';
}
