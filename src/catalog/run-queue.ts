// Runs as others look at them: those that wait for their turn, one with its steps, and pages of all of them.
import { sql } from 'kysely';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import { endedBy, type RunRow } from './runs.ts';
import type { RunStepsTable, RunsTable } from './tables/runs.ts';

export interface QueuedRun {
  readonly id: string;
  readonly kind: RunsTable['kind'];
  readonly shop: string;
  readonly source: RunsTable['source'];
  readonly who: string;
  /** Anything that JSON can carry and that holds no secret. */
  readonly task: unknown;
  /** The interrupted run that this one goes on with. */
  readonly takesUp?: string;
}

/** Writes a run down that waits for its turn, and into the audit who wanted it; one that goes on with another is no new order. */
export async function queueRun(catalog: Catalog, clock: Clock, run: QueuedRun): Promise<void> {
  const { takesUp = null, task, ...rest } = run;
  const at = clock.nowMs();
  await catalog.transaction(async (tx) => {
    await tx
      .insertInto('runs')
      .values({
        ...rest,
        ...{ state: 'queued', startedAt: at, task: JSON.stringify(task), takesUp },
        ...{ endedAt: null, errorCode: null, errorMessage: null, detail: null },
      })
      .execute();
    if (takesUp !== null) return;
    await tx
      .insertInto('audit')
      .values({ at, who: run.who, what: `run ${run.kind}`, shop: run.shop, detail: JSON.stringify({ run: run.id, task }) })
      .execute();
  });
}

/** What waits, in the order in which it was asked for. */
export async function queuedRuns(catalog: Catalog): Promise<RunRow[]> {
  // written out: with a bound value SQLite would not use the index of these few, and read the whole table
  return await catalog.db
    .selectFrom('runs')
    .selectAll()
    .where(sql<boolean>`"state" = 'queued'`)
    .where('slot', 'is', null)
    .orderBy('id')
    .execute();
}

/** Submitted runs that were interrupted and that no other has taken up. */
export async function abandonedRuns(catalog: Catalog, since: number): Promise<RunRow[]> {
  return await catalog.db
    .selectFrom('runs')
    .selectAll()
    .where('task', 'is not', null)
    .where('errorCode', '=', 'E_INTERRUPTED')
    .where('startedAt', '>=', since)
    .where(({ exists, not, selectFrom }) =>
      not(exists(selectFrom('runs as later').select('later.id').whereRef('later.takesUp', '=', 'runs.id'))),
    )
    .orderBy('id')
    .execute();
}

/** Ends a run that has not begun; `error` null: there was nothing to do. false: it is not queued any more. */
export async function closeQueued(catalog: Catalog, clock: Clock, runId: string, error: CoffreError | null): Promise<boolean> {
  const result = await catalog.transaction((tx) =>
    tx
      .updateTable('runs')
      .set({
        state: error === null ? 'done' : endedBy(error),
        endedAt: clock.nowMs(),
        ...(error && { errorCode: error.code, errorMessage: error.message, errorHint: error.hint }),
      })
      .where('id', '=', runId)
      .where('state', '=', 'queued')
      .executeTakeFirst(),
  );
  return result.numUpdatedRows > 0n;
}

/** Says of a run that it does not end: it is still under way, and its end, should it come, is written over this. */
export async function markHung(catalog: Catalog, runId: string, message: string): Promise<void> {
  await catalog.transaction((tx) =>
    tx
      .updateTable('runs')
      .set({ errorCode: 'E_RUN_HUNG', errorMessage: message })
      .where('id', '=', runId)
      .where('state', '=', 'running')
      .execute(),
  );
}

export async function recordStep(catalog: Catalog, step: RunStepsTable): Promise<void> {
  await catalog.transaction((tx) =>
    tx
      .insertInto('runSteps')
      .values(step)
      .onConflict((conflict) => conflict.doNothing())
      .execute(),
  );
}

export interface RunWithSteps extends RunRow {
  readonly steps: readonly { readonly step: string; readonly at: number }[];
}

/** Throws E_UNKNOWN_RUN. */
export async function readRun(catalog: Catalog, runId: string): Promise<RunWithSteps> {
  const row = await catalog.db.selectFrom('runs').selectAll().where('id', '=', runId).executeTakeFirst();
  if (row === undefined) throw new CoffreError('E_UNKNOWN_RUN', `no run ${JSON.stringify(runId)}`);
  const steps = await catalog.db.selectFrom('runSteps').select(['step', 'at']).where('runId', '=', runId).orderBy('seq').execute();
  return { ...row, steps };
}

export interface RunPage {
  /** Only these shops; all when left out. */
  readonly shops?: readonly string[];
  readonly kinds?: readonly RunsTable['kind'][];
  readonly states?: readonly RunsTable['state'][];
  /** Runs asked for before this one: the last id of the page before. */
  readonly before?: string;
  readonly limit: number;
}

/** In whatever state, newest first. */
export async function pageOfRuns(catalog: Catalog, page: RunPage): Promise<RunRow[]> {
  let query = catalog.db.selectFrom('runs').selectAll();
  if (page.shops !== undefined) query = query.where('shop', 'in', page.shops);
  if (page.kinds !== undefined) query = query.where('kind', 'in', page.kinds);
  if (page.states !== undefined) query = query.where('state', 'in', page.states);
  if (page.before !== undefined) query = query.where('id', '<', page.before);
  return await query.orderBy('id', 'desc').limit(page.limit).execute();
}
