// The run of an approved request, whoever does it: the shop's lock, its pins, the sequence in place, and what is written down of it.
import { Estimator } from '../backup/estimator.ts';
import type { Catalog } from '../catalog/open.ts';
import { clearOpenRestore, markOpenRestore } from '../catalog/open-restores.ts';
import { openRequests, readRequest } from '../catalog/requests.ts';
import { recordStep } from '../catalog/run-queue.ts';
import { finishRun, startRun } from '../catalog/runs.ts';
import type { Clock } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { EventLog } from '../events.ts';
import type { DamagedCopy } from '../restore/damaged-copy.ts';
import { HeldShop } from '../restore/held-shop.ts';
import { type InPlaceCaller, type InPlaceResult, restoreInPlace, type SafetySnapshots } from '../restore/in-place.ts';
import { recordInPlaceRates } from '../restore/in-place-rates.ts';
import type { RestoreProgress } from '../restore/progress.ts';
import { pinSnapshot, recordDamage } from '../restore/restore-run.ts';
import type { SourceKind } from '../source/source.ts';
import { beginRequest, failRequest, finishRequest, orderOf, summaryOf, verifyRequest } from './request-progress.ts';
import type { Work } from './scheduler-ports.ts';

export interface RequestRunDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Pick<EventLog, 'error'>;
  readonly ask: InPlaceCaller['ask'];
  /** Backs the sources up, as what was there before; what it returns need not be pinned. Throws as InPlaceCaller says, E_BUSY while somebody else has the shop. */
  readonly takeSafety: (shop: ShopConfig, sources: readonly SourceKind[], signal: AbortSignal) => Promise<SafetySnapshots>;
}

export type RequestWork = Pick<Work, 'run' | 'who' | 'signal' | 'step' | 'progress'>;

/**
 * Restores what the request says, or goes on with it. null: nothing, it was called off meanwhile. Throws E_BUSY before anything was begun, and
 * what made it fail, which the request then says too; told to stop with E_INTERRUPTED it stays as it is, and its next run goes on.
 */
export async function runRequest(deps: RequestRunDeps, work: RequestWork, requestId: string): Promise<InPlaceResult | null> {
  const { catalog, clock, config } = deps;
  const request = await readRequest(catalog, requestId);
  if (request.state !== 'approved' && request.state !== 'running' && request.state !== 'verifying') return null;
  const shop = config.shops.get(request.shop);
  if (shop === undefined) throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(request.shop)} in ${config.file}`);
  const order = orderOf(request);
  const source = order.database === null ? 'files' : order.files === null ? 'database' : null;
  using held = new HeldShop(config, clock, shop.name, work.signal);
  await held.take();
  const other = (await openRequests(catalog.db, shop.name)).find(
    ({ id, state }) => id !== requestId && (state === 'running' || state === 'verifying'),
  );
  if (other) throw new CoffreError('E_BUSY', `${shop.name}: request ${other.id} is ${other.state}: its restore comes first`);
  const damaged: DamagedCopy[] = [];
  try {
    await startRun(catalog, clock, { id: work.run, kind: 'restore', shop: shop.name, source, who: work.who });
    await beginRequest(deps, requestId, work.run, work.who);
    for (const one of [order.database, order.files]) if (one) await pinSnapshot(catalog, work.run, one.snapshot);
    const startedMs = clock.monotonicMs();
    const telling = new Telling(deps, work, requestId);
    let safetyMs: number | null = null;
    const caller: InPlaceCaller = {
      signal: work.signal,
      ask: deps.ask,
      takeSafety: async (sources, signal) => {
        const beganMs = clock.monotonicMs();
        const safety = await held.without(() => deps.takeSafety(shop, sources, signal));
        safetyMs = Math.round(clock.monotonicMs() - beganMs);
        const ids = [safety.database, safety.files].filter((id) => id !== null);
        for (const id of ids) await pinSnapshot(catalog, work.run, id);
        return safety;
      },
      touches: (mayBeClosed) =>
        mayBeClosed ? markOpenRestore(catalog, clock, shop.name, { runId: work.run, who: work.who }) : clearOpenRestore(catalog, shop.name),
      onStep: (step) => telling.step(step),
      onProgress: (progress) => telling.progress(progress),
      onDamaged: (problem) => damaged.push(problem),
    };
    const result = await restoreInPlace(order, caller);
    await telling.told;
    const durationMs = Math.round(clock.monotonicMs() - startedMs);
    // the request first: a run that is taken up after a crash between the two finds that nothing is left to be done
    await finishRequest(deps, requestId, work.who, summaryOf(result, durationMs));
    await recordInPlaceRates(catalog, clock, { shop, runId: work.run }, result, safetyMs);
    await finishRun(catalog, clock, work.run, 'done', null, detailOf(shop.name, requestId, result, durationMs));
    return result;
  } catch (error) {
    const failure = notBusy(asCoffreError(error));
    // told to stop with the daemon: the order is taken up, and the request goes on with it; called off between its order and its beginning: nothing failed
    if (failure.code !== 'E_INTERRUPTED' && failure.code !== 'E_REQUEST_STATE') await writeFailure(deps, requestId, work.who, failure);
    await finishRun(catalog, clock, work.run, 'failed', failure).catch(() => {});
    throw failure;
  } finally {
    for (const problem of damaged) await recordDamage(catalog, clock, problem).catch(() => {});
  }
}

/** Of a run that has begun nobody is to think that it only waits for its shop: another restore of it is open, and a person must end that. */
function notBusy(error: CoffreError): CoffreError {
  return error.code === 'E_BUSY' ? new CoffreError('E_RESTORE_REFUSED', error.message, { hint: error.hint, cause: error }) : error;
}

/** It may be done already, and the run could not write that it is. */
async function writeFailure(deps: RequestRunDeps, id: string, who: string, failure: CoffreError): Promise<void> {
  try {
    await failRequest(deps, id, who, failure);
  } catch (error) {
    const { code, hint, message } = asCoffreError(error);
    if (code !== 'E_REQUEST_STATE') deps.log.error({ event: 'request.unsaved', request: id, code, hint }, message);
  }
}

/** What whoever watches is told, and what of it is kept. */
class Telling {
  readonly #deps: RequestRunDeps;
  readonly #work: RequestWork;
  readonly #request: string;
  #estimator = new Estimator();
  #steps = 0;
  /** What is still being written. */
  told: Promise<void> = Promise.resolve();

  constructor(deps: RequestRunDeps, work: RequestWork, request: string) {
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
    this.#work.progress({
      ...{ doneBytes, carriedBytes, totalBytes, totalIsGuess: false, storedBytes: 0, segments: 0, reusedSegments: 0, files: doneFiles },
      ...{ bytesPerSecond: this.#estimator.rate(atMs), leftMs: this.#estimator.leftMs(atMs) },
    });
  }
}

/** As of any restore in place: `coffre restore --rollback` looks for its safety snapshots here. */
function detailOf(shop: string, request: string, { restored, ...inPlace }: InPlaceResult, durationMs: number) {
  const bytes = restored.reduce((sum, one) => sum + one.readBytes, 0);
  return { shop, request, durationMs, bytes, verified: restored.every((one) => one.verified), restored, inPlace, passedOver: [] };
}
