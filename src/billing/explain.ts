// Why a peak is as high as it is: which objects made it, which of them no snapshot needed any more, and what other settings would have cost.
import { type Kysely, sql } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { beforeLedger, ledgerSince } from './ledger-start.ts';
import { type LiveObject, liveAt } from './live-at.ts';
import { calendarPeriod } from './month.ts';
import { goneFrom, replacedAt, type TakenSnapshot } from './newest-then.ts';
import { partDue, type Running, termText } from './period.ts';
import { contractPeaks, scopeOf } from './period-peaks.ts';

/**
 * What an object was there for. Of those that no snapshot in its window needed: `newest` was of a newest good one, which stays whatever its
 * age; `locked` could not go yet, `expired` waited for a prune.
 */
export type Purpose = 'needed' | 'newest' | 'locked' | 'expired' | 'upload' | 'stray' | 'foreign' | 'key' | 'own' | 'unknown';

export const PURPOSES: Readonly<Record<Purpose, string>> = {
  needed: 'of a snapshot within its window',
  newest: 'of a shop’s newest good backup, which stays whatever its age',
  locked: 'of no snapshot within its window, and locked',
  expired: 'of no snapshot within its window, not locked: not pruned yet, or held',
  upload: 'parts of unfinished uploads',
  stray: 'second versions of ours on one key',
  foreign: 'not written by coffre',
  key: 'the shop’s sealed identity',
  own: 'the daemon’s own: checkpoints, probes',
  unknown: 'the catalog does not know it any more: opening balances, and what was rebuilt',
};

export interface ExplainRequest {
  /** YYYY-MM, YYYY-Qn or YYYY. */
  readonly month: string;
  readonly contract: Running;
  /** Only this shop's objects, at the contract's peak. */
  readonly shop: string | null;
  /** Windows of the shops' plans, in milliseconds, and whether each reads everything anew (`full: fresh`). */
  readonly plans: Readonly<Record<string, { readonly retentionMs: number; readonly fresh: boolean }>>;
  /** The window to be tried; null: half of each plan's. */
  readonly windowMs: number | null;
}

/** Sizes in bytes, instants as RFC 3339 text. */
export interface Explanation {
  readonly month: string;
  readonly contract: string;
  readonly vault: string;
  readonly peakBytes: number;
  /** false: nothing was measured by then, and the peak's 0 is not known to be one; `limits` says why. */
  readonly measured: boolean;
  readonly at: string;
  readonly purposes: readonly { readonly purpose: Purpose; readonly bytes: number; readonly objects: number; readonly means: string }[];
  /** By their bytes, largest first. */
  readonly shops: readonly {
    readonly shop: string;
    readonly bytes: number;
    readonly purposes: Readonly<Partial<Record<Purpose, number>>>;
  }[];
  /** The largest; of the shop alone that was asked for. */
  readonly objects: readonly ExplainedObject[];
  readonly instead: readonly { readonly what: string; readonly peakBytes: number; readonly savedBytes: number }[];
  /** How that was worked out, and what it does not see. */
  readonly limits: readonly string[];
}

export interface ExplainedObject {
  readonly shop: string;
  readonly key: string;
  readonly versionId: string;
  readonly bytes: number;
  readonly kind: string;
  readonly purpose: Purpose;
  /** Snapshots that used it, as far as they are known. */
  readonly snapshots: readonly string[];
  readonly neededUntil: string | null;
  /** As it was read back last: of a past instant it is known when that was before (`lockReadAt`); else it may have been given since. */
  readonly lockedUntil: string | null;
  readonly lockReadAt: string | null;
}

interface Known {
  readonly kind: string;
  readonly refId: string | null;
  readonly runId: string | null;
  readonly retainUntil: number | null;
  readonly lockReadAt: number | null;
}

interface User extends TakenSnapshot {
  readonly keepUntil: number;
}

