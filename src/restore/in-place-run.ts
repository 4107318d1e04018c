// What the restore unit does for a restore in place, step by step, each in the journal before it is done; killed anywhere, the same order goes on.
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { BytePath, SourceKind } from '../source/source.ts';
import { GUARDED } from '../target/shop/guard-page.ts';
import { bearsOurMark, openedTo } from '../target/shop/switch.ts';
import type { ShopState, SwitchState } from '../target/shop.ts';
import type { HeldDatabase } from '../target/target.ts';
import { restoreDatabase } from './database.ts';
import { type RestoreDeps, type RestoredSource, restoreFiles } from './execute.ts';
import type { InPlaceLook, InPlaceRequest, InPlaceResult, InPlaceStep } from './in-place.ts';
import { type InPlaceJournal, type InPlaceState, isSameOrder, openRestore } from './in-place-journal.ts';
import { type RunningShop, ShopSteps } from './in-place-shop.ts';
import { StandingClock, Turn, WaitingFiles, waitingDatabase } from './in-place-turn.ts';
import { compilePaths } from './paths.ts';
import { restoreTogether, type TogetherJob } from './together.ts';

export interface InPlaceDeps extends RestoreDeps {
  readonly journal: InPlaceJournal;
  readonly shop: RunningShop;
  /** Throws E_UNKNOWN_SNAPSHOT for one of another shop or source. */
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
  const { shop } = state.order;
  if (state.goingBack && request.action !== 'rollback') {
    throw new CoffreError('E_BUSY', `${shop}: a restore in place is being rolled back`, {
      hint: `coffre restore ${shop} --in-place --rollback goes on with that`,
    });
  }
  if (state.stage === 'loading' || request.action === 'rollback' || isSameOrder(state, request)) return;
  throw new CoffreError('E_BUSY', `${shop}: another restore in place swapped data and did not end; the shop is in maintenance`, {
    hint: `coffre restore ${shop} --in-place goes on with it, --rollback goes back`,
  });
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
  if (state.stage === 'opening' && !state.goingBack) {
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

class InPlaceRun {
  readonly #request: InPlaceRequest;
  readonly #deps: InPlaceDeps;
  readonly #shop: ShopSteps;
  readonly #restored: RestoredSource[] = [];
  readonly #steps: { step: InPlaceStep; durationMs: number }[] = [];
  #stepBegan = 0;
  #state: InPlaceState | null = null;
  #database: HeldDatabase | null = null;

  constructor(request: InPlaceRequest, deps: InPlaceDeps) {
    this.#request = request;
    this.#deps = deps;
    this.#shop = new ShopSteps(deps.shop, deps.signal);
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
    const { kind: _, action, safety, ...order } = this.#request;
    const found = this.#deps.journal.read();
    if (found) refuseOther(found, this.#request);
    if (found && (action === 'rollback' || isSameOrder(found, order))) {
      this.#state = found;
      return;
    }
    // What a killed one had closed is not what the shop was before.
    const before = found?.before ?? this.#asItsOwnerHasIt(await this.#shop.inspect());
    const closedAt = found?.closedAt ?? null;
    this.#write({ format: 1, order, safety: found?.safety ?? safety, stage: 'loading', goingBack: false, closedAt, before });
  }

  /** Coffre's own mark in a shop without a journal: somebody loaded a snapshot of a closed shop, or its journal was removed. */
  #asItsOwnerHasIt(state: ShopState): ShopState {
    if (!bearsOurMark(state.switch)) return state;
    this.#shop.warnings.push(
      'the shop’s maintenance switch stood as a restore sets it, with no restore open: it is taken for an open shop’s',
    );
    return { ...state, switch: openedTo(state.switch, []) };
  }

  async close(): Promise<void> {
    this.#step('maintenance');
    if (this.state.closedAt === null) this.#write({ ...this.state, closedAt: this.#deps.clock.nowMs() });
    await this.#shop.close();
  }

  async loadAndSwap(): Promise<void> {
    this.#step('load');
    const deps = this.#deps;
    const sources = await this.#sourcesToDo();
    const turn = new Turn(sources, {
      everythingReady: () => this.#everythingReady(sources),
      databaseSwapped: async () => this.#write({ ...this.state, stage: 'placing' }),
    });
    const jobs: TogetherJob<RestoredSource>[] = [];
    for (const { source, id } of sources) {
      const snapshot = await deps.snapshotOf(id, source);
      jobs.push({
        ...{ source, totalBytes: snapshot.plainBytes },
        run: async ({ onReady, ...own }) => {
          const standing = new StandingClock(deps.clock);
          const ours = { ...deps, clock: standing.clock, ...own, onPrepared: onReady };
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
    this.#step('finish');
    await this.#shop.finish(this.state.goingBack ? null : this.state.order.domain);
  }

  /** Throws what is red or unknown of the restored shop. */
  async check(): Promise<void> {
    const red = await this.#look();
    if (red !== null) throw red;
  }

  /** Each finding is told; null: nothing is red or unknown. */
  async #look(): Promise<CoffreError | null> {
    this.#step('check');
    const { before, order } = this.state;
    return await this.#shop.check(order.database?.tables === null ? before : null, before?.missingTables ?? []);
  }

  /** The maintenance page off, then what was kept to go back is cleared away. */
  async open(): Promise<InPlaceResult> {
    this.#step('check');
    this.#write({ ...this.state, stage: 'opening' });
    const before = this.state.before?.switch ?? null;
    // a snapshot of a closed shop has coffre's own values
    await this.#shop.open(openedTo(this.state.restoredSwitch ?? before, [before]), true);
    return await this.#end('restored');
  }

  /** Old tables, then old files; what is not there any more comes from the safety snapshots. */
  async goBack(): Promise<InPlaceResult> {
    if (!this.state.goingBack) this.#write({ ...this.state, goingBack: true });
    if (this.isBefore('opening')) await this.#goBackClosed();
    await this.#shop.open(this.#switchBefore(), false);
    return await this.#end('rolled back');
  }

  async #goBackClosed(): Promise<void> {
    const { order } = this.state;
    if (!this.isBefore('swapping') || this.state.closedAt !== null) await this.close();
    this.#step('swap');
    if (order.database) await this.#tablesBack();
    if (order.files) await (this.isBefore('placing') ? this.#deps.shop.discardFiles() : this.#filesBack());
    await this.finish();
    // The shop comes back as it was, whole or not.
    await this.#look().catch((error: unknown) => this.#shop.warnings.push(asCoffreError(error).message));
    this.#write({ ...this.state, stage: 'opening' });
  }

  /** What to throw: before the swap the shop is as it was and open again; after it the shop stays closed. */
  async failed(error: unknown): Promise<CoffreError> {
    const failure = asCoffreError(error);
    const state = this.#state;
    try {
      if (state === null) return failure;
      if (state.stage === 'loading' && !state.goingBack) {
        // What was loaded and fetched stays for the next try.
        if (state.closedAt !== null) await this.#shop.open(this.#switchBefore(), false);
        this.#deps.journal.remove();
        return failure;
      }
    } catch (second) {
      return this.#closed(failure, `, and the maintenance page could not be taken away: ${asCoffreError(second).message}`);
    } finally {
      await this.#closeDatabase();
    }
    return this.#closed(failure, '');
  }

  /** Of a journal that an older coffre wrote it may be coffre's own. */
  #switchBefore(): SwitchState {
    return openedTo(this.state.before?.switch ?? null, [this.state.restoredSwitch ?? null]);
  }

  async #tablesBack(): Promise<void> {
    const database = await this.#openDatabase();
    const there = await database.recover();
    if (there === 'swapped') {
      await database.undo();
    } else if (there === 'nothing' && !this.isBefore('placing')) {
      const snapshot = await this.#deps.snapshotOf(this.#safetyOf('database'), 'database');
      const { tables } = this.state.order.database as { tables: readonly string[] | null };
      this.#restored.push(await restoreDatabase(this.#deps, snapshot, database, tables ? { tables } : {}));
      await this.#closeDatabase();
    }
  }

  async #filesBack(): Promise<void> {
    const snapshot = await this.#deps.snapshotOf(this.#safetyOf('files'), 'files');
    this.#restored.push(await this.#stageFiles(this.#deps, snapshot, async () => {}));
  }

  #safetyOf(source: 'database' | 'files'): string {
    const id = this.state.safety?.[source];
    if (id) return id;
    throw new CoffreError('E_NOT_FOUND', `there is no safety snapshot of the ${source} to go back to`, {
      hint: 'the same restore can be gone on with',
    });
  }

