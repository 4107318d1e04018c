// When a shop's backups were due and come next, as its schedules, its jitter and the maintenance windows have it. Pure.
import { Temporal } from 'temporal-polyfill';
import { toDate } from '../clock.ts';
import type { ShopConfig } from '../config/config.ts';
import { makeCron } from '../config/cron.ts';
import type { SourceKind } from '../source/source.ts';
import { plannedStart, type StartRules } from './start.ts';

/** How many slots back is looked for one that had time to begin: windows last some hours, rarely a weekend. */
const LOOK_BACK = 100;

export function schedulesOf(shop: ShopConfig, source: SourceKind): string[] {
  const { schedule } = shop.plan;
  const expressions = source === 'files' ? [schedule.files, schedule.increments] : [schedule[source]];
  return expressions.filter((expression) => expression !== null);
}

/** The newest slot of them whose run was to begin at `atMs` or before; null: there is none. */
export function lastDue(expressions: readonly string[], rules: StartRules, atMs: number): number | null {
  const slots = expressions.map((expression) => newestStarted(expression, rules, atMs)).filter((slot) => slot !== null);
  return slots.length === 0 ? null : Math.max(...slots);
}

/** When the next run of them begins; null: never. */
export function nextStart(expressions: readonly string[], rules: StartRules, atMs: number): number | null {
  const starts = expressions.map((expression) => nextOf(expression, rules, atMs)).filter((start) => start !== null);
  return starts.length === 0 ? null : Math.min(...starts);
}

const date = (atMs: number) => toDate(Temporal.Instant.fromEpochMilliseconds(atMs));

function newestStarted(expression: string, rules: StartRules, atMs: number): number | null {
  const cron = makeCron(expression, rules.timezone);
  let slotMs = cron.previousRuns(1, date(atMs))[0]?.getTime() ?? null;
  for (let looks = 0; slotMs !== null && looks < LOOK_BACK; looks++) {
    if (plannedStart(slotMs, rules) <= atMs) return slotMs;
    slotMs = cron.previousRuns(1, date(slotMs))[0]?.getTime() ?? null;
  }
  return slotMs;
}

/** A slot that has passed and whose jitter or window has not begins before the one that comes. */
function nextOf(expression: string, rules: StartRules, atMs: number): number | null {
  const cron = makeCron(expression, rules.timezone);
  const passedMs = cron.previousRuns(1, date(atMs))[0]?.getTime();
  const ofPassedMs = passedMs === undefined ? null : plannedStart(passedMs, rules);
  if (ofPassedMs !== null && ofPassedMs > atMs) return ofPassedMs;
  const comingMs = cron.nextRun(date(atMs))?.getTime();
  return comingMs === undefined ? null : plannedStart(comingMs, rules);
}
