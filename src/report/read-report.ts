// Reads from the catalog what was done for a shop in a period, and adds it up. Nothing of it names a person, a path or a host.
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import { ledgerStart } from '../billing/chain.ts';
import { levels } from '../billing/level.ts';
import { breachesOfPeriod } from '../catalog/breaches.ts';
import { vaultsHolding } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { readLife } from '../catalog/shop-life.ts';
import type { RunsTable } from '../catalog/tables/runs.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { dailyLevels, type Move } from './daily-levels.ts';
import { readPlanned, STATE_CHANGES } from './planned-backups.ts';
import type { Report } from './report-schema.ts';
import { verifiedBy } from './verified.ts';

export interface ReportPeriod {
  /** First and last day, both in it. */
  readonly from: Temporal.PlainDate;
  readonly to: Temporal.PlainDate;
}

export interface ReportOptions extends ReportPeriod {
  readonly shop: string;
  readonly nowMs: number;
  /** For operators: reasons and legal holds too. */
  readonly isTold: boolean;
}

/** More days than a page or a plot can show. */
export const LONGEST_REPORT_DAYS = 1100;

/** Throws E_USAGE for a period that is backwards, too long, or still to come. */
export function requirePeriod({ from, to }: ReportPeriod, today: Temporal.PlainDate): ReportPeriod {
  const days = from.until(to, { largestUnit: 'days' }).days + 1;
  if (days < 1) throw new CoffreError('E_USAGE', 'the period ends before it begins', { hint: '--to is the last day, and in it' });
  if (days > LONGEST_REPORT_DAYS)
    throw new CoffreError('E_USAGE', `a report is of ${LONGEST_REPORT_DAYS} days at most`, { hint: 'ask for one year after the other' });
  if (Temporal.PlainDate.compare(from, today) > 0) throw new CoffreError('E_USAGE', 'the period has not begun');
  return { from, to };
}

