// Restore requests: one row each as it stands, and a history to which rows are only ever added: who did what to it, when and why.
import { type Insertable, type Kysely, type Selectable, sql } from 'kysely';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import { readOpenRestore } from './open-restores.ts';
import type { RequestEventsTable, RequestsTable } from './tables/restores.ts';
import type { Tables } from './tables.ts';

export type RequestRow = Selectable<RequestsTable>;
export type RequestEventRow = Selectable<RequestEventsTable>;
/** What is written with an event; the row's id, instant and state stand beside it. */
export interface RequestAct {
  readonly verb: RequestEventsTable['verb'];
  readonly who: string;
  readonly role: RequestEventsTable['role'];
  readonly reason?: string | null;
  /** Anything that JSON can carry and that holds no secret. */
  readonly detail?: unknown;
}

/** Not yet over; written out, so that SQLite uses its index. */
const IS_OPEN = sql<boolean>`"state" in ('requested', 'approved', 'held', 'running', 'verifying')`;

/** Writes a new request, its first event and the audit's row, in one transaction; `act`: what follows at once. */
export async function insertRequest(tx: Kysely<Tables>, row: Insertable<RequestsTable>, act: RequestAct): Promise<void> {
  await tx.insertInto('requests').values(row).execute();
  await writeEvent(tx, row.id, row.shop, row.state, row.createdAt, act);
}

/**
 * Changes a request: `decide` sees it as it is now, inside the transaction, and says what changes; null: nothing, and nothing is written.
 * What it throws leaves all as it was. Throws E_UNKNOWN_REQUEST, E_REQUEST_STATE for a word that would end it while its restore is open.
 */
export async function changeRequest(
  catalog: Catalog,
  clock: Pick<Clock, 'nowMs'>,
  id: string,
  act: RequestAct,
  decide: (row: RequestRow, nowMs: number, tx: Kysely<Tables>) => Promise<Partial<RequestRow> | null> | Partial<RequestRow> | null,
): Promise<RequestRow> {
  return await catalog.transaction(async (tx) => {
    const row = await requestIn(tx, id);
    const nowMs = clock.nowMs();
    const change = await decide(row, nowMs, tx);
    if (change === null) return row;
    const after = { ...row, ...change };
    await refuseWhileOpen(tx, row, after.state);
    if (Object.keys(change).length > 0) await tx.updateTable('requests').set(change).where('id', '=', id).execute();
    await writeEvent(tx, id, row.shop, after.state, nowMs, act);
    return after;
  });
}

/** Called off or refused, whoever says so: here every way to such an end comes by. The shop may be closed, and only its restore opens it. */
async function refuseWhileOpen(tx: Kysely<Tables>, { id, shop, startedAt }: RequestRow, state: RequestRow['state']): Promise<void> {
  if ((state !== 'cancelled' && state !== 'refused') || startedAt === null || (await readOpenRestore(tx, shop)) === null) return;
  throw new CoffreError(
    'E_REQUEST_STATE',
    `${shop}: its restore is open, and the shop perhaps closed: it has to end, or be gone back from`,
    {
      hint: `coffre request retry ${id}; as root coffre restore ${shop} --in-place --rollback goes back, and ends the request`,
    },
  );
}

async function writeEvent(
  tx: Kysely<Tables>,
  requestId: string,
  shop: string,
  state: RequestsTable['state'],
  at: number,
  { detail, reason = null, role, verb, who }: RequestAct,
): Promise<void> {
  const text = detail === undefined ? null : JSON.stringify(detail);
  await tx.insertInto('requestEvents').values({ requestId, shop, at, verb, state, who, role, reason, detail: text }).execute();
  const told = JSON.stringify({ request: requestId, state, role, ...(reason === null ? {} : { reason }) });
  await tx
    .insertInto('audit')
    .values({ at, who, what: `request ${verb}`, shop, detail: told })
    .execute();
}

async function requestIn(db: Kysely<Tables>, id: string): Promise<RequestRow> {
  const row = await db.selectFrom('requests').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw new CoffreError('E_UNKNOWN_REQUEST', `no request ${JSON.stringify(id)}`);
  return row;
}

