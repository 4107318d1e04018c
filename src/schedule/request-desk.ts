// The desk where restores are asked for: shown beforehand, opened, approved, held, refused, called off; by the daemon or by a command beside none.
import { existsSync } from 'node:fs';
import type { Kysely } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { readOpenRestore } from '../catalog/open-restores.ts';
import { changeRequest, insertRequest, openRequests, type RequestRow, readRequest } from '../catalog/requests.ts';
import { pinSegments, unpinRun } from '../catalog/segments.ts';
import { readLife } from '../catalog/shop-life.ts';
import { listSnapshots, snapshotSegments } from '../catalog/snapshots.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Clock } from '../clock.ts';
import type { Config, RtoPromise, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { follow, isOpen, type RequestRole, type RequestVerb } from '../restore/request-life.ts';
import { previewRequest, RESTORED_SOURCES, type RequestPreview, type Wanted } from '../restore/request-preview.ts';
import { calendarOf } from '../restore/rto-calendar.ts';
import { deadlineOf, type RtoCalendar, readRto } from '../restore/rto-clock.ts';
import { newId } from '../segment/id.ts';
import { refuseLackingTables } from './core-tables.ts';
import { readEstimate } from './restore-estimate.ts';
import { lookForParts } from './wanted-parts.ts';

export interface DeskDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/** Who stands at the desk. */
export interface DeskCaller {
  readonly who: string;
  readonly role: Exclude<RequestRole, 'daemon'>;
}

/** With what would be promised if it were approved now. */
export interface PreviewNow extends RequestPreview {
  readonly targetMs: number;
  readonly deadline: string;
  /** The clock would wait until then, for it is outside the plan's hours; null: it would run at once. */
  readonly clockStarts: string | null;
  /** false: once it is approved, somebody with root's rights has to begin it. */
  readonly unattended: boolean;
  /** A restore of the shop began then and came to no end yet: the shop is perhaps closed; null: none is open. */
  readonly openSince: string | null;
}

/** Of a shop's owner: more are no help to anybody. */
const MOST_OPEN = 5;
/** Each is kept for ever, and people are told of it. */
const MOST_A_DAY = 30;
const DAY_MS = 86_400_000;

function shopOf(config: Config, name: string): ShopConfig {
  const shop = config.shops.get(name);
  if (shop === undefined) throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(name)}`);
  return shop;
}

/** The daemon may begin it by itself. */
export const isUnattended = ({ restore }: Config): boolean => restore.unattended && restore.socket !== null;

/** And somebody is there to be asked for it: else root has to begin it. */
export const beginsByItself = (config: Config): boolean => isUnattended(config) && existsSync(config.restore.socket as string);

/** What it would mean. Throws E_UNKNOWN_SHOP, E_UNKNOWN_SNAPSHOT, E_USAGE, E_CONFIG (the plan's calendar). */
export async function previewNow({ catalog, clock, config }: DeskDeps, name: string, wanted: Wanted): Promise<PreviewNow> {
  const shop = shopOf(config, name);
  const nowMs = clock.nowMs();
  // whoever names a time is answered in its offset: their terminal need not be in the zone of this machine
  const zone = wanted.at === null ? config.timezone : (/[+-]\d\d:\d\d$/.exec(wanted.at)?.[0] ?? 'UTC');
  const tell = (instant: Temporal.Instant): string =>
    instant.toZonedDateTimeISO(zone).toString({ smallestUnit: 'second', timeZoneName: 'never' }).replace('T', ' ');
  const { chosen, preview } = previewRequest(wanted, {
    ...{ shop: name, nowMs, snapshots: await listSnapshots(catalog, name), tell },
    declared: RESTORED_SOURCES.filter((source) => shop[source] !== null),
  });
  const known = await lookForParts({ stateDir: config.stateDir, clock, tell }, chosen, wanted);
  const whole = chosen.find(({ source }) => source === 'database');
  if (whole && wanted.tables.length === 0)
    await refuseLackingTables({ stateDir: config.stateDir, clock, tell }, whole, await listSnapshots(catalog, name));
  // of a part of a source as of the whole: nobody measured how long that part takes
  const part: ShopConfig = {
    ...shop,
    database: chosen.some(({ source }) => source === 'database') ? shop.database : null,
    files: chosen.some(({ source }) => source === 'files') ? shop.files : null,
  };
  const { estimate } = await readEstimate(config, catalog, part, chosen, nowMs);
  const { rto } = shop.plan;
  const calendar = await calendarOf(rto);
  const open = await readOpenRestore(catalog.db, name);
  const now = Temporal.Instant.fromEpochMilliseconds(nowMs);
  const reading = readRto(calendar, { approvedAt: now, doneAt: null, targetMs: rto.targetMs }, now);
  return {
    ...{ ...preview, ...known },
    estimate: estimate && { expectedMs: estimate.expectedMs, lowMs: estimate.lowMs, highMs: estimate.highMs },
    ...{ targetMs: rto.targetMs, deadline: reading.deadline.toString(), clockStarts: reading.resumesAt?.toString() ?? null },
    unattended: beginsByItself(config),
    openSince: open === null ? null : Temporal.Instant.fromEpochMilliseconds(open.since).toString(),
  };
}

export interface NewRequest {
  readonly shop: string;
  readonly wanted: Wanted;
  /** At once: an owner's own word; an operator's is an emergency, and `reason` says which. */
  readonly approve: boolean;
  readonly reason: string | null;
}

/**
 * Opens a request, and approves it when that is wanted. The same that is open already is that one, not a second. Throws what `previewNow`
 * does, E_SHOP_STATE, E_REQUEST_STATE (too many are open), E_RATE (too many in a day), and what approving throws.
 */
export async function openRequest(deps: DeskDeps, order: NewRequest, by: DeskCaller): Promise<RequestRow> {
  const { catalog, clock, config } = deps;
  const { approve, reason, shop, wanted } = order;
  const preview = await previewNow(deps, shop, wanted);
  const { state } = await readLife(catalog.db, shop);
  // what a suspended shop owes is between its owner and the operators
  if (state === 'erased' || (state === 'suspended' && by.role === 'client')) {
    throw new CoffreError('E_SHOP_STATE', `${shop} is ${state}: nothing of it is restored`, {
      hint: by.role === 'client' ? 'those who look after the backups know why' : 'coffre shop list shows the state of every shop',
    });
  }
  const promised = await promisedTo(shopOf(config, shop));
  const row = await catalog.transaction(async (tx) => {
    const open = await openRequests(tx, shop);
    // the same instant in another offset is the same wish
    const text = JSON.stringify({ ...wanted, at: preview.at });
    const same = open.find((other) => other.wanted === text && snapshotIds(other).join() === preview.snapshots.map(({ id }) => id).join());
    if (same) return same;
    if (by.role === 'client' && open.filter(({ createdRole }) => createdRole === 'client').length >= MOST_OPEN) {
      throw new CoffreError('E_REQUEST_STATE', `${shop} has ${MOST_OPEN} open requests of its owner`, {
        hint: 'coffre request list shows them, coffre request cancel ID calls one off',
      });
    }
    if (by.role === 'client' && (await madeSince(tx, shop, clock.nowMs() - DAY_MS)) >= MOST_A_DAY) {
      throw new CoffreError('E_RATE', `the owner of ${shop} made ${MOST_A_DAY} requests within a day`, {
        hint: 'one of tomorrow is taken; until then those who look after the backups may ask in the owner’s name',
      });
    }
    const made: RequestRow = {
      ...{ id: newId(clock), shop, state: 'requested', wanted: text, preview: JSON.stringify(preview) },
      ...{ createdAt: clock.nowMs(), createdBy: by.who, createdRole: by.role, toldEvent: 0 },
      ...{ approvedAt: null, approvedBy: null, approvedRole: null, promise: null, deadline: null },
      ...{ startedAt: null, verifyingAt: null, endedAt: null, runId: null, errorCode: null, errorMessage: null },
      ...{ outcome: null, countedMs: null, leftMs: null },
    };
    // an order that cannot be approved as it says is not taken at all
    if (approve) follow(made, 'approve', by.role, reason);
    await insertRequest(tx, made, { verb: 'request', ...by });
    return made;
  });
  if (!approve || row.approvedAt !== null) return row;
  try {
    return await approveRow(deps, row.id, by, reason, promised);
  } catch (error) {
    // the same order came twice at once: the other one has approved it
    const now = asCoffreError(error).code === 'E_REQUEST_STATE' ? await readRequest(catalog, row.id) : null;
    if (now === null || now.approvedAt === null || !isOpen(now.state)) throw error;
    return now;
  }
}

async function madeSince(tx: Kysely<Tables>, shop: string, since: number): Promise<number> {
  const { made } = await tx
    .selectFrom('requests')
    .select((eb) => eb.fn.countAll<number>().as('made'))
    .where('shop', '=', shop)
    .where('createdRole', '=', 'client')
    .where('createdAt', '>', since)
    .executeTakeFirstOrThrow();
  return Number(made);
}

/** What a plan promises, with its calendar at hand: the deadline counts from the very instant that is written down. */
interface Promised {
  readonly promise: RtoPromise;
  readonly calendar: RtoCalendar;
}

async function promisedTo({ plan }: ShopConfig): Promise<Promised> {
  return { promise: plan.rto, calendar: await calendarOf(plan.rto) };
}

/** Ids of what is restored, database first. */
export const snapshotIds = ({ preview }: Pick<RequestRow, 'preview'>): string[] =>
  (JSON.parse(preview) as RequestPreview).snapshots.map(({ id }) => id);

async function approveRow(
  { catalog, clock }: DeskDeps,
  id: string,
  by: DeskCaller,
  reason: string | null,
  { calendar, promise }: Promised,
): Promise<RequestRow> {
  return await changeRequest(catalog, clock, id, { verb: 'approve', ...by, reason }, async (row, nowMs, tx) => {
    const state = follow(row, 'approve', by.role, reason);
    await pinChosen(catalog, tx, row);
    const deadline = deadlineOf(calendar, Temporal.Instant.fromEpochMilliseconds(nowMs), promise.targetMs);
    return {
      ...{ state, approvedAt: nowMs, approvedBy: by.who, approvedRole: by.role },
      ...{ promise: JSON.stringify(promise), deadline: deadline.epochMilliseconds },
    };
  });
}

/** Prune leaves it alone until the request is over. Throws E_UNKNOWN_SNAPSHOT: what was shown is not there any more. */
async function pinChosen(catalog: Catalog, tx: Kysely<Tables>, row: RequestRow): Promise<void> {
  for (const snapshot of snapshotIds(row)) {
    const found = await tx.selectFrom('snapshots').select('state').where('id', '=', snapshot).executeTakeFirst();
    if (found?.state !== 'committed') {
      throw new CoffreError('E_UNKNOWN_SNAPSHOT', 'what was to be restored is past its window and was removed since', {
        hint: 'coffre request restore shows what there is now',
      });
    }
    const segments = await snapshotSegments(catalog, snapshot, tx);
    await pinSegments(
      tx,
      row.id,
      segments.map((segment) => segment.id),
    );
  }
}

/** What people may do to a request that is there. */
export type DeskVerb = Extract<RequestVerb, 'approve' | 'hold' | 'release' | 'refuse' | 'cancel' | 'retry'>;

/** Throws E_UNKNOWN_REQUEST, E_FORBIDDEN, E_REQUEST_STATE (not now; it would end while its restore is open), E_USAGE (a reason is missing), E_UNKNOWN_SNAPSHOT, E_CONFIG. */
export async function actOnRequest(deps: DeskDeps, id: string, verb: DeskVerb, by: DeskCaller, reason: string | null): Promise<RequestRow> {
  const { catalog, clock } = deps;
  if (verb === 'approve') {
    const row = await catalog.db.selectFrom('requests').select('shop').where('id', '=', id).executeTakeFirst();
    if (row === undefined) throw new CoffreError('E_UNKNOWN_REQUEST', `no request ${JSON.stringify(id)}`);
    return await approveRow(deps, id, by, reason, await promisedTo(shopOf(deps.config, row.shop)));
  }
  return await changeRequest(catalog, clock, id, { verb, ...by, reason }, async (row, nowMs, tx) => {
    const state = follow(row, verb, by.role, reason);
    if (verb === 'retry') {
      await pinChosen(catalog, tx, row);
      // a promise that was broken stays so, and one that was not has its clock still
      return { state, endedAt: null, errorCode: null, errorMessage: null };
    }
    if (isOpen(state)) return { state };
    await unpinRun(tx, id);
    return { state, endedAt: nowMs };
  });
}