const MOST_OBJECTS = 50;
const AT_ONCE = 500;
const LIMITS = [
  'Both are worked out at the instant of the peak alone: with other settings the highest level may come at another instant, so that less would be saved.',
  'A shorter window: objects whose snapshots would all have left it a day before, so that the daily prune had come. The newest good backup of each source stays, and so does for some days one that was it beyond its window; what could have gone with the present window too is not counted again. What only removed snapshots used is judged by the snapshot that stored it; locks that a reuse gave ahead are not seen, so that less would be saved.',
  'Newest good: the newest complete backup of each source then, as far as the catalog knows it.',
  'reread: segments whose content is, byte for byte, that of an older segment of the shop that was there too; unchanged files that moved into other segments are not seen, so that more would be saved.',
];

/** Window and manner of each shop's plan. */
export function windowsOf({ shops }: Pick<Config, 'shops'>): ExplainRequest['plans'] {
  return Object.fromEntries(
    [...shops.values()].map(({ name, plan }) => [name, { retentionMs: plan.retentionMs, fresh: plan.full === 'fresh' }]),
  );
}

/**
 * Refuses a window that is none, and one that is not shorter than that of any of `shops` (null: of any shop at all): what a longer one
 * would have kept is not there to be counted. Throws E_USAGE.
 */
export function requireShorter(windowMs: number | null, plans: ExplainRequest['plans'], shop: string | null): void {
  if (windowMs === null) return;
  const own = shop === null ? Object.values(plans) : [plans[shop]].filter((plan) => plan !== undefined);
  const longest = Math.max(0, ...own.map(({ retentionMs }) => retentionMs));
  const hint = `${longest > 0 ? `shorter than ${days(longest)}, the longest window as it is, ` : ''}such as 7d`;
  if (windowMs <= 0) throw new CoffreError('E_USAGE', 'a window of no time keeps nothing', { hint });
  if (own.length === 0 || windowMs < longest) return;
  throw new CoffreError('E_USAGE', `no window is longer than ${days(windowMs)}: what such a one would have kept longer is not known`, {
    hint,
  });
}

