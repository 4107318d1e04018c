// The forecast of every contract and quota: reads what is stored and until when, what past backups stored, and what the schedules plan.

import { type Kysely, type SqlBool, sql } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import { IS_LIVE } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { listLives } from '../catalog/shop-life.ts';
import { listSnapshots } from '../catalog/snapshots.ts';
import type { SnapshotsTable } from '../catalog/tables/snapshots.ts';
import type { Tables } from '../catalog/tables.ts';
import { fromDate, toDate } from '../clock.ts';
import type { Config, ContractConfig, PlanConfig } from '../config/config.ts';
import { makeCron } from '../config/cron.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { ledgerStart } from './chain.ts';
import { type Change, type Coming, curveOf, quotaReached, reached, trend } from './forecast.ts';
import { levels } from './level.ts';
import { monthPeriod } from './month.ts';
import { type BillingPeriod, isDue, periodAt } from './period.ts';
import { scopeOf, spanPeaks } from './period-peaks.ts';
import { MEASURED, ownDataBytes } from './quota.ts';
import { variableTB } from './statement.ts';

type ForecastContract = Pick<ContractConfig, 'name' | 'vault' | 'shops' | 'timezone' | 'period' | 'firstMonth' | 'subscribedTB'> & {
  readonly stepTB: number;
};

export interface ForecastShop {
  readonly name: string;
  readonly vaults: readonly string[];
  readonly retentionMs: number;
  readonly quotaBytes: number | null;
  readonly schedule: PlanConfig['schedule'];
  /** Declared sources. */
  readonly sources: readonly SnapshotsTable['source'][];
}

export interface ForecastRequest {
  readonly nowMs: number;
  readonly timezone: string;
  readonly contracts: readonly ForecastContract[];
  readonly shops: readonly ForecastShop[];
}

/** Sizes in bytes, instants as RFC 3339 text, TB as decimal text. */
export interface Forecast {
  readonly now: string;
  readonly contracts: readonly ContractForecast[];
  readonly quotas: readonly QuotaForecast[];
  /** What somebody should be told before it happens. */
  readonly notices: readonly ForecastNotice[];
  readonly limits: readonly string[];
}

export interface ContractForecast {
  readonly contract: string;
  readonly vault: string;
  /** End of the contract's period, whose peak is billed. */
  readonly until: string;
  readonly levelBytes: number;
  readonly peakSoFar: { readonly bytes: number; readonly at: string };
  readonly peak: { readonly bytes: number; readonly at: string };
  readonly endBytes: number;
  readonly billedTB: { readonly soFar: string; readonly forecast: string };
  /** The volume up to which nothing more is billed, and when it is passed; null: not in this period. */
  readonly nextStep: { readonly bytes: number; readonly reachedAt: string | null };
  /** At the end of each day. */
  readonly days: readonly { readonly at: string; readonly bytes: number }[];
}

export interface QuotaForecast {
  readonly shop: string;
  readonly usedBytes: number;
  readonly limitBytes: number;
  readonly endBytes: number;
  readonly state: 'within' | 'near' | 'over';
  readonly reachedAt: string | null;
}

export interface ForecastNotice {
  /** The same for the same thing in the same period of a contract, of a quota in the same month. */
  readonly id: string;
  readonly kind: 'step' | 'quota';
  /** A contract, or a shop. */
  readonly name: string;
  readonly bytes: number;
  readonly at: string;
}

/** Snapshots of one kind that a trend is drawn from, and how far back they may lie. */
const MOST_RUNS = 10;
const TREND_MS = 45 * 86_400_000;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Prune runs daily, in the morning. */
const PRUNE_EXPRESSION = '30 6 * * *';
const LIMITS = [
  'Going: what is stored goes with the first daily prune after its lock and after the window of every snapshot that uses it now; what later increments will use longer stays longer.',
  'Coming: each planned backup stores what its last ones of the same kind stored, with their trend; one that never ran is not counted, nor are failures, restores and what is ordered by hand.',
  'Quotas: database and files of the newest good backups, whatever their age, as in status; with the trend of the last weeks.',
];

