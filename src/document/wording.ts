// The languages of documents, and how instants, days, volumes and counts are written in them. Pure.
import { Temporal } from 'temporal-polyfill';

export type Language = 'fr' | 'en';
export const LANGUAGES = ['en', 'fr'] as const satisfies Language[];
export const LOCALES: Readonly<Record<Language, string>> = { fr: 'fr-FR', en: 'en-GB' };
const UNITS: Readonly<Record<Language, readonly string[]>> = { fr: ['o', 'ko', 'Mo', 'Go', 'To'], en: ['B', 'kB', 'MB', 'GB', 'TB'] };

export const wholeNumber = (value: number, language: Language): string => value.toLocaleString(LOCALES[language]);

/** `12,5 Go`: decimal units, one decimal. */
export function bytesIn(language: Language, bytes: number): string {
  const units = UNITS[language];
  let [value, unit] = [bytes, 0];
  for (; Math.abs(value) >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  const digits = unit === 0 ? 0 : 1;
  return `${value.toLocaleString(LOCALES[language], { minimumFractionDigits: digits, maximumFractionDigits: digits })}\u00a0${units[unit]}`;
}

/** `1er novembre 2026`. */
export function dayIn(language: Language, day: Temporal.PlainDate): string {
  const text = day.toLocaleString(LOCALES[language], { dateStyle: 'long' });
  return language === 'fr' ? text.replace(/^1 /, '1er ') : text;
}

/** `novembre 2026`. */
export const monthIn = (language: Language, day: Temporal.PlainDate): string =>
  day.toLocaleString(LOCALES[language], { month: 'long', year: 'numeric' });

/** `1er novembre 2026 à 04:00`, in that zone. */
export function momentIn(language: Language, atMs: number, zone: string): string {
  const there = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone);
  const time = there.toPlainTime().toString({ smallestUnit: 'minute' });
  return `${dayIn(language, there.toPlainDate())} ${language === 'fr' ? 'à' : 'at'} ${time}`;
}

/** The day that ends at that instant, in that zone; null: none does. What is ordered to the end of a day ends at midnight. */
export function dayEndingAt(atMs: number, zone: string): Temporal.PlainDate | null {
  const there = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone);
  return there.equals(there.startOfDay()) ? there.toPlainDate().subtract({ days: 1 }) : null;
}

/** `01/11/2026 04:00`, in that zone: for tables. */
export function shortMomentIn(language: Language, atMs: number, zone: string): string {
  const there = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone);
  const day = there.toPlainDate().toLocaleString(LOCALES[language], { day: '2-digit', month: '2-digit', year: 'numeric' });
  return `${day} ${there.toPlainTime().toString({ smallestUnit: 'minute' })}`;
}

/** `2.9 s`, `1 min 10 s`, `4 h`: with seconds, and tenths of them below ten. */
export function exactDurationIn(language: Language, ms: number): string {
  if (ms < 10_000) {
    const tenths = (ms / 1000).toLocaleString(LOCALES[language], { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    return `${tenths}\u00a0s`;
  }
  const seconds = Math.round(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), language === 'fr' ? 'j' : 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  return parts.flatMap(([count, unit]) => (count > 0 ? [`${count}\u00a0${unit}`] : [])).join('\u00a0');
}

/** `3 h 12 min`, below ten minutes with seconds. */
export function durationIn(language: Language, ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  const day = language === 'fr' ? 'j' : 'd';
  const parts: readonly (readonly [number, string])[] =
    seconds < 600
      ? [
          [Math.floor(seconds / 60), 'min'],
          [seconds % 60, 's'],
        ]
      : [
          [Math.floor(seconds / 86_400), day],
          [Math.floor(seconds / 3600) % 24, 'h'],
          [Math.floor(seconds / 60) % 60, 'min'],
        ];
  const told = parts.filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount}\u00a0${unit}`);
  return told.length > 0 ? told.join('\u00a0') : `0\u00a0s`;
}
