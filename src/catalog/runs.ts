// Runs: who does what for a shop, and which of them died without saying so.
import type { Insertable, Kysely, Selectable } from 'kysely';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import { unpinRun } from './segments.ts';
import { acquireLock, forgetLock } from './state-lock.ts';
import type { RunsTable } from './tables/runs.ts';
import type { Tables } from './tables.ts';

export type RunRow = Selectable<RunsTable>;

export interface NewRun {
  readonly id: string;
  readonly kind: RunsTable['kind'];
  readonly shop: string;
  readonly source: RunsTable['source'];
  /** Who asked for it. Of a queued run its own row says it. */
  readonly who?: string | undefined;
}

/** What is said of a run whose process was killed. */
export const DIED = 'its process ended without a word';

/** How a run ends that something put an end to. */
export function endedBy({ code }: Pick<CoffreError, 'code'>): 'failed' | 'interrupted' | 'cancelled' {
  if (code === 'E_CANCELLED') return 'cancelled';
  return code === 'E_INTERRUPTED' ? 'interrupted' : 'failed';
}

/** Whether it was told to stop, with its daemon or by ^C: nothing is wrong, and the next run takes it up. Of a process that died nobody knows. */
export const wasStopped = ({ state, errorMessage }: Pick<RunRow, 'state' | 'errorMessage'>): boolean =>
  state === 'interrupted' && errorMessage !== DIED;

const lockName = (runId: string): string => `run-${runId}`;

/**
 * Writes the run's row, or takes the queued one out of its queue, and takes the lock `run-<id>`, by which any process can tell that this
 * one still works on it: restores and verifications do not hold the shop's lock. The lock comes first, so that no row is ever seen
 * running without it. Throws E_CANCELLED when the queued run was cancelled meanwhile.
 */
export async function startRun(catalog: Catalog, clock: Clock, run: NewRun): Promise<void> {
  const lock = await acquireLock(catalog.stateDir, lockName(run.id));
  if (!lock) throw new CoffreError('E_INTERNAL', `run ${run.id} was started twice`);
  catalog.runLocks.set(run.id, lock);
  const begun = { state: 'running', startedAt: clock.nowMs() } as const;
  const row: Insertable<RunsTable> = {
    ...run,
    who: run.who ?? null,
    ...begun,
    endedAt: null,
    errorCode: null,
    errorMessage: null,
    errorHint: null,
    detail: null,
  };
  try {
    await catalog.transaction(async (tx) => {
      const queued = await tx.updateTable('runs').set(begun).where('id', '=', run.id).where('state', '=', 'queued').executeTakeFirst();
      if (queued.numUpdatedRows > 0n) return;
      const known = await tx.selectFrom('runs').select('state').where('id', '=', run.id).executeTakeFirst();
      if (known?.state === 'cancelled') throw new CoffreError('E_CANCELLED', `run ${run.id} was cancelled before it began`);
      await tx.insertInto('runs').values(row).execute();
    });
  } catch (error) {
    await letGo(catalog, run.id);
    throw error;
  }
}

/**
 * Writes how the run ended (with E_CANCELLED: as cancelled, with E_INTERRUPTED: as interrupted), drops its pins, and lets its lock go.
 * `detail` is kept as JSON.
 */
export async function finishRun(
  catalog: Catalog,
  clock: Clock,
  runId: string,
  state: 'done' | 'failed',
  error?: CoffreError | null,
  detail?: unknown,
): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx
      .updateTable('runs')
      .set({
        state: error ? endedBy(error) : state,
        endedAt: clock.nowMs(),
        errorCode: error?.code ?? null,
        errorMessage: error?.message ?? null,
        errorHint: error?.hint ?? null,
        ...(detail === undefined ? {} : { detail: JSON.stringify(detail) }),
      })
      .where('id', '=', runId)
      .execute();
    // Not for a manifest that may be in a vault without its row here: see keepsPins.
    if (state === 'done' || !(await keepsPins(tx, runId))) await unpinRun(tx, runId);
  });
  await letGo(catalog, runId);
}

/**
 * Begins a run, and writes how it ended: with its result, as failed where `failure` says why it did not go well all the same, or for what it
 * threw. Throws that.
 */
export async function recordRun<T>(
  catalog: Catalog,
  clock: Clock,
  run: NewRun,
  work: () => Promise<{ readonly result: T; readonly failure: CoffreError | null }>,
): Promise<T> {
  await startRun(catalog, clock, run);
  try {
    const { result, failure } = await work();
    await finishRun(catalog, clock, run.id, failure ? 'failed' : 'done', failure, result);
    return result;
  } catch (error) {
    const failure = asCoffreError(error);
    await finishRun(catalog, clock, run.id, 'failed', failure);
    throw failure;
  }
}

