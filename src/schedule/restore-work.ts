// The run of an approved request: the shop's lock, its pins, the safety snapshot, the restore unit's work, and what is written down of it.

import { Estimator } from '../backup/estimator.ts';
import { type PrepareVault, prepareNewVaults } from '../backup/first-use.ts';
import type { RunLog } from '../backup/log.ts';
import type { MemoryBudget } from '../backup/memory.ts';
import { type BackupDeps, backupSource } from '../backup/run.ts';
import type { Catalog } from '../catalog/open.ts';
import { type RequestRow, readRequest } from '../catalog/requests.ts';
import { recordStep } from '../catalog/run-queue.ts';
import { finishRun, startRun } from '../catalog/runs.ts';
import { lockShop } from '../catalog/shop-lock.ts';
import type { StateLock } from '../catalog/state-lock.ts';
import type { Clock } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { askRestoreUnit } from '../restore/ask-unit.ts';
import { type InPlaceCaller, type InPlaceResult, restoreInPlace, type SafetySnapshots } from '../restore/in-place.ts';
import type { RestoreProgress } from '../restore/progress.ts';
import type { DamagedCopy, UnitRequest } from '../restore/request.ts';
import { isOpen } from '../restore/request-life.ts';
import { pinSnapshot, recordDamage } from '../restore/restore-run.ts';
import { newId } from '../segment/id.ts';
import { backupFigures } from './backup-figures.ts';
import type { RunProgress } from './feed.ts';
import { beginRequest, failRequest, finishRequest, orderOf, verifyRequest } from './request-progress.ts';
import type { Work } from './scheduler-ports.ts';

export interface RestoreWorkDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: RunLog;
  readonly memory: MemoryBudget;
  readonly tools: Readonly<Record<string, string>>;
  readonly ports: Pick<BackupDeps, 'openSource' | 'openVault'> & { readonly prepareVault: PrepareVault };
}

/** Somebody's command has the shop for a moment: between two looks. */
const AGAIN_MS = 5_000;

/**
 * Restores what the request says, or goes on with it. Nothing when it was called off meanwhile. Throws E_BUSY before anything was begun, and
 * what made it fail, which the request then says too; told to stop with its daemon the request stays as it is, and its next run goes on.
 */
