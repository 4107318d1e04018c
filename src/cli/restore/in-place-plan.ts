// What a restore in place would do, in words, before it does it: what is closed and for how long, and what has to be given first.
import type { Catalog } from '../../catalog/open.ts';
import type { Clock } from '../../clock.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import type { InPlaceOrder } from '../../restore/in-place.ts';
import { readEstimate } from '../../schedule/restore-estimate.ts';
import { formatDuration } from '../output.ts';
import type { Task } from './tasks.ts';

export interface Foreseen {
  readonly expectedMs: number;
  readonly lowMs: number;
  readonly highMs: number;
}

/** Of these snapshots, whole sources counted; null: nothing like it was ever measured. */
export async function foresee(
  config: Config,
  catalog: Catalog,
  shop: ShopConfig,
  tasks: readonly Task[],
  clock: Clock,
): Promise<Foreseen | null> {
  const has = (source: 'database' | 'files'): boolean => tasks.some((task) => task.source === source);
  // of a part of a source as of the whole: nobody measured how long that part takes
  const part: ShopConfig = { ...shop, database: has('database') ? shop.database : null, files: has('files') ? shop.files : null };
  const snapshots = tasks.map(({ snapshot }) => snapshot);
  const { estimate } = await readEstimate(config, catalog, part, snapshots, clock.nowMs());
  return estimate && { expectedMs: estimate.expectedMs, lowMs: estimate.lowMs, highMs: estimate.highMs };
}

/** Rounded up: to less than a second nobody predicts. */
const time = (ms: number): string => formatDuration(Math.ceil(ms / 1000) * 1000);

/** Pure, for tests. */
export function wouldDo(
  { shop, database, domain, files, maintenance, safety }: InPlaceOrder,
  foreseen: Foreseen | null,
): readonly string[] {
  const both = [...(database ? ['database'] : []), ...(files ? ['files'] : [])].join(' and ');
  const part = [
    ...(database?.tables ? [`of the database only ${database.tables.join(', ')}`] : []),
    ...(files && files.paths.length > 0 ? [`of the files only ${files.paths.join(', ')}`] : []),
    ...(files?.remove ? ['files that the snapshot does not have go, but for what the configuration excludes'] : []),
    ...(domain === null ? [] : [`its address becomes ${domain}`]),
  ];
  const closed =
    maintenance === 'at-once'
      ? `${shop} shows its maintenance page from then on, until all is loaded, swapped and checked`
      : `${shop} stays open while all is loaded, and shows its maintenance page for the swap; orders taken meanwhile are lost`;
  const long =
    foreseen === null
      ? `how long that takes was never measured: coffre drill ${shop} measures it`
      : `that takes about ${time(foreseen.expectedMs)} (${time(foreseen.lowMs)} to ${time(foreseen.highMs)}), whole sources counted`;
  return [
    safety === 'take' ? `first a safety snapshot of its ${both}, to go back to` : 'without a safety snapshot: there is no way back',
    closed,
    ...part,
    long,
  ];
}
