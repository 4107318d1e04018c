// When something is due: the instants of a cron expression in a time zone, between two instants. Pure: no clock in here.
import type { Cron } from 'croner';
import { Temporal } from 'temporal-polyfill';
import { fromDate, toDate } from '../clock.ts';
import { makeCron } from '../config/cron.ts';
import { CoffreError } from '../errors.ts';

/** A cron expression of five fields, bound to a time zone. */
export interface Schedule {
  readonly expression: string;
  readonly timezone: string;
  /** The first slot after `instant`; null when there is none any more. */
  next(instant: Temporal.Instant): Temporal.Instant | null;
}

/** Reads an expression; makeCron says what happens when the clocks change. Throws E_CONFIG. */
export function parseSchedule(expression: string, timezone: string): Schedule {
  let cron: Cron;
  try {
    cron = makeCron(expression, timezone);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error);
    throw new CoffreError('E_CONFIG', `no schedule: ${JSON.stringify(expression)} in ${timezone}: ${reason}`, { cause: error });
  }
  // hundreds of shops share a schedule and ask the same: most have just taken the same slot
  let asked: { readonly afterMs: number; readonly next: Temporal.Instant | null } | null = null;
  return {
    expression,
    timezone,
    next(instant) {
      const afterMs = instant.epochMilliseconds;
      if (asked?.afterMs === afterMs) return asked.next;
      const next = cron.nextRun(toDate(instant));
      asked = { afterMs, next: next === null ? null : fromDate(next) };
      return asked.next;
    },
  };
}

/** All slots in (after, until], oldest first. */
export function dueSlots(schedule: Schedule, after: Temporal.Instant, until: Temporal.Instant): Temporal.Instant[] {
  const slots: Temporal.Instant[] = [];
  for (let slot = schedule.next(after); slot !== null; slot = schedule.next(slot)) {
    if (Temporal.Instant.compare(slot, until) > 0) break;
    slots.push(slot);
  }
  return slots;
}

/**
 * The newest slot in (after, until], null when none lies there. This is the catch-up rule: however many slots were missed,
 * one run makes up for all of them, in the name of the newest.
 */
export function newestDue(schedule: Schedule, after: Temporal.Instant, until: Temporal.Instant): Temporal.Instant | null {
  // Looks back in growing steps, so that a year of missed minutes costs no half million slots.
  for (let backHours = 1; ; backHours *= 4) {
    const from = until.subtract({ hours: backHours });
    const start = Temporal.Instant.compare(from, after) > 0 ? from : after;
    const slots = dueSlots(schedule, start, until);
    const newest = slots.at(-1);
    if (newest) return newest;
    if (start === after) return null;
  }
}
