// Maintenance windows as written: times of day, days of the week, and whether they leave any time at all.

/** In the configured time zone. `to` at or before `from` is on the next day. */
export interface MaintenanceWindow {
  /** Minutes after midnight, 0 to 1439. */
  readonly fromMinute: number;
  /** Minutes after midnight, 1 to 1440. */
  readonly toMinute: number;
  /** On which it begins: 1 is Monday, 7 is Sunday. */
  readonly days: readonly number[];
}

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export const TIME_EXPECTED = 'a time of day is expected, such as "08:00" (in quotes)';

const DAY_MINUTES = 1440;
const WEEK_MINUTES = 7 * DAY_MINUTES;

/** Minutes after midnight; 24:00 is 1440; null: it is none. */
export function parseTimeOfDay(text: string): number | null {
  const match = /^(\d{1,2}):(\d{2})$/.exec(text);
  if (!match) return null;
  const [hours, minutes] = [Number(match[1]), Number(match[2])];
  const total = hours * 60 + minutes;
  return minutes > 59 || total > DAY_MINUTES ? null : total;
}

/** How long a window lasts on a day without a change of the clocks. */
export function windowMinutes({ fromMinute, toMinute }: MaintenanceWindow): number {
  return toMinute > fromMinute ? toMinute - fromMinute : toMinute - fromMinute + DAY_MINUTES;
}

/** Whether there is no minute of the week outside all of them: nothing would ever begin. */
export function coverTheWeek(windows: readonly MaintenanceWindow[]): boolean {
  const covered = new Uint8Array(WEEK_MINUTES);
  for (const window of windows) {
    for (const day of window.days) {
      const start = (day - 1) * DAY_MINUTES + window.fromMinute;
      for (let minute = 0; minute < windowMinutes(window); minute++) covered[(start + minute) % WEEK_MINUTES] = 1;
    }
  }
  return covered.every((minute) => minute === 1);
}
