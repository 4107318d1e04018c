import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { beforeAll, describe, expect, test } from 'vitest';
import { publicHolidays } from '../../src/restore/holidays.ts';
import { type BusinessHours, countedBetween, deadlineOf, type RtoCalendar, readRto } from '../../src/restore/rto-clock.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const PARIS = 'Europe/Paris';

const at = (local: string, timezone = PARIS): Temporal.Instant => Temporal.ZonedDateTime.from(`${local}[${timezone}]`).toInstant();
const local = (instant: Temporal.Instant, timezone = PARIS): string =>
  instant.toZonedDateTimeISO(timezone).toPlainDateTime().toString({ smallestUnit: 'minute' });

const hours = (holiday: BusinessHours['holiday'], more: Partial<BusinessHours> = {}): BusinessHours => ({
  ...{ timezone: PARIS, fromMinute: 9 * 60, toMinute: 18 * 60, days: [1, 2, 3, 4, 5], holiday },
  ...more,
});

let france: BusinessHours;
let moselle: BusinessHours;
let vaud: BusinessHours;
let belgium: BusinessHours;
beforeAll(async () => {
  france = hours(await publicHolidays('FR'));
  moselle = hours(await publicHolidays('FR-57'));
  vaud = hours(await publicHolidays('CH-VD'), { timezone: 'Europe/Zurich' });
  belgium = hours(await publicHolidays('BE'), { timezone: 'Europe/Brussels' });
});

/** Four counted hours, in the calendar of contract A: Monday to Friday, nine to six. */
const GOLDEN: readonly [name: string, calendar: () => RtoCalendar, approved: string, deadline: string, why: string][] = [
  ['a morning', () => france, '2026-06-02T10:00', '2026-06-02T14:00', 'the same day'],
  ['four hours before closing', () => france, '2026-06-02T14:00', '2026-06-02T18:00', 'the day’s end is in time, not the next morning'],
  ['a minute later', () => france, '2026-06-02T14:01', '2026-06-03T09:01', 'one minute is left for the morning'],
  ['before opening', () => france, '2026-06-02T03:00', '2026-06-02T13:00', 'the clock starts at nine'],
  ['Friday 17:59', () => france, '2026-06-05T17:59', '2026-06-08T12:59', 'a minute counts on Friday, the rest on Monday'],
  ['Friday 18:01', () => france, '2026-06-05T18:01', '2026-06-08T13:00', 'nothing counts before Monday at nine'],
  ['Saturday', () => france, '2026-06-06T11:00', '2026-06-08T13:00', 'a weekend counts for nothing'],
  ['on 11 November', () => france, '2026-11-11T10:00', '2026-11-12T13:00', 'Armistice, a Wednesday'],
  ['the evening before 11 November', () => france, '2026-11-10T17:00', '2026-11-12T12:00', 'an hour on Tuesday, three on Thursday'],
  ['across New Year', () => france, '2026-12-31T16:00', '2027-01-04T11:00', 'two hours on Thursday; Friday is New Year’s Day'],
  ['before Ascension', () => france, '2026-05-13T17:30', '2026-05-15T12:30', 'Thursday the 14th is Ascension'],
  ['Easter Monday', () => france, '2026-04-03T16:00', '2026-04-07T11:00', 'Good Friday works, Easter Monday does not'],
  ['Good Friday in Moselle', () => moselle, '2026-04-02T16:00', '2026-04-07T11:00', 'a holiday there, and Easter Monday after it'],
  ['26 December in Moselle, a Monday in 2022', () => moselle, '2022-12-23T17:00', '2022-12-27T12:00', 'the second day of Christmas'],
  ['the same in the rest of France', () => france, '2022-12-23T17:00', '2022-12-26T12:00', 'a working day'],
  ['2 January in Vaud', () => vaud, '2025-12-31T17:00', '2026-01-05T12:00', 'New Year, the day after it, a weekend'],
  ['21 July in Belgium', () => belgium, '2026-07-20T16:00', '2026-07-22T11:00', 'the national day'],
  ['the weekend in which an hour is skipped', () => france, '2026-03-27T17:00', '2026-03-30T12:00', 'summer time begins on Sunday'],
  ['the weekend in which an hour comes twice', () => france, '2026-10-23T17:00', '2026-10-26T12:00', 'summer time ends on Sunday'],
  ['round the clock, an hour is skipped', () => '24x7', '2026-03-29T00:30', '2026-03-29T05:30', 'four hours are four hours'],
  ['round the clock, an hour comes twice', () => '24x7', '2026-10-25T00:30', '2026-10-25T03:30', 'four hours are four hours'],
];