/** What followed from a run that has ended, beside its result. */
export async function addToDetail(catalog: Catalog, runId: string, more: object): Promise<void> {
  await catalog.transaction(async (tx) => {
    const row = await tx.selectFrom('runs').select('detail').where('id', '=', runId).executeTakeFirst();
    const detail = JSON.stringify({ ...(JSON.parse(row?.detail ?? '{}') as object), ...more });
    await tx.updateTable('runs').set({ detail }).where('id', '=', runId).execute();
  });
}

async function letGo(catalog: Catalog, runId: string): Promise<void> {
  catalog.runLocks.get(runId)?.release();
  catalog.runLocks.delete(runId);
  await forgetLock(catalog.stateDir, lockName(runId));
}

/** Whether the process that started this run still works on it. */
export async function isRunAlive(catalog: Catalog, runId: string): Promise<boolean> {
  if (catalog.runLocks.has(runId)) return true;
  const row = await catalog.db.selectFrom('runs').select('state').where('id', '=', runId).executeTakeFirst();
  if (row?.state !== 'running') return false;
  const lock = await acquireLock(catalog.stateDir, lockName(runId));
  if (!lock) return true;
  lock.release();
  return false;
}

/**
 * Finds the shop's runs whose process is gone and writes them down as interrupted; returns them as they are now. Call it while holding
 * the shop's lock. Their pins go, except those behind a manifest that may already be in a vault: until prune has seen to
 * that manifest, its segments stay.
 */
export async function markInterrupted(catalog: Catalog, clock: Clock, shop: string): Promise<RunRow[]> {
  const running = await catalog.db.selectFrom('runs').selectAll().where('shop', '=', shop).where('state', '=', 'running').execute();
  const dead: RunRow[] = [];
  for (const run of running) {
    if (await isRunAlive(catalog, run.id)) continue;
    const ended: Partial<RunRow> = {
      state: 'interrupted',
      endedAt: clock.nowMs(),
      errorCode: 'E_INTERRUPTED',
      errorMessage: DIED,
    };
    const marked = await catalog.transaction(async (tx) => {
      const result = await tx.updateTable('runs').set(ended).where('id', '=', run.id).where('state', '=', 'running').executeTakeFirst();
      if (result.numUpdatedRows === 0n) return false;
      if (!(await keepsPins(tx, run.id))) await unpinRun(tx, run.id);
      return true;
    });
    if (!marked) continue;
    await forgetLock(catalog.stateDir, lockName(run.id));
    dead.push({ ...run, ...ended });
  }
  return dead;
}

/**
 * Whether this run may have left a manifest in a vault that no row of the catalog names: the vault then shows a snapshot whose
 * reused segments nothing else may hold.
 */
export async function keepsPins(tx: Kysely<Tables>, runId: string): Promise<boolean> {
  const manifest = await tx
    .selectFrom('objects')
    .leftJoin('snapshotVaults', 'snapshotVaults.manifestObject', 'objects.id')
    .select('objects.id')
    .where('objects.runId', '=', runId)
    .where('objects.kind', '=', 'manifest')
    .where('objects.state', 'in', ['intent', 'stored', 'tombstone'])
    .where('snapshotVaults.snapshotId', 'is', null)
    .limit(1)
    .executeTakeFirst();
  return manifest !== undefined;
}

export interface RunFilter {
  readonly shop?: string;
  readonly kind?: RunsTable['kind'];
  readonly source?: NonNullable<RunsTable['source']>;
  /** At most so many; 20 when left out. */
  readonly limit?: number;
}

/** Newest first: what is being tried, and what was tried to its end. What waits for its turn or was called off says nothing of the shop. */
export async function lastRuns(catalog: Catalog, filter: RunFilter = {}): Promise<RunRow[]> {
  let query = catalog.db.selectFrom('runs').selectAll().where('state', 'not in', ['queued', 'cancelled']);
  if (filter.shop !== undefined) query = query.where('shop', '=', filter.shop);
  if (filter.kind !== undefined) query = query.where('kind', '=', filter.kind);
  if (filter.source !== undefined) query = query.where('source', '=', filter.source);
  return await query
    .orderBy('startedAt', 'desc')
    .orderBy('id', 'desc')
    .limit(filter.limit ?? 20)
    .execute();
}
