// What the daemon does by itself: one job for each shop and schedule key of its plan; every day the probe of all vaults, prune,
// reconciliation and the checkpoint of its own state; catch-up whenever a vault lacks something, and reading what was not read for long.
import { DAEMON_SHOP } from '../backup/prove.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import type { SourceKind } from '../source/source.ts';
import { parseSchedule, type Schedule } from './due.ts';

/** Schedule keys of a plan, and what no plan can leave out. */
export type JobName = 'database' | 'files' | 'increments' | 'server' | 'probe' | 'prune' | 'reconcile' | 'checkpoint' | 'catch-up' | 'read';

export interface Job {
  /** A declared shop, or DAEMON_SHOP for what the daemon itself keeps in vaults (probes, checkpoints). */
  readonly shop: string;
  readonly name: JobName;
  readonly schedule: Schedule;
}

/** Before the night's backups, which then find each vault's lock proven or go without it. */
const PROBE_EXPRESSION = '45 1 * * *';
/** After the night's backups of any usual plan, and before anyone looks at the bill. Early enough for a second try the same day. */
const PRUNE_EXPRESSION = '30 6 * * *';
/** After prune, when there is least that may not be there any more. */
const RECONCILE_EXPRESSION = '0 7 * * *';
/** How often it is looked whether something is to be read: mostly nothing is. */
const READ_EXPRESSION = '20 * * * *';
/** How often it is looked whether some vault lacks something: the catalog says it at once, and mostly nothing does. */
const CATCH_UP_EXPRESSION = '*/10 * * * *';
/** After prune and reconciliation, so that it tells what they did and found. */
const CHECKPOINT_EXPRESSION = '30 7 * * *';

/** What a backup job reads, and whether everything is read anew. null: not a backup. */
export function backupOf(name: JobName): { readonly source: SourceKind; readonly full: boolean } | null {
  switch (name) {
    case 'database':
      // a dump reads every row anyway; chunks that did not change keep their segment
      return { source: 'database', full: false };
    case 'files':
      return { source: 'files', full: true };
    case 'increments':
      return { source: 'files', full: false };
    case 'server':
      return { source: 'server', full: true };
    case 'probe':
    case 'prune':
    case 'reconcile':
    case 'checkpoint':
    case 'catch-up':
    case 'read':
      return null;
  }
}

/**
 * Every job of a configuration. `undeclared`: shops that are in it no more, and of which something is left to be pruned. Throws E_CONFIG
 * when an expression is none.
 */
export function jobsOf(config: Config, undeclared: readonly string[] = []): Job[] {
  const jobs: Job[] = [];
  for (const shop of config.shops.values()) {
    for (const name of ['database', 'files', 'increments', 'server'] as const) {
      const expression = shop.plan.schedule[name];
      if (expression !== null && has(shop, name))
        jobs.push({ shop: shop.name, name, schedule: parseSchedule(expression, config.timezone) });
    }
  }
  for (const shop of config.shops.keys()) {
    jobs.push({ shop, name: 'catch-up', schedule: parseSchedule(CATCH_UP_EXPRESSION, config.timezone) });
  }
  for (const shop of [...config.shops.keys(), ...undeclared, DAEMON_SHOP]) {
    jobs.push({ shop, name: 'prune', schedule: parseSchedule(PRUNE_EXPRESSION, config.timezone) });
    jobs.push({ shop, name: 'reconcile', schedule: parseSchedule(RECONCILE_EXPRESSION, config.timezone) });
  }
  if (config.verify.readWithinMs !== null) {
    for (const shop of [...config.shops.keys(), DAEMON_SHOP]) {
      jobs.push({ shop, name: 'read', schedule: parseSchedule(READ_EXPRESSION, config.timezone) });
    }
  }
  jobs.push({ shop: DAEMON_SHOP, name: 'probe', schedule: parseSchedule(PROBE_EXPRESSION, config.timezone) });
  jobs.push({ shop: DAEMON_SHOP, name: 'checkpoint', schedule: parseSchedule(CHECKPOINT_EXPRESSION, config.timezone) });
  return jobs;
}

function has(shop: ShopConfig, name: SourceKind | 'increments'): boolean {
  if (name === 'database') return shop.database !== null;
  if (name === 'server') return shop.server !== null;
  return shop.files !== null;
}
