// Which backups the plan's schedules asked for in a period, and how many of them never came.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { Config } from '../config/config.ts';
import { parseSchedule } from '../schedule/due.ts';
import { backedUpBy } from '../schedule/jobs.ts';

export interface PlannedBackups {
  readonly expected: number;
  readonly done: number;
  readonly missed: number;
}

/** A schedule of every few minutes over years: nobody reads such a figure, and it takes seconds to find. */
const MOST_SLOTS = 10_000;

/** As the audit calls changes of a shop's state. */
export const STATE_CHANGES = ['suspend', 'resume', 'close', 'erase', 'pause', 'unpause'].map((verb) => `shop ${verb}`);

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A slot's expression, for as long as it was in force. */
export interface Term extends Span {
  readonly expression: string;
}

/** Epoch milliseconds; `done` are backups that went well, whoever asked for them. */
export interface PlannedInput extends Span {
  /** For each source. */
  readonly schedules: ReadonlyMap<string, readonly Term[]>;
  readonly timezone: string;
  readonly done: readonly { readonly source: string | null; readonly startedAt: number }[];
  /** When no backup was to be taken. */
  readonly off: readonly Span[];
}

/**
 * A slot is done when its source was backed up between it and the next one; the one that is not over yet is no slot yet. null: too many
 * slots. Pure.
 */
export function plannedBackups({ done, fromMs, off, schedules, timezone, toMs }: PlannedInput): PlannedBackups | null {
  let [expected, kept] = [0, 0];
  for (const [source, terms] of schedules) {
    const slots = new Set<number>();
    for (const term of terms) {
      const untilMs = Math.min(toMs, term.toMs);
      const beginMs = Math.max(fromMs, term.fromMs);
      if (beginMs >= untilMs) continue;
      const schedule = parseSchedule(term.expression, timezone);
      let at = schedule.next(Temporal.Instant.fromEpochMilliseconds(beginMs - 1));
      for (; at !== null && at.epochMilliseconds < untilMs; at = schedule.next(at)) {
        slots.add(at.epochMilliseconds);
        if (slots.size > MOST_SLOTS) return null;
      }
    }
    const sorted = [...slots].sort((a, b) => a - b);
    const starts = done.filter((run) => run.source === source).map(({ startedAt }) => startedAt);
    starts.sort((a, b) => a - b);
    let run = 0;
    for (const [at, slot] of sorted.entries()) {
      const next = sorted[at + 1];
      while (run < starts.length && (starts[run] ?? 0) < slot) run++;
      const isDone = run < starts.length && (starts[run] ?? 0) < (next ?? Number.POSITIVE_INFINITY);
      const isOff = off.some((span) => slot >= span.fromMs && slot < span.toMs);
      if (!isDone && (next === undefined || isOff)) continue;
      expected++;
      if (isDone) kept++;
    }
  }
  return { expected, done: kept, missed: expected - kept };
}

/**
 * By the schedules that were noted for each time (before the first note by that one, without any by today's plan), from the shop's first
 * trace on, and of runs that are still kept. null: the shop is declared no more, or nothing of it was scheduled.
 */
export async function readPlanned(
  config: Config,
  { db }: Catalog,
  { nowMs, shop, ...span }: Span & { readonly shop: string; readonly nowMs: number },
): Promise<PlannedBackups | null> {
  const declared = config.shops.get(shop);
  if (declared === undefined) return null;
  const schedules = new Map<string, Term[]>();
  for (const job of ['database', 'files', 'increments', 'server'] as const) {
    const source = backedUpBy(job);
    if (source === null || declared[source] === null) continue;
    const noted = await db
      .selectFrom('shopFacts')
      .select(['at', 'value'])
      .where('shop', '=', shop)
      .where('name', '=', `plan.${job}`)
      .orderBy('id')
      .execute();
    const terms = termsOf(noted, declared.plan.schedule[job]);
    if (terms.length > 0) schedules.set(source, [...(schedules.get(source) ?? []), ...terms]);
  }
  if (schedules.size === 0) return null;
  const firsts = await Promise.all([
    db.selectFrom('runs').select('startedAt as at').where('shop', '=', shop).orderBy('startedAt').limit(1).executeTakeFirst(),
    db.selectFrom('snapshots').select('startedAt as at').where('shop', '=', shop).orderBy('startedAt').limit(1).executeTakeFirst(),
    db.selectFrom('shopFacts').select('at').where('shop', '=', shop).orderBy('at').limit(1).executeTakeFirst(),
  ]);
  const first = Math.min(...firsts.flatMap((row) => row?.at ?? []));
  const fromMs = Math.max(span.fromMs, Number.isFinite(first) ? first : span.fromMs, nowMs - config.runs.keepMs);
  const toMs = Math.min(span.toMs, nowMs);
  const done = await db
    .selectFrom('runs')
    .select(['runs.source', 'runs.startedAt'])
    .where('shop', '=', shop)
    .where('kind', '=', 'backup')
    .where('state', '=', 'done')
    .where('startedAt', '>=', fromMs)
    .where('startedAt', '<', nowMs)
    // what was kept for safety before a restore is no backup: its snapshot has the run's id
    .where(({ exists, not, selectFrom }) =>
      not(exists(selectFrom('snapshots').select('snapshots.id').whereRef('snapshots.id', '=', 'runs.id').where('purpose', '=', 'safety'))),
    )
    .execute();
  return plannedBackups({ schedules, timezone: config.timezone, done, fromMs, toMs, off: await readOff(db, shop) });
}

/** Each from its note to the next; `off` is none. `today`: what holds where nothing was noted; null: not planned. Pure. */
export function termsOf(noted: readonly { readonly at: number; readonly value: string }[], today: string | null): Term[] {
  const ever = { fromMs: 0, toMs: Number.POSITIVE_INFINITY };
  if (noted.length === 0) return today === null ? [] : [{ expression: today, ...ever }];
  return noted.flatMap(({ at, value }, index) => {
    const span = { fromMs: index === 0 ? ever.fromMs : at, toMs: noted[index + 1]?.at ?? ever.toMs };
    return value === 'off' ? [] : [{ expression: value, ...span }];
  });
}

/** Paused, suspended, after the end, or erased: by the audit. */
async function readOff(db: Catalog['db'], shop: string): Promise<Span[]> {
  const rows = await db
    .selectFrom('audit')
    .select(['at', 'what', 'detail'])
    .where('shop', '=', shop)
    .where('what', 'in', STATE_CHANGES)
    .orderBy('id')
    .execute();
  const off: Span[] = [];
  const open = new Map<'life' | 'pause', Span>();
  const end = (of: 'life' | 'pause', atMs: number): void => {
    const span = open.get(of);
    if (span !== undefined) off.push({ fromMs: span.fromMs, toMs: Math.min(span.toMs, atMs) });
    open.delete(of);
  };
  for (const { at, detail, what } of rows) {
    const said = JSON.parse(detail ?? '{}') as { readonly endsAt?: number | null; readonly until?: number | null };
    const of = what.endsWith('pause') ? 'pause' : 'life';
    end(of, at);
    if (what === 'shop resume' || what === 'shop unpause') continue;
    const fromMs = what === 'shop close' ? (said.endsAt ?? at) : at;
    open.set(of, { fromMs, toMs: (of === 'pause' ? said.until : null) ?? Number.POSITIVE_INFINITY });
  }
  return [...off, ...open.values()];
}
