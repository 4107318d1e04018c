// A restore request as a JSON document: the command line and the API say the same, with the clock as it stands at this moment.
import { Temporal } from 'temporal-polyfill';
import { operatorsHeard } from '../catalog/messages.ts';
import type { Catalog } from '../catalog/open.ts';
import { readOpenRestore } from '../catalog/open-restores.ts';
import { type RequestEventRow, type RequestRow, requestHistory } from '../catalog/requests.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { SafetySnapshots } from '../restore/in-place.ts';
import type { RequestState } from '../restore/request-life.ts';
import type { PartsKnown, RequestPreview, Wanted } from '../restore/request-preview.ts';
import { calendarOf, parsePromise } from '../restore/rto-calendar.ts';
import { type RtoCalendar, readRto } from '../restore/rto-clock.ts';

/** Instants are RFC 3339, durations milliseconds. */
export interface RequestDocument {
  readonly id: string;
  readonly shop: string;
  readonly state: RequestState;
  readonly wanted: Wanted;
  /** As it was shown when it was made. */
  readonly preview: RequestPreview;
  readonly createdAt: string;
  readonly createdBy: string | null;
  readonly createdRole: 'client' | 'operator';
  readonly approvedAt: string | null;
  readonly approvedBy: string | null;
  readonly approvedRole: 'client' | 'operator' | null;
  readonly clock: RequestClock | null;
  readonly startedAt: string | null;
  readonly verifyingAt: string | null;
  readonly endedAt: string | null;
  /** The last run that worked on it. */
  readonly run: string | null;
  readonly error: ErrorDocument | null;
  /** Whether the promise was kept; null: not decided, or never given. */
  readonly outcome: 'kept' | 'broken' | null;
}

export interface ErrorDocument {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** What its restore came to. */
export interface ResultDocument {
  readonly durationMs: number;
  /** How long the maintenance page was on; null: not known. */
  readonly maintenanceMs: number | null;
  /** Snapshots of the shop as it was before: to go back to. null: none were taken. */
  readonly safety: SafetySnapshots | null;
  /** How many things were looked at before the shop was opened. */
  readonly checks: number;
  /** Which, in words that may name hosts; empty: not known. */
  readonly checked: readonly string[];
}

/** Beside how a request stands: what was done to it, and what came of it. */
export interface RequestStory {
  /** How long it was held after its approval: the clock went on meanwhile. */
  readonly heldMs: number;
  readonly history: readonly HistoryDocument[];
  /** null: nothing was restored. */
  readonly result: ResultDocument | null;
  /** It had begun, and a restore of its shop came to no end: the shop is perhaps closed. */
  readonly restoreOpen: boolean;
  /** It failed, and a message that says so to those who look after the backups got through. */
  readonly told: boolean;
}

export interface RequestClock {
  readonly targetMs: number;
  readonly deadline: string;
  readonly state: 'running' | 'paused' | 'kept' | 'broken';
  readonly countedMs: number;
  /** Negative: by how much it was exceeded. */
  readonly leftMs: number;
  readonly resumesAt: string | null;
  readonly holiday: string | null;
}

export interface HistoryDocument {
  readonly at: string;
  readonly verb: RequestEventRow['verb'];
  readonly state: RequestState;
  readonly who: string | null;
  readonly role: RequestEventRow['role'];
  readonly reason: string | null;
  /** Why it failed then. */
  readonly error: ErrorDocument | null;
}

/** Calendars of promises, each made once: a page of requests is mostly of one. */
export class PromiseCalendars {
  readonly #known = new Map<string, Promise<RtoCalendar>>();

