// What would make a shop's restore faster, from the same measurements as its estimate. Pure.
import type { RateRow } from '../catalog/rates.ts';
import { isEphemeral, prestashopPrefixes } from '../source/prestashop-tables.ts';
import { type Estimate, type EstimateSubject, estimateRestore } from './estimate.ts';

/** `expectedMs`: the whole restore then. */
export type Advice =
  /** Reading from this vault is faster. */
  | { readonly kind: 'vault'; readonly vault: string; readonly expectedMs: number }
  /** Files and database at the same time. */
  | { readonly kind: 'together'; readonly expectedMs: number }
  /** The machine is the slower side, and has fewer processors than a restore can use. */
  | { readonly kind: 'processors'; readonly processors: number; readonly usable: number }
  /** The vault is the slower side of the whole. */
  | { readonly kind: 'link'; readonly vault: string; readonly bytesPerSecond: number }
  /** Rows that the profile prestashop-ephemeral would leave out, the largest first. */
  | { readonly kind: 'ballast'; readonly expectedMs: number; readonly bytes: number; readonly tables: readonly TableBytes[] };

export interface TableBytes {
  readonly table: string;
  /** Plaintext of its rows. */
  readonly bytes: number;
}

export interface AdviceFacts {
  /** The shop's other vaults that hold the snapshots. */
  readonly vaults: readonly string[];
  /** Of this machine. */
  readonly processors: number;
  /** Large tables of the database's snapshot; empty where the profile leaves them out already. */
  readonly tables: readonly TableBytes[];
}

/** Less than that is not worth a change. */
const WORTH = 0.05;
/** Threads that extract, and connections that load: more of either are not used. */
const USABLE_PROCESSORS = 4;

export function adviseOn(rates: readonly RateRow[], subject: EstimateSubject, estimate: Estimate, facts: AdviceFacts): readonly Advice[] {
  const worthMs = estimate.expectedMs * (1 - WORTH);
  const advice: Advice[] = [];
  for (const vault of facts.vaults) {
    if (vault === subject.vault) continue;
    const other = estimateRestore(rates, { ...subject, vault });
    if (other !== null && other.expectedMs < worthMs) advice.push({ kind: 'vault', vault, expectedMs: other.expectedMs });
  }
  if (!subject.together && subject.sources.length > 1) {
    const both = estimateRestore(rates, { ...subject, together: true });
    // where nobody measured it, at best
    const expectedMs = both === null ? null : both.combined === 'beside' ? both.expectedMs : both.lowMs;
    if (expectedMs !== null && expectedMs < worthMs) advice.push({ kind: 'together', expectedMs });
  }
  const longest = [...estimate.sources].sort((a, b) => b.expectedMs - a.expectedMs)[0];
  if (longest?.boundBy === 'work' && facts.processors < USABLE_PROCESSORS) {
    advice.push({ kind: 'processors', processors: facts.processors, usable: USABLE_PROCESSORS });
  }
  if (longest?.boundBy === 'download') {
    const rate = longest.phases.find(({ phase }) => phase === 'download')?.bytesPerSecond ?? null;
    if (rate !== null) advice.push({ kind: 'link', vault: subject.vault, bytesPerSecond: rate });
  }
  const ballast = ballastTables(facts.tables);
  const bytes = ballast.reduce((sum, table) => sum + table.bytes, 0);
  if (bytes > 0) {
    const sources = subject.sources.map((source) => {
      if (source.source !== 'database') return source;
      const plainBytes = Math.max(0, source.plainBytes - bytes);
      return { ...source, plainBytes, storedBytes: (source.storedBytes * plainBytes) / Math.max(1, source.plainBytes) };
    });
    const without = estimateRestore(rates, { ...subject, sources });
    if (without !== null) advice.push({ kind: 'ballast', expectedMs: without.expectedMs, bytes, tables: ballast });
  }
  return advice;
}

/** Those of the large tables whose rows the profile leaves out. By one core table beside them a prefix is known: the other core tables are small. */
export function ballastTables(tables: readonly TableBytes[]): readonly TableBytes[] {
  const names = tables.map(({ table }) => table);
  const prefixes = new Set(['ps_', ...prestashopPrefixes(names, 1)]);
  return tables
    .filter(({ table }) => [...prefixes].some((prefix) => (prefix === '' || prefix.endsWith('_')) && isEphemeral(table, prefix)))
    .sort((a, b) => b.bytes - a.bytes);
}
