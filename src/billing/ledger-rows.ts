// The raw rows of the ledger, for whoever wants to prove a bill.
import type { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { LedgerRow } from './chain.ts';

export interface LedgerFilter {
  readonly vault?: string | undefined;
  readonly shop?: string | undefined;
  /** Inclusive. */
  readonly from?: Temporal.Instant | undefined;
  /** Exclusive. */
  readonly to?: Temporal.Instant | undefined;
  /** At most so many rows, the newest of them. */
  readonly limit: number;
}

/** Oldest first. */
export async function ledgerRows(catalog: Catalog, filter: LedgerFilter): Promise<LedgerRow[]> {
  let query = catalog.db.selectFrom('ledger').selectAll();
  if (filter.vault !== undefined) query = query.where('vault', '=', filter.vault);
  if (filter.shop !== undefined) query = query.where('shop', '=', filter.shop);
  if (filter.from !== undefined) query = query.where('at', '>=', filter.from.epochMilliseconds);
  if (filter.to !== undefined) query = query.where('at', '<', filter.to.epochMilliseconds);
  const rows = await query.orderBy('id', 'desc').limit(filter.limit).execute();
  return rows.reverse();
}