/** Instants in the configured time zone. The shop need not be declared any more. */
export async function readReport(config: Config, catalog: Catalog, options: ReportOptions): Promise<Report> {
  const { db } = catalog;
  const { from, isTold, nowMs, shop, to } = options;
  const { timezone } = config;
  const startOf = (day: Temporal.PlainDate): number => day.toZonedDateTime({ timeZone: timezone }).epochMilliseconds;
  const fromMs = startOf(from);
  const toMs = startOf(to.add({ days: 1 }));
  const runs = await db
    .selectFrom('runs')
    .select(['id', 'kind', 'source', 'state', 'startedAt', 'endedAt', 'errorCode', 'detail'])
    .where('shop', '=', shop)
    .where('startedAt', '>=', fromMs)
    .where('startedAt', '<', toMs)
    .orderBy('startedAt')
    .orderBy('id')
    .execute();
  const told = runs.map(runRow);
  const drills = await db
    .selectFrom('drills')
    // without the evidence, which is large
    .select(['code', 'drill', 'endedAt', 'outcome', 'restoreMs', 'startedAt', 'targetMs', 'vault'])
    .where('shop', '=', shop)
    .where('startedAt', '>=', fromMs)
    .where('startedAt', '<', toMs)
    .orderBy('id')
    .execute();
  const requests = await db
    .selectFrom('requests')
    .selectAll()
    .where('shop', '=', shop)
    .where('createdAt', '<', toMs)
    .where((eb) => eb.or([eb('createdAt', '>=', fromMs), eb('endedAt', '>=', fromMs), eb('endedAt', 'is', null)]))
    .orderBy('id')
    .execute();
  const incidents = await db
    .selectFrom('incidents')
    .selectAll()
    .where('shop', '=', shop)
    .where('firstSeenAt', '<', toMs)
    .where((eb) => eb.or([eb('firstSeenAt', '>=', fromMs), eb('goneAt', 'is', null), eb('goneAt', '>=', fromMs)]))
    .orderBy('firstSeenAt')
    .orderBy('id')
    .execute();
  const { vaults } = config.shops.get(shop) ?? { vaults: [] };
  const breaches = await breachesOfPeriod(db, { name: shop, vaults }, DAEMON_SHOP, { fromMs, toMs });
  const holds = await db
    .selectFrom('holds')
    .selectAll()
    .where('shop', '=', shop)
    .where('placedAt', '<', toMs)
    .where((eb) => eb.or([eb('releasedAt', 'is', null), eb('releasedAt', '>=', fromMs)]))
    .orderBy('placedAt')
    .execute();
  const { changes, versions } = await readChanges(catalog, options, fromMs, toMs);
  const volume = await readVolume(config, catalog, options, fromMs, toMs);
  const backups = told.filter(({ kind }) => kind === 'backup');
  const start = await ledgerStart(db);
  const since = (atMs: number | null): string | null => (atMs === null || atMs <= fromMs ? null : text(Math.min(atMs, toMs)));
  const verified = told.filter(({ kind }) => kind === 'verify');
  return {
    format: 1,
    ...{ shop, plan: config.shops.get(shop)?.plan.name ?? null, state: (await readLife(db, shop)).state },
    period: { from: from.toString(), to: to.toString(), timezone },
    madeAt: text(nowMs),
    complete: {
      runs: since(nowMs - config.runs.keepMs),
      changes: since(nowMs - config.audit.keepMs),
      volume: since(start?.until ?? null),
    },
    totals: {
      backups: {
        done: count(backups, ({ state }) => state === 'done'),
        failed: count(backups, ({ state }) => state === 'failed'),
        other: count(backups, ({ state }) => state !== 'done' && state !== 'failed'),
      },
      planned: await readPlanned(config, catalog, { shop, nowMs, fromMs, toMs }),
      storedBytes: sum(backups.map(({ bytes }) => bytes ?? 0)),
      verifiedBytes: sum(verified.map(({ bytes }) => bytes ?? 0)),
      verifiedObjects: sum(runs.map((run) => (run.kind === 'verify' ? (verifiedBy(run.detail)?.objects ?? 0) : 0))),
      damaged: sum(runs.map((run) => (run.kind === 'verify' ? (verifiedBy(run.detail)?.damaged ?? 0) : 0))),
      drills: {
        passed: count(drills, ({ outcome }) => outcome === 'passed'),
        failed: count(drills, ({ outcome }) => outcome === 'failed'),
      },
      restores: {
        done: count(told, ({ kind, state }) => kind === 'restore' && state === 'done'),
        failed: count(told, ({ kind, state }) => kind === 'restore' && state === 'failed'),
      },
      requests: {
        kept: count(requests, ({ outcome }) => outcome === 'kept'),
        broken: count(requests, ({ outcome }) => outcome === 'broken'),
        open: count(requests, ({ outcome }) => outcome === null),
      },
      incidents: {
        found: count(incidents, ({ firstSeenAt }) => firstSeenAt >= fromMs),
        open: count(incidents, ({ acknowledgedAt, goneAt }) => goneAt === null && acknowledgedAt === null),
      },
    },
    runs: told,
    drills: drills.map(({ code, drill, endedAt, outcome, restoreMs, startedAt, targetMs, vault }) => ({
      ...{ drill, vault, startedAt: text(startedAt), endedAt: text(endedAt), outcome, code, restoreMs, targetMs },
    })),
    requests: requests.map((row) => ({
      ...{
        request: row.id,
        state: row.state,
        askedBy: row.createdRole,
        createdAt: text(row.createdAt),
        approvedAt: orNull(row.approvedAt),
      },
      ...{
        deadline: orNull(row.deadline),
        endedAt: orNull(row.endedAt),
        outcome: row.outcome,
        countedMs: row.countedMs,
        leftMs: row.leftMs,
      },
    })),
    incidents: incidents.map(({ acknowledgedAt, firstSeenAt, goneAt, id, kind, reason, sizeBytes, vault }) => ({
      ...{ incident: id, vault, kind, sizeBytes, firstSeenAt: text(firstSeenAt), goneAt: orNull(goneAt) },
      ...{ acknowledgedAt: orNull(acknowledgedAt), reason: isTold ? reason : null },
    })),
    breaches: breaches.map(({ closedAt, deadline, id, openedAt, reason, sentAt, vault }) => ({
      ...{ breach: id, vault, openedAt: text(openedAt), deadline: text(deadline), sentAt: orNull(sentAt), closedAt: orNull(closedAt) },
      reason: isTold ? reason : null,
    })),
    holds: isTold
      ? holds.map(({ id, placedAt, reason, releasedAt, snapshotId }) => ({
          ...{ hold: id, snapshot: snapshotId, placedAt: text(placedAt), releasedAt: orNull(releasedAt), reason },
        }))
      : null,
    changes,
    versions,
    volume: volume.volume,
    days: volume.days.map((row, at) => {
      const [dayFrom, dayTo] = [volume.starts[at] ?? 0, volume.ends[at] ?? 0];
      const own = runs.filter(({ kind, startedAt }) => kind === 'backup' && startedAt >= dayFrom && startedAt < dayTo);
      return {
        day: from.add({ days: at }).toString(),
        ...{ done: count(own, ({ state }) => state === 'done'), failed: count(own, ({ state }) => state === 'failed') },
        ...{ peakBytes: row?.peakBytes ?? null, endBytes: row?.endBytes ?? null },
      };
    }),
  };
}

type RunRow = Pick<Selectable<RunsTable>, 'id' | 'kind' | 'source' | 'state' | 'startedAt' | 'endedAt' | 'errorCode' | 'detail'>;

/** Of the results that runs keep, what a report tells; another coffre may have written less. */
interface Detail {
  readonly newBytes?: number;
  readonly full?: boolean;
  readonly bytes?: number;
}

const detailOf = ({ detail }: Pick<RunRow, 'detail'>): Detail => JSON.parse(detail ?? '{}') as Detail;

