// Where the ledger begins: with its first row, or behind rows that are gone and whose sums stand in their place.
import type { Kysely, Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { LedgerStartsTable, Tables } from '../catalog/tables.ts';
import { CoffreError } from '../errors.ts';

export type LedgerStart = Selectable<LedgerStartsTable>;

/** null: every row since the first is there. */
export async function ledgerStart(db: Kysely<Tables>): Promise<LedgerStart | null> {
  return (await db.selectFrom('ledgerStarts').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst()) ?? null;
}

/** What is said of a period whose rows are gone. */
export function detailGone(start: LedgerStart): CoffreError {
  const until = Temporal.Instant.fromEpochMilliseconds(start.until).toString({ smallestUnit: 'second' });
  const why = start.cause === 'purged' ? `was removed on ${day(start.at)}, after 12 months` : 'was lost with the machine that kept it';
  return new CoffreError('E_LEDGER_PURGED', `the detail before ${until} ${why}`, {
    hint: 'its statements are kept: coffre billing statements; opening balances: coffre billing level --at',
  });
}

const day = (epochMs: number): string => Temporal.Instant.fromEpochMilliseconds(epochMs).toString().slice(0, 10);
