// Whether a daemon is there to begin what is scheduled: without one nothing happens by itself, however green what is stored may be.
import type { Catalog } from '../catalog/open.ts';
import { daemonRunning } from '../catalog/shop-lock.ts';
import type { Config } from '../config/config.ts';
import type { ShopStatus } from '../schedule/status.ts';

export interface DaemonStanding {
  readonly running: boolean;
  /** Why its absence is red; null: it is not. */
  readonly red: string | null;
  /** Worth knowing, not red; null: nothing is. */
  readonly note: string | null;
}

/** As the daemon itself tells it. */
export const RUNNING: DaemonStanding = { running: true, red: null, note: null };

/**
 * Where a daemon once took slots, somebody relies on it: its absence is red as long as anything is scheduled. Where none ever did,
 * something else may start commands: a note. Throws E_STATE….
 */
export async function daemonStanding(
  { stateDir }: Pick<Config, 'stateDir'>,
  catalog: Catalog,
  statuses: readonly Pick<ShopStatus, 'sources' | 'life'>[],
): Promise<DaemonStanding> {
  if ((await daemonRunning(stateDir)) !== null) return RUNNING;
  const isScheduled = statuses.some(
    ({ life, sources }) => life.state !== 'suspended' && life.state !== 'erased' && sources.some(({ nextRun }) => nextRun !== null),
  );
  if (!isScheduled) return { running: false, red: null, note: null };
  const slot = await catalog.db.selectFrom('slots').select('lastDueAt').limit(1).executeTakeFirst();
  const start = 'systemctl start coffre, or coffre daemon, starts one';
  if (slot === undefined)
    return { running: false, red: null, note: `no daemon runs on ${stateDir}: nothing happens by itself, whatever is scheduled; ${start}` };
  return {
    running: false,
    red: `no daemon runs on ${stateDir}: nothing that is scheduled is done, and nobody is told; ${start}`,
    note: null,
  };
}
