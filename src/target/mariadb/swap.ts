// Restores over a database that is not empty: loads beside it, then swaps, so that a restore that fails leaves the old data as it was.
import { createHash } from 'node:crypto';
import { asCoffreError, CoffreError } from '../../errors.ts';
import type { LoadInstruction } from '../../source/source.ts';
import type { HeldDatabase, IncomingSegment, LoadedTable, RestoreScope, TableChoice } from '../target.ts';
import { listContents } from './contents.ts';
import { MariadbTarget, type MariadbTargetOptions } from './database.ts';
import { writeError } from './errors.ts';
import { quoteName, quoteText } from './names.ts';
import { TargetOpener } from './open.ts';
import type { ServerAddress, Session } from './session.ts';
import { SwapJournal, type SwapPlan } from './swap-journal.ts';
import { type SwapNames, swapNames } from './swap-names.ts';
import { planSwap } from './swap-plan.ts';
import { makeBeside, refuseOtherKinds } from './swap-rights.ts';
import { bytesOf, once, runStaged } from './swap-staged.ts';
import { clearAway, PATIENCE, type Patience, putBack, repair, type SwapDeps, settle, swapIn } from './swap-steps.ts';

export interface SwapTargetOptions extends Omit<MariadbTargetOptions, 'adopt'> {
  /** Leave the old tables in their database beside instead of dropping them at the end. */
  readonly keepOld?: boolean;
  /** Everything is loaded beside, even where nothing is to be lost, and what was swapped out stays there until `clear` or `undo`. */
  readonly held?: boolean;
  readonly patience?: Patience;
  /** Told of each step of a swap once it is done; for tests that kill the process there. */
  readonly afterStep?: (step: string) => Promise<void>;
}

/** What a restore did with what was there. */
export interface Landing {
  /** false: the database was empty or did not exist, or the tables were not in it. */
  readonly overwrote: boolean;
  /** The database that holds the old tables now. */
  readonly keptOld: string | null;
  /** Tables that an interrupted restore of the same had finished. */
  readonly resumedTables: number;
}

interface Beside {
  readonly opener: TargetOpener;
  readonly session: Session;
  readonly journal: SwapJournal;
}

/** Longer than any statement of a swap waits for tables. */
const SWAP_WAIT_SECONDS = 120;

export class SwapTarget implements HeldDatabase {
  readonly connections: number;
  readonly #address: ServerAddress;
  readonly #names: SwapNames;
  readonly #options: SwapTargetOptions;
  #scope: RestoreScope | null = null;
  /** Where rows go: the database itself, or the one beside it. */
  #loader: MariadbTarget;
  #beside: Beside | null = null;
  #published = false;
  #resumedTables = 0;

  constructor(address: ServerAddress, database: string, options: SwapTargetOptions) {
    this.#address = address;
    this.#names = swapNames(database);
    this.#options = options;
    this.#loader = this.#target(database, { overwrite: false });
    this.connections = this.#loader.connections;
  }

