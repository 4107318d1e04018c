// What becomes of an approved request while it is worked on: begun, verified, done or failed, each kept with its instant and the clock's word.
import type { Kysely } from 'kysely';
import type { Catalog } from '../catalog/open.ts';
import { changeRequest, type RequestRow, readRequest } from '../catalog/requests.ts';
import { unpinRun } from '../catalog/segments.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Clock } from '../clock.ts';
import { asCoffreError, type CoffreError } from '../errors.ts';
import type { InPlaceOrder, InPlaceResult } from '../restore/in-place.ts';
import { follow } from '../restore/request-life.ts';
import type { RequestPreview } from '../restore/request-preview.ts';
import { clockOf, PromiseCalendars } from './request-document.ts';

export interface ProgressDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/** Who works on it: the daemon, or the command of somebody with root's rights. */
const by = (who: string) => ({ who, role: 'daemon' }) as const;

/** Written down as begun by this run; begun before, it goes on. Throws E_REQUEST_STATE when it was called off, or is not approved. */
export async function beginRequest({ catalog, clock }: ProgressDeps, id: string, runId: string, who: string): Promise<RequestRow> {
  return await changeRequest(catalog, clock, id, { verb: 'start', ...by(who), detail: { run: runId } }, (row, nowMs) => ({
    state: follow(row, 'start', 'daemon', null),
    ...{ startedAt: row.startedAt ?? nowMs, verifyingAt: null, runId, errorCode: null, errorMessage: null },
  }));
}

/** The restored shop is looked at. Said once. */
export async function verifyRequest({ catalog, clock }: ProgressDeps, id: string, who: string): Promise<void> {
  await changeRequest(catalog, clock, id, { verb: 'verify', ...by(who) }, (row, nowMs) =>
    row.state === 'verifying' ? null : { state: follow(row, 'verify', 'daemon', null), verifyingAt: nowMs },
  );
}

/** The shop is back: whether in time is written down with it. `detail`: what it came to; `run`: which ended it, where it is not the one that began it. */
export async function finishRequest({ catalog, clock }: ProgressDeps, id: string, who: string, detail: unknown, run?: string) {
  const calendars = await loaded(catalog, id);
  return await changeRequest(catalog, clock, id, { verb: 'finish', ...by(who), detail }, async (row, nowMs, tx) => {
    const done = { ...row, state: follow(row, 'finish', 'daemon', null), endedAt: nowMs };
    // what failed before it for this shop is no more to be tried again
    for (const over of [id, ...(await failedBefore(tx, row))]) await unpinRun(tx, over);
    const reading = await clockOf(done, nowMs, calendars);
    const outcome = reading === null ? null : reading.state === 'kept' ? 'kept' : 'broken';
    return {
      ...change(done),
      ...{ errorCode: null, errorMessage: null, runId: run ?? row.runId },
      outcome,
      countedMs: reading?.countedMs ?? null,
      leftMs: reading?.leftMs ?? null,
    };
  });
}

async function failedBefore(tx: Kysely<Tables>, { id, shop }: RequestRow): Promise<string[]> {
  const rows = await tx
    .selectFrom('requests')
    .select('id')
    .where('shop', '=', shop)
    .where('state', '=', 'failed')
    .where('id', '<', id)
    .execute();
  return rows.map((row) => row.id);
}

/** It ended without the shop being back as wanted; its clock goes on. */
export async function failRequest(
  { catalog, clock }: ProgressDeps,
  id: string,
  who: string,
  error: Pick<CoffreError, 'code' | 'hint' | 'message'>,
) {
  const calendars = await loaded(catalog, id);
  const { code, hint, message } = error;
  return await changeRequest(catalog, clock, id, { verb: 'fail', ...by(who), detail: { code, message, hint } }, async (row, nowMs) => {
    // its snapshots stay pinned: the shop may be closed until it is tried again
    const failed = { ...row, state: follow(row, 'fail', 'daemon', null), endedAt: nowMs };
    const reading = await clockOf(failed, nowMs, calendars);
    const late = reading?.state === 'broken' ? ({ outcome: 'broken' } as const) : {};
    return { ...change(failed), errorCode: code, errorMessage: message, ...late };
  });
}

