// The steps of a swap, forward and back: old programs and tables out, new ones in, each step in the journal before it is done.
import { CoffreError } from '../../errors.ts';
import { listContents } from './contents.ts';
import { writeError } from './errors.ts';
import { JOURNAL_TABLE as LOAD_JOURNAL } from './journal.ts';
import { quoteName } from './names.ts';
import { asServerError, type Session } from './session.ts';
import { JOURNAL_TABLE, type StagedSegment, type SwapJournal, type SwapPlan } from './swap-journal.ts';
import type { SwapNames } from './swap-names.ts';
import { dropPrograms, listPrograms, makePrograms, type OldProgram, writeProperties } from './swap-programs.ts';
import { countOrphans, dropForeignKeys, dropLeaving, pointDefaults, pointForeignKeys, readOwn } from './swap-references.ts';
import { findTables, movesBack, movesForward, renameStatement } from './swap-tables.ts';

/** How long a swap waits for running queries to let go of the tables: `attempts` times `seconds`, with pauses in which the shop goes on. */
export interface Patience {
  readonly seconds: number;
  readonly attempts: number;
}
export const PATIENCE: Patience = { seconds: 5, attempts: 12 };

export interface SwapDeps {
  /** In the real database; nothing else uses it meanwhile. */
  readonly session: Session;
  readonly journal: SwapJournal;
  readonly names: SwapNames;
  readonly patience: Patience;
  /** Runs what was kept for after the swap, in the real database. Throws CoffreError. */
  readonly runStaged: (segments: readonly StagedSegment[]) => Promise<void>;
  readonly onWarning: (message: string) => void;
  /** Told of each step once it is done. */
  readonly afterStep: (step: string) => Promise<void>;
}

/** Lock wait timeout, deadlock. */
const IN_USE = new Set([1205, 1213]);

/**
 * The whole swap, the plan being in the journal. When it ends, the new tables and programs are in. When it throws, putBack is to be
 * called; when it is killed, `repair`.
 */
export async function swapIn(deps: SwapDeps, plan: SwapPlan): Promise<void> {
  const { session, journal, patience } = deps;
  await session.run('SET SESSION foreign_key_checks=0');
  await session.run(`SET SESSION lock_wait_timeout=${patience.seconds}`);
  await journal.step('swapping');
  await deps.afterStep('journal');
  // First of all, so that none runs over tables that are half the old ones and half the new.
  const events = plan.programs.filter(({ kind }) => kind === 'EVENT');
  // A view would be in the way of a table of its name; all others stay until the new ones come, and read the new tables meanwhile.
  const inTheWay = plan.programs.filter(({ kind, name }) => kind === 'VIEW' && plan.into.includes(name));
  for (const program of [...events, ...inTheWay]) {
    await dropPrograms(session, [program]);
    await deps.afterStep(`drop ${program.kind}`);
  }
  await patiently(deps, plan, () => moveIn(deps, plan));
  await finish(deps, plan);
}

async function moveIn(deps: SwapDeps, plan: SwapPlan): Promise<void> {
  const { session, names } = deps;
  const triggers = plan.programs.filter(({ kind }) => kind === 'TRIGGER');
  if (triggers.length > 0) {
    // The server renames no table with a trigger into another database. All tables are locked before the first trigger goes: then no
    // query runs on them, and between that and the rename lies nothing that waits.
    await lockTables(deps, plan);
    for (const trigger of triggers) {
      await dropPrograms(session, [trigger]);
      await deps.afterStep('drop TRIGGER');
    }
    await session.run('UNLOCK TABLES');
  }
  const moves = movesForward(plan, await findTables(session, names));
  if (moves.length > 0) await session.run(renameStatement(names, moves));
  await deps.afterStep('rename');
}

