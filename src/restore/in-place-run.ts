// What the restore unit does for a restore in place, step by step, each in the journal before it is done; killed anywhere, the same order goes on.
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { BytePath, SourceKind } from '../source/source.ts';
import { GUARDED } from '../target/shop/guard-page.ts';
import { redOf } from '../target/shop/running-shop.ts';
import type { HttpCheck, ShopFinding, ShopTables, ShopTarget } from '../target/shop.ts';
import type { FilesTarget, HeldDatabase } from '../target/target.ts';
import { restoreDatabase } from './database.ts';
import { type RestoreDeps, type RestoredSource, restoreFiles } from './execute.ts';
import type { InPlaceLook, InPlaceRequest, InPlaceResult, InPlaceStep } from './in-place.ts';
import { type InPlaceJournal, type InPlaceState, isSameOrder, openRestore } from './in-place-journal.ts';
import { StandingClock, Turn, WaitingFiles, waitingDatabase } from './in-place-turn.ts';
import { compilePaths } from './paths.ts';
import { restoreTogether } from './together.ts';

/** The shop as it runs, and how its parts are opened. What is opened here is closed here. */
export interface RunningShop {
  /** Its tree, on its own host; null: only its database is restored. */
  readonly root: string | null;
  readonly target: ShopTarget;
  /** Of the running database, or of the one loaded beside; null: the order is about no database, or the shop's kind is not known. */
  tables(where: 'running' | 'beside'): ShopTables | null;
  /** `remove`: what the snapshot does not have goes. */
  openFiles(snapshot: SnapshotWithCopies, paths: readonly string[], remove: boolean): Promise<FilesTarget>;
  openDatabase(): Promise<HeldDatabase>;
  /** What was fetched of files, and is not to be put in place any more, goes. */
  discardFiles(): Promise<void>;
  /** How a page of the shop is asked for; null: not at all. */
  readonly http: HttpCheck | null;
}

export interface InPlaceDeps extends RestoreDeps {
  readonly journal: InPlaceJournal;
  readonly shop: RunningShop;
  snapshotOf(id: string, source: SourceKind): Promise<SnapshotWithCopies>;
  readonly onStep: (step: InPlaceStep) => void;
}

/** Says what is open; throws E_BUSY for an order that is not the open one when only that one, or its rollback, can go on. */
export function lookAtOrder(state: InPlaceState | null, request: InPlaceRequest): InPlaceLook {
  if (state === null) return { open: null, notes: [] };
  if (request.action !== 'look') refuseOther(state, request);
  return { open: openRestore(state), notes: [] };
}

function refuseOther(state: InPlaceState, request: InPlaceRequest): void {
  if (state.goingBack && request.action !== 'rollback') {
    throw new CoffreError('E_BUSY', `${state.order.shop}: a restore in place is being rolled back`, {
      hint: `coffre restore ${state.order.shop} --in-place --rollback goes on with that`,
    });
  }
  if (state.stage === 'loading' || request.action === 'rollback' || isSameOrder(state, request)) return;
  throw new CoffreError(
    'E_BUSY',
    `${state.order.shop}: another restore in place swapped data and did not end; the shop is in maintenance`,
    {
      hint: `coffre restore ${state.order.shop} --in-place goes on with it, --rollback goes back`,
    },
  );
}

/** All from `maintenance` to the opened shop. Throws as restoreInPlace says. */
export async function runInPlace(request: InPlaceRequest, deps: InPlaceDeps): Promise<InPlaceResult> {
  const run = new InPlaceRun(request, deps);
  try {
    await run.begin();
    if (run.isBefore('finishing')) {
      if (request.maintenance === 'at-once' || run.state.stage !== 'loading') await run.close();
      await run.loadAndSwap();
    }
    if (run.isBefore('opening')) {
      await run.finish();
      await run.check();
    }
    return await run.open();
  } catch (error) {
    throw await run.failed(error);
  }
}

