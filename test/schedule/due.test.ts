import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { dueSlots, newestDue, parseSchedule } from '../../src/schedule/due.ts';

const instant = (text: string): Temporal.Instant => Temporal.Instant.from(text);
const slots = (expression: string, after: string, until: string, timezone = 'Europe/Paris'): string[] =>
  dueSlots(parseSchedule(expression, timezone), instant(after), instant(until)).map(String);

describe('summer time begins, Europe/Paris 2026-03-29 02:00 to 03:00', () => {
  test('30 2 * * * - its hour is skipped: runs exactly once that day, at the end of the gap', () => {
    expect(slots('30 2 * * *', '2026-03-27T12:00:00Z', '2026-03-31T12:00:00Z')).toEqual([
      '2026-03-28T01:30:00Z',
      '2026-03-29T01:00:00Z',
      '2026-03-30T00:30:00Z',
      '2026-03-31T00:30:00Z',
    ]);
  });

  test('30 2 * * * - exactly once, however the night is cut into looks', () => {
    const schedule = parseSchedule('30 2 * * *', 'Europe/Paris');
    for (const stepMinutes of [1, 7, 30, 61]) {
      const seen: string[] = [];
      let last = instant('2026-03-28T12:00:00Z');
      for (let now = last; Temporal.Instant.compare(now, instant('2026-03-29T12:00:00Z')) < 0; now = now.add({ minutes: stepMinutes })) {
        const due = newestDue(schedule, last, now);
        if (due === null) continue;
        seen.push(due.toString());
        last = due;
      }
      expect(seen, `every ${stepMinutes} minutes`).toEqual(['2026-03-29T01:00:00Z']);
    }
  });

  test('0 3 * * 0 - at 03:00, where the gap ends: once', () => {
    expect(slots('0 3 * * 0', '2026-03-22T12:00:00Z', '2026-04-05T12:00:00Z')).toEqual(['2026-03-29T01:00:00Z', '2026-04-05T01:00:00Z']);
  });

  test('15,45 2 * * * - two slots of the skipped hour become one', () => {
    expect(slots('15,45 2 * * *', '2026-03-28T12:00:00Z', '2026-03-30T12:00:00Z')).toEqual([
      '2026-03-29T01:00:00Z',
      '2026-03-30T00:15:00Z',
      '2026-03-30T00:45:00Z',
    ]);
  });

  test('*/30 * * * * - an interval goes on in real time', () => {
    expect(slots('*/30 * * * *', '2026-03-29T00:00:00Z', '2026-03-29T02:00:00Z')).toEqual([
      '2026-03-29T00:30:00Z',
      '2026-03-29T01:00:00Z',
      '2026-03-29T01:30:00Z',
      '2026-03-29T02:00:00Z',
    ]);
  });
});

describe('summer time ends, Europe/Paris 2026-10-25 03:00 to 02:00', () => {
  test('30 2 * * * - its hour comes twice: runs the first time only', () => {
    expect(slots('30 2 * * *', '2026-10-23T12:00:00Z', '2026-10-27T12:00:00Z')).toEqual([
      '2026-10-24T00:30:00Z',
      '2026-10-25T00:30:00Z',
      '2026-10-26T01:30:00Z',
      '2026-10-27T01:30:00Z',
    ]);
  });

  test('15,45 2 * * * - each of its slots the first time only', () => {
    expect(slots('15,45 2 * * *', '2026-10-24T12:00:00Z', '2026-10-26T12:00:00Z')).toEqual([
      '2026-10-25T00:15:00Z',
      '2026-10-25T00:45:00Z',
      '2026-10-26T01:15:00Z',
      '2026-10-26T01:45:00Z',
    ]);
  });

  test('0 * * * * - an interval: 25 hours have 25 slots', () => {
    expect(slots('0 * * * *', '2026-10-24T21:59:59Z', '2026-10-25T22:59:59Z')).toHaveLength(25);
  });

  test('0 4 * * 1-6 - not on the Sunday of the change', () => {
    expect(slots('0 4 * * 1-6', '2026-10-24T12:00:00Z', '2026-10-27T12:00:00Z')).toEqual(['2026-10-26T03:00:00Z', '2026-10-27T03:00:00Z']);
  });
});

