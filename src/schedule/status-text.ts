// Instants as status tells and judges them.
import { Temporal } from 'temporal-polyfill';

/** RFC 3339 with the zone's own offset, to the second. */
export function text(epochMs: number, timezone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(epochMs)
    .toZonedDateTimeISO(timezone)
    .toString({ smallestUnit: 'second', timeZoneName: 'never' });
}

/** What is dated further ahead of our clock than this was written under a wrong clock, or our clock is wrong now. */
export const FUTURE_MS = 10 * 60_000;