  /** `promise`: as it is kept with a request. Throws E_CATALOG, E_CONFIG. */
  of(promise: string): Promise<RtoCalendar> {
    const known = this.#known.get(promise) ?? calendarOf(parsePromise(promise));
    this.#known.set(promise, known);
    return known;
  }
}

/** The clock of a request at `nowMs`; null: nobody approved it, or it was called off. Throws E_CATALOG, E_CONFIG. */
export async function clockOf(
  row: Pick<RequestRow, 'approvedAt' | 'endedAt' | 'promise' | 'state'>,
  nowMs: number,
  calendars: PromiseCalendars,
): Promise<ReturnType<typeof readRto> | null> {
  const { approvedAt, endedAt, promise, state } = row;
  if (approvedAt === null || promise === null || state === 'cancelled' || state === 'refused' || state === 'rolled-back') return null;
  const instant = (atMs: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(atMs);
  // of one that failed the clock goes on: it is not back
  const doneAt = state === 'done' && endedAt !== null ? instant(endedAt) : null;
  const { targetMs } = parsePromise(promise);
  return readRto(await calendars.of(promise), { approvedAt: instant(approvedAt), doneAt, targetMs }, instant(nowMs));
}

/** Throws E_CATALOG, E_CONFIG. */
export async function requestDocument(row: RequestRow, nowMs: number, calendars: PromiseCalendars): Promise<RequestDocument> {
  const clock = await clockOf(row, nowMs, calendars);
  const { errorCode, errorMessage } = row;
  return {
    ...{ id: row.id, shop: row.shop, state: row.state },
    ...{ wanted: JSON.parse(row.wanted) as Wanted, preview: previewOf(row) },
    ...{ createdAt: text(row.createdAt), createdBy: row.createdBy, createdRole: row.createdRole },
    ...{ approvedAt: orNull(row.approvedAt), approvedBy: row.approvedBy, approvedRole: row.approvedRole },
    clock: clock && { ...clock, deadline: clock.deadline.toString(), resumesAt: clock.resumesAt?.toString() ?? null },
    ...{ startedAt: orNull(row.startedAt), verifyingAt: orNull(row.verifyingAt), endedAt: orNull(row.endedAt), run: row.runId },
    error:
      errorCode === null
        ? null
        : {
            ...{ code: errorCode, message: errorMessage ?? '' },
            hint: Object.hasOwn(ERRORS, errorCode) ? ERRORS[errorCode as ErrorCode].hint.replaceAll('SHOP', row.shop) : '',
          },
    outcome: row.outcome,
  };
}

/** What was kept of it beside what is promised now, which is a thing of the moment. */
function previewOf({ preview }: RequestRow): RequestPreview {
  // one that an older version showed says nothing of the last two, nor of safety snapshots
  const told = JSON.parse(preview) as Omit<RequestPreview, keyof PartsKnown> & Partial<PartsKnown>;
  const { at, emptied = [], estimate, gapMs, lost, paths, shop, snapshots, tables, unknown = [] } = told;
  return {
    at,
    emptied,
    estimate,
    gapMs,
    lost: lost.map((one) => ({ ...one, newerSafety: one.newerSafety ?? 0 })),
    paths,
    shop,
    snapshots,
    tables,
    unknown,
  };
}

/** How long it was held after its approval: the clock went on meanwhile. `events`: oldest first. */
export function heldMs(events: readonly Pick<RequestEventRow, 'at' | 'state'>[], approvedAt: number | null, nowMs: number): number {
  if (approvedAt === null) return 0;
  let total = 0;
  for (const [at, event] of events.entries()) {
    if (event.state !== 'held') continue;
    const until = events[at + 1]?.at ?? nowMs;
    total += Math.max(0, until - Math.max(event.at, approvedAt));
  }
  return total;
}

/** With what was done to it, and what came of it. Throws E_CATALOG, E_CONFIG. */
export async function fullRequestDocument(
  catalog: Catalog,
  row: RequestRow,
  nowMs: number,
  calendars: PromiseCalendars,
): Promise<RequestDocument & RequestStory> {
  const events = await requestHistory(catalog, row.id);
  const document = await requestDocument(row, nowMs, calendars);
  const history = events.map(historyDocument);
  // in its own words, with the hint that only the history keeps
  const failed = history.findLast(({ error, verb }) => verb === 'fail' && error?.message)?.error ?? null;
  const { db } = catalog;
  return {
    ...document,
    error: document.error && (failed ?? document.error),
    ...{ heldMs: heldMs(events, row.approvedAt, nowMs), history },
    result: row.state === 'done' ? await resultOf(db, row, events) : null,
    restoreOpen: row.startedAt !== null && (await readOpenRestore(db, row.shop)) !== null,
    told: row.state === 'failed' && row.endedAt !== null && (await operatorsHeard(db, row.id, 'fail', row.endedAt)),
  };
}

type Summary = Pick<ResultDocument, 'durationMs' | 'maintenanceMs' | 'safety' | 'checks'>;

async function resultOf(db: Catalog['db'], { runId }: RequestRow, events: readonly RequestEventRow[]): Promise<ResultDocument | null> {
  const { detail } = events.findLast(({ verb }) => verb === 'finish') ?? { detail: null };
  const { checks = 0, durationMs, maintenanceMs = null, safety = null } = (JSON.parse(detail ?? 'null') ?? {}) as Partial<Summary>;
  if (durationMs === undefined) return null;
  const run = runId === null ? undefined : await db.selectFrom('runs').select('detail').where('id', '=', runId).executeTakeFirst();
  const { inPlace } = JSON.parse(run?.detail ?? '{}') as { readonly inPlace?: { readonly checks?: readonly string[] } };
  return { durationMs, maintenanceMs, safety, checks, checked: inPlace?.checks ?? [] };
}

function historyDocument({ at, detail, reason, role, state, verb, who }: RequestEventRow): HistoryDocument {
  return { at: text(at), verb, state, who, role, reason, error: verb === 'fail' ? errorIn(detail) : null };
}

/** An older version kept the code alone. */
function errorIn(detail: string | null): ErrorDocument | null {
  const { code, hint = '', message = '' } = JSON.parse(detail ?? '{}') as Partial<ErrorDocument>;
  return code === undefined ? null : { code, message, hint };
}

const text = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();
const orNull = (atMs: number | null): string | null => (atMs === null ? null : text(atMs));
