// `coffre daemon`: the scheduler in the foreground, until it is told to stop.
import type { Command } from 'commander';
import { catchUpShop } from '../backup/catch-up.ts';
import { catchUpShortfall, needsCatchUp } from '../backup/catch-up-result.ts';
import { checkpointFailure, checkpointVaults, writeCheckpoints } from '../backup/checkpoint.ts';
import { prepareNewVaults } from '../backup/first-use.ts';
import { MemoryBudget } from '../backup/memory.ts';
import { progressLog } from '../backup/progress-log.ts';
import { proveVault, unproven } from '../backup/prove.ts';
import { type BackupDeps, backupSource } from '../backup/run.ts';
import { shortfallOf } from '../backup/snapshot-result.ts';
import { pruneAndCertify, pruneTarget, watchDeps } from '../backup/upkeep-deps.ts';
import { Ledger } from '../billing/ledger.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { readLife } from '../catalog/shop-life.ts';
import { lockDaemon } from '../catalog/shop-lock.ts';
import { listSnapshots } from '../catalog/snapshots.ts';
import type { Config, VaultConfig } from '../config/config.ts';
import { CoffreError, ERRORS } from '../errors.ts';
import { isReadingDue, type ReadDueRequest, readDue, readShortfall } from '../restore/read-due.ts';
import { isBackedUp } from '../retention/policy.ts';
import { type WatchDeps, watchShop, watchShortfall } from '../retention/watch.ts';
import { backupOf, type Job, jobsOf } from '../schedule/jobs.ts';
import { Scheduler } from '../schedule/scheduler.ts';
import { catalogSlots } from '../schedule/slots.ts';
import { afterRun, checkpointDeps } from './checkpoint.ts';
import { action, type CliContext } from './context.ts';
import { createLogger, type Logger } from './log.ts';
import { pruneFailure } from './prune.ts';
import { undeclaredShops } from './shop.ts';
import { coffreVersion, toolVersions } from './tools.ts';

export function registerDaemon(program: Command, context: CliContext): void {
  program
    .command('daemon')
    .description('run the schedules in the foreground (systemd runs this); SIGTERM stops it')
    .addHelpText('after', '\nExample:\n  coffre --config /etc/coffre/coffre.yaml daemon\n')
    .action(
      action(context, async (invocation) => {
        const config = invocation.config();
        // a daemon's log is what it is read by: more than the warnings that are enough beside a command's result
        const log = program.getOptionValue('logLevel') === undefined ? createLogger('info') : invocation.log;
        using _lock = await lockDaemon(config.stateDir, context.clock, 'the daemon');
        await using catalog = await openCatalog(config.stateDir);
        const clean = await runDaemon(context, config, catalog, log, invocation.signal);
        return { document: { stopped: true, interrupted: !clean }, text: '' };
      }),
    );
}

/** Runs until the signal; true when nothing was left unfinished beyond the time given to it. */
async function runDaemon(context: CliContext, config: Config, catalog: Catalog, log: Logger, signal: AbortSignal): Promise<boolean> {
  const jobs = jobsOf(config, await undeclaredShops(config, catalog));
  const backup: BackupDeps = {
    config,
    catalog,
    clock: context.clock,
    openVault: context.adapters.openVault,
    openSource: context.adapters.openSource,
    log,
    tools: await toolVersions(),
    memory: MemoryBudget.forProcess(config.limits.memoryBytes, config.limits.concurrency),
    onProgress: progressLog(context.clock, log),
  };
  const scheduler = new Scheduler({
    clock: context.clock,
    log,
    jobs,
    slots: catalogSlots(catalog),
    concurrency: config.limits.concurrency,
    hasSnapshot: async (job) => {
      const source = backupOf(job.name)?.source;
      return (await listSnapshots(catalog, { shop: job.shop, source })).length > 0;
    },
    isNeeded: async (job) => {
      if (job.name === 'read') return await isReadingDue(catalog, context.clock.nowMs(), readingOf(config, job.shop));
      const shop = config.shops.get(job.shop);
      return shop !== undefined && (await needsCatchUp(catalog, config, shop, context.clock.nowMs()));
    },
    work: (job, _dueAt, stop) => {
      if (job.name === 'prune') return prune(context, backup, job, stop);
      if (job.name === 'catch-up') return catchUp(context, backup, job, stop);
      if (job.name === 'checkpoint') return checkpoint(context, backup, stop);
      if (job.name === 'probe') return probe(context, backup, stop);
      if (job.name === 'reconcile') return reconcile(context, backup, job, stop);
      if (job.name === 'read') return read(context, backup, job, stop);
      return snapshot(context, backup, job, stop);
    },
  });
  for (const warning of config.warnings) log.warn({ event: 'config.warning' }, warning);
  log.info(
    {
      event: 'daemon.started',
      version: await coffreVersion(),
      config: config.file,
      pid: process.pid,
      timezone: config.timezone,
      shops: config.shops.size,
      jobs: jobs.length,
    },
    'daemon started',
  );
  const clean = await scheduler.run(signal);
  log.info({ event: 'daemon.stopped', clean }, clean ? 'daemon stopped' : 'daemon stopped without waiting for a run that did not end');
  return clean;
}

