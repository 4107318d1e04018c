// Cases of tampering or loss in a shop's status: red while nobody told the client, and redder once it is too late. Pure.
import { Temporal } from 'temporal-polyfill';
import { type BreachCase, breachState } from '../catalog/breaches.ts';
import { type Alarm, raise } from './alarm.ts';
import { text } from './status-text.ts';

/** What stays the same of a case for as long as it is red: its id, and by when the client is to be told (to the second, in UTC). */
export const breachDetail = ({ deadline, id }: Pick<BreachCase, 'deadline' | 'id'>): string =>
  `${id} by ${Temporal.Instant.fromEpochMilliseconds(deadline).toString({ smallestUnit: 'second' })}`;

/** Epoch milliseconds; null: it is no such detail. */
export function deadlineOf(detail: string | null): number | null {
  const written = / by (\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z)$/.exec(detail ?? '')?.[1];
  return written === undefined ? null : Temporal.Instant.from(written).epochMilliseconds;
}

/** `31 h`, `45 min`; rounded down. */
export function timeLeft(ms: number): string {
  const minutes = Math.floor(Math.abs(ms) / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}

export function checkBreaches(
  breaches: readonly BreachCase[],
  { nowMs, timezone }: { readonly nowMs: number; readonly timezone: string },
  red: Alarm[],
): void {
  for (const row of breaches) {
    const { deadline, id, vault } = row;
    const state = breachState(row, nowMs);
    if (state !== 'open' && state !== 'overdue') continue;
    const about = { vault, detail: breachDetail(row) };
    const what = `vault ${vault}: tampering or loss, case ${id}`;
    const next = `coffre breach show ${id} drafts the notice, coffre breach sent ${id} says that it was sent, coffre breach close ${id} that it was a false alarm`;
    const by = text(deadline, timezone);
    raise(
      red,
      'breach',
      about,
      `${what}: the client has to be told by ${by}${state === 'open' ? ` (${timeLeft(deadline - nowMs)} left)` : ''}; ${next}`,
    );
    if (state === 'overdue')
      raise(
        red,
        'breach-overdue',
        about,
        `OVERDUE: ${what}: the client was to be told by ${by}, ${timeLeft(deadline - nowMs)} ago; ${next}`,
      );
  }
}
