// Reads a time as people type it on a command line.
import { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../errors.ts';

/** An instant with its offset, or a date and time of the configured zone. Throws E_USAGE. */
export function parseInstant(text: string, timezone: string): Temporal.Instant {
  try {
    return Temporal.Instant.from(text);
  } catch {
    try {
      return Temporal.PlainDateTime.from(text.replace(' ', 'T')).toZonedDateTime(timezone).toInstant();
    } catch (cause) {
      throw new CoffreError('E_USAGE', `${JSON.stringify(text)} is not a time`, {
        hint: 'write 2026-11-20T04:00 (configured zone) or 2026-11-20T04:00:00+01:00',
        cause,
      });
    }
  }
}
