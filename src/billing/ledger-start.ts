// Where the ledger begins: with its first row, or behind rows that are gone and whose sums stand in their place.
import type { Kysely } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Tables } from '../catalog/tables.ts';
import { CoffreError } from '../errors.ts';
import type { AnchorLevel } from './anchors.ts';
import { type LedgerRow, type LedgerStart, ledgerStart } from './chain.ts';
import type { Period } from './month.ts';

/** In place of its vault's and shop's rows; its hash is of no chain. */
const OPENING = 'adjust';

/**
 * Rows for the levels at `row`, of the ids up to it: sums over the ledger are what they were. The last one has the hash of the row that it
 * stands for, so that the chain goes on behind it.
 */
export function openingRows(
  levels: readonly AnchorLevel[],
  { at, cause, hash, row }: { readonly row: number; readonly hash: string; readonly at: number; readonly cause: string },
): LedgerRow[] {
  const kept = levels.filter(([, , bytes]) => bytes !== 0).sort(([va, sa], [vb, sb]) => (`${va}\0${sa}` < `${vb}\0${sb}` ? -1 : 1));
  const first = row - kept.length + 1;
  return kept.map(([vault, shop, bytes], i) => ({
    ...{ id: first + i, at, vault, shop, key: '', versionId: '', event: OPENING, bytes, cause, hash },
  }));
}

/** What is said of a period whose rows are gone. */
export function detailGone(start: LedgerStart): CoffreError {
  const until = Temporal.Instant.fromEpochMilliseconds(start.until).toString({ smallestUnit: 'second' });
  const why = start.cause === 'purged' ? `was removed on ${day(start.at)}, after 12 months` : 'was lost with the machine that kept it';
  return new CoffreError('E_LEDGER_PURGED', `the detail before ${until} ${why}`, {
    hint: 'its statements are kept: coffre billing statements; so is the level at the end of each day: --at 2025-03-01T23:59:59.999Z',
  });
}

/** When the ledger's first row was written, epoch milliseconds; null: it has none. Behind rows that are gone: the start of all time. */
export async function ledgerSince(db: Kysely<Tables>): Promise<number | null> {
  // whoever asks for what is gone is told so by the reading of the rows
  if ((await ledgerStart(db)) !== null) return Number.NEGATIVE_INFINITY;
  return (await db.selectFrom('ledger').select('at').orderBy('id').limit(1).executeTakeFirst())?.at ?? null;
}

/** What is said of a period of which nothing was measured; null: something was. */
export function beforeLedger(sinceMs: number | null, { end }: Pick<Period, 'end'>): string | null {
  if (sinceMs === null) return 'nothing was measured yet: the ledger is empty';
  if (sinceMs < end.epochMilliseconds) return null;
  const since = Temporal.Instant.fromEpochMilliseconds(sinceMs).toString({ smallestUnit: 'second' });
  return `nothing was measured by then: the ledger begins at ${since}`;
}

const day = (epochMs: number): string => Temporal.Instant.fromEpochMilliseconds(epochMs).toString().slice(0, 10);