/** Throws what made the run fail, and E_INCOMPLETE or E_DEGRADED for a snapshot that is not good. */
async function snapshot(context: CliContext, deps: BackupDeps, job: Job, signal: AbortSignal): Promise<void> {
  const shop = deps.config.shops.get(job.shop);
  const what = backupOf(job.name);
  if (!shop || !what) throw new CoffreError('E_INTERNAL', `no backup job: ${job.shop} ${job.name}`);
  const life = await readLife(deps.catalog.db, job.shop);
  if (!isBackedUp(life, deps.clock.nowMs())) {
    // not a failure: its slot is taken, and the day it resumes is not one of catching up
    deps.log.info({ shop: job.shop, job: job.name, event: 'job.skipped', state: life.state }, 'the shop is not backed up');
    return;
  }
  await prepareNewVaults(context.adapters, deps.config, deps.catalog, shop.vaults);
  const result = await backupSource(deps, { shop, ...what, signal });
  await afterRun(context, deps.config, deps.catalog, deps.log, result.vaults, signal);
  const shortfall = shortfallOf(shop.name, result);
  if (shortfall) throw shortfall;
}

/** Throws E_DEGRADED while some vault still lacks something. */
async function catchUp(context: CliContext, deps: BackupDeps, job: Job, signal: AbortSignal): Promise<void> {
  const { config, catalog } = deps;
  const shop = config.shops.get(job.shop);
  if (!shop) throw new CoffreError('E_INTERNAL', `no shop to catch up: ${job.shop}`);
  await prepareNewVaults(context.adapters, config, catalog, shop.vaults);
  const { clock, openVault, log, memory } = deps;
  const shortfall = catchUpShortfall(await catchUpShop({ config, catalog, clock, openVault, log, memory }, { shop, signal }));
  if (shortfall) throw shortfall;
}

async function prune(context: CliContext, { config, catalog }: BackupDeps, job: Job, signal: AbortSignal): Promise<void> {
  const result = await pruneAndCertify(config, catalog, context.clock, context.adapters, {
    ...pruneTarget(config, job.shop),
    who: 'daemon',
    signal,
  });
  const failure = pruneFailure([result]);
  if (failure) throw failure;
}

/** Probes every vault that a shop uses. Throws why the first of those that did not pass did not. */
async function probe(context: CliContext, { config, catalog, clock, log, openVault }: BackupDeps, signal: AbortSignal): Promise<void> {
  const names = checkpointVaults(config);
  await prepareNewVaults(context.adapters, config, catalog, names);
  let failure: CoffreError | null = null;
  for (const name of names) {
    signal.throwIfAborted();
    const vault = await openVault(config.vaults.get(name) as VaultConfig);
    try {
      const { outcome, code, steps } = await proveVault({ config, catalog, clock }, new Ledger(catalog, clock), vault, signal);
      if (outcome === 'proven') continue;
      const error = unproven(name, code ?? 'E_LOCK_UNPROVEN', steps);
      log.error({ event: 'probe.failed', vault: name, code: error.code, hint: error.hint }, error.message);
      failure ??= error;
    } finally {
      await vault.close().catch(() => {});
    }
  }
  if (failure) throw failure;
}

/** Incidents are logged, each once, and are no failure of the job. Throws when a vault could not be looked at. */
async function reconcile(context: CliContext, { config, catalog, log }: BackupDeps, job: Job, signal: AbortSignal): Promise<void> {
  const deps: WatchDeps = {
    ...watchDeps(config, catalog, context.clock, context.adapters),
    onIncident: ({ id, vault, shop, kind, key, versionId, detail }) => {
      const { hint } = ERRORS.E_INCIDENT;
      const said = `${kind} in ${vault}${key === '' ? '' : `: ${key}`}${detail === null ? '' : ` (${detail})`}`;
      log.error({ event: 'incident', incident: id, shop, vault, kind, key, version: versionId, code: 'E_INCIDENT', hint }, said);
    },
  };
  const failure = watchShortfall(await watchShop(deps, { ...pruneTarget(config, job.shop), who: 'daemon', signal }));
  if (failure) throw failure;
}

const readingOf = (config: Config, shop: string): Pick<ReadDueRequest, 'shop' | 'vaults' | 'withinMs'> => ({
  shop,
  vaults: pruneTarget(config, shop).vaults.filter((name) => config.vaults.has(name)),
  withinMs: config.verify.readWithinMs ?? Number.POSITIVE_INFINITY,
});

/** Throws the damage that it found: a catch-up follows by itself. */
async function read(context: CliContext, { config, catalog, clock, log }: BackupDeps, job: Job, signal: AbortSignal): Promise<void> {
  const { openVault } = watchDeps(config, catalog, context.clock, context.adapters);
  const result = await readDue({ catalog, clock, openVault }, { ...readingOf(config, job.shop), who: 'daemon', signal });
  for (const { vault, key, code, message } of result.damaged) {
    log.error({ event: 'object.damaged', shop: job.shop, vault, key, code }, message);
  }
  const failure = readShortfall(result);
  if (failure) throw failure;
}

/** Throws E_CHECKPOINT when a vault did not get it. */
async function checkpoint(context: CliContext, { config, catalog, log }: BackupDeps, signal: AbortSignal): Promise<void> {
  const result = await writeCheckpoints(await checkpointDeps(context, config, catalog, log), checkpointVaults(config), signal);
  const failure = checkpointFailure(result);
  if (failure) throw failure;
}
