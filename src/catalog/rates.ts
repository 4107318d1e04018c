// What restores and drills measured, a row for each phase: the estimate of how long the next one takes is made of these and of nothing else.
import type { Clock } from '../clock.ts';
import type { HostConfig } from '../config/config.ts';
import type { SourceKind } from '../source/source.ts';
import type { Catalog } from './open.ts';

/**
 * Where the time of a restore goes.
 * download: objects out of one vault. open: decryption and decompression. write: files into the tree. load: rows into tables. keys:
 * secondary keys after their rows. These five overlap. check: index read, tree compared. fixed: what hardly depends on the size (manifest,
 * preparation, definitions, foreign keys, publishing). Then, of a whole shop in place: safety, the safety copy of what is there; finish:
 * maintenance page, swap, caches, smoke test.
 */
export const RATE_PHASES = ['download', 'open', 'write', 'load', 'keys', 'check', 'fixed', 'safety', 'finish'] as const;
export type RatePhase = (typeof RATE_PHASES)[number];

/**
 * One phase of one source's restore. `ms` is its share of the wall clock: work of several threads or connections is divided by their number, so that
 * the parallel phases of one source and its whole time fit together (restore/phases.ts says how).
 */
export interface PhaseFigures {
  readonly phase: RatePhase;
  /** Of download; else null. */
  readonly vault: string | null;
  /** Of download what was fetched; else plaintext. */
  readonly bytes: number;
  readonly files?: number;
  readonly rows?: number;
  readonly ms: number;
}

/** Whose machine it was, what was restored, and beside what. */
export interface RatesOf {
  /** The machine that was written to, as `rateHost` names it. */
  readonly host: string;
  readonly shop: string;
  readonly source: SourceKind;
  readonly kind: 'restore' | 'drill';
  /** The run that measured it; null: none was kept. */
  readonly runId: string | null;
  /** Another source of the shop was being restored at the same time: both had to share the machine. */
  readonly beside: boolean;
}

export interface RateRow extends RatesOf {
  readonly id: number;
  /** Epoch milliseconds of the end of the restore. One restore's rows have the same. */
  readonly at: number;
  readonly phase: RatePhase;
  readonly vault: string | null;
  readonly bytes: number;
  readonly files: number;
  readonly rows: number;
  readonly ms: number;
}

/** Kept of each phase of each shop, source, host and kind; the estimate looks at no more. */
export const RATES_KEPT = 20;

/** The name under which what was measured on a machine is kept: `local`, or the address of an SSH host. */
export function rateHost(host: HostConfig): string {
  return host.type === 'local' ? 'local' : `${host.host}:${host.port}`;
}

/**
 * Keeps what a restore measured, after it went well; of older ones of the same kind the last RATES_KEPT stay. `phases` as RestoredSource has
 * them: of a restore that wrote nothing there are none, and nothing is kept.
 */
export async function recordRates(catalog: Catalog, clock: Clock, of: RatesOf, phases: readonly PhaseFigures[]): Promise<void> {
  if (phases.length === 0) return;
  const at = clock.nowMs();
  const { host, shop, source, kind, runId, beside } = of;
  await catalog.transaction(async (tx) => {
    await tx
      .insertInto('restoreRates')
      .values(
        phases.map(({ phase, vault, bytes, files = 0, rows = 0, ms }) => ({
          ...{ at, host, shop, source, kind, runId, beside: beside ? 1 : 0 },
          ...{ phase, vault, bytes: Math.round(bytes), files, rows, ms: Math.max(0, Math.round(ms)) },
        })),
      )
      .execute();
    // of each phase: a restore that measured a few does not push out what others measured of the rest
    for (const phase of new Set(phases.map((one) => one.phase))) {
      const ends = await tx
        .selectFrom('restoreRates')
        .select('at')
        .distinct()
        .where('host', '=', host)
        .where('shop', '=', shop)
        .where('source', '=', source)
        .where('kind', '=', kind)
        .where('phase', '=', phase)
        .orderBy('at', 'desc')
        .limit(RATES_KEPT)
        .execute();
      await tx
        .deleteFrom('restoreRates')
        .where('host', '=', host)
        .where('shop', '=', shop)
        .where('source', '=', source)
        .where('kind', '=', kind)
        .where('phase', '=', phase)
        .where('at', '<', ends.at(-1)?.at ?? at)
        .execute();
    }
  });
}

/** So many of each are enough to choose from: some ten restores with their phases. */
const NEAR = 400;

/** The newest of this shop, of this host, and of any, each once, in no order: who estimates picks those that fit. */
export async function ratesNear(catalog: Catalog, { shop, host }: Pick<RatesOf, 'shop' | 'host'>): Promise<RateRow[]> {
  const newest = catalog.db.selectFrom('restoreRates').selectAll().orderBy('at', 'desc').orderBy('id', 'desc').limit(NEAR);
  const found = [
    ...(await newest.where('shop', '=', shop).execute()),
    ...(await newest.where('host', '=', host).execute()),
    ...(await newest.execute()),
  ];
  const once = new Map(found.map((row) => [row.id, row]));
  return [...once.values()].map((row) => ({ ...row, phase: row.phase as RatePhase, beside: row.beside === 1 }));
}
