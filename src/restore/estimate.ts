// How long a restore would take, from what restores and drills measured of each phase. Pure.
//
// Of one source, with the phases as phases.ts measures them:
//   time = fixed + check + max(download, open + write + load + keys)
// and of a whole shop the longest source, where the sources were measured beside each other, else their sum; then, in place, safety + finish.
//
// A phase costs so much for each unit of its amount. The unit is a byte (stored bytes of download, plaintext of the rest), and a file counts as much as
// FILE_BYTES of content where files are made or compared. Only `fixed`, `safety` (a backup of
// what is there, mostly reused) and `finish` cost the same whatever the size.
//
// Expected is the weighted median of the costs last measured (weight: how long they were measured), low and high their tenth and ninetieth
// percentile, widened: by few measurements (1 + 0.5/sqrt(n)), by a size beyond the largest measured (5 % for each doubling), and by measurements of other
// shops on the machine (15 %) or of other machines (100 %). What was measured of the shop itself is preferred, then of the machine, then of any.
// More bytes never take less time: no choice here depends on the size. It is of a place where nothing is there yet: where files are there as they should
// be they are not written again, and it takes less.
import type { RatePhase, RateRow } from '../catalog/rates.ts';
import type { SourceKind } from '../source/source.ts';

/** Milliseconds. */
export interface Range {
  readonly expectedMs: number;
  readonly lowMs: number;
  readonly highMs: number;
}

/** What would be restored of one source. */
export interface EstimatedSource {
  readonly source: SourceKind;
  readonly plainBytes: number;
  readonly storedBytes: number;
  /** 0 of a database. */
  readonly files: number;
}

export interface EstimateSubject {
  readonly shop: string;
  /** As rateHost names it. */
  readonly host: string;
  /** The vault that is read. */
  readonly vault: string;
  readonly sources: readonly EstimatedSource[];
  /** All sources at once. */
  readonly together: boolean;
  /** With safety copy, maintenance page, swap and smoke test, as far as they were measured. */
  readonly inPlace: boolean;
}

/** Whose measurements a phase's figure comes from. */
export type Basis = 'shop' | 'host' | 'elsewhere';

export interface PhaseEstimate extends Range {
  readonly phase: RatePhase;
  /** What it deals with; of fixed costs 0. */
  readonly bytes: number;
  /** Null: it costs the same whatever the size. */
  readonly bytesPerSecond: number | null;
  readonly measurements: number;
  readonly basis: Basis;
}

export interface SourceEstimate extends Range {
  readonly source: SourceKind;
  /** The slower side: the vault, or the machine. */
  readonly boundBy: 'download' | 'work';
  readonly phases: readonly PhaseEstimate[];
}

export interface Estimate extends Range {
  readonly vault: string;
  readonly sources: readonly SourceEstimate[];
  /** Of the whole shop. */
  readonly phases: readonly PhaseEstimate[];
  /** How the sources' times were put together: measured beside each other; or measured apart, so that their sum stands for both. */
  readonly combined: 'single' | 'beside' | 'summed';
  /** In place, and never measured: not in the time. */
  readonly notIncluded: readonly RatePhase[];
}

/** Why there is no estimate: phases that nobody ever measured. */
export interface NotMeasured {
  readonly vault: string;
  /** `vault`: of download alone, the one that nothing was measured of. */
  readonly missing: readonly { readonly source: SourceKind; readonly phase: RatePhase; readonly vault?: string }[];
}

/** Older ones say how the machine was. */
const LAST = 10;
/** A file costs beside its content: opening, metadata, one entry to compare. Fits trees of PrestaShop on the machines tried: 40 µs at 1.2 GB/s. */
const FILE_BYTES = 48 * 1024;
const FEW = 0.5;
const DOUBLING = 0.05;
const FURTHER: Readonly<Record<Basis, number>> = { shop: 1, host: 1.15, elsewhere: 2 };
const LOW = 0.1;
const HIGH = 0.9;

const WORK: Readonly<Record<SourceKind, readonly RatePhase[]>> = {
  files: ['open', 'write'],
  server: ['open', 'write'],
  database: ['open', 'load', 'keys'],
};
const FLAT: readonly RatePhase[] = ['fixed', 'safety', 'finish'];

/** Null when a phase that every restore has was never measured anywhere, or nothing is to be restored; `whyUnknown` says which. */
export function estimateRestore(rates: readonly RateRow[], subject: EstimateSubject): Estimate | null {
  if (subject.sources.length === 0 || whyUnknown(rates, subject).missing.length > 0) return null;
  const sources = subject.sources.map((source) => estimateSource(rates, subject, source));
  const measuredBeside = subject.sources.every(({ source }) => chosenRows(rates, subject, source, 'fixed').rows.every((row) => row.beside));
  const combined = sources.length === 1 ? 'single' : subject.together && measuredBeside ? 'beside' : 'summed';
  const longest = (pick: (range: Range) => number): number => Math.max(...sources.map(pick));
  const sum = (pick: (range: Range) => number): number => sources.reduce((total, one) => total + pick(one), 0);
  let whole: Range =
    combined === 'beside'
      ? ranged(longest)
      : // measured apart: at best they do not disturb each other
        { ...ranged(sum), lowMs: subject.together ? longest(({ lowMs }) => lowMs) : sum(({ lowMs }) => lowMs) };
  const phases: PhaseEstimate[] = [];
  const notIncluded: RatePhase[] = [];
  if (subject.inPlace) {
    for (const phase of ['safety', 'finish'] as const) {
      const parts = subject.sources.flatMap((source) => estimatePhase(rates, subject, source, phase) ?? []);
      // measured once for the whole shop, under one of its sources: of several the longest, they are not added
      const [part] = parts.sort((a, b) => b.expectedMs - a.expectedMs);
      if (part === undefined) {
        notIncluded.push(phase);
        continue;
      }
      phases.push(part);
      const before = whole;
      whole = ranged((pick) => pick(before) + pick(part));
    }
  }
  return { ...whole, vault: subject.vault, sources, phases, combined, notIncluded };
}