async function lockTables({ session, names }: SwapDeps, plan: SwapPlan): Promise<void> {
  const { tables } = await listContents(session, names.database);
  const locked = tables.filter((table) => plan.away.includes(table));
  try {
    await session.run(`LOCK TABLES ${locked.map((table) => `${quoteName(table)} WRITE`).join(', ')}`);
  } catch (error) {
    // A table that cannot be locked (a MERGE over tables that are gone) is renamed all the same.
    if (session.lost || IN_USE.has(asServerError(error).errno)) throw error;
  }
}

/** Tries again while the server says that a running query holds the tables; triggers are back in the pauses. */
async function patiently({ session, names, patience }: SwapDeps, plan: SwapPlan, move: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await move();
      return;
    } catch (error) {
      if (session.lost) throw error;
      await session.run('UNLOCK TABLES');
      if (!IN_USE.has(asServerError(error).errno)) throw error;
      if (attempt >= patience.attempts) {
        throw new CoffreError(
          'E_TARGET_WRITE',
          `the tables of ${names.database} are in use: a query or an open transaction held them for ${patience.attempts} times ${patience.seconds} s`,
          {
            cause: error,
            hint: 'the old data is as it was; SHOW FULL PROCESSLIST shows who holds them; run the same command again, what was loaded is taken up',
          },
        );
      }
      await remake(
        session,
        names,
        plan,
        plan.programs.filter(({ kind }) => kind === 'TRIGGER'),
      );
      await session.cells('DO SLEEP(1)');
    }
  }
}

/** Makes again those of `programs` that are not there. */
async function remake(session: Session, names: SwapNames, plan: SwapPlan, programs: readonly OldProgram[]) {
  const there = new Set((await listPrograms(session, names.database, null)).map(({ kind, name }) => `${kind} ${name}`));
  return makePrograms(
    session,
    names.database,
    programs.filter(({ kind, name }) => !there.has(`${kind} ${name}`)),
    plan.oldProperties,
  );
}

/** The tables are in: makes all else as the snapshot has it, from whatever a first try left. */
async function finish(deps: SwapDeps, plan: SwapPlan): Promise<void> {
  const { session, journal, names } = deps;
  const chosen = plan.tables && new Set(plan.tables);
  await pointForeignKeys(session, plan.foreignKeys, () => deps.afterStep('foreign key'));
  await pointDefaults(session, names);
  if (!chosen) await writeProperties(session, names.database, plan.newProperties);
  await deps.afterStep('references');
  await dropPrograms(session, await listPrograms(session, names.database, chosen));
  if (chosen) await dropForeignKeys(session, await readOwn(session, names.database, chosen));
  await deps.afterStep('old programs');
  await deps.runStaged(await journal.staged());
  await deps.afterStep('new programs');
  if (chosen) await warnOfOrphans(deps, plan, chosen);
  await journal.step('committed');
  await deps.afterStep('committed');
}

async function warnOfOrphans({ session, names, onWarning }: SwapDeps, plan: SwapPlan, chosen: ReadonlySet<string>): Promise<void> {
  const keys = [...plan.foreignKeys, ...(await readOwn(session, names.database, chosen))];
  for (const { key, rows } of await countOrphans(session, keys)) {
    onWarning(
      `${rows} ${rows === 1 ? 'row' : 'rows'} of ${key.table} refer to rows that ${key.toTable} does not hold (foreign key ${key.name})`,
    );
  }
}

