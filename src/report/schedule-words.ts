// A cron expression as people say it, in French and English: `30 2 * * *` is every day at 02:30. Pure.
import type { Language } from '../document/wording.ts';

/** Smallest and largest value of each field, in their order. */
const FIELDS = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;
const NAMES: readonly (readonly [field: number, names: string, first: number])[] = [
  [3, 'jan feb mar apr may jun jul aug sep oct nov dec', 1],
  [4, 'sun mon tue wed thu fri sat', 0],
];
const NICKNAMES: Readonly<Record<string, string>> = {
  ...{ '@hourly': '0 * * * *', '@daily': '0 0 * * *', '@weekly': '0 0 * * 0', '@monthly': '0 0 1 * *' },
  ...{ '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *' },
};
/** More times of the day than these are no list that anybody reads. */
const MOST_TIMES = 4;

interface Words {
  readonly locale: string;
  readonly everyDay: string;
  /** Of one day of the week, 1 is Monday; of several of them; of a row of them. */
  readonly on: (day: string) => string;
  readonly onSeveral: (days: string) => string;
  readonly fromTo: (first: string, last: string) => string;
  readonly days: readonly string[];
  readonly ofMonth: (days: readonly number[]) => string;
  readonly inMonths: (months: string) => string;
  readonly months: readonly string[];
  readonly at: (times: string) => string;
  readonly everyMinutes: (minutes: number) => string;
  readonly everyHours: (hours: number, first: string) => string;
  readonly everyHour: (minutes: string, isOne: boolean) => string;
  readonly between: (first: string, last: string) => string;
  /** Days that need no word because it is said of every hour or minute. */
  readonly other: string;
}

const monthNames = (locale: string): string[] =>
  Array.from({ length: 12 }, (_, at) => new Intl.DateTimeFormat(locale, { month: 'long', timeZone: 'UTC' }).format(at * 31 * 86_400_000));

const WORDS: Readonly<Record<Language, () => Words>> = {
  fr: () => ({
    locale: 'fr-FR',
    everyDay: 'tous les jours',
    on: (day) => `le ${day}`,
    onSeveral: (days) => days,
    fromTo: (first, last) => `du ${first} au ${last}`,
    days: ['lundi', 'mardi', 'mercredi', 'jeudi', 'vendredi', 'samedi', 'dimanche'],
    ofMonth: (days) =>
      `${days.length > 1 ? 'les' : 'le'} ${listIn(
        'fr-FR',
        days.map((day) => (day === 1 ? '1er' : String(day))),
      )} du mois`,
    inMonths: (months) => `en ${months}`,
    months: monthNames('fr-FR'),
    at: (times) => `à ${times}`,
    everyMinutes: (minutes) => (minutes === 1 ? 'toutes les minutes' : `toutes les ${minutes} minutes`),
    everyHours: (hours, first) => `toutes les ${hours} heures à partir de ${first}`,
    everyHour: (minutes, isOne) =>
      minutes === '0' ? 'toutes les heures' : `toutes les heures, ${isOne ? 'à la minute' : 'aux minutes'} ${minutes}`,
    between: (first, last) => `de ${first} à ${last}`,
    other: 'selon un calendrier particulier',
  }),
  en: () => ({
    locale: 'en-GB',
    everyDay: 'every day',
    on: (day) => `every ${day}`,
    onSeveral: (days) => `every ${days}`,
    fromTo: (first, last) => `${first} to ${last}`,
    days: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'],
    ofMonth: (days) => `on the ${listIn('en-GB', days.map(ordinal))} of the month`,
    inMonths: (months) => `in ${months}`,
    months: monthNames('en-GB'),
    at: (times) => `at ${times}`,
    everyMinutes: (minutes) => (minutes === 1 ? 'every minute' : `every ${minutes} minutes`),
    everyHours: (hours, first) => `every ${hours} hours from ${first} on`,
    everyHour: (minutes, isOne) => (minutes === '0' ? 'every hour' : `every hour, at minute${isOne ? '' : 's'} ${minutes}`),
    between: (first, last) => `from ${first} to ${last}`,
    other: 'by a schedule of its own',
  }),
};

const listIn = (locale: string, items: readonly string[]): string => new Intl.ListFormat(locale, { type: 'conjunction' }).format(items);

function ordinal(day: number): string {
  const form = new Intl.PluralRules('en-GB', { type: 'ordinal' }).select(day);
  return `${day}${({ one: 'st', two: 'nd', few: 'rd' } as Readonly<Record<string, string>>)[form] ?? 'th'}`;
}