/** What was never measured of what an estimate needs. */
export function whyUnknown(rates: readonly RateRow[], subject: EstimateSubject): NotMeasured {
  const missing = subject.sources.flatMap((source) =>
    neededPhases(source.source).flatMap((phase) =>
      estimatePhase(rates, subject, source, phase) === null
        ? [{ source: source.source, phase, ...(phase === 'download' ? { vault: subject.vault } : {}) }]
        : [],
    ),
  );
  return { vault: subject.vault, missing };
}

const neededPhases = (source: SourceKind): readonly RatePhase[] => ['download', ...WORK[source], 'check', 'fixed'];

function estimateSource(rates: readonly RateRow[], subject: EstimateSubject, source: EstimatedSource): SourceEstimate {
  const phases = neededPhases(source.source).flatMap((phase) => estimatePhase(rates, subject, source, phase) ?? []);
  const total = (names: readonly RatePhase[], pick: (range: Range) => number): number =>
    phases.reduce((sum, phase) => (names.includes(phase.phase) ? sum + pick(phase) : sum), 0);
  const work = WORK[source.source];
  const whole = ranged((pick) => total(['fixed', 'check'], pick) + Math.max(total(['download'], pick), total(work, pick)));
  const expected = ({ expectedMs }: Range): number => expectedMs;
  return { ...whole, source: source.source, boundBy: total(['download'], expected) > total(work, expected) ? 'download' : 'work', phases };
}

/** Null: never measured. */
function estimatePhase(
  rates: readonly RateRow[],
  subject: EstimateSubject,
  source: EstimatedSource,
  phase: RatePhase,
): PhaseEstimate | null {
  const { rows, basis } = chosenRows(rates, subject, source.source, phase);
  if (rows.length === 0) return null;
  const flat = FLAT.includes(phase);
  const bytes = phase === 'download' ? source.storedBytes : source.plainBytes;
  const units = flat ? 1 : unitsOf(phase, bytes, source.files);
  const measured = rows.map((row) => ({ units: flat ? 1 : unitsOf(phase, row.bytes, row.files), row }));
  const costs = measured.map(({ units, row }) => ({ cost: row.ms / units, weight: flat ? 1 : Math.max(1, row.ms) }));
  const largest = Math.max(...measured.map(({ units }) => units));
  const beyond = Math.max(0, Math.log2(units / largest));
  const wide = (1 + FEW / Math.sqrt(rows.length)) * FURTHER[basis] * (1 + DOUBLING * beyond);
  const expectedMs = quantile(costs, 0.5) * units;
  return {
    phase,
    bytes: flat ? 0 : bytes,
    expectedMs,
    lowMs: Math.min(expectedMs, (quantile(costs, LOW) * units) / wide),
    highMs: Math.max(expectedMs, quantile(costs, HIGH) * units * wide),
    bytesPerSecond: flat || expectedMs <= 0 ? null : (bytes / expectedMs) * 1000,
    measurements: rows.length,
    basis,
  };
}

/** At least one: nothing is divided by none. */
function unitsOf(phase: RatePhase, bytes: number, files: number): number {
  return Math.max(1, bytes + (phase === 'write' || phase === 'check' ? files * FILE_BYTES : 0));
}

/** The last measurements of the nearest kind, those made under the same circumstances first. */
function chosenRows(rates: readonly RateRow[], subject: EstimateSubject, source: SourceKind, phase: RatePhase) {
  const fitting = rates.filter(
    (row) => row.phase === phase && row.source === source && row.ms >= 0 && (phase !== 'download' || row.vault === subject.vault),
  );
  const bases: readonly (readonly [Basis, (row: RateRow) => boolean])[] = [
    ['shop', (row) => row.shop === subject.shop && row.host === subject.host],
    ['host', (row) => row.host === subject.host],
    ['elsewhere', () => true],
  ];
  const beside = subject.together && subject.sources.length > 1;
  for (const [basis, belongs] of bases) {
    const own = fitting.filter(belongs);
    if (own.length === 0) continue;
    const alike = own.filter((row) => row.beside === beside);
    const rows = [...(alike.length > 0 ? alike : own)].sort((a, b) => b.at - a.at || b.id - a.id).slice(0, LAST);
    return { rows, basis };
  }
  return { rows: [], basis: 'elsewhere' as const };
}

/** The same sum for each of the three figures. */
function ranged(of: (pick: (range: Range) => number) => number): Range {
  return { expectedMs: of(({ expectedMs }) => expectedMs), lowMs: of(({ lowMs }) => lowMs), highMs: of(({ highMs }) => highMs) };
}

/** Weighted; `share` from 0 to 1. Of the middle between two equal halves the upper one: rather too slow. */
function quantile(costs: readonly { readonly cost: number; readonly weight: number }[], share: number): number {
  const sorted = [...costs].sort((a, b) => a.cost - b.cost);
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0);
  let seen = 0;
  for (const { cost, weight } of sorted) {
    seen += weight;
    if (seen > total * share) return cost;
  }
  return sorted.at(-1)?.cost ?? 0;
}