type Ended = Pick<InPlaceResult, 'checks' | 'maintenanceMs' | 'restored' | 'safety' | 'steps'>;

export interface EndedBeside {
  readonly durationMs: number;
  readonly result: Ended & Pick<InPlaceResult, 'outcome'>;
  readonly run: string;
  readonly who: string;
}

/**
 * Root's `restore --in-place` ended the restore that a request had begun: it went on with it to its end, or back. An `order` that is nobody's
 * request, or one that is over, stays as it is. Throws E_CATALOG.
 */
export async function endRequestBeside(deps: ProgressDeps, order: string, { durationMs, result, run, who }: EndedBeside): Promise<void> {
  const { catalog, clock } = deps;
  const known = await catalog.db.selectFrom('requests').select('id').where('id', '=', order).executeTakeFirst();
  if (known === undefined) return;
  const detail = { ...summaryOf(result, durationMs), run };
  try {
    if (result.outcome === 'restored') {
      await finishRequest(deps, order, who, detail, run);
    } else {
      await changeRequest(catalog, clock, order, { verb: 'rollback', who, role: 'operator', detail }, async (row, nowMs, tx) => {
        const state = follow(row, 'rollback', 'operator', null);
        await unpinRun(tx, order);
        // why it had failed stays in the history
        return { state, endedAt: nowMs, runId: run, errorCode: null, errorMessage: null };
      });
    }
  } catch (error) {
    if (asCoffreError(error).code !== 'E_REQUEST_STATE') throw error;
  }
}

/** For the history: no path, no host. */
export function summaryOf({ checks, maintenanceMs, restored, safety, steps }: Ended, durationMs: number) {
  const bytes = restored.reduce((sum, one) => sum + one.bytes, 0);
  return { durationMs, bytes, maintenanceMs, safety, steps, checks: checks.length };
}

/** Its target is used up, and it is not back: said once. */
export async function noteLate({ catalog, clock }: ProgressDeps, id: string): Promise<boolean> {
  const calendars = await loaded(catalog, id);
  let isLate = false;
  await changeRequest(catalog, clock, id, { verb: 'late', ...by('coffre') }, async (row, nowMs) => {
    if (row.outcome !== null) return null;
    const reading = await clockOf(row, nowMs, calendars);
    isLate = reading?.state === 'broken' && row.state !== 'done';
    return isLate ? { outcome: 'broken' } : null;
  });
  return isLate;
}

/** Inside a transaction nothing may be waited for: the library of holidays is loaded before. */
async function loaded(catalog: Catalog, id: string): Promise<PromiseCalendars> {
  const calendars = new PromiseCalendars();
  const { promise } = await readRequest(catalog, id);
  if (promise !== null) await calendars.of(promise);
  return calendars;
}

const change = ({ endedAt, state }: RequestRow) => ({ endedAt, state });

/** What is ordered of the sequence in place: the snapshots that were shown and approved. */
export function orderOf(row: Pick<RequestRow, 'id' | 'preview' | 'shop'>): InPlaceOrder {
  const { paths, snapshots, tables } = JSON.parse(row.preview) as RequestPreview;
  const database = snapshots.find(({ source }) => source === 'database');
  const files = snapshots.find(({ source }) => source === 'files');
  return {
    ...{ request: row.id, shop: row.shop },
    database: database ? { snapshot: database.id, tables: tables.length > 0 ? tables : null } : null,
    // some files of it are not the whole tree: what else is there stays
    files: files ? { snapshot: files.id, paths, remove: paths.length === 0 } : null,
    ...{ from: null, checksum: false, keepSetuid: false, secrets: 'keep', domain: null, maintenance: 'at-once', safety: 'take' },
  };
}
