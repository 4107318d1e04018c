// Reads what a prune plan depends on, all of it in one transaction.
import { type Kysely, sql } from 'kysely';
import { listHolds } from '../catalog/holds.ts';
import { IS_LIVE, vaultsHolding } from '../catalog/live-objects.ts';
import { keepingRequests } from '../catalog/requests.ts';
import { IDS_AT_ONCE, slices } from '../catalog/segments.ts';
import { readLife } from '../catalog/shop-life.ts';
import { isBackup, isGood, type ObjectRow } from '../catalog/snapshots.ts';
import type { Tables } from '../catalog/tables.ts';
import type { ErrorCode } from '../errors.ts';
import { type PlanFacts, type PlanObject, type PlanSnapshot, planSnapshots } from './plan.ts';
import type { Holds, PolicyRules } from './policy.ts';

export interface FactsRequest {
  readonly shop: string;
  readonly retentionMs: number;
  readonly nowMs: number;
}

/** Segments of one vault in the order of their rows; those that a kept snapshot uses are never read: there may be a million. */
export interface SegmentPage {
  readonly vault: string;
  /** Rows after this one: objects.id. */
  readonly after: number;
  readonly limit: number;
}

export interface Facts extends PlanFacts {
  /** Where the next page of segments begins; null: this was the last one, or none was asked for. */
  readonly nextAfter: number | null;
}

/** `page` null: no segments at all. */
export async function readFacts(tx: Kysely<Tables>, request: FactsRequest, page: SegmentPage | null): Promise<Facts> {
  const { shop, nowMs } = request;
  const running = await tx
    .selectFrom('runs')
    .select(['id', 'kind'])
    .where('shop', '=', shop)
    .where(sql<boolean>`"state" = 'running'`)
    .execute();
  const restores = running.filter((run) => run.kind === 'restore').map((run) => run.id);
  const head = {
    nowMs,
    ...(await readRules(tx, request)),
    snapshots: await readSnapshots(tx, shop, restores),
    objects: await readOthers(tx, shop),
    aliveRuns: new Set(running.map((run) => run.id)),
  };
  if (page === null) return { ...head, users: new Map(), pins: new Map(), nextAfter: null };
  const { going, waiting } = planSnapshots(head);
  const segments = await looseSegments(tx, shop, [...going.keys(), ...waiting], page);
  const ids = [...new Set(segments.flatMap((segment) => segment.refId ?? []))];
  const last = segments.at(-1);
  return {
    ...head,
    objects: [...head.objects, ...segments],
    users: await usersOf(tx, ids),
    pins: await pinsOf(tx, ids),
    nextAfter: last && segments.length === page.limit ? last.id : null,
  };
}

/** What the shop's plan, life and holds say. */
export async function readRules(
  tx: Kysely<Tables>,
  { shop, retentionMs }: Pick<FactsRequest, 'shop' | 'retentionMs'>,
): Promise<PolicyRules> {
  return { retentionMs, life: await readLife(tx, shop), holds: await readHolds(tx, shop) };
}

async function readHolds(tx: Kysely<Tables>, shop: string): Promise<Holds> {
  const rows = await listHolds(tx, { shop });
  const snapshots = new Map<string, string>();
  for (const { snapshotId, reason } of rows) if (snapshotId !== null) snapshots.set(snapshotId, reason);
  return { shop: rows.find((row) => row.snapshotId === null)?.reason ?? null, snapshots };
}

/** Of each snapshot only what decides: a shop's long history is read again at every look. */
export async function readSnapshots(tx: Kysely<Tables>, shop: string, restores: readonly string[]): Promise<PlanSnapshot[]> {
  const rows = await tx
    .selectFrom('snapshots')
    .select(['id', 'source', 'completedAt', 'keepUntil', 'complete', 'state', 'requiredVaults', 'purpose'])
    .where('shop', '=', shop)
    .where('state', '!=', 'removed')
    .orderBy('completedAt', 'desc')
    .orderBy('id', 'desc')
    .execute();
  const held = await tx
    .selectFrom('snapshots')
    .innerJoin('snapshotVaults', 'snapshotVaults.snapshotId', 'snapshots.id')
    .innerJoin('objects', 'objects.id', 'snapshotVaults.manifestObject')
    .select(['snapshotVaults.snapshotId', 'snapshotVaults.vault', 'snapshotVaults.verifyError', 'objects.key as manifestKey'])
    .where('snapshots.shop', '=', shop)
    .where('snapshots.state', '!=', 'removed')
    .execute();
  const copies = new Map<string, { vault: string; verifyError: string | null; manifestKey: string }[]>();
  for (const { snapshotId, ...copy } of held) {
    const list = copies.get(snapshotId);
    if (list) list.push(copy);
    else copies.set(snapshotId, [copy]);
  }
  const beingRestored = new Set<string>();
  // what a request's owner approved is pinned under the request's id until a run takes over, and may wait for its turn meanwhile
  for (const pin of [...restores, ...(await keepingRequests(tx, shop))]) {
    for (const id of await snapshotsPinnedBy(tx, shop, pin)) beingRestored.add(id);
  }
  return rows.map((row) => {
    const own = copies.get(row.id) ?? [];
    return {
      id: row.id,
      source: row.source,
      completedAt: row.completedAt,
      keepUntil: row.keepUntil,
      complete: row.complete === 1,
      good: isGood(row, own),
      isEverywhere: isGood(row, own.map(sound)),
      isWhole: isGood(row, own.map(unlocked)),
      safety: !isBackup(row),
      tombstone: row.state === 'tombstone',
      beingRestored: beingRestored.has(row.id),
      copies: own,
    };
  });
}

