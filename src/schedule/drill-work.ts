// The daemon's drill: the restore unit does it and tells what it found; the daemon, which holds the key, signs that and keeps it.
import { Estimator } from '../backup/estimator.ts';
import type { RunLog } from '../backup/log.ts';
import type { Catalog } from '../catalog/open.ts';
import { pageOfRuns, recordStep } from '../catalog/run-queue.ts';
import { isRunAlive } from '../catalog/runs.ts';
import { readLife } from '../catalog/shop-life.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { askRestoreUnit } from '../restore/ask-unit.ts';
import { drilledSources, drillShop } from '../restore/drill/order.ts';
import type { RestoreProgress } from '../restore/progress.ts';
import { isBackedUp } from '../retention/policy.ts';
import { loadSigningKey } from '../segment/signing-key.ts';
import type { Work } from './scheduler-ports.ts';
import type { TaskRequest } from './task.ts';

export interface DrillWorkDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: RunLog;
  /** Of this coffre. */
  readonly version: string;
}

/** Between two looks whether somebody restores. */
const LOOK_EVERY_MS = 10_000;

/**
 * Nothing for a scheduled drill of a shop that is not backed up, or has nothing yet. Throws DrillVerdict for what it found, E_BUSY while another
 * drill is under way, and what kept it from being one.
 */
export async function drillForShop(deps: DrillWorkDeps, work: Work, task: Extract<TaskRequest, { kind: 'drill' }>): Promise<void> {
  const { catalog, clock, config, log, version } = deps;
  const shop = config.shops.get(task.shop);
  if (!shop) throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(task.shop)} in ${config.file}`);
  if (work.job !== null) {
    const life = await readLife(catalog.db, shop.name);
    if (!isBackedUp(life, clock.nowMs()) || !(await hasAnySnapshot(catalog, shop.name))) {
      log.info({ shop: shop.name, job: work.job.name, event: 'job.skipped', state: life.state }, 'there is nothing to drill');
      return;
    }
  }
  const { socket } = config.restore;
  if (socket === null) {
    throw new CoffreError('E_CONFIG', `restore.socket is null in ${config.file}: nobody can be asked for a drill`, {
      hint: `as root, by cron: coffre drill ${shop.name}`,
    });
  }
  let steps = 0;
  let told: Promise<void> = Promise.resolve();
  const progress = figuresOf(clock, work);
  const over = new AbortController();
  const signal = AbortSignal.any([work.signal, over.signal]);
  const watched = watchRestores(deps, over, signal);
  const { failure } = await drillShop(
    {
      ...{ config, catalog, clock, version, signedBy: 'daemon' },
      ask: (request, hear) => askRestoreUnit(request, { clock, socket, ...hear }),
      loadKey: () => loadSigningKey(config.signing.keyFile),
    },
    {
      ...{ shop, runId: work.run, who: work.who, signal, from: task.from, snapshot: null },
      sources: task.source === null ? drilledSources(shop) : [task.source],
      onStep: (step) => {
        work.step(step);
        const row = { runId: work.run, seq: ++steps, step, at: clock.nowMs() };
        // for whoever looks; a drill does not fail of it
        told = told.then(() => recordStep(catalog, row)).catch(() => {});
      },
      onProgress: progress,
    },
  ).finally(async () => {
    over.abort();
    await watched;
    await told;
  });
  if (failure) throw failure;
}

/** A restore that a command begins meanwhile comes first, too: the drill is begun anew after it. */
async function watchRestores({ catalog, clock }: DrillWorkDeps, over: AbortController, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
    if (signal.aborted) return;
    const restores = await pageOfRuns(catalog, { kinds: ['restore'], states: ['running'], limit: 10 }).catch(() => []);
    for (const { id } of restores) {
      if (await isRunAlive(catalog, id)) over.abort(new CoffreError('E_BUSY', 'a restore is under way: the drill comes after it'));
    }
  }
}

async function hasAnySnapshot(catalog: Catalog, shop: string): Promise<boolean> {
  const row = await catalog.db
    .selectFrom('snapshots')
    .select('id')
    .where('shop', '=', shop)
    .where('state', '=', 'committed')
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** For whoever watches: with rate and time left, of each source anew. */
function figuresOf(clock: Clock, work: Work): (progress: RestoreProgress) => void {
  let estimator = new Estimator();
  let before = 0;
  return ({ doneBytes, doneFiles = 0, totalBytes }) => {
    const atMs = clock.monotonicMs();
    if (doneBytes < before) estimator = new Estimator();
    before = doneBytes;
    estimator.add({ atMs, doneBytes, carriedBytes: 0, totalBytes, totalIsGuess: false });
    work.progress({
      ...{ doneBytes, carriedBytes: 0, totalBytes, totalIsGuess: false, storedBytes: 0, segments: 0, reusedSegments: 0, files: doneFiles },
      ...{ bytesPerSecond: estimator.rate(atMs), leftMs: estimator.leftMs(atMs) },
    });
  };
}
