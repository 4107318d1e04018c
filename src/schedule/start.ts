// When what is due may begin: jitter, so that all shops of one schedule do not begin together, and maintenance windows. Pure.
import { createHash } from 'node:crypto';
import { Temporal } from 'temporal-polyfill';
import type { Config, ShopConfig } from '../config/config.ts';
import { type MaintenanceWindow, windowMinutes } from '../config/maintenance.ts';
import type { SourceKind } from '../source/source.ts';

/**
 * Milliseconds from 0 to below `spreadMs`: the same whenever it is asked for the same name. Hashed, since names are alike (shop-001,
 * shop-002) and what begins beside one another should be far apart.
 */
export function jitterOf(name: string, spreadMs: number): number {
  if (spreadMs <= 0) return 0;
  return Math.floor((createHash('sha256').update(name).digest().readUInt32BE(0) / 2 ** 32) * spreadMs);
}

/**
 * The end of the time at `atMs` in which nothing begins, windows that follow on one another taken together; null: it may begin. Epoch
 * milliseconds. A window is from one time on the clock to the other, however long that is on a day when the clocks change.
 */
export function closedUntil(windows: readonly MaintenanceWindow[], timezone: string, atMs: number): number | null {
  let until: number | null = null;
  // each turn leaves one window behind; they cannot cover the week
  for (let turns = 0; turns <= windows.length * 8; turns++) {
    const end = endOfWindowAt(windows, timezone, until ?? atMs);
    if (end === null) break;
    until = end;
  }
  return until;
}

function endOfWindowAt(windows: readonly MaintenanceWindow[], timezone: string, atMs: number): number | null {
  if (windows.length === 0) return null;
  const today = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timezone).toPlainDate();
  let latest: number | null = null;
  for (const date of [today.subtract({ days: 1 }), today]) {
    for (const window of windows) {
      if (!window.days.includes(date.dayOfWeek)) continue;
      const from = instantOn(date, window.fromMinute, timezone, 'earlier');
      const to = instantOn(date, window.fromMinute + windowMinutes(window), timezone, 'later');
      if (from <= atMs && atMs < to && (latest === null || to > latest)) latest = to;
    }
  }
  return latest;
}

/** A time on the clock that is skipped, or comes twice, makes a window longer rather than shorter. */
function instantOn(date: Temporal.PlainDate, minute: number, timezone: string, disambiguation: 'earlier' | 'later'): number {
  const day = date.add({ days: Math.floor(minute / 1440) });
  const time = Temporal.PlainTime.from({ hour: Math.floor((minute % 1440) / 60), minute: minute % 60 });
  return day.toPlainDateTime(time).toZonedDateTime(timezone, { disambiguation }).epochMilliseconds;
}

/** How a job's slots become beginnings. */
export interface StartRules {
  readonly jitterMs: number;
  readonly windows: readonly MaintenanceWindow[];
  readonly timezone: string;
}

/** How a shop's backups of a source begin. An increment must not begin before the full archive that makes it pointless: both have one jitter. */
export function backupRules(
  config: Pick<Config, 'timezone'> & { readonly limits: Pick<Config['limits'], 'jitterMs'> },
  shop: ShopConfig,
  source: SourceKind,
): StartRules {
  return {
    jitterMs: jitterOf(`${shop.name} ${source}`, config.limits.jitterMs),
    windows: shop.plan.maintenance,
    timezone: config.timezone,
  };
}

/** How a shop's drills begin: not inside the windows in which no backup does. */
export function drillRules(
  config: Pick<Config, 'timezone'> & { readonly limits: Pick<Config['limits'], 'jitterMs'> },
  shop: Pick<ShopConfig, 'name' | 'plan'>,
): StartRules {
  const { limits, timezone } = config;
  return { jitterMs: jitterOf(`${shop.name} drill`, limits.jitterMs), windows: shop.plan.maintenance, timezone };
}

/** When the run of a slot is to begin, when nothing else is in its way. Epoch milliseconds. */
export function plannedStart(slotMs: number, rules: StartRules): number {
  const atMs = slotMs + rules.jitterMs;
  return closedUntil(rules.windows, rules.timezone, atMs) ?? atMs;
}