describe('until when a restore is in time', () => {
  for (const [name, calendar, approved, deadline, why] of GOLDEN) {
    test(`${name} - ${why}`, () => {
      const zone = calendar() === '24x7' ? PARIS : (calendar() as BusinessHours).timezone;
      expect(local(deadlineOf(calendar(), at(approved, zone), 4 * HOUR_MS), zone)).toBe(deadline);
    });
  }

  test('classes of 24 and 48 hours in business hours - hours that count, nine a day', () => {
    expect(local(deadlineOf(france, at('2026-06-01T09:00'), 24 * HOUR_MS))).toBe('2026-06-03T15:00');
    expect(local(deadlineOf(france, at('2026-06-01T09:00'), 48 * HOUR_MS))).toBe('2026-06-08T12:00');
  });

  test('hours that are never open - E_CONFIG, not a search without end', () => {
    expect(() =>
      deadlineOf(
        hours(() => 'always'),
        at('2026-06-01T09:00'),
        HOUR_MS,
      ),
    ).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });
});

describe('where the clock stands', () => {
  const approvedAt = at('2026-06-05T17:00');
  const targetMs = 4 * HOUR_MS;

  test('it runs, pauses over the weekend, goes on', () => {
    expect(readRto(france, { approvedAt, doneAt: null, targetMs }, at('2026-06-05T17:30'))).toMatchObject({
      ...{ state: 'running', countedMs: HOUR_MS / 2, leftMs: 3.5 * HOUR_MS, resumesAt: null },
    });
    const paused = readRto(france, { approvedAt, doneAt: null, targetMs }, at('2026-06-07T12:00'));
    expect(paused).toMatchObject({ state: 'paused', countedMs: HOUR_MS, leftMs: 3 * HOUR_MS, holiday: null });
    expect(local(paused.resumesAt as Temporal.Instant)).toBe('2026-06-08T09:00');
    expect(readRto(france, { approvedAt, doneAt: null, targetMs }, at('2026-06-08T10:00'))).toMatchObject({
      state: 'running',
      leftMs: 2 * HOUR_MS,
    });
  });

  test('a holiday - is named', () => {
    const reading = readRto(france, { approvedAt: at('2026-11-10T17:00'), doneAt: null, targetMs }, at('2026-11-11T10:00'));
    expect(reading).toMatchObject({ state: 'paused', holiday: 'Armistice 1918' });
  });

  test('the last millisecond - kept; one more - broken, by how much', () => {
    const deadline = deadlineOf(france, approvedAt, targetMs);
    const done = (doneAt: Temporal.Instant) => readRto(france, { approvedAt, doneAt, targetMs }, at('2027-01-01T00:00'));
    expect(done(deadline)).toMatchObject({ state: 'kept', leftMs: 0 });
    expect(done(deadline.add({ milliseconds: 1 }))).toMatchObject({ state: 'broken', leftMs: -1 });
    expect(done(deadline.add({ hours: 2 }))).toMatchObject({ state: 'broken', leftMs: -2 * HOUR_MS });
  });

  test('done in the night after the last counted hour - kept, for nobody was to work', () => {
    const early = readRto(france, { approvedAt: at('2026-06-02T14:00'), doneAt: at('2026-06-02T23:00'), targetMs }, at('2026-06-09T00:00'));
    expect(early).toMatchObject({ state: 'kept', leftMs: 0 });
  });

  test('still running beyond its target - broken already', () => {
    expect(readRto('24x7', { approvedAt, doneAt: null, targetMs }, approvedAt.add({ hours: 5 }))).toMatchObject({
      state: 'broken',
      leftMs: -HOUR_MS,
    });
  });

  test('a clock that was set back behind the approval - nothing counts yet', () => {
    expect(readRto('24x7', { approvedAt, doneAt: null, targetMs }, approvedAt.subtract({ hours: 1 }))).toMatchObject({
      countedMs: 0,
      leftMs: targetMs,
    });
  });
});

