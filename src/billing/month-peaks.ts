// Peaks of a month for every contract and every shop, read from the ledger page by page.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { nextTurn } from '../clock.ts';
import type { ContractConfig } from '../config/config.ts';
import { monthPeriod, type Period } from './month.ts';
import { findPeaks, type LevelChange, type Peaks } from './peaks.ts';

/** CLI.md: the document of `billing peaks --json`. Instants as RFC 3339 text in UTC. */
export interface MonthPeaks {
  readonly month: string;
  readonly contracts: readonly { readonly contract: string; readonly vault: string; readonly peakBytes: number; readonly at: string }[];
  readonly shops: readonly {
    readonly shop: string;
    readonly vault: string;
    readonly peakBytes: number;
    readonly at: string;
    /** The shop's level at the instant of its contract's peak; null when no contract covers it in this vault. */
    readonly shareAtContractPeakBytes: number | null;
  }[];
}

export interface MonthRequest {
  /** YYYY-MM, in each contract's own time zone. */
  readonly month: string;
  readonly contracts: Iterable<ContractConfig>;
  /** For shops that no contract covers. */
  readonly timezone: string;
}

const ROWS_AT_ONCE = 5_000;

/**
 * A contract without a list of shops covers everything in its vault, the daemon's own objects included, since the store bills them.
 * A shop under several contracts is listed once, with its share in the first. Throws E_USAGE for what is no month.
 */
export async function monthPeaks(catalog: Catalog, request: MonthRequest): Promise<MonthPeaks> {
  const contracts: MonthPeaks['contracts'][number][] = [];
  const shops = new Map<string, MonthPeaks['shops'][number]>();
  for (const contract of request.contracts) {
    const { vault, name } = contract;
    const covers = contract.shops && new Set(contract.shops);
    const found = await vaultPeaks(catalog, vault, monthPeriod(request.month, contract.timezone), (shop) => covers?.has(shop) ?? true);
    contracts.push({ contract: name, vault, peakBytes: found.sum.peakBytes, at: text(found.sum.at) });
    for (const { shop, peakBytes, at, shareBytes } of found.shops) {
      const row = `${vault}\0${shop}`;
      if (!shops.has(row)) shops.set(row, { shop, vault, peakBytes, at: text(at), shareAtContractPeakBytes: shareBytes });
    }
  }
  const period = monthPeriod(request.month, request.timezone);
  for (const vault of await vaultsOf(catalog)) {
    const found = await vaultPeaks(catalog, vault, period, (shop) => !shops.has(`${vault}\0${shop}`));
    for (const { shop, peakBytes, at } of found.shops) {
      shops.set(`${vault}\0${shop}`, { shop, vault, peakBytes, at: text(at), shareAtContractPeakBytes: null });
    }
  }
  const ordered = [...shops.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
  return { month: request.month, contracts, shops: ordered.map(([, row]) => row) };
}

async function vaultsOf(catalog: Catalog): Promise<string[]> {
  const rows = await catalog.db.selectFrom('ledger').select('vault').distinct().orderBy('vault').execute();
  return rows.map((row) => row.vault);
}

async function vaultPeaks(catalog: Catalog, vault: string, period: Period, covers: (shop: string) => boolean): Promise<Peaks> {
  const startMs = period.start.epochMilliseconds;
  const before = await catalog.db
    .selectFrom('ledger')
    .select(['shop', (eb) => eb.fn.sum<number>('bytes').as('level')])
    .where('vault', '=', vault)
    .where('at', '<', startMs)
    .groupBy('shop')
    .execute();
  // a shop that holds nothing and moves nothing has no line
  const opening = new Map(before.filter((row) => row.level !== 0 && covers(row.shop)).map((row) => [row.shop, row.level]));
  return await findPeaks({ startMs, opening, pages: rowsOf(catalog, vault, period, covers) });
}

/** Between two pages the event loop and the catalog's other users have their turn. */
async function* rowsOf(catalog: Catalog, vault: string, period: Period, covers: (shop: string) => boolean): AsyncIterable<LevelChange[]> {
  const first = await catalog.db
    .selectFrom('ledger')
    .select('id')
    .where('at', '>=', period.start.epochMilliseconds)
    .orderBy('at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();
  if (!first) return;
  // times never go back along the ids, so the period is one range of them, and within it ids are the order of time
  for (let from = first.id; ; ) {
    const page = await catalog.db
      .selectFrom('ledger')
      .select(['id', 'at', 'vault', 'shop', 'bytes'])
      .where('id', '>=', from)
      .orderBy('id')
      .limit(ROWS_AT_ONCE)
      .execute();
    const rows = page.filter((row) => row.at < period.end.epochMilliseconds);
    yield rows.filter((row) => row.vault === vault && covers(row.shop));
    const last = page.at(-1);
    if (!last || rows.length < page.length || page.length < ROWS_AT_ONCE) return;
    from = last.id + 1;
    // the catalog answers without leaving this thread
    await nextTurn();
  }
}

function text(epochMs: number): string {
  return Temporal.Instant.fromEpochMilliseconds(epochMs).toString();
}