export async function restoreForRequest(deps: RestoreWorkDeps, work: Work, requestId: string): Promise<void> {
  const { catalog, clock, config } = deps;
  const request = await readRequest(catalog, requestId);
  if (!isOpen(request.state) || request.state === 'requested' || request.state === 'held') return;
  const shop = config.shops.get(request.shop);
  if (shop === undefined) throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(request.shop)} in ${config.file}`);
  const { socket } = config.restore;
  if (socket === null) throw new CoffreError('E_CONFIG', `restore.socket is null in ${config.file}: nobody can be asked for a restore`);
  const order = orderOf(request);
  const source = order.database === null ? 'files' : order.files === null ? 'database' : null;
  const held = new HeldShop(deps, shop.name);
  await held.take();
  const damaged: DamagedCopy[] = [];
  try {
    await startRun(catalog, clock, { id: work.run, kind: 'restore', shop: shop.name, source, who: work.who });
    try {
      await beginRequest(deps, requestId, work.run, work.who);
      for (const snapshot of [order.database, order.files]) if (snapshot) await pinSnapshot(catalog, work.run, snapshot.snapshot);
      const startedMs = clock.monotonicMs();
      const telling = new Telling(deps, work, requestId);
      const caller: InPlaceCaller = {
        signal: work.signal,
        ask: (asked, { onDamaged, onProgress, onStep, signal }) =>
          askRestoreUnit(asked as UnitRequest, {
            socket,
            signal,
            onStep: (step) => onStep(step as Parameters<typeof onStep>[0]),
            onProgress,
            onDamaged,
          }),
        takeSafety: (sources, signal) => held.without(() => takeSafety(deps, work, shop, sources, signal)),
        onStep: (step) => telling.step(step),
        onProgress: (progress) => telling.progress(progress),
        onDamaged: (problem) => damaged.push(problem),
      };
      const result = await restoreInPlace(order, caller);
      await telling.told;
      const durationMs = Math.round(clock.monotonicMs() - startedMs);
      // the request first: a run that is taken up after a crash between the two finds that nothing is left to be done
      await finishRequest(deps, requestId, work.who, outcomeOf(result, durationMs));
      await finishRun(catalog, clock, work.run, 'done', null, detailOf(shop.name, request, result, durationMs));
    } catch (error) {
      const failure = asCoffreError(error);
      // told to stop with the daemon: the order is taken up, and the request goes on with it
      if (failure.code !== 'E_INTERRUPTED') await failUnlessOver(deps, requestId, work.who, failure);
      await finishRun(catalog, clock, work.run, 'failed', failure).catch(() => {});
      throw failure;
    }
  } finally {
    held.release();
    for (const problem of damaged) await recordDamage(catalog, problem).catch(() => {});
  }
}

/** It was called off between its order and its beginning: nothing failed. */
async function failUnlessOver(deps: RestoreWorkDeps, id: string, who: string, failure: CoffreError): Promise<void> {
  if (failure.code === 'E_REQUEST_STATE') return;
  await failRequest(deps, id, who, failure).catch((error: unknown) => {
    const { code, hint, message } = asCoffreError(error);
    deps.log.error({ event: 'request.unsaved', request: id, code, hint }, message);
  });
}

/** The shop's lock, let go for the time of its safety snapshot, which is a backup like any other. */
class HeldShop {
  readonly #deps: RestoreWorkDeps;
  readonly #shop: string;
  #lock: StateLock | null = null;

  constructor(deps: RestoreWorkDeps, shop: string) {
    this.#deps = deps;
    this.#shop = shop;
  }

  /** Throws E_BUSY. */
  async take(): Promise<void> {
    const { clock, config } = this.#deps;
    this.#lock = await lockShop(config.stateDir, clock, this.#shop, 'a restore in place', config.timezone);
  }

  /** What takes the lock itself; whoever comes in between is waited for. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    this.release();
    const result = await work();
    for (;;) {
      try {
        await this.take();
        return result;
      } catch (error) {
        if (asCoffreError(error).code !== 'E_BUSY') throw error;
        await this.#deps.clock.sleep(AGAIN_MS);
      }
    }
  }

  release(): void {
    this.#lock?.release();
    this.#lock = null;
  }
}

/** Backups of the present state, pinned by the restore's run. Throws what makes a backup fail, E_INCOMPLETE. */
async function takeSafety(
  { catalog, clock, config, log, memory, ports, tools }: RestoreWorkDeps,
  work: Work,
  shop: ShopConfig,
  sources: readonly ('database' | 'files' | 'server')[],
  signal: AbortSignal,
): Promise<SafetySnapshots> {
  await prepareNewVaults(ports, config, catalog, shop.vaults);
  const safety: { database: string | null; files: string | null } = { database: null, files: null };
  for (const source of sources) {
    if (source === 'server') continue;
    const deps: BackupDeps = {
      ...{ config, catalog, clock, log, memory, tools, openVault: ports.openVault, openSource: ports.openSource },
      onProgress: backupFigures(clock, work),
    };
    const taken = await waitingForOthers(clock, signal, () =>
      backupSource(deps, { shop, source, full: false, runId: newId(clock), who: work.who, signal }),
    );
    if (!taken.complete) {
      throw new CoffreError('E_INCOMPLETE', `${shop.name}: the safety snapshot of ${source} is not complete: nothing was changed`, {
        hint: 'coffre backup says what could not be read; coffre restore --in-place without a safety snapshot goes without one',
      });
    }
    await pinSnapshot(catalog, work.run, taken.id);
    safety[source] = taken.id;
  }
  return safety;
}

async function waitingForOthers<T>(clock: Clock, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (asCoffreError(error).code !== 'E_BUSY') throw error;
      await clock.sleep(AGAIN_MS, signal);
    }
  }
}

/** What whoever watches is told, and what of it is kept. */
class Telling {
  readonly #deps: RestoreWorkDeps;
  readonly #work: Work;
  readonly #request: string;
  #estimator = new Estimator();
  #steps = 0;
  /** What is still being written. */
  told: Promise<void> = Promise.resolve();

  constructor(deps: RestoreWorkDeps, work: Work, request: string) {
    this.#deps = deps;
    this.#work = work;
    this.#request = request;
  }

  step(step: string): void {
    const { catalog, clock } = this.#deps;
    this.#estimator = new Estimator();
    this.#work.step(step);
    const row = { runId: this.#work.run, seq: ++this.#steps, step, at: clock.nowMs() };
    this.told = this.told.then(async () => {
      await recordStep(catalog, row);
      if (step === 'check') await verifyRequest(this.#deps, this.#request, this.#work.who);
    });
    // read at the end; until then it is nobody's
    this.told.catch(() => {});
  }

  progress({ carriedBytes = 0, doneBytes, doneFiles = 0, totalBytes }: RestoreProgress): void {
    const atMs = this.#deps.clock.monotonicMs();
    this.#estimator.add({ atMs, doneBytes, carriedBytes, totalBytes, totalIsGuess: false });
    const figures: RunProgress = {
      ...{ doneBytes, carriedBytes, totalBytes, totalIsGuess: false, storedBytes: 0, segments: 0, reusedSegments: 0, files: doneFiles },
      ...{ bytesPerSecond: this.#estimator.rate(atMs), leftMs: this.#estimator.leftMs(atMs) },
    };
    this.#work.progress(figures);
  }
}

/** For the history: no path, no host. */
function outcomeOf({ checks, maintenanceMs, restored, safety, steps }: InPlaceResult, durationMs: number) {
  const bytes = restored.reduce((sum, one) => sum + one.bytes, 0);
  return { durationMs, bytes, maintenanceMs, safety, steps, checks: checks.length };
}

/** As of any restore: what it read, and how long it took, is what later ones are predicted from. */
function detailOf(shop: string, { id }: RequestRow, result: InPlaceResult, durationMs: number) {
  const { restored } = result;
  const bytes = restored.reduce((sum, one) => sum + one.readBytes, 0);
  return { shop, request: id, durationMs, bytes, verified: restored.every((one) => one.verified), ...result };
}