  /** Read after the restore. */
  get landing(): Landing {
    const keptOld = this.#published && this.#options.keepOld ? this.#names.old : null;
    return { overwrote: this.#published, keptOld, resumedTables: this.#resumedTables };
  }

  /** Repairs first what a killed restore left, whatever is asked for. Throws as MariadbTarget, and E_DB_PRIVILEGE for what lies beside. */
  async prepare(scope?: RestoreScope): Promise<readonly LoadedTable[]> {
    this.#scope = scope ?? null;
    if (this.#options.held) await this.#clearSwapped();
    else await this.#repair();
    const finished = await this.#makeReady(scope);
    this.#resumedTables = finished.length;
    return finished;
  }

  async #makeReady(scope: RestoreScope | undefined): Promise<readonly LoadedTable[]> {
    if (!this.#options.held) {
      try {
        // An empty database, a missing one, an unfinished restore of the same: nothing to lose, no swap.
        return await this.#loader.prepare(scope);
      } catch (error) {
        await this.#loader.close();
        if (!this.#options.overwrite || !(error instanceof CoffreError) || error.code !== 'E_TARGET_NOT_EMPTY') throw error;
      }
    }
    this.#beside = await this.#makeBeside();
    this.#loader = this.#target(this.#names.scratch, { overwrite: true });
    return this.#loader.prepare(scope);
  }

  markIncomplete(): Promise<void> {
    return this.#loader.markIncomplete();
  }

  async markComplete(): Promise<void> {
    if (!this.#beside) return this.#loader.markComplete();
    if (!this.#published) throw new CoffreError('E_INTERNAL', 'a restore beside was called complete before its tables were swapped');
    // The connections of the load end first: they are in the database that goes.
    await this.#loader.close();
    if (this.#options.held) return;
    await clearAway(this.#deps(this.#beside), this.#options.keepOld === true).catch((error: unknown) => {
      throw writeError(error, 'the new data is in; clearing away the old');
    });
  }

  willAlter(tables: readonly string[]): Promise<void> {
    return this.#loader.willAlter(tables);
  }

  /** Programs are kept until the tables were swapped. */
  async loadSql(segment: IncomingSegment, signal: AbortSignal, choice?: TableChoice): Promise<void> {
    if (!this.#beside || segment.phase !== 'post') return this.#loader.loadSql(segment, signal, choice);
    await this.#stage(this.#beside, segment, choice);
  }

  loadRows(segment: IncomingSegment, load: LoadInstruction, signal: AbortSignal): Promise<LoadedTable> {
    return this.#loader.loadRows(segment, load, signal);
  }

  listTables(segment: IncomingSegment): Promise<readonly string[]> {
    return this.#loader.listTables(segment);
  }

  async holdKeys(segment: IncomingSegment): Promise<readonly string[]> {
    if (!this.#beside || !this.#scope?.tables) return this.#loader.holdKeys(segment);
    // Foreign keys of tables that come alone lead to tables that are only in the real database: kept until they are there too.
    const text = await bytesOf(segment.plaintext);
    const again = { ...segment, plaintext: once(text) };
    await this.#stage(this.#beside, again, { only: new Set(this.#scope.tables), except: new Set() });
    return this.#loader.holdKeys({ ...segment, plaintext: once(text) });
  }

  finishTables(tables: readonly LoadedTable[], signal: AbortSignal): Promise<void> {
    return this.#loader.finishTables(tables, signal);
  }

  async addForeignKeys(signal: AbortSignal, choice?: TableChoice): Promise<void> {
    if (this.#beside && this.#scope?.tables) return;
    await this.#loader.addForeignKeys(signal, choice);
  }

  /** Swaps tables and programs. When it throws, the old state was put back, or the message says that it was not. */
  async publish(): Promise<void> {
    const beside = this.#beside;
    if (!beside || this.#published) return;
    let plan: SwapPlan;
    try {
      plan = await planSwap(beside.session, this.#names, { tables: this.#scope?.tables ?? null, keepOld: this.#options.keepOld === true });
      await beside.journal.writePlan(plan);
    } catch (error) {
      throw writeError(error, `planning the swap of ${this.#names.database}`);
    }
    try {
      await swapIn(this.#deps(beside), plan);
      this.#published = true;
    } catch (error) {
      await this.#undo(beside, plan, error);
    }
  }

  async countRows(tables: readonly string[]): Promise<readonly LoadedTable[]> {
    if (!this.#published) return this.#loader.countRows(tables);
    return this.#inDatabase((target) => target.countRows(tables));
  }

  async close(): Promise<void> {
    await this.#loader.close();
    const beside = this.#beside;
    this.#beside = null;
    await beside?.session.end();
    await beside?.opener.close();
  }

  /** The database that rows are loaded into, to be swapped. */
  get beside(): string {
    return this.#names.scratch;
  }

  /** Needs no prepare, nor do the following. */
  recover(): Promise<'nothing' | 'loading' | 'swapped'> {
    return this.#withJournal(`repairing ${this.#names.database} after an interrupted restore`, async (deps) => {
      if (deps === null) return 'nothing';
      const settled = await settle(deps);
      return settled === 'swapped' ? settled : 'loading';
    });
  }

  async undo(): Promise<boolean> {
    return this.#withJournal(`putting the old tables of ${this.#names.database} back`, async (deps) => {
      if (deps === null || (await deps.journal.lastStep()) === 'loading') return false;
      // From here on a restore that is cut off puts back what is not whole.
      await deps.journal.step('swapping');
      await putBack(deps, await deps.journal.plan());
      this.#published = false;
      return true;
    });
  }

  async clear(): Promise<void> {
    await this.#loader.close();
    await this.#withJournal(`clearing away what lies beside ${this.#names.database}`, async (deps) => {
      if (deps === null) return;
      if ((await deps.journal.lastStep()) === 'swapping') throw new CoffreError('E_INTERNAL', 'a swap was not settled and is cleared away');
      await clearAway(deps, false);
    });
  }

  async probe(tables: readonly string[] | null): Promise<void> {
    this.#scope = { snapshot: '', tables };
    const found = await this.#withJournal(`looking at ${this.#names.database}`, async (deps) => deps !== null);
    if (found) return;
    const beside = await this.#makeBeside();
    try {
      await clearAway(this.#deps(beside), false);
    } finally {
      await beside.session.end();
      await beside.opener.close();
    }
  }

  /** A restore that ended, but for this. */
  async #clearSwapped(): Promise<void> {
    if ((await this.recover()) === 'swapped') await this.clear();
  }

  /** `null`: nothing of a restore is beside. Uses the connection that swaps, where there is one. Throws as writeError says. */
  async #withJournal<T>(what: string, work: (deps: SwapDeps | null) => Promise<T>): Promise<T> {
    const held = this.#beside;
    if (held && !held.session.lost) {
      return await work(this.#deps(held)).catch((error: unknown) => {
        throw writeError(error, what);
      });
    }
    const { opener, session } = await this.#open();
    try {
      const journal = await SwapJournal.find(session, this.#names);
      return await work(journal && this.#deps({ opener, session, journal }));
    } catch (error) {
      throw writeError(error, what);
    } finally {
      await session.end();
      await opener.close();
    }
  }

  #target(database: string, options: { readonly overwrite: boolean; readonly adopt?: boolean }): MariadbTarget {
    return new MariadbTarget(this.#address, database, { ...this.#options, ...options });
  }

  #deps({ session, journal }: Beside): SwapDeps {
    return {
      session,
      journal,
      names: this.#names,
      patience: this.#options.patience ?? PATIENCE,
      runStaged: (segments) => this.#inDatabase((target) => runStaged(target, segments)),
      onWarning: (message) => this.#options.onWarning?.(message),
      afterStep: this.#options.afterStep ?? (async () => {}),
    };
  }

  async #open(): Promise<{ opener: TargetOpener; session: Session }> {
    const { held = false, overwrite } = this.#options;
    const { database, old, scratch } = this.#names;
    const opener = new TargetOpener(this.#address, database, { beside: held || overwrite ? [scratch, old] : [] });
    try {
      const session = await opener.open(true);
      await holdAlone(session, this.#names).catch((error: unknown) => {
        session.destroy();
        throw writeError(error, `waiting for an earlier swap of ${this.#names.database}`);
      });
      return { opener, session };
    } catch (error) {
      await opener.close();
      throw error;
    }
  }

  async #repair(): Promise<void> {
    const { opener, session } = await this.#open();
    try {
      const journal = await SwapJournal.find(session, this.#names);
      if (!journal) return;
      const done = await repair(this.#deps({ opener, session, journal }));
      if (done === 'put back') this.#options.onWarning?.('an interrupted restore was undone: the old tables and programs are back');
      if (done === 'finished') this.#options.onWarning?.('an interrupted restore had swapped its tables and was finished first');
    } catch (error) {
      throw writeError(error, `repairing ${this.#names.database} after an interrupted restore`);
    } finally {
      await session.end();
      await opener.close();
    }
  }

  async #makeBeside(): Promise<Beside> {
    const { opener, session } = await this.#open();
    const chosen = this.#scope?.tables ?? null;
    try {
      const found = await SwapJournal.find(session, this.#names);
      if (!found) await SwapJournal.refuseForeign(session, this.#names);
      else if ((await found.lastStep()) !== 'loading') {
        // Its journal is all that can put back what it moved.
        throw new CoffreError('E_BUSY', `another restore of ${this.#names.database} was cut off in its swap just now`, {
          hint: 'run the command again: it is repaired first',
        });
      }
      if (chosen) {
        const { views, sequences } = await listContents(session, this.#names.database);
        refuseOtherKinds(this.#names.database, chosen, [...views, ...sequences]);
      }
      const journal = await makeBeside(session, this.#names, found, chosen && new Set(chosen));
      await journal.reset();
      return { opener, session, journal };
    } catch (error) {
      await session.end();
      await opener.close();
      throw writeError(error, `preparing a restore beside ${this.#names.database}`);
    }
  }

  async #stage(beside: Beside, segment: IncomingSegment, choice: TableChoice | undefined): Promise<void> {
    const text = await bytesOf(segment.plaintext);
    const { id, phase } = segment;
    const only = choice?.only ? [...choice.only] : null;
    await beside.journal.stage({ id, phase, only, except: [...(choice?.except ?? [])], text }).catch((error: unknown) => {
      throw writeError(error, `keeping segment ${id} for after the swap`);
    });
  }

  /** Work on the real database over connections of their own, beside the one that holds the swap. */
  async #inDatabase<T>(work: (target: MariadbTarget) => Promise<T>): Promise<T> {
    const target = this.#target(this.#names.database, { overwrite: false, adopt: true });
    try {
      await target.prepare();
      return await work(target);
    } finally {
      await target.close();
    }
  }

  async #undo(beside: Beside, plan: SwapPlan, error: unknown): Promise<never> {
    const failure = writeError(error, `putting the new tables of ${this.#names.database} in place`);
    let held = beside;
    try {
      if (held.session.lost) {
        await held.opener.close();
        const { opener, session } = await this.#open();
        held = { opener, session, journal: held.journal.on(session) };
        this.#beside = held;
      }
      await held.session.run('UNLOCK TABLES');
      await putBack(this.#deps(held), plan);
    } catch (second) {
      throw new CoffreError(failure.code, `${failure.message}; and putting the old state back failed: ${asCoffreError(second).message}`, {
        cause: failure,
        hint: `nothing is lost: run the same command again, it first puts the old tables and programs back from the journal in ${quoteName(this.#names.old)}`,
      });
    }
    throw failure;
  }
}

/**
 * The connection that swaps holds this lock itself, so that the server gives it to a repair only once the last statement of a killed swap
 * has ended: a rename that still waits for a table must not come after the old state was put back.
 */
async function holdAlone(session: Session, names: SwapNames): Promise<void> {
  const name = `coffre-swap/${createHash('sha256').update(names.database).digest('hex').slice(0, 40)}`;
  if ((await session.text(`SELECT GET_LOCK(${quoteText(name)}, ${SWAP_WAIT_SECONDS})`)) === '1') return;
  throw new CoffreError('E_BUSY', `a swap of ${names.database} that was cut off still runs on the server`);
}
