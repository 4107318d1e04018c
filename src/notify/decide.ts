// What is to be told now: what turned red, what stays red, what is green again, each once and together. Pure.
import type { AlarmRow } from '../catalog/messages.ts';
import { groupOf, type Notice, type NoticeKind } from './alarms.ts';

export interface Known extends Notice {
  /** Epoch milliseconds, as all of these. */
  readonly since: number;
  readonly toldAt: number | null;
  readonly goneAt: number | null;
}

export interface DecideOptions {
  readonly nowMs: number;
  /** What is red for less is not told. */
  readonly delayMs: number;
  /** null: never. */
  readonly reminderMs: number | null;
  /** Nothing is said to be green again of these. */
  readonly unknown: ReadonlySet<string>;
  /** Shops that are declared, the daemon itself among them. */
  readonly declared: ReadonlySet<string>;
  /** Of these, those that were not looked at yet since the start: what was red of them still is. */
  readonly unseen: ReadonlySet<string>;
  /** Ids of what is red only because a first backup has not ended: it is not told yet, for a day at most. */
  readonly early: ReadonlySet<string>;
}

export interface Decision {
  /** What is known from now on, in no order. */
  readonly known: readonly Known[];
  readonly raised: readonly Known[];
  readonly recovered: readonly Known[];
  readonly reminded: readonly Known[];
  /** Whether something is red for longer than the delay: what the ping says. */
  readonly isRed: boolean;
}

/**
 * Further shops with the same trouble, and those of several that are green again before the others, wait this long after something was
 * told of it: three hundred shops that fail one after the other are a handful of messages.
 */
export const GROUP_REST_MS = 3_600_000;

/** A new shop that has no backup for this long after it was first seen is told of, whatever it waits for. */
export const FIRST_BACKUP_MS = 86_400_000;

export function decide(before: readonly Known[], red: readonly Notice[], options: DecideOptions): Decision {
  const { delayMs, nowMs, reminderMs } = options;
  const rows = new Map<string, Known>();
  const current = new Map(red.map((notice) => [notice.id, notice]));
  for (const row of before) {
    // what lies ahead was written by a clock that was wrong
    const told = { since: Math.min(row.since, nowMs), toldAt: row.toldAt === null ? null : Math.min(row.toldAt, nowMs) };
    const now = current.get(row.id);
    if (now) rows.set(row.id, { ...row, ...told, code: now.code, goneAt: null });
    else if (options.unknown.has(row.shop) || options.unseen.has(row.shop)) rows.set(row.id, { ...row, ...told, goneAt: null });
    // never told, and over: nothing to say; nor of a shop that is declared no more
    else if (row.toldAt !== null && options.declared.has(row.shop))
      rows.set(row.id, { ...row, ...told, goneAt: Math.min(row.goneAt ?? nowMs, nowMs) });
  }
  for (const notice of red) if (!rows.has(notice.id)) rows.set(notice.id, { ...notice, since: nowMs, toldAt: null, goneAt: null });

  const isEarly = (row: Known): boolean => row.toldAt === null && options.early.has(row.id) && nowMs - row.since < FIRST_BACKUP_MS;
  const groups = Map.groupBy(rows.values(), groupOf);
  const raised: Known[] = [];
  const recovered: Known[] = [];
  let isRed = false;
  for (const group of groups.values()) {
    const lasting = group.filter((row) => row.goneAt === null);
    isRed ||= lasting.some((row) => nowMs - row.since >= delayMs && !isEarly(row));
    const fresh = lasting.filter((row) => row.toldAt === null && !isEarly(row));
    const ripe = fresh.some((row) => nowMs - row.since >= delayMs);
    const restsUntil = Math.max(...group.map((row) => row.toldAt ?? Number.NEGATIVE_INFINITY)) + GROUP_REST_MS;
    if (ripe && nowMs >= restsUntil) raised.push(...fresh);
    const over = group.filter((row) => row.goneAt !== null);
    const waited = over.map((row) => nowMs - (row.goneAt ?? nowMs));
    if (waited.some((ms) => ms >= (lasting.length === 0 ? delayMs : GROUP_REST_MS))) recovered.push(...over);
  }
  const reminds = (row: Known): boolean =>
    reminderMs !== null && row.goneAt === null && row.toldAt !== null && nowMs - row.toldAt >= reminderMs;
  const lastingTold = [...rows.values()].filter((row) => row.goneAt === null && row.toldAt !== null);
  // one reminder of everything, not one for each hour in which something began
  const reminded = lastingTold.some(reminds) ? lastingTold : [];
  for (const row of [...raised, ...reminded]) rows.set(row.id, { ...row, toldAt: nowMs });
  for (const row of recovered) rows.delete(row.id);
  return { known: [...rows.values()], raised, recovered, reminded, isRed };
}

export const toKnown = (row: AlarmRow): Known => ({ ...row, kind: row.kind as NoticeKind });
