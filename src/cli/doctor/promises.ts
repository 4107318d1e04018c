// Whether the calendars of plans' promises are known: a restore that cannot be approved because of a typing error is found here, not by night.
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../../clock.ts';
import type { RtoPromise, ShopConfig } from '../../config/config.ts';
import { DAYS } from '../../config/maintenance.ts';
import { calendarOf } from '../../restore/rto-calendar.ts';
import { type Check, redCheck } from './check.ts';

/** One line for each plan of these shops that counts in business hours. */
export async function checkPromises(shops: readonly ShopConfig[], clock: Pick<Clock, 'now'>): Promise<Check[]> {
  const plans = new Map(shops.map(({ plan }) => [plan.name, plan.rto]));
  const checks: Check[] = [];
  for (const [plan, promise] of plans) {
    if (promise.calendar === '24x7') continue;
    const name = `plan ${plan}`;
    try {
      const calendar = await calendarOf(promise);
      const { year } = clock.now().toZonedDateTimeISO(promise.zone);
      checks.push({ name, ok: true, detail: `${hoursText(promise)}; ${holidaysText(promise, calendar, year)}` });
    } catch (error) {
      checks.push(redCheck(name, error));
    }
  }
  return checks;
}

/** `counts mon, tue, wed, thu, fri 09:00 to 18:00, Europe/Paris`. */
function hoursText({ hours, zone }: RtoPromise): string {
  const time = (minute: number): string => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  return `counts ${hours.days.map((day) => DAYS[day - 1]).join(', ')} ${time(hours.fromMinute)} to ${time(hours.toMinute)}, ${zone}`;
}

function holidaysText({ country, region }: RtoPromise, calendar: Awaited<ReturnType<typeof calendarOf>>, year: number): string {
  if (country === null || calendar === '24x7') return 'no holidays';
  const where = region === null ? country : `${country}, ${region}`;
  return `${holidaysIn(calendar.holiday, year)} holidays of ${where} in ${year}`;
}

function holidaysIn(holiday: (date: Temporal.PlainDate) => string | null, year: number): number {
  let count = 0;
  for (let date = Temporal.PlainDate.from({ year, month: 1, day: 1 }); date.year === year; date = date.add({ days: 1 })) {
    if (holiday(date) !== null) count++;
  }
  return count;
}
