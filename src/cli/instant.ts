// Reads a time as people type it on a command line.
import { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../errors.ts';

const HINT = 'write 2026-11-20T04:00 (configured zone) or 2026-11-20T04:00:00+01:00';
/** For options that take a duration from now as well. */
export const OR_DURATION_HINT = `write a duration from now, such as 6h or 90d, or a time: ${HINT.slice('write '.length)}`;

/** An instant with its offset, or a date and time of the configured zone. Throws E_USAGE. */
export function parseInstant(text: string, timezone: string, hint = HINT): Temporal.Instant {
  try {
    return Temporal.Instant.from(text);
  } catch {
    try {
      return Temporal.PlainDateTime.from(text.replace(' ', 'T')).toZonedDateTime(timezone).toInstant();
    } catch (cause) {
      throw new CoffreError('E_USAGE', `${JSON.stringify(text)} is not a time`, {
        hint,
        cause,
      });
    }
  }
}