/** Back to what was there before the open restore. Throws E_NOT_FOUND when none is open, E_SHOP_CLOSED. */
export async function goBackInPlace(request: InPlaceRequest, deps: InPlaceDeps): Promise<InPlaceResult> {
  const state = deps.journal.read();
  const { shop } = request;
  if (state === null) {
    throw new CoffreError('E_NOT_FOUND', `${shop}: no restore in place is open`, {
      hint: 'one that ended is gone back from by a restore of its safety snapshots: coffre restore SHOP --in-place --snapshot ID',
    });
  }
  if (state.stage === 'opening') {
    throw new CoffreError('E_BUSY', `${shop}: its restore was found right and is being opened`, {
      hint: `coffre restore ${shop} --in-place ends it; then its safety snapshots can be restored`,
    });
  }
  const run = new InPlaceRun(request, deps);
  try {
    await run.begin();
    return await run.goBack();
  } catch (error) {
    throw await run.failed(error);
  }
}

const STAGES = ['loading', 'swapping', 'placing', 'finishing', 'opening'] as const;

export class InPlaceRun {
  readonly #request: InPlaceRequest;
  readonly #deps: InPlaceDeps;
  readonly #restored: RestoredSource[] = [];
  readonly #checks: string[] = [];
  readonly #warnings: string[] = [];
  readonly #steps: { step: InPlaceStep; durationMs: number }[] = [];
  #stepBegan = 0;
  #state: InPlaceState | null = null;
  #database: HeldDatabase | null = null;

  constructor(request: InPlaceRequest, deps: InPlaceDeps) {
    this.#request = request;
    this.#deps = deps;
  }

