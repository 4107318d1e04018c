// The one place where a cron expression gets its rules: who asks when something is due must never differ from who runs it.
import { Cron } from 'croner';

/**
 * An expression of five fields in a time zone, that starts nothing by itself. Throws croner's TypeError for what is none.
 *
 * At a change of the clocks: an hour that is skipped moves what was due in it to its end, once (`30 2 * * *` in Europe/Paris runs at
 * 03:00 on 2026-03-29); an hour that comes twice runs what was due in it the first time only. Expressions with a wildcard
 * or a step for minutes or hours (`0 * * * *`) are intervals: they go on in real time.
 */
export function makeCron(expression: string, timezone: string): Cron {
  return new Cron(expression, {
    timezone,
    paused: true,
    mode: '5-part',
    // lists and ranges of hours count as fixed times too: `15,45 2 * * *` must not be lost with its hour
    fixedTimeRule: 'no-wildcard',
  });
}