function runRow(run: RunRow): Report['runs'][number] {
  const detail = detailOf(run);
  const { endedAt, errorCode, id, kind, source, startedAt, state } = run;
  const bytes = kind === 'backup' ? detail.newBytes : kind === 'verify' ? verifiedBy(run.detail)?.bytes : detail.bytes;
  return {
    ...{ run: id, kind, source, startedAt: text(startedAt), endedAt: orNull(endedAt), state, code: errorCode },
    ...{ bytes: typeof bytes === 'number' ? bytes : null, full: kind === 'backup' ? (detail.full ?? null) : null },
  };
}

/** Of the shop's state from the audit; of terms and versions from the facts that backups noted. */
async function readChanges({ db }: Catalog, { isTold, shop }: ReportOptions, fromMs: number, toMs: number) {
  const audit = await db
    .selectFrom('audit')
    .select(['at', 'what', 'detail'])
    .where('shop', '=', shop)
    .where('what', 'in', STATE_CHANGES)
    .where('at', '>=', fromMs)
    .where('at', '<', toMs)
    .orderBy('id')
    .execute();
  const facts = await db.selectFrom('shopFacts').selectAll().where('shop', '=', shop).where('at', '<', toMs).orderBy('id').execute();
  const versions: Record<string, string> = {};
  const changes: (Report['changes'][number] & { readonly atMs: number })[] = audit.map(({ at, detail, what }) => {
    const said = JSON.parse(detail ?? '{}') as {
      from?: string;
      state?: string;
      endsAt?: number | null;
      until?: number | null;
      reason?: string | null;
    };
    const end = said.endsAt ?? said.until ?? null;
    return {
      ...{ atMs: at, at: text(at), what, from: said.from ?? null, to: end === null ? (said.state ?? null) : text(end) },
      reason: isTold ? (said.reason ?? null) : null,
    };
  });
  for (const { at, name, value } of facts) {
    const before = versions[name] ?? null;
    versions[name] = value;
    if (at >= fromMs && before !== null) changes.push({ atMs: at, at: text(at), what: name, from: before, to: value, reason: null });
  }
  changes.sort((a, b) => a.atMs - b.atMs);
  return { changes: changes.map(({ atMs: _, ...change }) => change), versions };
}

async function readVolume(config: Config, catalog: Catalog, { from, nowMs, shop, to }: ReportOptions, fromMs: number, toMs: number) {
  const { db } = catalog;
  const count = from.until(to, { largestUnit: 'days' }).days + 1;
  const bounds = Array.from(
    { length: count + 1 },
    (_, days) => from.add({ days }).toZonedDateTime({ timeZone: config.timezone }).epochMilliseconds,
  );
  const [starts, ends] = [bounds.slice(0, -1), bounds.slice(1)];
  const start = await ledgerStart(db);
  const knownFrom = Math.max(fromMs, start?.until ?? fromMs);
  if (knownFrom >= Math.min(toMs, nowMs + 1)) {
    const nothing = { levelBytes: null, peakBytes: null, peakAt: null, vaults: [] };
    return { starts, ends, days: starts.map(() => null), volume: nothing };
  }
  const opening = await levels(catalog, { shop, at: Temporal.Instant.fromEpochMilliseconds(knownFrom - 1) });
  const names = [...new Set([...opening.map(({ vault }) => vault), ...config.vaults.keys(), ...(await vaultsHolding(db, shop))])].sort();
  const clock = { dayStarts: starts, dayEnds: ends, fromMs: knownFrom, nowMs };
  const all: Move[] = [];
  const vaults: Report['volume']['vaults'] = [];
  for (const vault of names) {
    const moves = await db
      .selectFrom('ledger')
      .select(['at', (eb) => eb.fn.sum<number>('bytes').as('bytes')])
      .where('vault', '=', vault)
      .where('shop', '=', shop)
      .where('at', '>=', knownFrom)
      .where('at', '<', toMs)
      .where(sql<boolean>`"id" > ${start?.row ?? 0}`)
      .groupBy('at')
      .orderBy('at')
      .execute();
    const openingBytes = opening.find((row) => row.vault === vault)?.levelBytes ?? 0;
    if (openingBytes === 0 && moves.length === 0) continue;
    const { levelBytes, peakBytes } = dailyLevels(openingBytes, moves, clock);
    vaults.push({ vault, levelBytes, peakBytes });
    for (const move of moves) all.push(move);
  }
  all.sort((a, b) => a.at - b.at);
  const found = dailyLevels(sum(opening.map(({ levelBytes }) => levelBytes)), all, clock);
  const { levelBytes, peakAt, peakBytes } = found;
  return { starts, ends, days: found.days, volume: { levelBytes, peakBytes, peakAt: text(peakAt), vaults } };
}

const text = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();
const orNull = (atMs: number | null): string | null => (atMs === null ? null : text(atMs));
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const count = <T>(rows: readonly T[], is: (row: T) => boolean): number => rows.filter(is).length;
