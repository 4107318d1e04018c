// Terms of a plan as a client reads them: `14d` is 14 days, `4h (business)` four business hours, `30 2 * * *` every day at 02:30. Pure.

import type { Language } from '../document/wording.ts';
import { scheduleIn } from './schedule-words.ts';

const UNITS: Readonly<Record<Language, Readonly<Record<string, readonly [one: string, many: string]>>>> = {
  fr: { d: ['jour', 'jours'], h: ['heure', 'heures'], m: ['minute', 'minutes'], s: ['seconde', 'secondes'] },
  en: { d: ['day', 'days'], h: ['hour', 'hours'], m: ['minute', 'minutes'], s: ['second', 'seconds'] },
};
const CALENDARS: Readonly<Record<Language, Readonly<Record<string, string>>>> = {
  fr: { business: 'heures ouvrées', '24x7': '24\u00a0h/24, 7\u00a0j/7' },
  en: { business: 'business hours', '24x7': 'day and night' },
};
const NOT_PLANNED: Readonly<Record<Language, string>> = { fr: 'non planifié', en: 'not planned' };
/** Facts that are schedules. */
const SCHEDULES: ReadonlySet<string> = new Set(['database', 'files', 'increments', 'server', 'drill'].map((job) => `plan.${job}`));

/** `name` is that of the fact. What is no term of a plan is told as it is. */
export function termIn(language: Language, name: string, value: string): string {
  if (SCHEDULES.has(name)) return value === 'off' ? NOT_PLANNED[language] : scheduleIn(language, value);
  if (name === 'plan.retention') return spanIn(language, value);
  if (name !== 'plan.rto') return value;
  const [, span = value, calendar] = /^(\S+) \((.+)\)$/.exec(value) ?? [];
  return calendar === undefined ? spanIn(language, span) : `${spanIn(language, span)} (${CALENDARS[language][calendar] ?? calendar})`;
}

/** As printDuration writes it: `14d`, `1d12h`. */
function spanIn(language: Language, text: string): string {
  if (!/^(\d+[dhms])+$/.test(text)) return text;
  return text.replace(/(\d+)([dhms])(?=(\d?))/g, (_, count: string, unit: string, more: string) => {
    const [one, many] = UNITS[language][unit] ?? [unit, unit];
    return `${count}\u00a0${count === '0' || count === '1' ? one : many}${more === '' ? '' : ' '}`;
  });
}
