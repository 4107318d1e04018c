// A restore request as a JSON document: the command line and the API say the same, with the clock as it stands at this moment.
import { Temporal } from 'temporal-polyfill';
import type { RequestEventRow, RequestRow } from '../catalog/requests.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';
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
  readonly error: { readonly code: string; readonly message: string; readonly hint: string } | null;
  /** Whether the promise was kept; null: not decided, or never given. */
  readonly outcome: 'kept' | 'broken' | null;
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
  if (approvedAt === null || promise === null || state === 'cancelled' || state === 'refused') return null;
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
            hint: Object.hasOwn(ERRORS, errorCode) ? ERRORS[errorCode as ErrorCode].hint : '',
          },
    outcome: row.outcome,
  };
}

/** What was kept of it beside what is promised now, which is a thing of the moment. */
function previewOf({ preview }: RequestRow): RequestPreview {
  // one that an older version showed says nothing of the last two
  const told = JSON.parse(preview) as Omit<RequestPreview, keyof PartsKnown> & Partial<PartsKnown>;
  const { at, emptied = [], estimate, gapMs, lost, paths, shop, snapshots, tables, unknown = [] } = told;
  return { at, emptied, estimate, gapMs, lost, paths, shop, snapshots, tables, unknown };
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

export function historyDocument({ at, reason, role, state, verb, who }: RequestEventRow): HistoryDocument {
  return { at: text(at), verb, state, who, role, reason };
}

const text = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();
const orNull = (atMs: number | null): string | null => (atMs === null ? null : text(atMs));