/** Throws E_USAGE (also of the window), E_STATEMENT_NONE (it did not run then), E_UNKNOWN_SHOP (it held nothing there), E_LEDGER_PURGED. Reads the whole ledger of the vault: for a thread. */
export async function explainPeak(catalog: Catalog, request: ExplainRequest): Promise<Explanation> {
  const { contract, month, shop } = request;
  const { db } = catalog;
  requireShorter(request.windowMs, request.plans, shop);
  const period = partDue(contract, calendarPeriod(month, contract.timezone));
  if (period === null)
    throw new CoffreError('E_STATEMENT_NONE', `contract ${contract.name} did not run in ${month}: ${termText(contract)}`);
  const peaks = await contractPeaks(catalog, contract, period);
  const { at, peakBytes } = peaks.sum;
  const unknown = beforeLedger(await ledgerSince(db), period);
  const scope = scopeOf(contract);
  const covers = (name: string): boolean => scope.covers(name) && (shop === null || name === shop);
  if (shop !== null && !peaks.shops.some((one) => one.shop === shop))
    throw new CoffreError('E_UNKNOWN_SHOP', `shop ${JSON.stringify(shop)} held nothing in ${contract.vault} in ${month}`);
  const live = (await liveAt(db, contract.vault, covers, at)).filter(({ bytes }) => bytes !== 0);
  const known = await knownObjects(db, contract.vault, live);
  const users = await usersOf(db, [...known.values()]);
  const replaced = replacedAt([...users.values()].flat(), at);
  const isNewest = ({ id }: User): boolean => replaced.get(id) === Number.POSITIVE_INFINITY;
  const purposes = new Map<Purpose, { bytes: number; objects: number }>();
  const shops = new Map<string, { bytes: number; purposes: Partial<Record<Purpose, number>> }>();
  const largest: ExplainedObject[] = [];
  let shorterBytes = 0;
  let readSince = { objects: 0, bytes: 0 };
  const segments: { readonly one: LiveObject; readonly id: string }[] = [];
  for (const one of live) {
    const row = known.get(nameOf(one));
    const own = row ? (users.get(row.refId ?? '') ?? users.get(`run ${row.runId}`) ?? []) : [];
    const neededUntil = own.length === 0 ? null : Math.max(...own.map(({ keepUntil }) => keepUntil));
    const purpose = purposeOf(row, neededUntil, own.some(isNewest), at, one);
    if (purpose === 'locked' && !(row?.lockReadAt && row.lockReadAt <= at)) readSince = counted(readSince, one.bytes);
    add(purposes, purpose, one.bytes);
    const ofShop = shops.get(one.shop) ?? { bytes: 0, purposes: {} };
    shops.set(one.shop, ofShop);
    ofShop.bytes += one.bytes;
    ofShop.purposes[purpose] = (ofShop.purposes[purpose] ?? 0) + one.bytes;
    const plan = request.plans[one.shop];
    if (plan && own.length > 0) {
      const windowMs = request.windowMs ?? plan.retentionMs / 2;
      const gone = Math.max(...own.map((user) => goneFrom(user, replaced.get(user.id), windowMs)));
      if (windowMs < plan.retentionMs && purpose !== 'expired' && gone <= at) shorterBytes += one.bytes;
      if (plan.fresh && row?.kind === 'segment' && row.refId !== null) segments.push({ one, id: row.refId });
    }
    largest.push({
      ...{ shop: one.shop, key: one.key, versionId: one.versionId, bytes: one.bytes, kind: row?.kind ?? 'unknown', purpose },
      ...{ snapshots: own.map(({ id }) => id), neededUntil: text(neededUntil), lockedUntil: text(row?.retainUntil ?? null) },
      lockReadAt: text(row?.lockReadAt ?? null),
    });
    if (largest.length >= 4 * MOST_OBJECTS) keepLargest(largest);
  }
  keepLargest(largest);
  const total = live.reduce((sum, { bytes }) => sum + bytes, 0);
  const repeatedBytes = await repeated(db, segments);
  const what = request.windowMs === null ? 'half of each plan’s window' : `a window of ${days(request.windowMs)}`;
  const instead = [
    { what, peakBytes: total - shorterBytes, savedBytes: shorterBytes },
    { what: 'full: reread', peakBytes: total - repeatedBytes, savedBytes: repeatedBytes },
  ];
  const expiredBytes = purposes.get('expired')?.bytes ?? 0;
  if (expiredBytes > 0)
    instead.push({ what: 'what had expired, pruned at once', peakBytes: total - expiredBytes, savedBytes: expiredBytes });
  const limits = [
    ...(unknown === null ? [] : [unknown]),
    ...(readSince.objects === 0
      ? []
      : [
          `Locks are as they are now: ${readSince.objects} object(s), ${readSince.bytes} bytes, shown as locked may have been given their lock after the peak.`,
        ]),
    ...LIMITS,
  ];
  return {
    ...{ month, contract: contract.name, vault: contract.vault, peakBytes, measured: unknown === null, at: text(at) as string },
    purposes: [...purposes].map(([purpose, one]) => ({ purpose, ...one, means: PURPOSES[purpose] })).sort((a, b) => b.bytes - a.bytes),
    shops: [...shops].map(([name, one]) => ({ shop: name, ...one })).sort((a, b) => b.bytes - a.bytes || (a.shop < b.shop ? -1 : 1)),
    ...{ objects: largest, instead, limits },
  };
}

const nameOf = ({ key, versionId }: Pick<LiveObject, 'key' | 'versionId'>): string => `${key}\0${versionId}`;
const text = (ms: number | null): string | null => (ms === null ? null : Temporal.Instant.fromEpochMilliseconds(ms).toString());
const days = (ms: number): string => (ms % 86_400_000 === 0 ? `${ms / 86_400_000} d` : `${Math.round(ms / 1000)} s`);

const counted = ({ bytes, objects }: { readonly bytes: number; readonly objects: number }, more: number) => ({
  ...{ bytes: bytes + more, objects: objects + 1 },
});

function add(purposes: Map<Purpose, { bytes: number; objects: number }>, purpose: Purpose, bytes: number): void {
  purposes.set(purpose, counted(purposes.get(purpose) ?? { bytes: 0, objects: 0 }, bytes));
}

function keepLargest(objects: ExplainedObject[]): void {
  objects.sort((a, b) => b.bytes - a.bytes || (a.key < b.key ? -1 : 1));
  objects.length = Math.min(objects.length, MOST_OBJECTS);
}