/** Reads everything that is stored: for a thread. */
export async function readForecast(catalog: Catalog, request: ForecastRequest): Promise<Forecast> {
  const { db } = catalog;
  const contracts: ContractForecast[] = [];
  const notices: ForecastNotice[] = [];
  const lives = await listLives(db);
  const now = Temporal.Instant.fromEpochMilliseconds(request.nowMs);
  const slots = slotsFrom(request.timezone, request.nowMs);
  for (const contract of request.contracts) {
    const period = periodAt(contract, now);
    const one = await forecastContract(catalog, request, contract, period, lives, slots);
    contracts.push(one);
    const { bytes, reachedAt } = one.nextStep;
    if (reachedAt !== null)
      notices.push({
        id: `step ${contract.name} ${period.from.slice(0, 7)} ${bytes}`,
        kind: 'step',
        name: contract.name,
        bytes,
        at: reachedAt,
      });
  }
  const quotas: QuotaForecast[] = [];
  const month = now.toZonedDateTimeISO(request.timezone).toPlainDate().toPlainYearMonth().toString();
  for (const shop of request.shops) {
    const quota = await forecastQuota(catalog, shop, request.nowMs, monthPeriod(month, request.timezone).end.epochMilliseconds);
    if (quota === null) continue;
    quotas.push(quota);
    if (quota.reachedAt !== null)
      notices.push({
        id: `quota ${shop.name} ${month} ${quota.limitBytes}`,
        kind: 'quota',
        name: shop.name,
        bytes: quota.limitBytes,
        at: quota.reachedAt,
      });
  }
  return { now: text(request.nowMs), contracts, quotas, notices, limits: LIMITS };
}

const text = (ms: number): string => Temporal.Instant.fromEpochMilliseconds(ms).toString();

async function forecastContract(
  catalog: Catalog,
  request: ForecastRequest,
  contract: ForecastContract,
  period: BillingPeriod,
  lives: Awaited<ReturnType<typeof listLives>>,
  slots: Slots,
): Promise<ContractForecast> {
  const { nowMs } = request;
  const endMs = period.end.epochMilliseconds;
  const { db } = catalog;
  const covers = (shop: string): boolean => scopeOf(contract).covers(shop);
  // of a machine that was made anew the rows may begin within the period
  const known = Math.max(period.start.epochMilliseconds, (await ledgerStart(db))?.until ?? 0);
  const { sum } = await spanPeaks(catalog, contract, known, endMs);
  const held = (await levels(catalog, { vault: contract.vault })).filter(({ shop }) => covers(shop));
  const levelBytes = held.reduce((total, one) => total + one.levelBytes, 0);
  const prunes = slots(PRUNE_EXPRESSION, endMs);
  const afterPrune = (at: number): number => prunes[firstFrom(prunes, at)] ?? Number.POSITIVE_INFINITY;
  const going = (await goingBytes(db, contract.vault, covers)).map(({ at, bytes }) => ({ at: afterPrune(at), bytes }));
  const coming: Coming[] = [];
  for (const shop of request.shops) {
    if (!covers(shop.name) || !shop.vaults.includes(contract.vault)) continue;
    const life = lives.get(shop.name);
    if (life?.state === 'suspended' || life?.state === 'erased') continue;
    const lastMs = Math.min(endMs, life?.endsAt ?? endMs);
    for (const one of await comingBackups(db, shop, nowMs, slots, lastMs, afterPrune)) coming.push(one);
  }
  if (covers(DAEMON_SHOP)) coming.push(...(await comingCheckpoints(db, contract.vault, nowMs, endMs)));
  const curve = curveOf(nowMs, endMs, levelBytes, going, coming);
  const peakBytes = Math.max(sum.peakBytes, curve.peakBytes);
  const terms = { subscribedTB: contract.subscribedTB, price: { perTBMonth: '0', currency: 'EUR', stepTB: contract.stepTB } };
  const billed = (peak: number): number => contract.subscribedTB + Number(variableTB(terms, peak));
  const stepBytes = Math.round(billed(sum.peakBytes) * 1e12);
  const reachedAt = reached(curve, stepBytes);
  const days: { at: string; bytes: number }[] = [];
  let [place, bytes] = [0, levelBytes];
  for (let at = nowMs + DAY_MS; at < endMs; at += DAY_MS) {
    for (let point = curve.points[place]; point !== undefined && point.at <= at; point = curve.points[++place]) bytes = point.bytes;
    days.push({ at: text(at), bytes });
  }
  return {
    ...{ contract: contract.name, vault: contract.vault, until: text(endMs), levelBytes },
    peakSoFar: { bytes: sum.peakBytes, at: text(sum.at) },
    peak: { bytes: peakBytes, at: text(curve.peakBytes > sum.peakBytes ? curve.peakAt : sum.at) },
    endBytes: curve.endBytes,
    billedTB: { soFar: decimal(billed(sum.peakBytes)), forecast: decimal(billed(peakBytes)) },
    nextStep: { bytes: stepBytes, reachedAt: reachedAt === null ? null : text(reachedAt) },
    days,
  };
}

