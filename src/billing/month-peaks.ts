// Peaks of a month, a quarter or a year for every contract and every shop.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { ledgerSince } from './ledger-start.ts';
import { calendarPeriod, type Period } from './month.ts';
import type { Peaks, Scope } from './peaks.ts';
import { partDue, type Running } from './period.ts';
import { periodPeaks, scopeOf } from './period-peaks.ts';

/** CLI.md: the document of `billing peaks --json`. Instants as RFC 3339 text in UTC. */
export interface MonthPeaks {
  /** As it was asked for: a month, a quarter (2026-Q1) or a year. */
  readonly month: string;
  /** How much of it the ledger knows: none of what was over when it began, where no peak is known and 0 is none. */
  readonly measured: 'whole' | 'part' | 'none';
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
  readonly contracts: Iterable<Running>;
  /** For shops that no contract covers. */
  readonly timezone: string;
}

/** Periods of several contracts that are one and the same are read once for all of them. */
interface Reading {
  readonly period: Period;
  readonly scopes: Scope[];
  /** What is done with the peaks of each scope. */
  readonly take: ((peaks: Peaks) => void)[];
}

/**
 * A contract without a list of shops covers everything in its vault, the daemon's own objects included, since the store bills them. One
 * that had not begun by then or was over has no line, and of one that began or ended in between the part counts in which periods of it
 * were due. A shop under several contracts is listed once, with its share in the first. Throws E_USAGE for what is no month,
 * E_LEDGER_PURGED.
 */
export async function monthPeaks(catalog: Catalog, request: MonthRequest): Promise<MonthPeaks> {
  const readings = new Map<string, Reading>();
  const read = (period: Period, scope: Scope, take: (peaks: Peaks) => void): void => {
    const name = `${period.start} ${period.end}`;
    const reading = readings.get(name) ?? { period, scopes: [], take: [] };
    readings.set(name, reading);
    reading.scopes.push(scope);
    reading.take.push(take);
  };
  const running: { readonly contract: Running; whole: Peaks | null; due: Peaks | null }[] = [];
  for (const contract of request.contracts) {
    const asked = calendarPeriod(request.month, contract.timezone);
    const due = partDue(contract, asked);
    if (due === null) continue;
    const one: (typeof running)[number] = { contract, whole: null, due: null };
    running.push(one);
    const scope = scopeOf(contract);
    // a shop's own peak is of all that was asked for, whichever contract it was under then
    read(asked, scope, (peaks) => {
      one.whole = peaks;
    });
    if (!due.start.equals(asked.start) || !due.end.equals(asked.end))
      read(due, scope, (peaks) => {
        one.due = peaks;
      });
  }
  const vaults = await vaultsOf(catalog);
  const isCovered = (vault: string, shop: string): boolean =>
    running.some(({ contract }) => contract.vault === vault && scopeOf(contract).covers(shop));
  const shops = new Map<string, MonthPeaks['shops'][number]>();
  for (const vault of vaults) {
    read(calendarPeriod(request.month, request.timezone), { vault, covers: (shop) => !isCovered(vault, shop) }, (peaks) => {
      for (const { shop, peakBytes, at } of peaks.shops)
        shops.set(`${vault}\0${shop}`, { shop, vault, peakBytes, at: text(at), shareAtContractPeakBytes: null });
    });
  }
  for (const { period, scopes, take } of readings.values()) {
    const found = await periodPeaks(catalog, period, scopes);
    for (const [i, peaks] of found.entries()) take[i]?.(peaks);
  }
  const contracts = running.map(({ contract: { name, vault }, due, whole }) => {
    const { shops: own, sum } = due ?? (whole as Peaks);
    const shares = new Map(own.map(({ shareBytes, shop }) => [shop, shareBytes]));
    for (const { shop, peakBytes, at } of (whole as Peaks).shops) {
      const row = `${vault}\0${shop}`;
      if (!shops.has(row)) shops.set(row, { shop, vault, peakBytes, at: text(at), shareAtContractPeakBytes: shares.get(shop) ?? 0 });
    }
    return { contract: name, vault, peakBytes: sum.peakBytes, at: text(sum.at) };
  });
  const ordered = [...shops.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    month: request.month,
    measured: measuredOf(await ledgerSince(catalog.db), [...readings.values()]),
    contracts,
    shops: ordered.map(([, row]) => row),
  };
}

function measuredOf(sinceMs: number | null, readings: readonly Pick<Reading, 'period'>[]): MonthPeaks['measured'] {
  if (sinceMs === null || readings.every(({ period }) => period.end.epochMilliseconds <= sinceMs)) return 'none';
  return readings.every(({ period }) => period.start.epochMilliseconds >= sinceMs) ? 'whole' : 'part';
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
