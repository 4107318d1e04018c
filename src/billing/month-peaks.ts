// Peaks of a month, a quarter or a year for every contract and every shop.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { ContractConfig } from '../config/config.ts';
import { calendarPeriod, type Period } from './month.ts';
import type { Peaks, Scope } from './peaks.ts';
import { periodPeaks, scopeOf } from './period-peaks.ts';

/** CLI.md: the document of `billing peaks --json`. Instants as RFC 3339 text in UTC. */
export interface MonthPeaks {
  /** As it was asked for: a month, a quarter (2026-Q1) or a year. */
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
  /** YYYY-MM, YYYY-Q1 to Q4 or YYYY, in each contract's own time zone. */
  readonly month: string;
  readonly contracts: Iterable<Pick<ContractConfig, 'name' | 'vault' | 'shops' | 'timezone'>>;
  /** For shops that no contract covers. */
  readonly timezone: string;
}

/**
 * A contract without a list of shops covers everything in its vault, the daemon's own objects included, since the store bills them.
 * A shop under several contracts is listed once, with its share in the first. Throws E_USAGE for what is no month, E_LEDGER_PURGED.
 */
export async function monthPeaks(catalog: Catalog, request: MonthRequest): Promise<MonthPeaks> {
  const asked = [...request.contracts];
  // contracts of one zone have one period, which is read once for all of them
  const zones = Map.groupBy(asked, ({ timezone }) => timezone);
  const vaults = await vaultsOf(catalog);
  const isCovered = (vault: string, shop: string): boolean =>
    asked.some((one) => one.vault === vault && (one.shops?.includes(shop) ?? true));
  const rest = vaults.map((vault): Scope => ({ vault, covers: (shop) => !isCovered(vault, shop) }));
  if (!zones.has(request.timezone)) zones.set(request.timezone, []);
  const peaksOf = new Map<string, Peaks>();
  const shops = new Map<string, MonthPeaks['shops'][number]>();
  for (const [timezone, some] of zones) {
    const period: Period = calendarPeriod(request.month, timezone);
    const others = timezone === request.timezone ? rest : [];
    const found = await periodPeaks(catalog, period, [...some.map(scopeOf), ...others]);
    for (const [i, { name }] of some.entries()) peaksOf.set(name, found[i] as Peaks);
    for (const [i, vault] of others.length === 0 ? [] : vaults.entries()) {
      for (const { shop, peakBytes, at } of found[some.length + i]?.shops ?? []) {
        shops.set(`${vault}\0${shop}`, { shop, vault, peakBytes, at: text(at), shareAtContractPeakBytes: null });
      }
    }
  }
  const contracts = asked.map(({ name, vault }) => {
    const { sum, shops: own } = peaksOf.get(name) as Peaks;
    for (const { shop, peakBytes, at, shareBytes } of own) {
      const row = `${vault}\0${shop}`;
      if (!shops.has(row)) shops.set(row, { shop, vault, peakBytes, at: text(at), shareAtContractPeakBytes: shareBytes });
    }
    return { contract: name, vault, peakBytes: sum.peakBytes, at: text(sum.at) };
  });
  const ordered = [...shops.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
  return { month: request.month, contracts, shops: ordered.map(([, row]) => row) };
}

/** From each vault to the next, since an index begins with it, instead of through all rows. */
async function vaultsOf({ db }: Catalog): Promise<string[]> {
  const vaults: string[] = [];
  for (let last = ''; ; ) {
    const next = await db.selectFrom('ledger').select('vault').where('vault', '>', last).orderBy('vault').limit(1).executeTakeFirst();
    if (!next) return vaults;
    last = next.vault;
    vaults.push(last);
  }
}

function text(epochMs: number): string {
  return Temporal.Instant.fromEpochMilliseconds(epochMs).toString();
}