/** Throws E_UNKNOWN_REQUEST. */
export async function readRequest(catalog: Catalog, id: string): Promise<RequestRow> {
  return await requestIn(catalog.db, id);
}

/** Oldest first. */
export async function requestHistory(catalog: Catalog, id: string): Promise<RequestEventRow[]> {
  return await catalog.db.selectFrom('requestEvents').selectAll().where('requestId', '=', id).orderBy('id').execute();
}

/** Of a shop, or of all; oldest first. */
export async function openRequests(db: Kysely<Tables>, shop?: string): Promise<RequestRow[]> {
  let query = db.selectFrom('requests').selectAll().where(IS_OPEN);
  if (shop !== undefined) query = query.where('shop', '=', shop);
  return await query.orderBy('id').execute();
}

/** Ids of those whose snapshots must stay: approved and not over, a failed one too, which may have left the shop closed until it is tried again. */
export async function keepingRequests(db: Kysely<Tables>, shop: string): Promise<string[]> {
  const rows = await db
    .selectFrom('requests')
    .select('id')
    .where('shop', '=', shop)
    .where('approvedAt', 'is not', null)
    .where('state', 'in', ['approved', 'held', 'running', 'verifying', 'failed'])
    .execute();
  return rows.map(({ id }) => id);
}

/** The newest of a shop that ended without its target kept, or failed; null: none did, or one that was done came after. */
export async function lastRequest(db: Kysely<Tables>, shop: string): Promise<RequestRow | null> {
  const row = await db
    .selectFrom('requests')
    .selectAll()
    .where('shop', '=', shop)
    .where('state', 'in', ['done', 'failed'])
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row ?? null;
}

export interface RequestPage {
  /** Only these shops; all when left out. */
  readonly shops?: readonly string[];
  readonly states?: readonly RequestsTable['state'][];
  /** Made before this one: the last id of the page before. */
  readonly before?: string;
  readonly limit: number;
}

/** Newest first. */
export async function pageOfRequests(catalog: Catalog, page: RequestPage): Promise<RequestRow[]> {
  let query = catalog.db.selectFrom('requests').selectAll();
  if (page.shops !== undefined) query = query.where('shop', 'in', page.shops);
  if (page.states !== undefined) query = query.where('state', 'in', page.states);
  if (page.before !== undefined) query = query.where('id', '<', page.before);
  return await query.orderBy('id', 'desc').limit(page.limit).execute();
}

/** How many there are in each state, and how many kept or broke their promise. */
export async function countRequests(db: Kysely<Tables>): Promise<{
  readonly states: ReadonlyMap<RequestsTable['state'], number>;
  readonly broken: number;
}> {
  const rows = await db
    .selectFrom('requests')
    .select(['state', (eb) => eb.fn.countAll<number>().as('count')])
    .groupBy('state')
    .execute();
  const late = await db
    .selectFrom('requests')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('outcome', '=', 'broken')
    .executeTakeFirstOrThrow();
  return { states: new Map(rows.map(({ state, count }) => [state, Number(count)])), broken: Number(late.count) };
}

/** Events after this one of which nobody was told yet, oldest first, each with its request as it stands now. */
export async function untoldEvents(
  db: Kysely<Tables>,
  after: number,
  limit: number,
): Promise<{ readonly event: RequestEventRow; readonly request: RequestRow }[]> {
  const events = await db
    .selectFrom('requestEvents')
    .innerJoin('requests', 'requests.id', 'requestEvents.requestId')
    .selectAll('requestEvents')
    .where('requestEvents.id', '>', after)
    .where(sql<boolean>`"requestEvents"."id" > "requests"."toldEvent"`)
    .orderBy('requestEvents.id')
    .limit(limit)
    .execute();
  const told: { event: RequestEventRow; request: RequestRow }[] = [];
  for (const event of events) told.push({ event, request: await requestIn(db, event.requestId) });
  return told;
}

/** Writes down that people were told up to this event, with whatever tells them, in one transaction of the caller's. */
export async function markTold(tx: Kysely<Tables>, { id, requestId }: Pick<RequestEventRow, 'id' | 'requestId'>): Promise<void> {
  await tx.updateTable('requests').set({ toldEvent: id }).where('id', '=', requestId).where('toldEvent', '<', id).execute();
}
