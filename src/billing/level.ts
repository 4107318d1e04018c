// The level: how many bytes a vault holds for us at an instant, by the ledger.
import type { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';

export interface LevelFilter {
  readonly vault?: string | undefined;
  readonly shop?: string | undefined;
  /** Rows up to and including this instant; all when left out. */
  readonly at?: Temporal.Instant | undefined;
}

/** Bytes. */
export async function level(catalog: Catalog, filter: LevelFilter = {}): Promise<number> {
  let sum = 0;
  for (const row of await levels(catalog, filter)) sum += row.levelBytes;
  return sum;
}

export interface ShopLevel {
  readonly vault: string;
  readonly shop: string;
  readonly levelBytes: number;
}

/** One row for each vault and shop that ever stored anything, by vault, then shop. */
export async function levels(catalog: Catalog, filter: LevelFilter = {}): Promise<ShopLevel[]> {
  let query = catalog.db
    .selectFrom('ledger')
    .select(['vault', 'shop', (eb) => eb.fn.sum<number>('bytes').as('levelBytes')])
    .groupBy(['vault', 'shop'])
    .orderBy('vault')
    .orderBy('shop');
  if (filter.vault !== undefined) query = query.where('vault', '=', filter.vault);
  if (filter.shop !== undefined) query = query.where('shop', '=', filter.shop);
  if (filter.at !== undefined) query = query.where('at', '<=', filter.at.epochMilliseconds);
  return await query.execute();
}
