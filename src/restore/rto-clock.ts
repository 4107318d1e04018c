// The clock of a restore's promise: how much of the time since the client's approval counts, and when the target is used up. Pure.
import { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../errors.ts';

/** When somebody works, and the clock runs. */
export interface BusinessHours {
  /** IANA name. */
  readonly timezone: string;
  /** Minutes since midnight, by that zone's clocks; `to` at most 1440. */
  readonly fromMinute: number;
  readonly toMinute: number;
  /** 1 is Monday, 7 Sunday. */
  readonly days: readonly number[];
  /** The public holiday of that date, by name; null: none. */
  readonly holiday: (date: Temporal.PlainDate) => string | null;
}

export type RtoCalendar = '24x7' | BusinessHours;

/** Milliseconds, unless it is an instant. */
export interface RtoReading {
  readonly targetMs: number;
  readonly deadline: Temporal.Instant;
  /** Of the time since the approval, up to the end or to now. */
  readonly countedMs: number;
  /** running: counts. paused: outside business hours. kept, broken: over, or broken while it still runs. */
  readonly state: 'running' | 'paused' | 'kept' | 'broken';
  /** What is left of the target; negative: by how much it was exceeded. */
  readonly leftMs: number;
  /** When a paused clock goes on; else null. */
  readonly resumesAt: Temporal.Instant | null;
  /** Why it is paused, in words: a holiday's name, or null. */
  readonly holiday: string | null;
}

/** A calendar that is never open would be searched for ever. */
const MOST_DAYS = 3_660;

/**
 * Where a restore stands at `now`, or stood when it was done. A target is kept when its last millisecond is not exceeded.
 * Throws E_CONFIG when the calendar is never open.
 */
export function readRto(
  calendar: RtoCalendar,
  {
    approvedAt,
    doneAt,
    targetMs,
  }: { readonly approvedAt: Temporal.Instant; readonly doneAt: Temporal.Instant | null; readonly targetMs: number },
  now: Temporal.Instant,
): RtoReading {
  const countedMs = countedBetween(calendar, approvedAt, doneAt ?? now);
  const leftMs = targetMs - countedMs;
  const deadline = deadlineOf(calendar, approvedAt, targetMs);
  const base = { targetMs, deadline, countedMs, leftMs, resumesAt: null, holiday: null };
  if (doneAt !== null) return { ...base, state: leftMs >= 0 ? 'kept' : 'broken' };
  if (leftMs < 0) return { ...base, state: 'broken' };
  if (calendar === '24x7' || isOpen(calendar, now)) return { ...base, state: 'running' };
  const resumesAt = nextOpening(calendar, now);
  return { ...base, state: 'paused', resumesAt, holiday: calendar.holiday(dateOf(calendar, now)) };
}

/**
 * The instant at which `targetMs` of counted time have passed since `from`: the last one at which a restore is in time. At the end of a
 * working day it is that day's end, not the next one's beginning. Throws E_CONFIG when the calendar is never open.
 */
export function deadlineOf(calendar: RtoCalendar, from: Temporal.Instant, targetMs: number): Temporal.Instant {
  if (calendar === '24x7') return from.add({ milliseconds: targetMs });
  let leftMs = targetMs;
  for (const [opens, closes] of openings(calendar, from)) {
    const startMs = Math.max(opens, from.epochMilliseconds);
    if (closes - startMs >= leftMs) return Temporal.Instant.fromEpochMilliseconds(startMs + leftMs);
    leftMs -= closes - startMs;
  }
  throw new CoffreError('E_CONFIG', `these business hours leave no room for ${targetMs} ms in ten years`);
}

/** Counted milliseconds from `from` to `until`; 0 when `until` is not later. */
export function countedBetween(calendar: RtoCalendar, from: Temporal.Instant, until: Temporal.Instant): number {
  const [fromMs, untilMs] = [from.epochMilliseconds, until.epochMilliseconds];
  if (untilMs <= fromMs) return 0;
  if (calendar === '24x7') return untilMs - fromMs;
  let countedMs = 0;
  for (const [opens, closes] of openings(calendar, from)) {
    if (opens >= untilMs) return countedMs;
    countedMs += Math.min(closes, untilMs) - Math.max(opens, fromMs);
  }
  return countedMs;
}

function isOpen(calendar: BusinessHours, now: Temporal.Instant): boolean {
  const [first] = openings(calendar, now);
  return first !== undefined && first[0] <= now.epochMilliseconds;
}

function nextOpening(calendar: BusinessHours, now: Temporal.Instant): Temporal.Instant {
  for (const [opens] of openings(calendar, now)) return Temporal.Instant.fromEpochMilliseconds(Math.max(opens, now.epochMilliseconds));
  throw new CoffreError('E_CONFIG', 'these business hours are never open');
}

function dateOf({ timezone }: BusinessHours, at: Temporal.Instant): Temporal.PlainDate {
  return at.toZonedDateTimeISO(timezone).toPlainDate();
}

/** Opening and closing of each working day that ends after `from`, in epoch milliseconds, oldest first. */
function* openings(calendar: BusinessHours, from: Temporal.Instant): Generator<readonly [opens: number, closes: number]> {
  const { timezone, fromMinute, toMinute, days, holiday } = calendar;
  let date = dateOf(calendar, from);
  for (let day = 0; day < MOST_DAYS; day++, date = date.add({ days: 1 })) {
    if (!days.includes(date.dayOfWeek) || holiday(date) !== null) continue;
    // where a clock change skips or repeats a time of the day, Temporal's `compatible` rule says which instant it is
    const [opens, closes] = [fromMinute, toMinute].map((minute) => instantOf(date, minute, timezone)) as [number, number];
    if (closes > from.epochMilliseconds && closes > opens) yield [opens, closes];
  }
}

function instantOf(date: Temporal.PlainDate, minute: number, timezone: string): number {
  const onDay = minute === 24 * 60 ? date.add({ days: 1 }) : date;
  const time = Temporal.PlainTime.from({ hour: Math.floor(minute / 60) % 24, minute: minute % 60 });
  return onDay.toZonedDateTime({ timeZone: timezone, plainTime: time }).epochMilliseconds;
}
