// Detail is kept for 12 months: then opening balances take the rows' place, and the chain goes on from the anchor behind them.
import type { Kysely } from 'kysely';
import type { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { Tables } from '../catalog/tables.ts';
import { type Clock, nextTurn } from '../clock.ts';
import type { ContractConfig } from '../config/config.ts';
import { type AnchorRow, DAY_MS, levelsOf } from './anchors.ts';
import { ledgerStart } from './chain.ts';
import { openingRows } from './ledger-start.ts';
import { isDue, periodAt, periodBefore } from './period.ts';

export const DETAIL_MONTHS = 12;

/**
 * Removes the rows of days that ended 12 months ago or earlier, and what was packed of them, day by day, each in a transaction of its own:
 * after a crash as many days are gone as were done. `keepFrom` (epoch milliseconds): rows from then on stay, whatever their age, since
 * somebody has not billed them yet. Returns how many rows went.
 */
export async function purgeLedger(catalog: Catalog, clock: Clock, keepFrom: number | null = null): Promise<number> {
  const old = clock.now().toZonedDateTimeISO('UTC').subtract({ months: DETAIL_MONTHS }).epochMilliseconds;
  const before = keepFrom === null ? old : Math.min(old, keepFrom);
  let removed = 0;
  for (;;) {
    const start = await ledgerStart(catalog.db);
    const anchor = await catalog.db
      .selectFrom('anchors')
      .selectAll()
      .where('until', '<=', before)
      .where('row', '>', start?.row ?? 0)
      .orderBy('id')
      .limit(1)
      .executeTakeFirst();
    if (!anchor) return removed;
    removed += await catalog.transaction((tx) => purgeUntil(tx, anchor, clock.nowMs()));
    await nextTurn();
  }
}

async function purgeUntil(tx: Kysely<Tables>, anchor: AnchorRow, nowMs: number): Promise<number> {
  const levels = await levelsOf(tx, anchor);
  const cause = `opening balance: the rows before were removed after ${DETAIL_MONTHS} months`;
  const rows = openingRows(levels, { row: anchor.row, hash: anchor.head, at: anchor.until - 1, cause });
  const start = { at: nowMs, row: anchor.row, hash: anchor.head, until: anchor.until, openings: rows.length, cause: 'purged' as const };
  // one row for all of the past: what it says of the rows before stays in the chain of anchors
  await tx.insertInto('ledgerStarts').values(start).execute();
  const gone = await tx.deleteFrom('ledger').where('id', '<=', anchor.row).executeTakeFirstOrThrow();
  for (let i = 0; i < rows.length; i += 500)
    await tx
      .insertInto('ledger')
      .values(rows.slice(i, i + 500))
      .execute();
  await tx.deleteFrom('ledgerMoves').where('anchorId', '<=', anchor.id).execute();
  return Number(gone.numDeletedRows) - rows.length;
}

/** For so long the rows of a year stay beyond their time, until its statement is issued. */
const UNBILLED_DAYS = 31;

/**
 * From when on rows are still needed for a bill: the start of a year's contract that has ended and is not billed yet, for a month at most;
 * null: nothing beyond the 12 months is needed.
 */
export async function unbilledFrom(db: Kysely<Tables>, contracts: Iterable<ContractConfig>, now: Temporal.Instant): Promise<number | null> {
  let from: number | null = null;
  for (const contract of contracts) {
    if (contract.period !== 'year') continue;
    const current = periodAt(contract, now);
    const ended = periodBefore(contract, current);
    if (!isDue(contract, ended) || now.epochMilliseconds > ended.end.epochMilliseconds + UNBILLED_DAYS * DAY_MS) continue;
    const billedIn = contract.paid === 'arrears' ? ended : current;
    const issued = await db
      .selectFrom('statements')
      .select('id')
      .where('contract', '=', contract.name)
      .where('kind', '=', 'period')
      .where('period', '=', billedIn.from.slice(0, 7))
      .executeTakeFirst();
    if (!issued) from = Math.min(from ?? ended.start.epochMilliseconds, ended.start.epochMilliseconds);
  }
  return from;
}
