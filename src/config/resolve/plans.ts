// From plans: as written to the plans in use: what leaves no time, or promises more than locks may last, is refused.
import type { PlanConfig } from '../config.ts';
import { LOCK_ALLOWANCE_DAY_MS, REUSE_MAX_AGE_MS } from '../lock-room.ts';
import { coverTheWeek } from '../maintenance.ts';
import type { KeyPath } from '../problems.ts';
import { printDuration } from '../quantity.ts';
import type { ConfigFile } from '../schema.ts';
import type { Reading } from './reading.ts';

const SHORT_RETENTION_MS = 86_400_000;
/** Monday to Friday, nine to six: what most contracts say. */
const BUSINESS_HOURS = { fromMinute: 9 * 60, toMinute: 18 * 60, days: [1, 2, 3, 4, 5] } as const;

export function resolvePlan(name: string, value: ConfigFile['plans'][string], at: KeyPath, reading: Reading): PlanConfig {
  const { mustExist, report, warn, written } = reading;
  const longestLockMs =
    written.limits.lockCeiling - written.limits.runDeadline - (written.limits.reuseMaxAge ?? REUSE_MAX_AGE_MS) - LOCK_ALLOWANCE_DAY_MS;
  if (value.retention > longestLockMs) {
    const needed = printDuration(written.limits.lockCeiling - longestLockMs + value.retention);
    const ceiling = printDuration(written.limits.lockCeiling);
    report(
      [...at, 'retention'],
      `is ${printDuration(value.retention)}: its locks may last ${needed} (with a run, the reuse of segments and a day), beyond limits.lockCeiling ${ceiling}`,
      'E_LOCK_CEILING',
    );
  }
  if (value.retention < SHORT_RETENTION_MS) {
    warn([...at, 'retention'], `is ${printDuration(value.retention)}, less than a day: good for tests only`);
  }
  const maintenance = [...written.maintenance, ...value.maintenance];
  if (!coverTheWeek(written.maintenance) && coverTheWeek(maintenance)) {
    report([...at, 'maintenance'], 'leaves no time: with those of the whole configuration its windows cover the week');
  }
  if (value.drill.vaults !== 'each-in-turn') {
    value.drill.vaults.forEach((vault, index) => {
      mustExist([...at, 'drill', 'vaults', index], vault, 'vaults');
    });
  }
  const country = value.rto.country ?? null;
  if (value.rto.calendar === 'business' && country === null) {
    warn([...at, 'rto'], 'counts business hours without a country: public holidays count as working days');
  }
  const region = value.rto.region ?? null;
  if (region !== null && country === null) report([...at, 'rto', 'region'], 'means nothing without country');
  if (region !== null && country?.includes('-'))
    report([...at, 'rto', 'region'], `is given twice: country ${country} names a part already`);
  if (value.rto.calendar === '24x7' && value.rto.hours) report([...at, 'rto', 'hours'], 'means nothing with calendar 24x7');
  return {
    name,
    retentionMs: value.retention,
    rto: {
      ...{ targetMs: value.rto.target, calendar: value.rto.calendar, country, region },
      ...{ hours: value.rto.hours ?? BUSINESS_HOURS, zone: value.rto.zone ?? written.timezone },
    },
    quotaBytes: value.quota ?? null,
    full: value.full,
    schedule: value.schedule,
    drill: {
      // whether a shop has it is seen when it is drilled: plans are for many shops
      vaults: value.drill.vaults === 'each-in-turn' ? null : value.drill.vaults,
      missingImagesPercent: value.drill.missingImagesPercent,
      newestOrderMs: value.drill.newestOrder,
    },
    report: value.report,
    maintenance,
  };
}

/** Stands in for a plan that is not declared: the configuration is refused anyway. */
export const NO_PLAN: PlanConfig = {
  name: '',
  retentionMs: 0,
  rto: { targetMs: 0, calendar: '24x7', country: null, region: null, hours: BUSINESS_HOURS, zone: 'UTC' },
  quotaBytes: null,
  full: 'fresh',
  schedule: { database: null, files: null, increments: null, server: null },
  maintenance: [],
};
