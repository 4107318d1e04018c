// From a plan as it is written to the clock of its promise: hours, zones, countries and parts of them.
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import type { RtoPromise } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { calendarOf, parsePromise } from '../../src/restore/rto-calendar.ts';
import { deadlineOf, readRto } from '../../src/restore/rto-clock.ts';

const text = (rto: string): string =>
  ['encryption: none', 'timezone: Europe/Paris', `plans: { p: { retention: 14d, rto: ${rto} } }`, 'shops: {}', 'vaults: {}'].join('\n');
const promise = (rto: string): RtoPromise => parseConfig(text(rto), '/etc/coffre.yaml', {}).plans.get('p')?.rto as RtoPromise;
const refusal = (rto: string): string => {
  try {
    promise(rto);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

/** Approved at, until when it must be back: by the clocks of the plan's zone. */
const GOLDEN: readonly [rto: string, approved: string, deadline: string, why: string][] = [
  [
    '{ target: 4h, calendar: business, country: FR }',
    '2026-06-05T17:59',
    '2026-06-08T12:59',
    'Friday 17:59: a minute counts, the rest on Monday',
  ],
  [
    '{ target: 4h, calendar: business, country: FR }',
    '2026-06-05T18:01',
    '2026-06-08T13:00',
    'Friday 18:01: nothing counts before Monday at nine',
  ],
  ['{ target: 4h, calendar: 24x7 }', '2026-06-05T18:01', '2026-06-05T22:01', 'round the clock a Friday evening is like any other'],
  ['{ target: 4h, calendar: business, country: FR }', '2026-11-11T10:00', '2026-11-12T13:00', '11 November is free in France'],
  ['{ target: 4h, calendar: business, country: BE }', '2026-11-11T10:00', '2026-11-12T13:00', 'and in Belgium'],
  ['{ target: 4h, calendar: business, country: CH, region: GE }', '2026-11-11T10:00', '2026-11-11T14:00', 'but not in Geneva'],
  ['{ target: 4h, calendar: business }', '2026-11-11T10:00', '2026-11-11T14:00', 'nor where no country is named'],
  ['{ target: 4h, calendar: business, country: FR }', '2026-12-31T16:00', '2027-01-04T11:00', 'across New Year and a weekend'],
  ['{ target: 4h, calendar: 24x7 }', '2026-12-31T22:00', '2027-01-01T02:00', 'across New Year, round the clock'],
  [
    '{ target: 4h, calendar: business, country: FR, region: Alsace-Moselle }',
    '2026-04-02T16:00',
    '2026-04-07T11:00',
    'Good Friday in Alsace-Moselle, then Easter Monday',
  ],
  ['{ target: 4h, calendar: business, country: FR, region: 67 }', '2026-04-02T16:00', '2026-04-07T11:00', 'a department by its number'],
  ['{ target: 4h, calendar: business, country: FR-57 }', '2026-04-02T16:00', '2026-04-07T11:00', 'or with the country'],
  [
    '{ target: 4h, calendar: business, country: FR }',
    '2026-04-02T16:00',
    '2026-04-03T11:00',
    'in the rest of France Good Friday is a working day',
  ],
  [
    '{ target: 4h, calendar: business, country: CH, region: Vaud, zone: Europe/Zurich }',
    '2026-09-18T16:00',
    '2026-09-22T11:00',
    'the Monday of the Federal Fast is free in Vaud',
  ],
  [
    '{ target: 4h, calendar: business, country: CH, region: GE, zone: Europe/Zurich }',
    '2026-09-09T17:00',
    '2026-09-11T12:00',
    'the Fast of Geneva is a Thursday',
  ],
  ['{ target: 4h, calendar: business, country: CH, zone: Europe/Zurich }', '2026-09-09T17:00', '2026-09-10T12:00', 'and of Geneva alone'],
  ['{ target: 24h, calendar: business, country: FR }', '2026-06-01T09:00', '2026-06-03T15:00', 'class 24 h: nine hours a day count'],
  ['{ target: 48h, calendar: business, country: FR }', '2026-06-01T09:00', '2026-06-08T12:00', 'class 48 h: five days and three hours'],
  [
    '{ target: 24h, calendar: 24x7 }',
    '2026-03-28T12:00',
    '2026-03-29T13:00',
    'class 24 h round the clock, over the night in which an hour is skipped',
  ],
  ['{ target: 48h, calendar: 24x7 }', '2026-10-24T12:00', '2026-10-26T11:00', 'class 48 h, over the night in which an hour comes twice'],
  [
    '{ target: 4h, calendar: business, country: FR, hours: { from: "08:30", to: "12:30" } }',
    '2026-06-02T09:00',
    '2026-06-03T09:00',
    'mornings alone: half an hour the next day',
  ],
  [
    '{ target: 4h, calendar: business, country: FR, hours: { from: "09:00", to: "18:00", days: [mon, tue, wed, thu, fri, sat] } }',
    '2026-06-05T17:00',
    '2026-06-06T12:00',
    'where Saturday is worked',
  ],
  [
    '{ target: 4h, calendar: business, country: FR, hours: { from: "00:00", to: "24:00" } }',
    '2026-06-05T23:00',
    '2026-06-08T03:00',
    'whole working days',
  ],
  [
    '{ target: 4h, calendar: business, country: FR, zone: Indian/Reunion, region: RE }',
    '2026-12-18T16:00',
    '2026-12-21T11:00',
    'on Réunion, by its clocks',
  ],
  [
    '{ target: 4h, calendar: business, country: FR, zone: Indian/Reunion, region: RE }',
    '2023-12-19T16:00',
    '2023-12-21T11:00',
    'where the abolition of slavery is remembered on 20 December',
  ],
];

describe('a plan’s promise', () => {
  test.each(GOLDEN)('%s, approved %s - back by %s: %s', async (rto, approved, deadline) => {
    const given = promise(rto);
    const at = Temporal.PlainDateTime.from(approved).toZonedDateTime(given.zone).toInstant();
    const end = deadlineOf(await calendarOf(given), at, given.targetMs);
    expect(end.toZonedDateTimeISO(given.zone).toPlainDateTime().toString({ smallestUnit: 'minute' })).toBe(deadline);
    // done at the deadline it is kept, a millisecond later it is not
    const reading = (doneAt: Temporal.Instant, calendar: Parameters<typeof readRto>[0]) =>
      readRto(calendar, { approvedAt: at, doneAt, targetMs: given.targetMs }, doneAt).state;
    expect(reading(end, await calendarOf(given))).toBe('kept');
    expect(reading(end.add({ milliseconds: 1 }), await calendarOf(given))).toBe('broken');
  });

  test('kept with a request - read back the same', () => {
    const given = promise('{ calendar: business, country: CH, region: VD, hours: { from: "08:00", to: "17:00" } }');
    expect(parsePromise(JSON.stringify(given))).toEqual(given);
    expect(() => parsePromise('{}')).toThrow(expect.objectContaining({ code: 'E_CATALOG' }));
  });

  test.each([
    ['{ calendar: business, region: VD }', 'rto.region means nothing without country'],
    ['{ calendar: business, country: CH-VD, region: GE }', 'rto.region is given twice'],
    ['{ calendar: 24x7, hours: { from: "09:00", to: "18:00" } }', 'rto.hours means nothing with calendar 24x7'],
    ['{ calendar: business, country: FR, hours: { from: "18:00", to: "09:00" } }', 'to must be later than from'],
    ['{ calendar: business, country: FR, zone: Paris }', 'the name of a time zone is expected'],
    ['{ calendar: business, country: FR, region: [57] }', 'a part of the country is expected'],
  ])('%s - refused', (rto, said) => expect(refusal(rto)).toContain(said));

  test.each([
    ['FR', 'Bretagne'],
    ['CH', 'Canton'],
    ['BE', '57'],
  ])('%s and a part %s that nobody knows - E_CONFIG with those that are known', async (country, region) => {
    const given = promise(`{ calendar: business, country: ${country}, region: "${region}" }`);
    await expect(calendarOf(given)).rejects.toMatchObject({ code: 'E_CONFIG', hint: expect.stringContaining('known parts') });
  });
});
