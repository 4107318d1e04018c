// When something is due and when nothing begins, as the configuration file says it.
import * as z from 'zod';
import { makeCron } from '../cron.ts';
import { DAYS, parseTimeOfDay, TIME_EXPECTED } from '../maintenance.ts';
import { listOf, oneOf, parsed, strict } from './values.ts';

/** `off` or nothing: never. */
export const cron = z.unknown().transform((value, context): string | null => {
  if (value === 'off' || value === null || value === false) return null;
  const expected = 'a cron expression of five fields is expected, such as "30 2 * * *", or off';
  if (typeof value !== 'string' || value.trim().split(/\s+/).length !== 5) {
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  }
  try {
    const next = makeCron(value.trim(), 'UTC').nextRun();
    if (next !== null) return value.trim();
    context.addIssue({ code: 'custom', message: `${expected}; this one never comes` });
  } catch (error) {
    const reason = (error as Error).message.replace(/^CronPattern: /, '');
    context.addIssue({ code: 'custom', message: `${expected} (${reason})` });
  }
  return z.NEVER;
});

const timeOfDay = parsed(parseTimeOfDay, TIME_EXPECTED);
const weekDays = listOf(oneOf(...DAYS), 'a list of days is expected, such as [mon, tue]').min(1, { error: 'at least one day is expected' });

/** When no scheduled backup begins. */
export const maintenance = listOf(
  strict({
    from: timeOfDay,
    to: timeOfDay,
    days: weekDays.default([...DAYS]),
  }).transform(({ from, to, days }, context) => {
    // 24:00 to something is 00:00 of the next day, which nobody means
    if (from === to || from === 1440)
      context.addIssue({ code: 'custom', message: 'from and to must be two times of the day; all day is 00:00 to 24:00' });
    return { fromMinute: from, toMinute: to, days: days.map((day) => DAYS.indexOf(day) + 1) };
  }),
  'a list of windows is expected, such as [{ from: "08:00", to: "20:00" }]',
)
  .nullish()
  .transform((windows) => windows ?? []);

/** When a promise in business hours counts. */
export const businessHours = strict({
  from: timeOfDay,
  to: timeOfDay,
  days: weekDays.default(['mon', 'tue', 'wed', 'thu', 'fri']),
}).transform(({ from, to, days }, context) => {
  if (from >= to) context.addIssue({ code: 'custom', message: 'to must be later than from, on the same day' });
  return { fromMinute: from, toMinute: to, days: days.map((day) => DAYS.indexOf(day) + 1) };
});