/** Puts the old tables and programs back, from whatever state. Returns whether new tables had come in: the shop may have written into them. */
export async function putBack(deps: SwapDeps, plan: SwapPlan): Promise<boolean> {
  const { session, journal, names, patience } = deps;
  const chosen = plan.tables && new Set(plan.tables);
  await session.run('SET SESSION foreign_key_checks=0');
  // The shop is without its triggers: longer than on the way forward, and in the end the next run's repair.
  await session.run(`SET SESSION lock_wait_timeout=${patience.seconds * patience.attempts}`);
  const moves = movesBack(plan, await findTables(session, names));
  const moved = moves.length > 0;
  if (moved) {
    // Before the tables are beside again: the shop may have written into them, no restore may go on with them.
    await session.run(`DROP TABLE IF EXISTS ${quoteName(names.scratch)}.${quoteName(LOAD_JOURNAL)}`);
    await dropPrograms(session, await listPrograms(session, names.database, chosen));
    await session.run(renameStatement(names, moves));
    await deps.afterStep('rename back');
  }
  // A kill right after the rename back leaves new properties and keys that point elsewhere: looked at in any case.
  await pointForeignKeys(session, plan.foreignKeys, () => deps.afterStep('foreign key back'));
  if (!chosen) await writeProperties(session, names.database, plan.oldProperties);
  for (const { program, why } of await remake(session, names, plan, plan.programs)) {
    deps.onWarning(`${program.kind.toLowerCase()} ${program.name} could not be made again: ${why}`);
  }
  await deps.afterStep('old programs back');
  if (moved) await dropDatabase(session, names.scratch, null);
  await journal.reset();
  await session.run('SET SESSION lock_wait_timeout=DEFAULT');
  return moved;
}

/** After `committed`: clears away what is not needed any more. */
export async function clearAway({ session, journal, names, afterStep }: SwapDeps, keepOld: boolean): Promise<void> {
  await dropDatabase(session, names.scratch, null);
  await afterStep('drop scratch');
  if (keepOld) await dropLeaving(session, names.old);
  else await dropDatabase(session, names.old, JOURNAL_TABLE);
  await afterStep('drop old');
  // Last: without it nothing would say that these databases are ours.
  await journal.drop();
  if (!keepOld) await session.run(`DROP DATABASE IF EXISTS ${quoteName(names.old)}`);
  await afterStep('end');
}

/** What a killed restore left is finished where the new tables are in, else the old state is put back. */
export async function repair(deps: SwapDeps): Promise<'nothing' | 'finished' | 'put back'> {
  const settled = await settle(deps);
  if (settled === 'loading') return 'nothing';
  if (settled === 'put back') return settled;
  await clearAway(deps, (await deps.journal.plan()).keepOld);
  return 'finished';
}

/** As `repair`, but what was swapped out stays beside: for who may still want it back. */
export async function settle(deps: SwapDeps): Promise<'loading' | 'swapped' | 'put back'> {
  const step = await deps.journal.lastStep();
  if (step === 'loading') return step;
  if (step === 'committed') return 'swapped';
  const plan = await deps.journal.plan();
  const moved = movesForward(plan, await findTables(deps.session, deps.names)).length === 0;
  if (moved && (await tryFinish(deps, plan))) return 'swapped';
  await putBack(deps, plan);
  return 'put back';
}

async function tryFinish(deps: SwapDeps, plan: SwapPlan): Promise<boolean> {
  try {
    await deps.session.run(`SET SESSION lock_wait_timeout=${deps.patience.seconds * deps.patience.attempts}`);
    await finish(deps, plan);
    await deps.session.run('SET SESSION lock_wait_timeout=DEFAULT');
    return true;
  } catch (error) {
    if (deps.session.lost) throw error;
    deps.onWarning(`an interrupted restore could not be finished: ${writeError(error, 'its programs').message}`);
    return false;
  }
}

/** Table by table, `last` kept for whoever drops it. Throws ServerError. */
export async function dropDatabase(session: Session, database: string, last: string | null): Promise<void> {
  const name = quoteName(database);
  const contents = await listContents(session, database);
  const tables = contents.tables.filter((table) => table !== last);
  await session.run('SET SESSION foreign_key_checks=0');
  for (const each of [...tables, ...contents.sequences]) {
    const kind = tables.includes(each) ? 'TABLE' : 'SEQUENCE';
    await session.run(`DROP ${kind} IF EXISTS ${name}.${quoteName(each)}`);
  }
  if (last === null) await session.run(`DROP DATABASE IF EXISTS ${name}`);
}