describe('bounds', () => {
  const at = '2026-11-22T01:30:00Z';
  test('a slot at the end of the span is in it, one at its start is not', () => {
    expect(slots('30 2 * * *', '2026-11-22T01:29:59.999Z', at)).toEqual([at]);
    expect(slots('30 2 * * *', at, '2026-11-23T01:29:59.999Z')).toEqual([]);
  });

  test('a millisecond before and after the slot', () => {
    const schedule = parseSchedule('30 2 * * *', 'Europe/Paris');
    expect(schedule.next(instant('2026-11-22T01:29:59.999Z'))?.toString()).toBe(at);
    expect(schedule.next(instant('2026-11-22T01:30:00.001Z'))?.toString()).toBe('2026-11-23T01:30:00Z');
  });

  test('an empty or reversed span has none', () => {
    expect(slots('* * * * *', at, at)).toEqual([]);
    expect(slots('* * * * *', at, '2026-11-21T00:00:00Z')).toEqual([]);
    expect(newestDue(parseSchedule('* * * * *', 'UTC'), instant(at), instant('2026-11-21T00:00:00Z'))).toBeNull();
  });

  test('a day that never comes is never due', () => {
    expect(slots('0 0 31 2 *', '2026-01-01T00:00:00Z', '2030-01-01T00:00:00Z')).toEqual([]);
  });

  test('29 February', () => {
    expect(slots('0 3 29 2 *', '2026-01-01T00:00:00Z', '2030-01-01T00:00:00Z')).toEqual(['2028-02-29T02:00:00Z']);
  });
});

describe('catch-up', () => {
  test('many missed slots - the newest stands for all', () => {
    const daily = parseSchedule('30 2 * * *', 'Europe/Paris');
    expect(newestDue(daily, instant('2026-11-01T01:30:00Z'), instant('2026-11-22T16:00:00Z'))?.toString()).toBe('2026-11-22T01:30:00Z');
  });

  test('a year of missed minutes is answered at once', () => {
    const due = newestDue(parseSchedule('* * * * *', 'Europe/Paris'), instant('2025-11-22T00:00:00Z'), instant('2026-11-22T16:00:30Z'));
    expect(due?.toString()).toBe('2026-11-22T16:00:00Z');
  });

  const expression = fc.constantFrom(
    '30 2 * * *',
    '0 3 * * 0',
    '0 4 * * 1-6',
    '*/20 * * * *',
    '15,45 1-3 * * *',
    '0 0 1 * *',
    '5 2 * * 1#1',
    '0 12 25 12 *',
  );
  const zone = fc.constantFrom('Europe/Paris', 'UTC', 'Europe/Zurich', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca');
  const moment = fc
    .integer({ min: Date.UTC(2026, 1, 1) / 1000, max: Date.UTC(2027, 1, 1) / 1000 })
    .map((seconds) => Temporal.Instant.fromEpochMilliseconds(seconds * 1000));

  test('the newest slot is the last of all slots, wherever one looks from', () => {
    fc.assert(
      fc.property(expression, zone, moment, fc.integer({ min: 0, max: 40 * 24 * 60 }), (text, timezone, after, minutes) => {
        const schedule = parseSchedule(text, timezone);
        const until = after.add({ minutes });
        const all = dueSlots(schedule, after, until);
        expect(newestDue(schedule, after, until)?.toString() ?? null).toBe(all.at(-1)?.toString() ?? null);
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  test('slots are in order, without repetition, and the same when the span is cut in two', () => {
    fc.assert(
      fc.property(
        expression,
        zone,
        moment,
        fc.integer({ min: 1, max: 5 * 24 * 60 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (text, timezone, after, minutes, share) => {
          const schedule = parseSchedule(text, timezone);
          const until = after.add({ minutes });
          const middle = after.add({ seconds: Math.floor(minutes * 60 * share) });
          const all = dueSlots(schedule, after, until).map((slot) => slot.epochMilliseconds);
          expect(all).toEqual([...new Set(all)].sort((a, b) => a - b));
          const cut = [...dueSlots(schedule, after, middle), ...dueSlots(schedule, middle, until)].map((slot) => slot.epochMilliseconds);
          expect(cut).toEqual(all);
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);
});

describe('expressions', () => {
  test.each(['61 * * * *', '* * * *', '0 0 0 * * *', 'tomorrow', ''])('%j is refused as E_CONFIG', (expression) => {
    expect(() => parseSchedule(expression, 'Europe/Paris')).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });
});
