// Looks after open requests: queues what is approved and waits for nobody, says what died and what is late, and lets go of what nobody wants any more.
import type { Catalog } from '../catalog/open.ts';
import { changeRequest, openRequests, type RequestRow } from '../catalog/requests.ts';
import { asItIs } from '../catalog/run-document.ts';
import type { RunRow } from '../catalog/runs.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError, CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import type { EventLog } from '../events.ts';
import { follow } from '../restore/request-life.ts';
import { isUnattended } from './request-desk.ts';
import { failRequest, noteLate } from './request-progress.ts';
import type { TaskRequest } from './task.ts';

export interface KeeperOptions {
  readonly config: () => Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Pick<EventLog, 'info' | 'warn' | 'error'>;
  /** Queues a task; one that waits already is that run. */
  readonly submit: (task: TaskRequest, who: string) => Promise<string>;
  /** Whether the scheduler has an order for it, waiting or under way. */
  readonly isOrdered: (request: string) => boolean;
}

const EVERY_MS = 15_000;
/** What nobody approved for this long is not wanted any more. */
const LAPSES_AFTER_MS = 14 * 86_400_000;
/** After each failure that time may mend. */
const AGAIN_MS = [1, 5, 15].map((minutes) => minutes * 60_000);
/** What failed is looked at for its deadline this long: longer than any target. */
const LATE_WITHIN_MS = 90 * 86_400_000;

export class RequestKeeper {
  readonly #options: KeeperOptions;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Looks until the signal. Never throws: what goes wrong with one is logged, and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      try {
        await this.look();
      } catch (error) {
        const { code, hint, message } = asCoffreError(error);
        log.error({ event: 'request.failed', code, hint }, message);
      }
      await clock.sleep(EVERY_MS, signal).catch(() => {});
    }
  }

  /** One look at every request that is open, or that failed. */
  async look(): Promise<void> {
    const { catalog, clock } = this.#options;
    for (const row of await openRequests(catalog.db)) await this.#safely(row, () => this.#lookAt(row));
    const failed = await catalog.db
      .selectFrom('requests')
      .selectAll()
      .where('state', '=', 'failed')
      .where('endedAt', '>', clock.nowMs() - LATE_WITHIN_MS)
      .execute();
    for (const row of failed) {
      await this.#safely(row, async () => {
        await this.#judge(row);
        await this.#tryAgain(row);
      });
    }
  }

  async #safely({ id, shop }: RequestRow, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { code, hint, message } = asCoffreError(error);
      // it changed under the look: the next one sees it as it is
      if (code !== 'E_REQUEST_STATE') this.#options.log.error({ event: 'request.failed', request: id, shop, code, hint }, message);
    }
  }

  async #lookAt(row: RequestRow): Promise<void> {
    const { config, isOrdered, submit } = this.#options;
    await this.#judge(row);
    if (row.approvedAt === null) return await this.#lapse(row);
    if (row.state === 'approved' && isUnattended(config()) && !isOrdered(row.id) && !(await this.#hasRun(row))) {
      await submit({ kind: 'restore', shop: row.shop, request: row.id }, row.approvedBy ?? 'coffre');
    }
    if ((row.state === 'running' || row.state === 'verifying') && !isOrdered(row.id)) await this.#lookForDeath(row);
  }

  /** A command of root's works on it, and has written so. */
  async #hasRun({ runId }: RequestRow): Promise<boolean> {
    const run = await this.#runOf(runId);
    return run !== null && (run.state === 'running' || run.state === 'queued');
  }

  async #runOf(runId: string | null): Promise<RunRow | null> {
    const { catalog } = this.#options;
    if (runId === null) return null;
    const run = await catalog.db.selectFrom('runs').selectAll().where('id', '=', runId).executeTakeFirst();
    return run === undefined ? null : await asItIs(catalog, run);
  }

  /** Its run ended without a word to it, and none goes on with it. */
  async #lookForDeath(row: RequestRow): Promise<void> {
    const { catalog, clock, config, submit } = this.#options;
    const run = await this.#runOf(row.runId);
    if (run !== null && (run.state === 'running' || run.state === 'queued')) return;
    // its daemon may have been stopped for longer than orders are kept: the same order goes on where it was
    if (
      run?.errorCode === 'E_INTERRUPTED' &&
      isUnattended(config()) &&
      run.endedAt !== null &&
      clock.nowMs() - run.endedAt < LAPSES_AFTER_MS
    ) {
      await submit({ kind: 'restore', shop: row.shop, request: row.id }, row.approvedBy ?? 'coffre');
      return;
    }
    const code = run?.errorCode ?? 'E_INTERRUPTED';
    const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'E_INTERNAL';
    const error = new CoffreError(known, run?.errorMessage ?? 'nothing is known of the run that worked on it');
    await failRequest({ catalog, clock }, row.id, 'coffre', error);
  }

  async #judge({ id, outcome, shop, approvedAt }: RequestRow): Promise<void> {
    if (outcome !== null || approvedAt === null) return;
    if (await noteLate(this.#options, id)) {
      this.#options.log.warn({ event: 'request.late', request: id, shop }, `${shop}: the time that was promised for its restore is over`);
    }
  }

  /** What time may mend (a vault that was away, say) is tried again some times: the clock runs by night too. */
  async #tryAgain({ endedAt, errorCode, id }: RequestRow): Promise<void> {
    const { catalog, clock, config } = this.#options;
    // after a rebuild nobody knows whether it was done: that is for a person
    const mayHelp =
      errorCode !== null &&
      errorCode !== 'E_INTERRUPTED' &&
      Object.hasOwn(ERRORS, errorCode) &&
      ERRORS[errorCode as ErrorCode].retry === 'backoff';
    if (!mayHelp || endedAt === null || !isUnattended(config())) return;
    const { tries } = await catalog.db
      .selectFrom('requestEvents')
      .select((eb) => eb.fn.countAll<number>().as('tries'))
      .where('requestId', '=', id)
      .where('verb', '=', 'retry')
      .where('role', '=', 'daemon')
      .executeTakeFirstOrThrow();
    const waitMs = AGAIN_MS[Number(tries)];
    if (waitMs === undefined || clock.nowMs() - endedAt < waitMs) return;
    await changeRequest(catalog, clock, id, { verb: 'retry', who: 'coffre', role: 'daemon' }, (row) => ({
      ...{ state: follow(row, 'retry', 'daemon', null), endedAt: null, errorCode: null, errorMessage: null },
    }));
  }

  async #lapse({ createdAt, id, shop }: RequestRow): Promise<void> {
    const { catalog, clock, log } = this.#options;
    if (clock.nowMs() - createdAt < LAPSES_AFTER_MS) return;
    const reason = 'nobody approved it';
    await changeRequest(catalog, clock, id, { verb: 'cancel', who: 'coffre', role: 'daemon', reason }, (row, nowMs) => ({
      state: follow(row, 'cancel', 'daemon', reason),
      endedAt: nowMs,
    }));
    log.info({ event: 'request.lapsed', request: id, shop }, `${shop}: nobody approved the restore that was asked for`);
  }
}
