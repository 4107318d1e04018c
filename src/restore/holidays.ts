// Public holidays of a plan's country, for business hours.
import type { HolidaysTypes } from 'date-holidays';
import { Temporal } from 'temporal-polyfill';
import { fromDate } from '../clock.ts';
import { CoffreError } from '../errors.ts';

/** Where holidays beside the country's hold in several departments together. */
const NAMED_PARTS: Readonly<Record<string, string>> = { 'FR alsace-moselle': '57', 'FR alsace': '67', 'FR moselle': '57' };

/**
 * The public holidays of a country (`FR`) or of a part of it (`FR-57`, `CH-VD`; or `CH` and `VD`, `Canton de Vaud`), as date-holidays knows
 * them: by date, with the name in the country's language. Where a country has few that hold everywhere (Switzerland), name the part. Loads
 * the library, once asked; throws E_CONFIG when it knows no such country or part.
 */
export async function publicHolidays(country: string, region: string | null = null): Promise<(date: Temporal.PlainDate) => string | null> {
  const { default: Holidays } = await import('date-holidays');
  const [code = '', own] = country.split('-');
  const known = new Holidays();
  if (known.getCountries()[code] === undefined) throw new CoffreError('E_CONFIG', `no holidays are known of the country ${code}`);
  const parts = (known.getStates(code) ?? {}) as Readonly<Record<string, string>>;
  const part = region === null ? own : partOf(code, region, parts);
  if (part === null || (part !== undefined && !Object.hasOwn(parts, part))) {
    throw new CoffreError('E_CONFIG', `no holidays are known of ${region === null ? country : `${region} in ${code}`}`, {
      hint:
        Object.keys(parts).length > 0
          ? `known parts: ${Object.keys(parts)
              .map((name) => `${code}-${name}`)
              .join(', ')}`
          : `known is ${code} as a whole`,
    });
  }
  const calendar = part === undefined ? new Holidays(code) : new Holidays(code, part);
  const years = new Map<number, ReadonlyMap<string, string>>();
  const ofYear = (year: number): ReadonlyMap<string, string> => {
    const found = years.get(year) ?? new Map(datesOf(calendar.getHolidays(year)));
    years.set(year, found);
    return found;
  };
  return (date) => ofYear(date.year).get(date.toString()) ?? null;
}

/** The code of a part that is given by its code or its name (`VD`, `vaud`, `Canton de Vaud`); null: there is none, or several. */
function partOf(country: string, region: string, parts: Readonly<Record<string, string>>): string | null {
  const wanted = region.trim().toLocaleLowerCase('en').replaceAll(/\s+/g, ' ');
  const named = NAMED_PARTS[`${country} ${wanted}`];
  if (named !== undefined) return named;
  const codes = Object.keys(parts);
  const exact = codes.find((code) => code.toLocaleLowerCase('en') === wanted);
  if (exact !== undefined) return exact;
  const like = codes.filter((code) => {
    const name = (parts[code] ?? '').toLocaleLowerCase('en');
    return name === wanted || name.endsWith(` ${wanted}`);
  });
  return like.length === 1 ? (like[0] ?? null) : null;
}

/** Each day that one of them begins on or goes on over; `date` is its beginning by the country's own clocks (`2026-05-01 00:00:00`). Those that begin in the afternoon leave their first day a working day. */
function* datesOf(holidays: readonly HolidaysTypes.Holiday[]): Generator<[string, string]> {
  for (const { date, start, end, name, type } of holidays) {
    if (type !== 'public') continue;
    const [day = '', time = ''] = date.split(' ');
    const days = Math.max(1, Math.round(fromDate(start).until(fromDate(end)).total('hours') / 24));
    for (let offset = time >= '12:00:00' ? 1 : 0; offset < days; offset++) {
      yield [Temporal.PlainDate.from(day).add({ days: offset }).toString(), name];
    }
  }
}
