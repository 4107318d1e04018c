// Doctor's look at what begins restores, drills and exports without anybody at a terminal: the restore unit, its folder, its database server.
import { lstatSync } from 'node:fs';
import type { Config, ShopConfig } from '../../config/config.ts';
import { asCoffreError } from '../../errors.ts';
import type { CliContext } from '../context.ts';
import { scratchOwner } from '../restore-unit/task.ts';
import { type Check, redCheck } from './check.ts';

/** What is done by hand where nothing begins by itself. */
const BY_HAND = 'as root: coffre request run ID, coffre drill SHOP, coffre export SHOP --to FILE';

export async function checkRestores({ adapters }: CliContext, config: Config, shops: readonly ShopConfig[]): Promise<readonly Check[]> {
  const checks = [checkUnit(config, shops), ...checkScratch(config, shops)];
  const { drillDatabase } = config.restore;
  if (drillDatabase === null) return checks;
  const name = 'drill database';
  try {
    return [...checks, { name, ok: true, detail: await adapters.tryDrillDatabase(drillDatabase.url, drillDatabase.password) }];
  } catch (error) {
    if (asCoffreError(error).code === 'E_INTERRUPTED') throw error;
    return [...checks, redCheck(name, error)];
  }
}

const isDrilled = ({ plan }: ShopConfig): boolean => (plan.schedule.drill ?? null) !== null;

/** Red where the configuration promises what nobody would do. Nobody connects: each connection starts a unit. */
function checkUnit({ restore: { socket, unattended } }: Config, shops: readonly ShopConfig[]): Check {
  const name = 'restore unit';
  const isThere = socket !== null && (lstatSync(socket, { throwIfNoEntry: false })?.isSocket() ?? false);
  if (isThere && unattended)
    return { name, ok: true, detail: `asked at ${socket}: approved requests, drills and exports begin by themselves` };
  if (isThere) {
    const detail = `asked at ${socket} for drills; approved requests and exports do not begin by themselves (restore.unattended is not true)`;
    return { name, ok: true, detail: `${detail}: ${BY_HAND}` };
  }
  const where = socket === null ? 'restore.socket is null' : `nothing listens at ${socket}`;
  const counted = unattended ? 'restore.unattended is true' : shops.some(isDrilled) ? 'a plan has a schedule for drills' : null;
  const detail = `${where}: approved requests, drills and exports do not begin by themselves${counted === null ? '' : `, and ${counted}`}`;
  const hint = `systemctl enable --now coffre-restore.socket; without systemd, ${BY_HAND}`;
  return counted === null ? { name, ok: true, warning: true, detail, hint } : { name, ok: false, detail, hint, code: 'E_RESTORE_UNIT' };
}

/** One that is not there is made by the first command that needs it. */
function checkScratch(config: Config, shops: readonly ShopConfig[]): readonly Check[] {
  const { scratchDir, unattended } = config.restore;
  const name = 'scratch folder';
  if (!lstatSync(scratchDir, { throwIfNoEntry: false })) return [];
  try {
    const { uid } = scratchOwner(config);
    return [{ name, ok: true, detail: `drills and exports are made in ${scratchDir}, by its owner (uid ${uid})` }];
  } catch (error) {
    const red = redCheck(name, error);
    return [unattended || shops.some(isDrilled) ? red : { ...red, ok: true, warning: true }];
  }
}
