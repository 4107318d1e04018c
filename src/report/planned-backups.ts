// Which backups the plan's schedule asked for in a period, and how many of them never came.
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

/** Epoch milliseconds; `done` are backups that went well, whoever asked for them. */
export interface PlannedInput extends Span {
  /** For each source its slots' expressions. */
  readonly schedules: ReadonlyMap<string, readonly string[]>;
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
  const until = Temporal.Instant.fromEpochMilliseconds(toMs);
  for (const [source, expressions] of schedules) {
    const slots = new Set<number>();
    for (const expression of expressions) {
      const schedule = parseSchedule(expression, timezone);
      let at = schedule.next(Temporal.Instant.fromEpochMilliseconds(fromMs - 1));
      for (; at !== null && Temporal.Instant.compare(at, until) < 0; at = schedule.next(at)) {
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
 * By the schedule of today's plan, from the shop's first trace on, and of runs that are still kept. null: the shop is declared no more,
 * or nothing of it is scheduled.
 */
export async function readPlanned(
  config: Config,
  { db }: Catalog,
  { nowMs, shop, ...span }: Span & { readonly shop: string; readonly nowMs: number },
): Promise<PlannedBackups | null> {
  const declared = config.shops.get(shop);
  if (declared === undefined) return null;
  const schedules = new Map<string, string[]>();
  for (const job of ['database', 'files', 'increments', 'server'] as const) {
    const [expression, source] = [declared.plan.schedule[job], backedUpBy(job)];
    if (expression === null || source === null || declared[source] === null) continue;
    schedules.set(source, [...(schedules.get(source) ?? []), expression]);
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