  async #end(outcome: InPlaceResult['outcome']): Promise<InPlaceResult> {
    const { state } = this;
    if (state.order.database) {
      const database = await this.#openDatabase();
      await database.clear().catch((error: unknown) => {
        this.#shop.warnings.push(`what the database held before could not be cleared away: ${asCoffreError(error).message}`);
      });
    }
    await this.#closeDatabase();
    this.#deps.journal.remove();
    this.#endStep();
    return {
      outcome,
      open: this.#shop.isOpen,
      restored: this.#restored,
      safety: state.safety,
      steps: this.#steps,
      maintenanceMs: state.closedAt === null ? null : this.#deps.clock.nowMs() - state.closedAt,
      checks: this.#shop.checks,
      warnings: this.#shop.warnings,
    };
  }

  #closed(failure: CoffreError, more: string): CoffreError {
    const { shop } = this.#request;
    return new CoffreError('E_SHOP_CLOSED', `${shop} keeps its maintenance page: ${failure.message}${more}`, {
      cause: failure,
      hint: `${failure.hint}; then coffre restore ${shop} --in-place goes on, and coffre restore ${shop} --in-place --rollback goes back`,
    });
  }

  /** What of the order is not in its place yet. */
  async #sourcesToDo(): Promise<readonly { readonly source: SourceKind; readonly id: string }[]> {
    const { files, database } = this.state.order;
    // files first: what is refused of them is refused before a database is loaded
    return [
      ...(files ? [{ source: 'files' as const, id: files.snapshot }] : []),
      ...(database && (await this.#databaseToDo()) ? [{ source: 'database' as const, id: database.snapshot }] : []),
    ];
  }

  /** Settles a swap that was cut off. */
  async #databaseToDo(): Promise<boolean> {
    const { stage } = this.state;
    if (stage === 'loading') return true;
    if (stage !== 'swapping') return false;
    const database = await this.#openDatabase();
    const swapped = (await database.recover()) === 'swapped';
    await this.#closeDatabase();
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
      // A swap that failed puts the old tables back by itself: then the shop is as it was, and may be opened again.
      if (this.state.stage === 'swapping' && (await database.recover()) !== 'swapped') this.#write({ ...this.state, stage: 'loading' });
      throw error;
    } finally {
      await this.#closeDatabase();
    }
  }

  /** Going back, what came with the restore goes; and the settings are those of the safety snapshot, whatever was merged into them since. */
  async #stageFiles(deps: RestoreDeps, snapshot: SnapshotWithCopies, turn: () => Promise<void>): Promise<RestoredSource> {
    const { order, before, goingBack } = this.state;
    const { paths, remove } = order.files as { paths: readonly string[]; remove: boolean };
    const arranged = new Set<BytePath>([...GUARDED[before?.kind.application ?? 'generic'], ...(before?.settings ?? [])]);
    const inner = await this.#deps.shop.openFiles(snapshot, paths, remove || goingBack);
    const choice = goingBack ? 'archive' : order.secrets;
    const arrange = (staged: readonly string[]): Promise<void> =>
      this.#shop.arrange(staged, choice, order.database !== null, inner.publish !== undefined);
    try {
      return await restoreFiles(deps, snapshot, new WaitingFiles(inner, { arrange, turn, arranged }), compilePaths(paths));
    } finally {
      await inner.close();
    }
  }

  /** All is loaded and checked. The restored database is closed before it comes, and the journal says which way things go. */
  async #everythingReady(sources: readonly { readonly source: SourceKind }[]): Promise<void> {
    const withDatabase = sources.some(({ source }) => source === 'database');
    if (withDatabase) {
      // As the snapshot has it: read once, before it is closed.
      if (this.state.restoredSwitch === undefined) this.#write({ ...this.state, restoredSwitch: await this.#shop.switchBeside() });
      await this.#shop.closeBeside(await this.#openDatabase());
    }
    if (this.state.closedAt === null) await this.close();
    // from here on it is gone on with, or gone back from
    this.#deps.signal.throwIfAborted();
    this.#step('swap');
    this.#write({ ...this.state, stage: withDatabase ? 'swapping' : 'placing' });
  }

  async #openDatabase(): Promise<HeldDatabase> {
    this.#database ??= await this.#deps.shop.openDatabase();
    return this.#database;
  }

  async #closeDatabase(): Promise<void> {
    const database = this.#database;
    this.#database = null;
    await database?.close().catch(() => {});
  }

  #step(step: InPlaceStep): void {
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

  #write(state: InPlaceState): void {
    this.#deps.journal.write(state);
    this.#state = state;
  }
}
