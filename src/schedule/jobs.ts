// What the daemon does by itself: one job for each shop and schedule key of its plan; every day the probe of all vaults, prune,
// reconciliation and the checkpoint of its own state; catch-up whenever a vault lacks something, and reading what was not read for long.

import type { Config } from '../config/config.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import type { SourceKind } from '../source/source.ts';
import { parseSchedule, type Schedule } from './due.ts';
import { backupRules, drillRules, jitterOf, type StartRules } from './start.ts';
import type { TaskRequest } from './task.ts';

/** Schedule keys of a plan, and what no plan can leave out. */
export type JobName =
  | 'database'
  | 'files'
  | 'increments'
  | 'server'
  | 'drill'
  | 'probe'
  | 'prune'
  | 'reconcile'
  | 'checkpoint'
  | 'catch-up'
  | 'read';

export interface Job {
  /** A declared shop, or DAEMON_SHOP for what the daemon itself keeps in vaults (probes, checkpoints). */
  readonly shop: string;
  readonly name: JobName;
  readonly schedule: Schedule;
  /** Left out: it begins when it is due. */
  readonly start?: StartRules;
}

/** Before the night's backups, which then find each vault's lock proven or go without it. */
const PROBE_EXPRESSION = '45 1 * * *';
/** After the night's backups of any usual plan, and before anyone looks at the bill. Early enough for a second try the same day. */
const PRUNE_EXPRESSION = '30 6 * * *';
/** After prune, when there is least that may not be there any more. */
const RECONCILE_EXPRESSION = '0 7 * * *';
/** How often it is looked whether something is to be read: mostly nothing is. */
const READ_EXPRESSION = '20 * * * *';
const READ_EVERY_MS = 3_600_000;
/** How often it is looked whether some vault lacks something: the catalog says it at once, and mostly nothing does. */
const CATCH_UP_EXPRESSION = '*/10 * * * *';
const CATCH_UP_EVERY_MS = 600_000;
/** After prune and reconciliation, so that it tells what they did and found. */
const CHECKPOINT_EXPRESSION = '30 7 * * *';
/** What is not a backup keeps its order within the morning. */
const LONGEST_UPKEEP_JITTER_MS = 900_000;

/** What a job does. */
export function taskOf({ shop, name }: Pick<Job, 'shop' | 'name'>): TaskRequest {
  switch (name) {
    case 'database':
      // a dump reads every row anyway; chunks that did not change keep their segment
      return { kind: 'backup', shop, source: 'database', full: false };
    case 'files':
      return { kind: 'backup', shop, source: 'files', full: true };
    case 'increments':
      return { kind: 'backup', shop, source: 'files', full: false };
    case 'server':
      return { kind: 'backup', shop, source: 'server', full: true };
    case 'drill':
      return { kind: 'drill', shop, from: null, source: null };
    case 'read':
      return { kind: 'verify', shop, all: false };
    case 'probe':
    case 'prune':
    case 'reconcile':
    case 'checkpoint':
    case 'catch-up':
      return { kind: name, shop };
  }
}

const BACKED_UP: Readonly<Partial<Record<JobName, SourceKind>>> = {
  database: 'database',
  files: 'files',
  increments: 'files',
  server: 'server',
};

/** What a backup job reads; null: it is none. */
export const backedUpBy = (name: JobName): SourceKind | null => BACKED_UP[name] ?? null;

/**
 * Every job of a configuration. `undeclared`: shops that are in it no more, and of which something is left to be pruned. Throws E_CONFIG
 * when an expression is none.
 */
export function jobsOf(config: Config, undeclared: readonly string[] = []): Job[] {
  // one expression serves hundreds of shops
  const schedules = new Map<string, Schedule>();
  const scheduleOf = (expression: string): Schedule => {
    const known = schedules.get(expression) ?? parseSchedule(expression, config.timezone);
    schedules.set(expression, known);
    return known;
  };
  const { timezone } = config;
  const jobs: Job[] = [];
  const add = (shop: string, name: JobName, expression: string, spreadMs: number): void => {
    const start = { jitterMs: jitterOf(`${shop} ${name}`, spreadMs), windows: [], timezone };
    jobs.push({ shop, name, schedule: scheduleOf(expression), start });
  };
  for (const shop of config.shops.values()) {
    for (const name of ['database', 'files', 'increments', 'server'] as const) {
      const expression = shop.plan.schedule[name];
      const source = backedUpBy(name);
      if (expression === null || source === null || shop[source] === null) continue;
      jobs.push({ shop: shop.name, name, schedule: scheduleOf(expression), start: backupRules(config, shop, source) });
    }
  }
  for (const shop of config.shops.values()) {
    const expression = shop.plan.schedule.drill ?? null;
    if (expression === null) continue;
    jobs.push({ shop: shop.name, name: 'drill', schedule: scheduleOf(expression), start: drillRules(config, shop) });
  }
  const upkeepMs = Math.min(config.limits.jitterMs, LONGEST_UPKEEP_JITTER_MS);
  // looks that mostly find nothing to do are spread over the whole time between two of them
  for (const shop of config.shops.keys()) add(shop, 'catch-up', CATCH_UP_EXPRESSION, CATCH_UP_EVERY_MS);
  for (const shop of [...config.shops.keys(), ...undeclared, DAEMON_SHOP]) {
    add(shop, 'prune', PRUNE_EXPRESSION, upkeepMs);
    add(shop, 'reconcile', RECONCILE_EXPRESSION, upkeepMs);
  }
  if (config.verify.readWithinMs !== null) {
    for (const shop of [...config.shops.keys(), DAEMON_SHOP]) add(shop, 'read', READ_EXPRESSION, READ_EVERY_MS);
  }
  add(DAEMON_SHOP, 'probe', PROBE_EXPRESSION, 0);
  add(DAEMON_SHOP, 'checkpoint', CHECKPOINT_EXPRESSION, 0);
  return jobs;
}