interface Verified {
  readonly vault: string;
  readonly verifyError: string | null;
}

const sound = ({ vault }: Verified): Verified => ({ vault, verifyError: null });
/** A lock that did not hold takes nothing away from what can be read. */
const unlocked = (copy: Verified): Verified => (copy.verifyError === LOCK_LOST ? sound(copy) : copy);
const LOCK_LOST: ErrorCode = 'E_LOCK_DROPPED';

/** A restore pins all segments of what it restores. */
async function snapshotsPinnedBy(tx: Kysely<Tables>, shop: string, run: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select "id" from "snapshots"
    where "shop" = ${shop} and "state" != 'removed'
      and exists (select 1 from "snapshotSegments" where "snapshotId" = "snapshots"."id")
      and not exists (
        select 1 from "snapshotSegments"
        where "snapshotId" = "snapshots"."id"
          and not exists (select 1 from "pins" where "pins"."segmentId" = "snapshotSegments"."segmentId" and "pins"."runId" = ${run})
      )`.execute(tx);
  return rows.map((row) => row.id);
}

const COLUMNS = ['id', 'vault', 'key', 'versionId', 'kind', 'refId', 'runId', 'state', 'sizeBytes', 'retainUntil', 'createdAt'] as const;

/** Everything that vaults hold of the shop but its segments. */
async function readOthers(tx: Kysely<Tables>, shop: string): Promise<PlanObject[]> {
  const found: PlanObject[] = [];
  for (const vault of await vaultsHolding(tx, shop)) {
    const rows = await tx
      .selectFrom('objects')
      .select(COLUMNS)
      .where('vault', '=', vault)
      .where('shop', '=', shop)
      .where('kind', 'in', ['index', 'manifest', 'key', 'probe', 'state', 'stray', 'upload', 'foreign'])
      .where(IS_LIVE)
      .execute();
    for (const row of rows) found.push(planObject(row));
  }
  return found.sort((a, b) => a.id - b.id);
}

/** The segments that no snapshot uses but those that are going, or wait to. */
async function looseSegments(tx: Kysely<Tables>, shop: string, unwanted: readonly string[], page: SegmentPage): Promise<PlanObject[]> {
  const { rows } = await sql<Pick<ObjectRow, (typeof COLUMNS)[number]>>`
    select ${sql.join(COLUMNS.map((column) => sql.ref(column)))} from "objects"
    where "vault" = ${page.vault} and "shop" = ${shop} and "kind" = 'segment' and ${IS_LIVE} and "id" > ${page.after}
      and not exists (
        select 1 from "snapshotSegments"
        where "snapshotSegments"."segmentId" = "objects"."refId"
          and "snapshotSegments"."snapshotId" not in (select "value" from json_each(${JSON.stringify(unwanted)}))
      )
    order by "id" limit ${page.limit}`.execute(tx);
  return rows.map(planObject);
}

async function usersOf(tx: Kysely<Tables>, segmentIds: readonly string[]): Promise<Map<string, string[]>> {
  const users = new Map<string, string[]>();
  for (const ids of slices(segmentIds, IDS_AT_ONCE)) {
    const rows = await tx
      .selectFrom('snapshotSegments')
      .select(['segmentId', 'snapshotId'])
      .distinct()
      .where('segmentId', 'in', ids)
      .execute();
    for (const { segmentId, snapshotId } of rows) users.set(segmentId, [...(users.get(segmentId) ?? []), snapshotId]);
  }
  return users;
}

async function pinsOf(tx: Kysely<Tables>, segmentIds: readonly string[]): Promise<Map<string, string[]>> {
  const pins = new Map<string, string[]>();
  for (const ids of slices(segmentIds, IDS_AT_ONCE)) {
    const rows = await tx.selectFrom('pins').selectAll().where('segmentId', 'in', ids).orderBy('runId').execute();
    for (const { segmentId, runId } of rows) pins.set(segmentId, [...(pins.get(segmentId) ?? []), runId]);
  }
  return pins;
}

function planObject(row: Pick<ObjectRow, (typeof COLUMNS)[number]>): PlanObject {
  return {
    id: row.id,
    vault: row.vault,
    key: row.key,
    versionId: row.versionId ?? '',
    kind: row.kind,
    refId: row.refId,
    runId: row.runId,
    tombstone: row.state === 'tombstone',
    sizeBytes: row.sizeBytes,
    retainUntil: row.retainUntil,
    createdAt: row.createdAt,
  };
}
