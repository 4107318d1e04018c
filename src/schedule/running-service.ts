// The service as it runs: one scheduler, one feed, the configuration in force, and the orders of whoever stands before it.

import { sql } from 'kysely';
import { MemoryBudget } from '../backup/memory.ts';
import { audit } from '../catalog/audit.ts';
import { openMissingBreaches } from '../catalog/breaches.ts';
import { undeclaredShops } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { shopsInRestore } from '../catalog/open-restores.ts';
import { endPause, listPauses, type Pause, type PauseOrder, pauseShop } from '../catalog/pauses.ts';
import { readRequest } from '../catalog/requests.ts';
import { closeQueued, markHung, readRun } from '../catalog/run-queue.ts';
import { isRunAlive } from '../catalog/runs.ts';
import { readLife } from '../catalog/shop-life.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { declaredHint } from '../config/problems.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { LevelLog } from '../events.ts';
import { isBackedUp } from '../retention/policy.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { BillingBoard } from './billing-board.ts';
import { demandExports } from './export-work.ts';
import { RunHub } from './feed.ts';
import { giveBackWhileIdle } from './idle-memory.ts';
import { jobsOf } from './jobs.ts';
import { noteTerms } from './note-terms.ts';
import { markDeadRuns, recoverOrders, writeOrder } from './orders.ts';
import { isUnattended } from './request-desk.ts';
import { RequestKeeper } from './request-keeper.ts';
import { Scheduler } from './scheduler.ts';
import type { Hindrance, Limits } from './scheduler-ports.ts';
import type { ConfigProblem, Service, ServiceState } from './service.ts';
import { catalogSlots } from './slots.ts';
import { StatusBoard } from './status-board.ts';
import { Survey } from './survey.ts';
import type { TaskRequest } from './task.ts';
import { hasSnapshot, isNeeded, type Ports, type WorkDeps, workOf } from './work.ts';

export interface ServiceOptions {
  readonly config: Config;
  /** Reads the file again. Throws E_CONFIG…. */
  readonly loadConfig: () => Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: LevelLog;
  readonly ports: Ports;
  readonly version: string;
  readonly tools: Readonly<Record<string, string>>;
}

/** A backup stops by itself at limits.runDeadline: what it is then told from outside comes after it. */
const DEADLINE_SLACK_MS = 60_000;
/** Beyond what one step may wait for a vault. */
const HUNG_SLACK_MS = 300_000;

export class RunningService implements Service {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: LevelLog;
  readonly version: string;
  readonly feed: RunHub;
  readonly survey: Survey;
  readonly board: StatusBoard;
  readonly billing: BillingBoard;
  readonly #options: ServiceOptions;
  readonly #scheduler: Scheduler;
  readonly #memory: MemoryBudget;
  readonly #keeper: RequestKeeper;
  readonly #startedAt: number;
  #config: Config;
  #jobs: number;
  #configProblem: ConfigProblem | null = null;
  #reloading: Promise<unknown> = Promise.resolve();
  #submitting: Promise<unknown> = Promise.resolve();

  /** Marks what a dead daemon left behind, and reads what waits. Throws E_CATALOG, E_STATE…, E_CONFIG. */
  static async start(options: ServiceOptions): Promise<RunningService> {
    const { catalog, clock, config, log, tools } = options;
    await markDeadRuns(catalog, clock);
    // those of a catalog of before there were cases
    const cases = await catalog.transaction((tx) => openMissingBreaches(tx, clock, 'daemon'));
    if (cases > 0) log.warn({ event: 'breach.opened' }, `${cases} incidents of tampering or loss had no case: coffre breach list`);
    await noteTerms(catalog, clock, config, tools);
    const orders = await recoverOrders(catalog, clock, log);
    const jobs = jobsOf(config, await undeclaredShops(config, catalog));
    return new RunningService(options, jobs, orders);
  }