describe('any calendar', () => {
  const calendars = fc
    .record({
      timezone: fc.constantFrom(PARIS, 'Europe/London', 'America/New_York', 'Asia/Kolkata', 'Pacific/Auckland', 'America/St_Johns', 'UTC'),
      fromMinute: fc.integer({ min: 0, max: 22 * 60 }),
      lasts: fc.integer({ min: 60, max: 24 * 60 }),
      days: fc.subarray([1, 2, 3, 4, 5, 6, 7], { minLength: 1 }),
      holidays: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
    })
    .map(
      ({ timezone, fromMinute, lasts, days, holidays }): BusinessHours => ({
        ...{ timezone, fromMinute, toMinute: Math.min(24 * 60, fromMinute + lasts), days },
        holiday: (date) => (holidays.includes(date.dayOfYear % 11) ? 'a holiday' : null),
      }),
    );
  /** In whole minutes, around the changes of the clocks and the turn of the year. */
  const instants = fc
    .tuple(
      fc.constantFrom('2026-03-27', '2026-03-07', '2026-10-23', '2026-10-30', '2026-12-29', '2026-04-03', '2026-09-25', '2028-02-27'),
      fc.nat(5 * 24 * 60),
    )
    .map(([day, minutes]) => Temporal.Instant.from(`${day}T00:00:00Z`).add({ minutes }));

  /** Minute by minute, by the wall clock: what a person with a calendar would count. */
  function countedByMinute(
    { timezone, fromMinute, toMinute, days, holiday }: BusinessHours,
    from: Temporal.Instant,
    until: Temporal.Instant,
  ): number {
    let minutes = 0;
    for (let ms = from.epochMilliseconds; ms < until.epochMilliseconds; ms += MINUTE_MS) {
      const wall = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone);
      const minute = wall.hour * 60 + wall.minute;
      if (days.includes(wall.dayOfWeek) && holiday(wall.toPlainDate()) === null && minute >= fromMinute && minute < toMinute) minutes += 1;
    }
    return minutes * MINUTE_MS;
  }

  test('counted time is what is counted minute by minute', () => {
    fc.assert(
      fc.property(calendars, instants, fc.nat(3 * 24 * 60), (calendar, from, minutes) => {
        const until = from.add({ minutes });
        // an opening or closing time that the change of the clocks skips or repeats has two readings
        const edges = [calendar.fromMinute, calendar.toMinute % (24 * 60)];
        fc.pre(edges.every((minute) => minute >= 3 * 60 + 1 || minute === 0));
        expect(countedBetween(calendar, from, until)).toBe(countedByMinute(calendar, from, until));
      }),
      { numRuns: 150 },
    );
  });

  test('the deadline is the first instant by which the target was counted, and time never counts twice', () => {
    fc.assert(
      fc.property(calendars, instants, fc.integer({ min: 1, max: 48 * 60 }), fc.nat(9 * 24 * 60), (calendar, from, target, minutes) => {
        const targetMs = target * MINUTE_MS;
        const deadline = deadlineOf(calendar, from, targetMs);
        expect(countedBetween(calendar, from, deadline)).toBe(targetMs);
        expect(countedBetween(calendar, from, deadline.subtract({ milliseconds: 1 }))).toBe(targetMs - 1);
        const middle = from.add({ minutes });
        const end = middle.add({ hours: 30 });
        expect(countedBetween(calendar, from, middle) + countedBetween(calendar, middle, end)).toBe(countedBetween(calendar, from, end));
        expect(countedBetween('24x7', from, end)).toBeGreaterThanOrEqual(countedBetween(calendar, from, end));
      }),
      { numRuns: 300 },
    );
  });
});

describe('holidays', () => {
  test('a country or part that nobody knows - E_CONFIG, with those that are known', async () => {
    await expect(publicHolidays('XX')).rejects.toMatchObject({ code: 'E_CONFIG' });
    await expect(publicHolidays('FR-99')).rejects.toMatchObject({ code: 'E_CONFIG', hint: expect.stringContaining('FR-57') });
  });

  test('what is no public holiday - a working day', () => {
    expect(france.holiday(Temporal.PlainDate.from('2026-05-31'))).toBeNull();
    expect(france.holiday(Temporal.PlainDate.from('2026-05-01'))).toBe('Fête du travail');
  });
});
