// Instants as status tells them.
import { Temporal } from 'temporal-polyfill';

/** RFC 3339 with the zone's own offset, to the second. */
export function text(epochMs: number, timezone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(epochMs)
    .toZonedDateTimeISO(timezone)
    .toString({ smallestUnit: 'second', timeZoneName: 'never' });
}
