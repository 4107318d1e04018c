// What `coffre restore` is to do: which snapshot of which source goes where.
import type { Catalog } from '../../catalog/open.ts';
import { getSnapshot, listSnapshots, type SnapshotWithCopies } from '../../catalog/snapshots.ts';
import type { Clock } from '../../clock.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import { chooseSnapshot, demandSource, passedOver, safetyPassedOver } from '../../restore/choose.ts';
import { checkPast } from '../../restore/request-preview.ts';
import type { SourceKind } from '../../source/source.ts';
import { parseInstant } from '../instant.ts';
import { formatInstant } from '../output.ts';

/** What of the command line it follows from. */
export interface TaskOptions {
  readonly at?: string;
  readonly snapshot?: string;
  readonly source?: SourceKind;
  readonly from?: string;
  readonly toDir?: string;
  readonly toDatabase?: string;
}

/** One source with the snapshot it comes from and where it goes. */
export interface Task {
  readonly source: SourceKind;
  readonly snapshot: SnapshotWithCopies;
  readonly to: { readonly directory: string } | { readonly database: string };
  /** Newer ones that were not chosen. */
  readonly passedOver: readonly SnapshotWithCopies[];
  /** How many newer ones were taken for safety: only their id chooses them. */
  readonly safetyNewer: number;
}

/** What goes where. Throws E_USAGE, E_UNKNOWN_SNAPSHOT, E_UNKNOWN_VAULT. */
export async function planTasks(
  config: Config,
  catalog: Catalog,
  shop: ShopConfig,
  options: TaskOptions,
  clock: Pick<Clock, 'nowMs'>,
): Promise<Task[]> {
  if (options.from !== undefined && !shop.vaults.includes(options.from)) {
    throw new CoffreError('E_UNKNOWN_VAULT', `shop ${shop.name} has no vault ${JSON.stringify(options.from)}`, {
      hint: `its vaults: ${shop.vaults.join(', ')}`,
    });
  }
  if (options.toDir === undefined && options.toDatabase === undefined) {
    throw new CoffreError('E_USAGE', 'say where to: --in-place (the running shop), --to-dir, --to-database, or the last two together');
  }
  const at = options.at === undefined ? null : parseInstant(options.at, config.timezone);
  checkPast(at, clock.nowMs(), (instant) => formatInstant(instant, config.timezone));
  const targetOf = (source: SourceKind): Task['to'] | null => {
    if (source === 'database') return options.toDatabase === undefined ? null : { database: options.toDatabase };
    return options.toDir === undefined ? null : { directory: options.toDir };
  };
  if (options.snapshot !== undefined) {
    const snapshot = await getSnapshot(catalog, options.snapshot);
    if (snapshot.shop !== shop.name) throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has no snapshot ${options.snapshot}`);
    demandSource(snapshot, options.source);
    const to = targetOf(snapshot.source);
    if (!to) {
      const flag = snapshot.source === 'database' ? '--to-database' : '--to-dir';
      throw new CoffreError('E_USAGE', `snapshot ${snapshot.id} is of ${snapshot.source}: it needs ${flag}`);
    }
    return [{ source: snapshot.source, snapshot, to, passedOver: [], safetyNewer: 0 }];
  }
  const sources: SourceKind[] = options.source ? [options.source] : ['files', 'database'];
  const snapshots = await listSnapshots(catalog, shop.name);
  const tasks: Task[] = [];
  for (const source of sources) {
    const to = targetOf(source);
    if (!to) {
      if (options.source) throw new CoffreError('E_USAGE', `${source} needs ${source === 'database' ? '--to-database' : '--to-dir'}`);
      continue;
    }
    const snapshot = chooseSnapshot(snapshots, {
      shop: shop.name,
      source,
      at,
      from: options.from ?? null,
      tell: (instant) => formatInstant(instant, config.timezone),
    });
    const safetyNewer = safetyPassedOver(snapshots, snapshot, at);
    tasks.push({ source, to, snapshot, passedOver: passedOver(snapshots, snapshot, at), safetyNewer });
  }
  return tasks;
}