function purposeOf(row: Known | undefined, neededUntil: number | null, isNewest: boolean, at: number, { versionId }: LiveObject): Purpose {
  if (versionId.startsWith('upload:')) return row?.kind === 'foreign' ? 'foreign' : 'upload';
  if (row === undefined) return 'unknown';
  if (row.kind === 'stray' || row.kind === 'foreign' || row.kind === 'key') return row.kind;
  if (row.kind === 'state' || row.kind === 'probe') return 'own';
  // its run failed, or its snapshot is not known any more: what is left of it is its lock
  if (neededUntil !== null && neededUntil > at) return 'needed';
  if (isNewest) return 'newest';
  return (row.retainUntil ?? 0) > at ? 'locked' : 'expired';
}

async function knownObjects(db: Kysely<Tables>, vault: string, live: readonly LiveObject[]): Promise<Map<string, Known>> {
  const known = new Map<string, Known>();
  const keys = [...new Set(live.map(({ key }) => key))].filter((key) => key !== '');
  for (let i = 0; i < keys.length; i += AT_ONCE) {
    const rows = await db
      .selectFrom('objects')
      .select(['key', 'versionId', 'kind', 'refId', 'runId', 'retainUntil', 'lockReadAt'])
      .where('vault', '=', vault)
      .where('key', 'in', keys.slice(i, i + AT_ONCE))
      .where('versionId', 'is not', null)
      .execute();
    for (const { key, versionId, ...row } of rows) known.set(nameOf({ key, versionId: versionId ?? '' }), row);
  }
  return known;
}

const OF_USER = sql.raw('"snapshots"."id", "snapshots"."shop", "source", "completedAt", "keepUntil", "complete", "purpose"');

/** Snapshots by the segment that they use, by their own id, and by the run that took them. */
async function usersOf(db: Kysely<Tables>, known: readonly Known[]): Promise<Map<string, User[]>> {
  const users = new Map<string, User[]>();
  const put = (name: string, user: User): void => void users.set(name, [...(users.get(name) ?? []), user]);
  const ids = [...new Set(known.flatMap(({ refId }) => refId ?? []))];
  const runs = [...new Set(known.flatMap(({ runId }) => runId ?? []))];
  for (let i = 0; i < Math.max(ids.length, runs.length); i += AT_ONCE) {
    const some = JSON.stringify(ids.slice(i, i + AT_ONCE));
    const own = await sql<User & { name: string }>`
      select "segmentId" as "name", ${OF_USER} from "snapshotSegments"
        join "snapshots" on "snapshots"."id" = "snapshotId" where "segmentId" in (select "value" from json_each(${some}))
      union select "id", ${OF_USER} from "snapshots" where "id" in (select "value" from json_each(${some}))
      union select 'run ' || "runId", ${OF_USER} from "snapshots"
        where "runId" in (select "value" from json_each(${JSON.stringify(runs.slice(i, i + AT_ONCE))}))`.execute(db);
    for (const { name, ...user } of own.rows) put(name, user);
  }
  return users;
}

/** Bytes of segments whose content an older one of the same shop has too. */
async function repeated(db: Kysely<Tables>, segments: readonly { readonly one: LiveObject; readonly id: string }[]): Promise<number> {
  const hashes = new Map<string, { sha256: string; createdAt: number; source: string }>();
  for (let i = 0; i < segments.length; i += AT_ONCE) {
    const ids = segments.slice(i, i + AT_ONCE).map(({ id }) => id);
    const rows = await db.selectFrom('segments').select(['id', 'plainSha256', 'createdAt', 'source']).where('id', 'in', ids).execute();
    for (const { createdAt, id, plainSha256, source } of rows) hashes.set(id, { sha256: plainSha256, createdAt, source });
  }
  const first = new Map<string, number>();
  const named = segments.flatMap(({ id, one }) => {
    const segment = hashes.get(id);
    // a database is always read anew, and reused chunk by chunk, whatever the plan says
    if (segment === undefined || segment.source === 'database') return [];
    const name = `${one.shop} ${segment.sha256}`;
    first.set(name, Math.min(first.get(name) ?? Number.POSITIVE_INFINITY, segment.createdAt));
    return [{ name, createdAt: segment.createdAt, bytes: one.bytes }];
  });
  return named.filter(({ createdAt, name }) => createdAt > (first.get(name) ?? 0)).reduce((sum, { bytes }) => sum + bytes, 0);
}