/** What cannot be said in a few words is said to be special, and nothing else: the expression itself is for who wrote it. */
export function scheduleIn(language: Language, expression: string): string {
  const words = WORDS[language]();
  const fields = (NICKNAMES[expression.trim().toLowerCase()] ?? expression).trim().split(/\s+/);
  if (fields.length !== FIELDS.length) return words.other;
  const parsed = fields.map((text, field) => valuesOf(text, field));
  const [minutes, hours, monthDays, months, weekDays] = parsed;
  if (!minutes || !hours || !monthDays || !months || !weekDays) return words.other;
  const time = timesIn(words, minutes, hours);
  const days = daysIn(words, monthDays, weekDays);
  if (time === null || days === null) return words.other;
  const inMonths =
    months.length === 12
      ? ''
      : `, ${words.inMonths(
          listIn(
            words.locale,
            months.map((month) => words.months[month - 1] ?? ''),
          ),
        )}`;
  // every quarter of an hour is every day as well
  if (days === words.everyDay && time.isAllDay) return `${time.text}${inMonths}`;
  return `${days}${time.isOnce ? ' ' : ', '}${time.text}${inMonths}`;
}

/** Sorted, each once; null: it says more than lists, ranges and steps. */
function valuesOf(text: string, field: number): number[] | null {
  const [least, most] = FIELDS[field] ?? [0, 0];
  const found = new Set<number>();
  for (const part of text.toLowerCase().split(',')) {
    const match = /^(?:(\*)|([a-z]{3}|\d+)(?:-([a-z]{3}|\d+))?)(?:\/(\d+))?$/.exec(part);
    if (!match) return null;
    const [, star, from, to, step] = match;
    const first = star ? least : numberOf(from ?? '', field);
    const last = star ? (field === 4 ? 6 : most) : to === undefined ? (step === undefined ? first : most) : numberOf(to, field);
    const by = Number(step ?? 1);
    if (first === null || last === null || first < least || last > most || first > last || by < 1) return null;
    // Sunday is 0 and 7
    for (let value = first; value <= last; value += by) found.add(field === 4 && value === 0 ? 7 : value);
  }
  return [...found].sort((a, b) => a - b);
}

function numberOf(text: string, field: number): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  for (const [of, names, first] of NAMES) {
    const at = of === field ? names.split(' ').indexOf(text) : -1;
    if (at >= 0) return at + first;
  }
  return null;
}

function daysIn(words: Words, monthDays: readonly number[], weekDays: readonly number[]): string | null {
  const isEveryWeekDay = weekDays.length === 7;
  if (monthDays.length === 31) {
    if (isEveryWeekDay) return words.everyDay;
    const names = weekDays.map((day) => words.days[day - 1] ?? '');
    const [first = ''] = names;
    if (names.length === 1) return words.on(first);
    const isRow = names.length > 2 && weekDays.every((day, at) => day === (weekDays[0] ?? 0) + at);
    if (isRow) return words.fromTo(first, names.at(-1) ?? '');
    return words.onSeveral(listIn(words.locale, words.locale === 'fr-FR' ? names.map((name) => `le ${name}`) : names));
  }
  // days of the month or of the week, whichever comes: nobody says that in a few words
  return isEveryWeekDay ? words.ofMonth(monthDays) : null;
}

const clock = (hour: number, minute: number): string => `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;

/** The same distance from each to the next, the last to the first of the next round included; null: it is not. */
function evenly(values: readonly number[], round: number): number | null {
  const step = round / values.length;
  return values.every((value, at) => value - (values[0] ?? 0) === at * step) ? step : null;
}

interface Times {
  readonly text: string;
  /** At some times, not again and again. */
  readonly isOnce?: boolean;
  readonly isAllDay?: boolean;
}

function timesIn(words: Words, minutes: readonly number[], hours: readonly number[]): Times | null {
  const [minute = 0] = minutes;
  const [hour = 0] = hours;
  if (minutes.length * hours.length <= MOST_TIMES) {
    const times = hours.flatMap((one) => minutes.map((of) => clock(one, of)));
    return { text: words.at(listIn(words.locale, times)), isOnce: true };
  }
  const step = minutes.length > 1 && minute === 0 ? evenly(minutes, 60) : null;
  const isRow = hours.every((one, at) => one === hour + at);
  const often =
    step !== null
      ? words.everyMinutes(step)
      : minutes.length <= MOST_TIMES
        ? words.everyHour(listIn(words.locale, minutes.map(String)), minutes.length === 1)
        : null;
  if (often === null) return null;
  if (hours.length === 24) return { text: often, isAllDay: true };
  const hourStep = minutes.length === 1 ? evenly(hours, 24) : null;
  if (hourStep !== null) return { text: words.everyHours(hourStep, clock(hour, minute)), isAllDay: true };
  if (!isRow) return null;
  const range = words.between(clock(hour, minute), clock(hours.at(-1) ?? 0, minutes.at(-1) ?? 0));
  if (step !== null) return { text: `${words.everyMinutes(step)} ${range}` };
  return minutes.length === 1 ? { text: `${words.everyHour('0', true)} ${range}` } : null;
}
