// What the catalog tells of the past for a while only: runs that ended and their steps, and the audit.
import { sql } from 'kysely';
import { nextTurn } from '../clock.ts';
import { idTimeMs } from '../segment/id.ts';
import type { Catalog } from './open.ts';

/** What is evidence of a restore that was asked for, or tried, is told for this long at least. */
export const EVIDENCE_KEPT_MS = 731 * 86_400_000;
/** What such a run is, and what runs of other kinds are not. */
const EVIDENCE = ['restore', 'drill'] as const;

/** Of a transaction: some milliseconds, in which nobody else is answered. */
const ROWS_AT_ONCE = 250;

/**
 * Forgets runs that ended more than `keepMs` ago. What stays all the same: what waits or is under way; what anything still stored, pinned or
 * asked for refers to; and of each kind, shop and source the last run and the last one that went well, from which the status is told.
 * Returns how many went.
 */
export async function forgetRuns(catalog: Catalog, nowMs: number, keepMs: number): Promise<number> {
  const beforeMs = nowMs - keepMs;
  const evidenceBeforeMs = nowMs - Math.max(keepMs, EVIDENCE_KEPT_MS);
  let forgotten = 0;
  for (let after = ''; ; ) {
    // in the order in which they were made, so that what was kept is not looked at twice
    const page = await catalog.db.selectFrom('runs').select('id').where('id', '>', after).orderBy('id').limit(ROWS_AT_ONCE).execute();
    const [first, last] = [page[0]?.id, page.at(-1)?.id];
    if (first === undefined || last === undefined || idTimeMs(first) >= beforeMs) return forgotten;
    forgotten += await catalog.transaction(async (tx) => {
      const gone = await tx
        .deleteFrom('runs')
        .where('id', '>=', first)
        .where('id', '<=', last)
        .where('slot', 'is', null)
        .where('endedAt', '<', beforeMs)
        .where((eb) => eb.or([eb('kind', 'not in', EVIDENCE), eb('endedAt', '<', evidenceBeforeMs)]))
        .where(sql<boolean>`not ${isReferredTo}`)
        .where(isNotTheLast)
        .where(isNotTheLastThatWentWell)
        .returning('id')
        .execute();
      const ids = gone.map(({ id }) => id);
      if (ids.length > 0) await tx.deleteFrom('runSteps').where('runId', 'in', ids).execute();
      return ids.length;
    });
    after = last;
    await nextTurn();
  }
}

/** Whatever still stands on a row of `runs`. */
const isReferredTo = sql<boolean>`(
  exists (select 1 from "objects" where "objects"."runId" = "runs"."id" and "objects"."state" in ('intent', 'stored', 'tombstone'))
  or exists (select 1 from "segments" where "segments"."runId" = "runs"."id")
  or exists (select 1 from "snapshots"
    where "snapshots"."shop" = "runs"."shop" and "snapshots"."runId" = "runs"."id" and "snapshots"."state" != 'removed')
  or exists (select 1 from "pins" where "pins"."runId" = "runs"."id")
  or exists (select 1 from "requests" where "requests"."runId" = "runs"."id")
)`;

const LATER = sql`select 1 from "runs" as "later"
  where "later"."shop" = "runs"."shop" and "later"."kind" = "runs"."kind" and "later"."source" is "runs"."source"
  and "later"."startedAt" > "runs"."startedAt" and "later"."state" not in ('queued', 'cancelled')`;
const isNotTheLast = sql<boolean>`exists (${LATER})`;
const isNotTheLastThatWentWell = sql<boolean>`("runs"."state" != 'done' or exists (${LATER} and "later"."state" = 'done'))`;

/** Forgets who did what before then (epoch milliseconds). Returns how many rows went. */
export async function forgetAudit(catalog: Catalog, beforeMs: number): Promise<number> {
  for (let forgotten = 0; ; ) {
    const rows = await catalog.db.selectFrom('audit').select('id').where('at', '<', beforeMs).orderBy('at').limit(ROWS_AT_ONCE).execute();
    if (rows.length === 0) return forgotten;
    const ids = rows.map(({ id }) => id);
    await catalog.transaction((tx) => tx.deleteFrom('audit').where('id', 'in', ids).execute());
    forgotten += rows.length;
    await nextTurn();
  }
}
