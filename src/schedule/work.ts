// What each run of the daemon does, by its kind. Each throws what made it fail, and what it kept stays kept.

import { catchUpShop } from '../backup/catch-up.ts';
import { catchUpShortfall, needsCatchUp } from '../backup/catch-up-result.ts';
import { type CheckpointDeps, checkpointAfterRun, checkpointFailure, checkpointVaults, writeCheckpoints } from '../backup/checkpoint.ts';
import { type PrepareVault, prepareNewVaults } from '../backup/first-use.ts';
import { logIncident, type RunLog } from '../backup/log.ts';
import type { MemoryBudget } from '../backup/memory.ts';
import type { OnProgress } from '../backup/progress.ts';
import { progressLog } from '../backup/progress-log.ts';
import { proveVault, unproven } from '../backup/prove.ts';
import { type BackupDeps, backupSource } from '../backup/run.ts';
import { shortfallOf } from '../backup/snapshot-result.ts';
import { pruneAndCertify, pruneTarget, type VaultPorts, watchDeps } from '../backup/upkeep-deps.ts';
import { Ledger } from '../billing/ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import { addToDetail, finishRun, startRun } from '../catalog/runs.ts';
import { readLife } from '../catalog/shop-life.ts';
import { type Clock, nextTurn } from '../clock.ts';
import type { Config, ShopConfig, VaultConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { isReadingDue, type ReadDueRequest, readDue, readShortfall } from '../restore/read-due.ts';
import { isBackedUp } from '../retention/policy.ts';
import { pruneShortfall } from '../retention/result.ts';
import { type WatchDeps, watchShop, watchShortfall } from '../retention/watch.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { backupFigures } from './backup-figures.ts';
import { drillForShop } from './drill-work.ts';
import { endExports, exportForShop } from './export-work.ts';
import { backedUpBy, type Job } from './jobs.ts';
import { restoreForRequest } from './restore-work.ts';
import type { Work } from './scheduler-ports.ts';
import type { TaskRequest } from './task.ts';

/** The outside world, opened by the composition root. */
export interface Ports extends VaultPorts {
  readonly openSource: BackupDeps['openSource'];
  readonly prepareVault: PrepareVault;
}

export interface WorkDeps {
  /** What is in force when a run begins: it keeps that to its end. */
  readonly config: () => Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: RunLog;
  readonly ports: Ports;
  readonly memory: MemoryBudget;
  readonly tools: Readonly<Record<string, string>>;
  /** Of this coffre. */
  readonly version: string;
}

/** The same, with the configuration that the run keeps. */
interface RunDeps extends Omit<WorkDeps, 'config'> {
  readonly config: Config;
}

export function workOf(deps: WorkDeps): (work: Work) => Promise<void> {
  const logProgress = progressLog(deps.clock, deps.log);
  return async (work) => {
    const { task } = work;
    const own: RunDeps = { ...deps, config: deps.config() };
    if (task.kind === 'backup') await backup(own, work, task, logProgress);
    else if (task.kind === 'restore') await restoreForRequest(own, work, task.request);
    else if (task.kind === 'drill') await drillForShop(own, work, task);
    else if (task.kind === 'export') await exportForShop(own, work, task.at);
    else if (task.kind === 'catch-up') await catchUp(own, work);
    else if (task.kind === 'prune') await prune(own, work);
    else if (task.kind === 'reconcile') await reconcile(own, work);
    else if (task.kind === 'verify') await read(own, work, task.all);
    else if (task.kind === 'probe') await inRun(own, work, () => probe(own, work.signal));
    else await inRun(own, work, () => checkpoint(own, work.signal));
  };
}

/** Whether there is anything to do for a job that gives way. */
export async function isNeeded({ config, catalog, clock }: WorkDeps, job: Job): Promise<boolean> {
  const now = config();
  // looks come in hundreds, and each asks the catalog without a pause
  await nextTurn();
  if (job.name === 'read') return await isReadingDue(catalog, clock.nowMs(), readingOf(now, job.shop, false));
  const shop = now.shops.get(job.shop);
  return shop !== undefined && (await needsCatchUp(catalog, now, shop, clock.nowMs()));
}

/** Whether the shop has any snapshot of what this job reads. */
export async function hasSnapshot({ catalog }: Pick<WorkDeps, 'catalog'>, job: Job): Promise<boolean> {
  const source = backedUpBy(job.name);
  if (source === null) return false;
  const row = await catalog.db
    .selectFrom('snapshots')
    .select('id')
    .where('shop', '=', job.shop)
    .where('source', '=', source)
    .where('state', '=', 'committed')
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

function shopOf(config: Config, name: string): ShopConfig {
  const shop = config.shops.get(name);
  if (!shop) throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(name)} in ${config.file}`);
  return shop;
}

/** Throws what made the run fail, and E_INCOMPLETE or E_DEGRADED for a snapshot that is not good. */
async function backup(
  deps: RunDeps,
  work: Work,
  { full, safety, source }: Extract<TaskRequest, { kind: 'backup' }>,
  logProgress: OnProgress,
) {
  const { config, catalog, clock, log, ports, memory, tools } = deps;
  const shop = shopOf(config, work.task.shop);
  const life = await readLife(catalog.db, shop.name);
  if (work.job !== null && !isBackedUp(life, clock.nowMs())) {
    // not a failure: its slot is taken, and the day it resumes is not one of catching up
    log.info({ shop: shop.name, job: work.job.name, event: 'job.skipped', state: life.state }, 'the shop is not backed up');
    return;
  }
  await prepareNewVaults(ports, config, catalog, shop.vaults);
  const figures = backupFigures(clock, work);
  const result = await backupSource(
    {
      ...{ config, catalog, clock, log, memory, tools, openVault: ports.openVault, openSource: ports.openSource, onStep: work.step },
      onProgress: (progress) => {
        logProgress(progress);
        figures(progress);
      },
    },
    { shop, source, full, purpose: safety ? 'safety' : undefined, runId: work.run, who: work.who, signal: work.signal },
  );
  if (result.vaults.length > 0 && !work.signal.aborted) {
    const checkpoint = await checkpointAfterRun(checkpointDeps(deps), result.vaults, work.signal);
    if (checkpoint) await addToDetail(catalog, work.run, { checkpoint });
  }
  const shortfall = shortfallOf(shop.name, result);
  if (shortfall) throw shortfall;
}

function checkpointDeps({ config, catalog, clock, log, ports, version }: RunDeps): CheckpointDeps {
  return { config, catalog, clock, openVault: ports.openVault, log, coffre: version };
}

/** Throws E_DEGRADED while some vault still lacks something. */
async function catchUp({ config, catalog, clock, log, memory, ports }: RunDeps, work: Work): Promise<void> {
  const shop = shopOf(config, work.task.shop);
  await prepareNewVaults(ports, config, catalog, shop.vaults);
  const result = await catchUpShop(
    { config, catalog, clock, openVault: ports.openVault, log, memory },
    { shop, runId: work.run, who: work.who, signal: work.signal },
  );
  const shortfall = catchUpShortfall(result);
  if (shortfall) throw shortfall;
}

/** The audit calls the daemon itself by that name. */
const auditName = (work: Work): string => (work.job === null ? work.who : 'daemon');

async function prune(deps: RunDeps, work: Work): Promise<void> {
  const { config, catalog, clock, ports } = deps;
  const request = { ...pruneTarget(config, work.task.shop), who: auditName(work), runId: work.run, signal: work.signal };
  const failure = pruneShortfall(await pruneAndCertify(config, catalog, clock, ports, request));
  if (work.task.shop === DAEMON_SHOP) await endExports(deps, work);
  if (failure) throw failure;
}

/** Incidents are logged, each once, and are no failure of the run. Throws when a vault could not be looked at. */
async function reconcile({ config, catalog, clock, log, ports }: RunDeps, work: Work): Promise<void> {
  const deps: WatchDeps = {
    ...watchDeps(config, catalog, clock, ports),
    onIncident: (incident) => logIncident(log, incident),
  };
  const request = { ...pruneTarget(config, work.task.shop), who: auditName(work), runId: work.run, signal: work.signal };
  const failure = watchShortfall(await watchShop(deps, request));
  if (failure) throw failure;
}

const readingOf = (config: Config, shop: string, all: boolean): Pick<ReadDueRequest, 'shop' | 'vaults' | 'withinMs'> => ({
  shop,
  vaults: pruneTarget(config, shop).vaults.filter((name) => config.vaults.has(name)),
  withinMs: all ? 1 : (config.verify.readWithinMs ?? Number.POSITIVE_INFINITY),
});

/** Throws the damage that it found: a catch-up follows by itself. */
async function read({ config, catalog, clock, log, ports }: RunDeps, work: Work, all: boolean): Promise<void> {
  const { shop } = work.task;
  const { openVault } = watchDeps(config, catalog, clock, ports);
  const request = { ...readingOf(config, shop, all), who: auditName(work), runId: work.run, signal: work.signal };
  const result = await readDue({ catalog, clock, openVault }, request);
  for (const { vault, key, code, message } of result.damaged) log.error({ event: 'object.damaged', shop, vault, key, code }, message);
  const failure = readShortfall(result);
  if (failure) throw failure;
}

/** What writes no row of its own. */
async function inRun({ catalog, clock }: RunDeps, { run, task, who }: Work, work: () => Promise<Outcome>): Promise<void> {
  await startRun(catalog, clock, { id: run, kind: task.kind, shop: task.shop, source: null, who });
  let outcome: Outcome;
  try {
    outcome = await work();
  } catch (error) {
    const failure = asCoffreError(error);
    await finishRun(catalog, clock, run, 'failed', failure).catch(() => {});
    throw failure;
  }
  const { result, failure } = outcome;
  await finishRun(catalog, clock, run, failure ? 'failed' : 'done', failure, result);
  if (failure) throw failure;
}

/** What a run came to, and why it did not go well all the same; null: it did. */
interface Outcome {
  readonly result: unknown;
  readonly failure: CoffreError | null;
}

/** Probes every vault that a shop uses. It fails with why the first of those that did not pass did not. */
async function probe({ config, catalog, clock, log, ports }: RunDeps, signal: AbortSignal): Promise<Outcome> {
  const names = checkpointVaults(config);
  await prepareNewVaults(ports, config, catalog, names);
  const proven: string[] = [];
  let failure: CoffreError | null = null;
  for (const name of names) {
    signal.throwIfAborted();
    const vault = await ports.openVault(config.vaults.get(name) as VaultConfig);
    try {
      const { outcome, code, steps } = await proveVault({ config, catalog, clock }, new Ledger(catalog, clock), vault, signal);
      if (outcome === 'proven') {
        proven.push(name);
        continue;
      }
      const error = unproven(name, code ?? 'E_LOCK_UNPROVEN', steps);
      log.error({ event: 'probe.failed', vault: name, code: error.code, hint: error.hint }, error.message);
      failure ??= error;
    } finally {
      await vault.close().catch(() => {});
    }
  }
  return { result: { shop: DAEMON_SHOP, proven }, failure };
}

/** It fails with E_CHECKPOINT when a vault did not get it. */
async function checkpoint(deps: RunDeps, signal: AbortSignal): Promise<Outcome> {
  const result = await writeCheckpoints(checkpointDeps(deps), checkpointVaults(deps.config), signal);
  return { result, failure: checkpointFailure(result) };
}