/** Six decimals of a TB are whole megabytes. */
const decimal = (volumeTB: number): string => String(Math.round(volumeTB * 1e6) / 1e6);

/** Instants of an expression from now on, before the end. */
type Slots = (expression: string, endMs: number) => readonly number[];

/** One expression serves hundreds of shops, and a contract's period may be a year: each is worked out once. */
function slotsFrom(timezone: string, fromMs: number): Slots {
  const known = new Map<
    string,
    { readonly cron: ReturnType<typeof makeCron>; readonly found: number[]; next: ReturnType<typeof toDate> | null }
  >();
  return (expression, endMs) => {
    const cron = known.get(expression)?.cron ?? makeCron(expression, timezone);
    const one = known.get(expression) ?? { cron, found: [], next: cron.nextRun(toDate(Temporal.Instant.fromEpochMilliseconds(fromMs))) };
    known.set(expression, one);
    while (one.next !== null && fromDate(one.next).epochMilliseconds < endMs) {
      one.found.push(fromDate(one.next).epochMilliseconds);
      one.next = cron.nextRun(one.next);
    }
    return one.found.slice(0, firstFrom(one.found, endMs));
  };
}

/** The first place whose instant is not before `ms`. */
function firstFrom(instants: readonly number[], ms: number): number {
  let [low, high] = [0, instants.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((instants[middle] as number) < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What may go, by the hour from which on it may: when its lock has ended, and the window of each snapshot that uses it. */
async function goingBytes(db: Kysely<Tables>, vault: string, covers: (shop: string) => boolean): Promise<Change[]> {
  const needed = sql<number>`max(coalesce("retainUntil", 0), coalesce(
    case when "kind" = 'segment'
      then (select max("keepUntil") from "snapshotSegments" join "snapshots" on "snapshots"."id" = "snapshotId" where "segmentId" = "objects"."refId")
      else (select "keepUntil" from "snapshots" where "snapshots"."id" = "objects"."refId") end, 0)) / ${HOUR_MS}`;
  const rows = await db
    .selectFrom('objects')
    .select(['shop', needed.as('hour'), (eb) => eb.fn.sum<number>('sizeBytes').as('bytes')])
    .where('vault', '=', vault)
    .where(IS_LIVE)
    .where(sql<SqlBool>`"kind" in ('segment', 'index', 'manifest', 'stray')`)
    .groupBy(['shop', 'hour'])
    .execute();
  return rows.filter(({ shop }) => covers(shop)).map(({ bytes, hour }) => ({ at: (Math.floor(hour) + 1) * HOUR_MS, bytes }));
}

async function comingBackups(
  db: Kysely<Tables>,
  shop: ForecastShop,
  nowMs: number,
  slots: Slots,
  endMs: number,
  afterPrune: (at: number) => number,
): Promise<Coming[]> {
  const coming: Coming[] = [];
  const { schedule } = shop;
  const plans = [
    { expression: schedule.database, source: 'database', full: null },
    { expression: schedule.files, source: 'files', full: 1 },
    { expression: schedule.increments, source: 'files', full: 0 },
    { expression: schedule.server, source: 'server', full: 1 },
  ] as const;
  for (const { expression, full, source } of plans) {
    if (expression === null || !shop.sources.includes(source)) continue;
    const expected = trend(await measured(db, shop.name, source, full, 'freshBytes', nowMs));
    if (expected === null) continue;
    for (const at of slots(expression, endMs)) {
      coming.push({ at, bytes: expected(at), goesAt: afterPrune(at + shop.retentionMs) });
    }
  }
  return coming;
}

/** One each day, as large as the last one; none goes within a year. */
async function comingCheckpoints(db: Kysely<Tables>, vault: string, nowMs: number, endMs: number): Promise<Coming[]> {
  const last = await db
    .selectFrom('objects')
    .select('sizeBytes')
    .where('vault', '=', vault)
    .where('kind', '=', 'state')
    .where(IS_LIVE)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  const coming: Coming[] = [];
  for (let at = nowMs + DAY_MS; last !== undefined && at < endMs; at += DAY_MS) {
    coming.push({ at, bytes: last.sizeBytes, goesAt: Number.POSITIVE_INFINITY });
  }
  return coming;
}

/** Of the last backups of one kind; `full` null: of any. Removed ones count: what they stored is what counts here. */
async function measured(
  db: Kysely<Tables>,
  shop: string,
  source: SnapshotsTable['source'],
  full: 0 | 1 | null,
  what: 'freshBytes' | 'plainBytes',
  nowMs: number,
): Promise<Change[]> {
  let query = db
    .selectFrom('snapshots')
    .select(['completedAt as at', `${what} as bytes`])
    .where('shop', '=', shop)
    .where('source', '=', source)
    .where('complete', '=', 1)
    .where('completedAt', '>', nowMs - TREND_MS);
  if (full !== null) query = query.where('full', '=', full);
  return await query.orderBy('completedAt', 'desc').limit(MOST_RUNS).execute();
}

/** null: the plan has no quota. */
async function forecastQuota(catalog: Catalog, shop: ForecastShop, nowMs: number, endMs: number): Promise<QuotaForecast | null> {
  const limitBytes = shop.quotaBytes;
  if (limitBytes === null) return null;
  const usedBytes = ownDataBytes(await listSnapshots(catalog, shop.name), shop.sources);
  let growth = 0;
  for (const source of MEASURED) {
    if (!shop.sources.includes(source)) continue;
    const sizes = await measured(catalog.db, shop.name, source, null, 'plainBytes', nowMs);
    const line = trend(sizes);
    if (line) growth += (line(nowMs + DAY_MS) - line(nowMs)) / DAY_MS;
  }
  const at = quotaReached(nowMs, endMs, usedBytes, growth, limitBytes);
  const endBytes = Math.max(0, Math.round(usedBytes + growth * (endMs - nowMs)));
  const state = usedBytes > limitBytes ? 'over' : at === null ? 'within' : 'near';
  return { shop: shop.name, usedBytes, limitBytes, endBytes, state, reachedAt: at === null ? null : text(at) };
}

/** What a forecast needs of the configuration: of contracts those whose present period is due. */
export function forecastRequest(
  config: Pick<Config, 'contracts' | 'shops' | 'timezone'>,
  nowMs: number,
  contract: string | null = null,
): ForecastRequest {
  const now = Temporal.Instant.fromEpochMilliseconds(nowMs);
  return {
    nowMs,
    timezone: config.timezone,
    contracts: [...config.contracts.values()]
      .filter((one) => (contract === null || one.name === contract) && isDue(one, periodAt(one, now)))
      .map(({ firstMonth, name, period, price, shops, subscribedTB, timezone, vault }) => ({
        ...{ name, vault, shops, timezone, period, firstMonth, subscribedTB, stepTB: price.stepTB },
      })),
    shops: [...config.shops.values()].map((shop) => ({
      ...{ name: shop.name, vaults: shop.vaults, retentionMs: shop.plan.retentionMs, quotaBytes: shop.plan.quotaBytes },
      schedule: shop.plan.schedule,
      sources: (['database', 'files', 'server'] as const).filter((source) => shop[source] !== null),
    })),
  };
}