  get state(): InPlaceState {
    if (this.#state === null) throw new CoffreError('E_INTERNAL', 'a restore in place was used before it began');
    return this.#state;
  }

  isBefore(stage: InPlaceState['stage']): boolean {
    return STAGES.indexOf(this.state.stage) < STAGES.indexOf(stage);
  }

  /** Takes up what the journal says, or begins it. Nothing of the shop is touched. */
  async begin(): Promise<void> {
    const { journal, shop } = this.#deps;
    const { kind: _, action, safety, ...order } = this.#request;
    const found = journal.read();
    if (found) refuseOther(found, this.#request);
    if (found && (action === 'rollback' || isSameOrder(found, order))) {
      this.#state = found;
      return;
    }
    // What a killed one had closed is not what the shop was before.
    const before = found?.before ?? (await shop.target.inspect(shop.tables('running'), this.#deps.signal));
    const closedAt = found?.closedAt ?? null;
    this.#write({ format: 1, order, safety: found?.safety ?? safety, stage: 'loading', goingBack: false, closedAt, before });
  }

  /** The maintenance page, by PrestaShop's own switch and by a guard that a restored database cannot open. */
  async close(): Promise<void> {
    this.step('maintenance');
    const { shop, clock } = this.#deps;
    if (this.state.closedAt === null) this.#write({ ...this.state, closedAt: clock.nowMs() });
    if (shop.root !== null) await shop.target.guard();
    await shop.target.closeSwitch(shop.tables('running'));
    await this.#proveClosed();
  }

  async loadAndSwap(): Promise<void> {
    this.step('load');
    const { deps, sources } = { deps: this.#deps, sources: await this.#sourcesToDo() };
    const turn = new Turn(sources, {
      everythingReady: () => this.#everythingReady(sources),
      databaseSwapped: () => this.#databaseSwapped(),
    });
    const jobs = [];
    for (const source of sources) {
      const snapshot = await deps.snapshotOf((this.#request[source as 'files' | 'database'] as { snapshot: string }).snapshot, source);
      const standing = new StandingClock(deps.clock);
      const measured = { ...deps, clock: standing.clock };
      jobs.push({
        ...{ source, totalBytes: snapshot.plainBytes },
        run: async (own: Pick<RestoreDeps, 'signal' | 'onProgress'> & { readonly onReady: () => void }): Promise<RestoredSource> => {
          const ours = { ...measured, ...own, onPrepared: own.onReady };
          const wait = (): Promise<void> => standing.standing(() => turn.wait(source, own.signal));
          return source === 'database'
            ? await this.#loadDatabase(ours, snapshot, wait, () => turn.databaseSwapped())
            : await this.#stageFiles(ours, snapshot, wait);
        },
      });
    }
    this.#restored.push(...(await restoreTogether(jobs, deps.signal, deps.onProgress)));
    this.#write({ ...this.state, stage: 'finishing' });
  }

  async finish(): Promise<void> {
    this.step('finish');
    const { shop } = this.#deps;
    if (shop.root !== null) {
      // whatever came into the tree by itself meanwhile
      await shop.target.guard();
      await shop.target.emptyCaches(shop.tables('running'));
    }
    const { domain } = this.state.order;
    if (domain !== null && !this.state.goingBack) await this.#setDomain(domain);
  }

  /** Throws what is red or unknown of the restored shop. */
  async check(): Promise<void> {
    this.step('check');
    const { shop, signal } = this.#deps;
    const findings = await shop.target.smokeTest({
      tables: shop.tables('running'),
      http: shop.http,
      expectedTables: null,
      before: this.state.order.database?.tables === null ? this.state.before : null,
      signal,
    });
    this.#tell(findings);
    const red = redOf(findings);
    if (red !== null) throw red;
  }

  /** Old tables, then old files; what is not there any more comes from the safety snapshots. */
  async goBack(): Promise<InPlaceResult> {
    this.#write({ ...this.state, goingBack: true });
    const { order, before } = this.state;
    if (!this.isBefore('swapping') || this.state.closedAt !== null) await this.close();
    this.step('swap');
    if (order.database) await this.#tablesBack();
    if (order.files) await (this.isBefore('placing') ? this.#deps.shop.discardFiles() : this.#filesBack());
    await this.finish();
    // The shop comes back as it was, whole or not.
    await this.check().catch((error: unknown) => this.#warnings.push(asCoffreError(error).message));
    await this.#openShop(before?.switch ?? null);
    return await this.end('rolled back');
  }

  async #tablesBack(): Promise<void> {
    const database = await this.#openDatabase();
    const there = await database.recover();
    if (there === 'swapped') {
      await database.undo();
    } else if (there === 'nothing' && !this.isBefore('placing')) {
      const { deps, id } = { deps: this.#deps, id: this.#safetyOf('database') };
      const { tables } = this.state.order.database as { tables: readonly string[] | null };
      this.#restored.push(await restoreDatabase(deps, await deps.snapshotOf(id, 'database'), database, tables ? { tables } : {}));
      await this.closeTargets();
    }
  }

  async #filesBack(): Promise<void> {
    const { deps, id } = { deps: this.#deps, id: this.#safetyOf('files') };
    this.#restored.push(await this.#stageFiles(deps, await deps.snapshotOf(id, 'files'), async () => {}, true));
  }

  #safetyOf(source: 'database' | 'files'): string {
    const id = this.state.safety?.[source];
    if (id) return id;
    throw new CoffreError('E_NOT_FOUND', `there is no safety snapshot of the ${source} to go back to`, {
      hint: 'the same restore can be gone on with',
    });
  }

  /** The maintenance page off, then what was kept to go back is cleared away. */
  async open(): Promise<InPlaceResult> {
    this.step('check');
    this.#write({ ...this.state, stage: 'opening' });
    const { state } = this;
    await this.#openShop(state.restoredSwitch ?? state.before?.switch ?? null);
    return await this.end('restored');
  }

  async end(outcome: InPlaceResult['outcome']): Promise<InPlaceResult> {
    const { journal, clock } = this.#deps;
    const { state } = this;
    if (state.order.database) {
      const database = await this.#openDatabase();
      await database.clear().catch((error: unknown) => {
        this.#warnings.push(`what the database held before could not be cleared away: ${asCoffreError(error).message}`);
      });
    }
    await this.closeTargets();
    journal.remove();
    this.#endStep();
    return {
      outcome,
      restored: this.#restored,
      safety: state.safety,
      steps: this.#steps,
      maintenanceMs: state.closedAt === null ? null : clock.nowMs() - state.closedAt,
      checks: this.#checks,
      warnings: this.#warnings,
    };
  }

  /** What to throw: before the swap the shop is as it was and open again; after it the shop stays closed. */
  async failed(error: unknown): Promise<CoffreError> {
    const failure = asCoffreError(error);
    const state = this.#state;
    try {
      if (state === null) return failure;
      if (state.stage === 'loading' && !state.goingBack) {
        await this.reopen();
        return failure;
      }
    } catch (second) {
      return this.#closed(failure, `, and the maintenance page could not be taken away: ${asCoffreError(second).message}`);
    } finally {
      await this.closeTargets();
    }
    return this.#closed(failure, '');
  }

  /** Nothing was swapped: the shop is as it was. What was loaded and fetched stays for the next try. */
  async reopen(): Promise<void> {
    const { journal } = this.#deps;
    const { closedAt, before } = this.state;
    if (closedAt !== null) await this.#openShop(before?.switch ?? null);
    journal.remove();
  }

  #closed(failure: CoffreError, more: string): CoffreError {
    const { shop } = this.#request;
    return new CoffreError('E_SHOP_CLOSED', `${shop} keeps its maintenance page: ${failure.message}${more}`, {
      cause: failure,
      hint: `${failure.hint}; then coffre restore ${shop} --in-place goes on, and coffre restore ${shop} --in-place --rollback goes back`,
    });
  }

  async closeTargets(): Promise<void> {
    const database = this.#database;
    this.#database = null;
    await database?.close().catch(() => {});
  }

  step(step: InPlaceStep): void {
    if (this.#steps.at(-1)?.step === step) return;
    this.#endStep();
    this.#deps.onStep(step);
    this.#steps.push({ step, durationMs: 0 });
    this.#stepBegan = this.#deps.clock.monotonicMs();
  }

  #endStep(): void {
    const last = this.#steps.at(-1);
    if (last) last.durationMs = Math.round(this.#deps.clock.monotonicMs() - this.#stepBegan);
  }

  /** What of the order is not in its place yet. */
  async #sourcesToDo(): Promise<readonly SourceKind[]> {
    const { order } = this.state;
    const sources: SourceKind[] = [];
    if (order.files) sources.push('files');
    if (order.database && (await this.#databaseToDo())) sources.push('database');
    return sources;
  }

  /** Settles a swap that was cut off. */
  async #databaseToDo(): Promise<boolean> {
    const { stage } = this.state;
    if (stage === 'loading') return true;
    if (stage !== 'swapping') return false;
    const database = await this.#openDatabase();
    const swapped = (await database.recover()) === 'swapped';
    await this.closeTargets();
    this.#write({ ...this.state, stage: swapped ? 'placing' : 'loading' });
    return !swapped;
  }

  async #loadDatabase(
    deps: RestoreDeps,
    snapshot: SnapshotWithCopies,
    turn: () => Promise<void>,
    swapped: () => Promise<void>,
  ): Promise<RestoredSource> {
    const database = await this.#openDatabase();
    const { tables } = this.state.order.database as { tables: readonly string[] | null };
    try {
      return await restoreDatabase(deps, snapshot, waitingDatabase(database, turn, swapped), tables ? { tables } : {});
    } catch (error) {
      await this.#settleFailedSwap(database);
      throw error;
    } finally {
      await this.closeTargets();
    }
  }

  /** A swap that failed puts the old tables back by itself: then the shop is as it was, and may be opened again. */
  async #settleFailedSwap(database: HeldDatabase): Promise<void> {
    if (this.state.stage !== 'swapping') return;
    if ((await database.recover()) !== 'swapped') this.#write({ ...this.state, stage: 'loading' });
  }

  async #stageFiles(
    deps: RestoreDeps,
    snapshot: SnapshotWithCopies,
    turn: () => Promise<void>,
    removeInAnyCase = false,
  ): Promise<RestoredSource> {
    const { order, before } = this.state;
    const { paths, remove: removeOrdered } = order.files as { paths: readonly string[]; remove: boolean };
    const remove = removeOrdered || removeInAnyCase;
    const { shop } = this.#deps;
    const arranged = new Set<BytePath>([...GUARDED[before?.kind.application ?? 'generic'], ...(before?.settings ?? [])]);
    const inner = await shop.openFiles(snapshot, paths, remove);
    const arrange = (staged: readonly string[]): Promise<void> => this.#arrange(staged, inner.publish !== undefined);
    try {
      return await restoreFiles(deps, snapshot, new WaitingFiles(inner, { arrange, turn, arranged }), compilePaths(paths));
    } finally {
      await inner.close();
    }
  }

  /** What is staged keeps this machine's settings, and is closed when it comes. */
  async #arrange(staged: readonly string[], whole: boolean): Promise<void> {
    const { target } = this.#deps.shop;
    const { secrets, database } = this.state.order;
    const scope = { databaseRestored: database !== null, whole };
    for (const folder of staged) {
      this.#tell(await target.settleSettings(folder, this.state.goingBack ? 'archive' : secrets, scope));
      await target.guard(folder);
    }
  }

  async #everythingReady(sources: readonly SourceKind[]): Promise<void> {
    const { shop } = this.#deps;
    if (!sources.includes('database')) {
      await this.#toPlace();
      return;
    }
    const beside = shop.tables('beside');
    // As the snapshot has it: read once, before it is closed.
    const restoredSwitch = this.state.restoredSwitch === undefined ? await shop.target.readSwitch(beside) : this.state.restoredSwitch;
    this.#write({ ...this.state, restoredSwitch });
    await shop.target.closeSwitch(beside);
    if (this.state.closedAt === null) await this.close();
    this.step('swap');
    this.#write({ ...this.state, stage: 'swapping' });
  }

  async #toPlace(): Promise<void> {
    if (this.state.closedAt === null) await this.close();
    this.step('swap');
    this.#write({ ...this.state, stage: 'placing' });
  }

  async #databaseSwapped(): Promise<void> {
    this.#write({ ...this.state, stage: 'placing' });
  }

  async #openDatabase(): Promise<HeldDatabase> {
    this.#database ??= await this.#deps.shop.openDatabase();
    return this.#database;
  }

  async #setDomain(domain: string): Promise<void> {
    const { shop } = this.#deps;
    await shop.target.setDomains(shop.tables('running'), [{ from: null, to: domain, physicalUri: null }]);
  }

  /** The switch first: index.php is whole last. */
  async #openShop(to: Parameters<ShopTarget['setSwitch']>[1]): Promise<void> {
    const { shop } = this.#deps;
    await shop.target.setSwitch(shop.tables('running'), to);
    if (shop.root !== null) await shop.target.unguard();
  }

  async #proveClosed(): Promise<void> {
    const { shop, signal } = this.#deps;
    const { http } = shop;
    if (http === null) return;
    const finding = await shop.target.proveClosed(shop.tables('running'), http, signal);
    this.#tell([finding]);
    const red = redOf([finding]);
    if (red !== null)
      throw new CoffreError(red.code, `the maintenance page is not what clients see: ${finding.detail}`, { hint: red.hint });
  }

  #tell(findings: readonly ShopFinding[]): void {
    for (const { check, ok, detail } of findings) (ok ? this.#checks : this.#warnings).push(`${check}: ${detail}`);
  }

  #write(state: InPlaceState): void {
    this.#deps.journal.write(state);
    this.#state = state;
  }
}