  private constructor(
    options: ServiceOptions,
    jobs: ReturnType<typeof jobsOf>,
    orders: ConstructorParameters<typeof Scheduler>[0]['orders'] & {},
  ) {
    const { catalog, clock, config, log, ports, tools, version } = options;
    this.#options = options;
    this.catalog = catalog;
    this.clock = clock;
    this.log = log;
    this.version = version;
    this.#config = config;
    this.#jobs = jobs.length;
    this.#startedAt = clock.nowMs();
    this.feed = new RunHub(clock);
    this.board = new StatusBoard({ config: () => this.#config, catalog, clock });
    this.billing = new BillingBoard({ config: () => this.#config, catalog, clock, ports });
    this.survey = new Survey({ config: () => this.#config, catalog, clock, feed: this.feed, board: this.board });
    this.#memory = MemoryBudget.forProcess(config.limits.memoryBytes, config.limits.concurrency);
    const deps: WorkDeps = { config: () => this.#config, catalog, clock, log, ports, memory: this.#memory, tools, version };
    this.#scheduler = new Scheduler({
      ...{ clock, log, jobs, orders },
      slots: catalogSlots(catalog, clock),
      books: {
        close: async (run, error) => void (await closeQueued(catalog, clock, run, error)),
        hung: (run, message) => markHung(catalog, run, message),
        again: (order) => writeOrder(catalog, clock, { task: order.task, who: order.who, takesUp: order.run }),
      },
      limits: () => limitsOf(this.#config),
      hasSnapshot: (job) => hasSnapshot(deps, job),
      isNeeded: (job) => isNeeded(deps, job),
      hindrance: () => this.#hindrance(),
      work: workOf(deps),
      publish: (event) => {
        this.board.happened(event);
        this.feed.publish(event);
      },
    });
    this.#keeper = new RequestKeeper({
      ...{ config: () => this.#config, catalog, clock, log },
      submit: (task, who) => this.submit(task, who),
      isOrdered: (request) => this.#scheduler.hasRestore(request),
    });
  }

  /** Until the signal; as Scheduler.run. */
  async run(signal: AbortSignal, onLoaded: () => void): Promise<boolean> {
    const done = new AbortController();
    const survey = this.survey.run(AbortSignal.any([signal, done.signal]));
    const requests = this.#keeper.run(AbortSignal.any([signal, done.signal]));
    const isWaiting = (): boolean => this.#scheduler.running.every(({ kind }) => kind === 'verify' || kind === 'catch-up');
    const idle = giveBackWhileIdle(this.clock, isWaiting, done.signal);
    try {
      return await this.#scheduler.run(signal, onLoaded);
    } finally {
      done.abort();
      await survey;
      await requests;
      await idle;
      await this.billing.close(new CoffreError('E_INTERRUPTED', 'the daemon stops'));
    }
  }

  get config(): Config {
    return this.#config;
  }

  /** How many are planned. */
  get jobs(): number {
    return this.#jobs;
  }

  get state(): ServiceState {
    const { due, isLoaded, queued, running, stopping } = this.#scheduler;
    return { startedAt: this.#startedAt, running, queued, due, loading: !isLoaded, stopping, configProblem: this.#configProblem };
  }

  /** One after the other: two that ask for the same at once get the same run. */
  submit(task: TaskRequest, who: string): Promise<string> {
    const submitted = this.#submitting.then(() => this.#submit(task, who));
    this.#submitting = submitted.catch(() => {});
    return submitted;
  }

  async #submit(task: TaskRequest, who: string): Promise<string> {
    if (this.#scheduler.stopping) throw new CoffreError('E_INTERRUPTED', 'the daemon stops: it takes no orders');
    await this.#check(task);
    const waiting = this.#scheduler.waitingFor(task);
    if (waiting !== null) return waiting;
    const order = await writeOrder(this.catalog, this.clock, { task, who });
    const { kind, shop } = task;
    this.log.info({ event: 'order.queued', run: order.run, shop, kind, who }, `${kind} of ${shop} is asked for by ${who}`);
    this.#scheduler.order(order);
    return order.run;
  }

  /** Throws what makes the task one that could never be done. */
  async #check(task: TaskRequest): Promise<void> {
    const { kind, shop } = task;
    const declared = this.#config.shops.get(shop);
    if (kind === 'probe' || kind === 'checkpoint') {
      if (shop !== DAEMON_SHOP) throw new CoffreError('E_USAGE', `a ${kind} is of ${DAEMON_SHOP}, not of ${shop}`);
    } else if (kind === 'restore') {
      await this.#checkRestore(task.shop, task.request);
    } else if (kind === 'drill') {
      const own = declared ?? this.#unknown(shop);
      if (task.from !== null && !own.vaults.includes(task.from)) {
        throw new CoffreError('E_UNKNOWN_VAULT', `shop ${shop} has no vault ${JSON.stringify(task.from)}`);
      }
      if (task.source !== null && own[task.source] === null) throw new CoffreError('E_CONFIG', `shop ${shop} has no source ${task.source}`);
    } else if (kind === 'export') {
      if (declared === undefined) this.#unknown(shop);
      demandExports(this.#config, shop);
    } else if (kind === 'backup') {
      const own = declared ?? this.#unknown(shop);
      if (own[task.source] === null) {
        throw new CoffreError('E_CONFIG', `shop ${shop} has no source ${task.source}`, {
          hint: `declare ${task.source} under shops: ${shop}`,
        });
      }
      const life = await readLife(this.catalog.db, shop);
      if (!isBackedUp(life, this.clock.nowMs())) throw new CoffreError('E_SHOP_STATE', `${shop} is ${life.state}: it is not backed up`);
    } else if (declared === undefined) {
      const mayBeGone = kind === 'prune' || kind === 'reconcile';
      const held = mayBeGone && (shop === DAEMON_SHOP || (await undeclaredShops(this.#config, this.catalog)).includes(shop));
      if (!held && !(kind === 'verify' && shop === DAEMON_SHOP)) this.#unknown(shop);
    }
  }

  /** Throws E_UNKNOWN_REQUEST, E_REQUEST_STATE, E_CONFIG, E_BUSY. */
  async #checkRestore(shop: string, id: string): Promise<void> {
    const { file, restore } = this.#config;
    if (!isUnattended(this.#config)) {
      throw new CoffreError('E_CONFIG', `restore.unattended is not true in ${file}: the daemon restores nothing into a shop by itself`, {
        hint: `as root: coffre request run ${id}`,
      });
    }
    if (restore.socket === null || !this.#config.shops.has(shop)) this.#unknown(shop);
    const row = await readRequest(this.catalog, id);
    const isToBeDone = row.shop === shop && (row.state === 'approved' || row.state === 'running' || row.state === 'verifying');
    if (!isToBeDone) throw new CoffreError('E_REQUEST_STATE', `request ${id} is ${row.state}: there is nothing to restore`);
  }

  #unknown(shop: string): never {
    throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(shop)} in ${this.#config.file}`, {
      hint: declaredHint(shop, this.#config.shops.keys(), 'shops'),
    });
  }

  async cancel(runId: string, who: string): Promise<boolean> {
    const row = await readRun(this.catalog, runId);
    const found = this.#scheduler.cancel(runId, who);
    if (found === null) {
      if (row.state !== 'running' && row.state !== 'queued') return false;
      throw new CoffreError('E_USAGE', `run ${runId} is not the daemon’s: whoever started it must stop it`, {
        hint: 'a command that runs in a terminal ends with ^C',
      });
    }
    if (found === 'queued') await closeQueued(this.catalog, this.clock, runId, new CoffreError('E_CANCELLED', `cancelled by ${who}`));
    await audit(this.catalog, this.clock, {
      who,
      what: 'run cancel',
      shop: row.shop,
      detail: { run: runId, kind: row.kind, state: found },
    });
    return true;
  }

  async pause(shop: string, order: PauseOrder): Promise<Pause> {
    if (!this.#config.shops.has(shop)) this.#unknown(shop);
    const pause = await pauseShop(this.catalog, this.clock, shop, order);
    this.log.info({ event: 'shop.paused', shop, who: order.who }, `the scheduled backups of ${shop} wait`);
    return pause;
  }

  async resume(shop: string, by: { readonly who: string; readonly reason: string | null }): Promise<boolean> {
    if (!this.#config.shops.has(shop)) this.#unknown(shop);
    const wasPaused = await endPause(this.catalog, this.clock, shop, by);
    if (wasPaused) this.log.info({ event: 'shop.unpaused', shop, who: by.who }, `the scheduled backups of ${shop} go on`);
    this.#scheduler.look();
    return wasPaused;
  }

  /** One after the other: the last file that was written is the one in force. */
  reload(who: string): Promise<void> {
    const reloaded = this.#reloading.then(() => this.#reload(who));
    this.#reloading = reloaded.catch(() => {});
    return reloaded;
  }

  async #reload(who: string): Promise<void> {
    const before = this.#config;
    try {
      const config = this.#options.loadConfig();
      if (config.stateDir !== before.stateDir) {
        throw new CoffreError('E_CONFIG', `${config.file}: stateDir is ${config.stateDir}, and ${before.stateDir} is in use`, {
          hint: 'stop the daemon, move the folder, then start it',
        });
      }
      const jobs = jobsOf(config, await undeclaredShops(config, this.catalog));
      // before it is in force: a catalog that cannot be written keeps the one before
      await noteTerms(this.catalog, this.clock, config, this.#options.tools);
      await this.#scheduler.replaceJobs(jobs);
      this.#memory.resize(config.limits.memoryBytes, config.limits.concurrency);
      this.#config = config;
      this.#jobs = jobs.length;
      this.#configProblem = null;
      for (const warning of config.warnings) this.log.warn({ event: 'config.warning' }, warning);
      if (JSON.stringify(config.listen) !== JSON.stringify(before.listen)) {
        this.log.warn({ event: 'config.warning' }, `${config.file}: listen is in force from the next start on`);
      }
      const { file } = config;
      this.log.info(
        { event: 'config.loaded', config: file, who, shops: config.shops.size, jobs: jobs.length },
        'a new configuration is in force',
      );
      await audit(this.catalog, this.clock, { who, what: 'reload', detail: { config: file, shops: config.shops.size } });
    } catch (error) {
      const { code, hint, message } = asCoffreError(error);
      this.#configProblem = { at: this.clock.nowMs(), code, message, hint };
      this.log.error(
        { event: 'config.refused', config: before.file, who, code, hint },
        `${message}: the configuration before it stays in force`,
      );
      throw error;
    }
  }

  async #hindrance(): Promise<Hindrance> {
    // half a restored shop is no backup, whether somebody works on it or nobody
    const shops = new Set([...(await listPauses(this.catalog, this.clock.nowMs())).keys(), ...(await shopsInRestore(this.catalog.db))]);
    const rows = await this.catalog.db
      .selectFrom('runs')
      .select(['id', 'shop'])
      .where(sql<boolean>`"state" = 'running'`)
      .where('kind', '=', 'restore')
      .execute();
    let restores = 0;
    for (const { id, shop } of rows) {
      if (!(await isRunAlive(this.catalog, id))) continue;
      restores++;
      shops.add(shop);
    }
    return { shops, restores };
  }
}

function limitsOf({ limits }: Config): Limits {
  return {
    concurrency: limits.concurrency,
    deadlineMs: limits.runDeadlineMs + DEADLINE_SLACK_MS,
    hungAfterMs: limits.vaultDeadlineMs + HUNG_SLACK_MS,
  };
}
