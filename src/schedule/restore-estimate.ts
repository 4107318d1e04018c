// How long a shop's restore would take, and whether that keeps its plan's promise: read from the catalog, computed by restore/estimate.ts.
import { availableParallelism } from 'node:os';
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { rateHost, ratesNear } from '../catalog/rates.ts';
import { isBackup, listSnapshots, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { restorable, soundVaults } from '../restore/choose.ts';
import {
  type Estimate,
  type EstimateSubject,
  estimateRestore,
  type NotMeasured,
  type PhaseEstimate,
  type Range,
  whyUnknown,
} from '../restore/estimate.ts';
import { type Advice, adviseOn, type TableBytes } from '../restore/estimate-advice.ts';
import { vaultOrder } from '../restore/keys.ts';
import { type Fit, fitOf, hoursOf, mostCountedMs } from '../restore/recovery-fit.ts';

export interface RestoreEstimate {
  readonly shop: string;
  readonly targetMs: number;
  readonly calendar: 'business' | '24x7';
  /** The snapshots that it is of: the newest good ones; of a source without any the newest that some vault has whole and undamaged. */
  readonly snapshots: readonly {
    readonly source: string;
    readonly id: string;
    readonly plainBytes: number;
    readonly storedBytes: number;
  }[];
  /** From the vault that is read first; null: something was never measured, or there is nothing to restore. */
  readonly estimate: Estimate | null;
  readonly notMeasured: NotMeasured | null;
  /** Of the expected time what the clock counts at most, in ms; and whether that is within the target. Null: unknown. */
  readonly countedMs: number | null;
  readonly fit: Fit | null;
}

/** Of what is to be restored of `snapshots`, which are the shop's. */
export async function readEstimate(
  config: Config,
  catalog: Catalog,
  shop: ShopConfig,
  snapshots: readonly SnapshotWithCopies[],
  nowMs: number,
): Promise<RestoreEstimate> {
  const { rto } = shop.plan;
  const chosen = chosenOf(shop, snapshots);
  const base = {
    ...{ shop: shop.name, targetMs: rto.targetMs, calendar: rto.calendar },
    snapshots: chosen.map(({ source, id, plainBytes, storedBytes }) => ({ source, id, plainBytes, storedBytes })),
  };
  const subject = subjectOf(config, shop, chosen);
  if (subject === null) return { ...base, estimate: null, notMeasured: null, countedMs: null, fit: null };
  const rates = await ratesNear(catalog, subject);
  const estimate = estimateRestore(rates, subject);
  if (estimate === null) return { ...base, estimate: null, notMeasured: whyUnknown(rates, subject), countedMs: null, fit: null };
  const now = Temporal.Instant.fromEpochMilliseconds(nowMs);
  const countedMs = mostCountedMs(hoursOf(rto), estimate.expectedMs, now);
  return { ...base, estimate, notMeasured: null, countedMs, fit: fitOf(rto, estimate, now, isCertain(estimate)) };
}

/** Of this shop, on its host: what others took may be far off. */
const isCertain = ({ sources }: Estimate): boolean => sources.every(({ phases }) => phases.every(({ basis }) => basis === 'shop'));

/** The same with what would make it faster. */
export async function readEstimateWithAdvice(
  config: Config,
  catalog: Catalog,
  shop: ShopConfig,
  nowMs: number,
): Promise<RestoreEstimate & { readonly advice: readonly Advice[] }> {
  const snapshots = await listSnapshots(catalog, shop.name);
  const told = await readEstimate(config, catalog, shop, snapshots, nowMs);
  const chosen = chosenOf(shop, snapshots);
  const subject = subjectOf(config, shop, chosen);
  if (subject === null || told.estimate === null) return { ...told, advice: [] };
  const database = chosen.find(({ source }) => source === 'database');
  const leftOut = shop.database?.profile === 'prestashop-ephemeral';
  const facts = {
    vaults: shop.vaults.filter((vault) => chosen.every((one) => soundVaults(one).includes(vault))),
    processors: availableParallelism(),
    tables: database === undefined || leftOut ? [] : await largeTables(catalog, database.id),
  };
  return { ...told, advice: adviseOn(await ratesNear(catalog, subject), subject, told.estimate, facts) };
}

/** Of what is restored into a shop, its database and files: the newest good ones, where none is good what a restore would take. */
function chosenOf(shop: ShopConfig, snapshots: readonly SnapshotWithCopies[]): readonly SnapshotWithCopies[] {
  const declared = [...(shop.files ? (['files'] as const) : []), ...(shop.database ? (['database'] as const) : [])];
  return declared.flatMap(
    (source) => snapshots.find((one) => one.source === source && one.good && isBackup(one)) ?? restorable(snapshots, source) ?? [],
  );
}

/** Null: nothing can be restored whole. */
function subjectOf(config: Config, shop: ShopConfig, chosen: readonly SnapshotWithCopies[]): EstimateSubject | null {
  const declared = Number(shop.files !== null) + Number(shop.database !== null);
  if (chosen.length === 0 || chosen.length < declared) return null;
  const vault = vaultOrder(config, shop, null).find(({ name }) => chosen.every((one) => soundVaults(one).includes(name)));
  if (vault === undefined) return null;
  const sources = chosen.map(({ source, plainBytes, storedBytes, counts }) => {
    const { files = 0 } = JSON.parse(counts) as { readonly files?: number };
    return { source, plainBytes, storedBytes, files };
  });
  return { shop: shop.name, host: rateHost(shop.host), vault: vault.name, sources, together: true, inPlace: true };
}

/** Tables that have segments of their own, with the plaintext of their rows. */
async function largeTables(catalog: Catalog, snapshot: string): Promise<readonly TableBytes[]> {
  const rows = await catalog.db
    .selectFrom('snapshotSegments')
    .innerJoin('segments', 'segments.id', 'snapshotSegments.segmentId')
    .select(['segments.load', 'segments.plainBytes'])
    .where('snapshotSegments.snapshotId', '=', snapshot)
    .where('segments.load', 'is not', null)
    .execute();
  const tables = new Map<string, number>();
  for (const { load, plainBytes } of rows) {
    const { table } = JSON.parse(load as string) as { readonly table: string };
    tables.set(table, (tables.get(table) ?? 0) + plainBytes);
  }
  return [...tables].map(([table, bytes]) => ({ table, bytes }));
}

/** As the command line and the API tell it: whole milliseconds, bytes a second. */
export function estimateDocument(told: RestoreEstimate, advice: readonly Advice[]) {
  const { estimate, notMeasured } = told;
  return {
    ...{
      shop: told.shop,
      targetMs: told.targetMs,
      calendar: told.calendar,
      fit: told.fit,
      snapshots: told.snapshots.map((one) => ({ ...one })),
    },
    countedMs: told.countedMs === null ? null : Math.round(told.countedMs),
    estimate:
      estimate === null
        ? null
        : {
            ...{ vault: estimate.vault, ...wholeMs(estimate), combined: estimate.combined, notIncluded: [...estimate.notIncluded] },
            sources: estimate.sources.map((source) => ({
              ...{ source: source.source, boundBy: source.boundBy, ...wholeMs(source), phases: source.phases.map(phaseDocument) },
            })),
            phases: estimate.phases.map(phaseDocument),
          },
    notMeasured: notMeasured?.missing.map((one) => ({ ...one })) ?? [],
    advice: advice.map((one) => ({
      ...one,
      ...('expectedMs' in one ? { expectedMs: Math.round(one.expectedMs) } : {}),
      ...('bytesPerSecond' in one ? { bytesPerSecond: Math.round(one.bytesPerSecond) } : {}),
    })),
  };
}

export type EstimateDocument = ReturnType<typeof estimateDocument>;

const wholeMs = ({ expectedMs, lowMs, highMs }: Range) => ({
  ...{ expectedMs: Math.round(expectedMs), lowMs: Math.round(lowMs), highMs: Math.round(highMs) },
});

const phaseDocument = ({ phase, bytes, bytesPerSecond, measurements, basis, ...range }: PhaseEstimate) => ({
  ...{ phase, bytes: Math.round(bytes), bytesPerSecond: bytesPerSecond === null ? null : Math.round(bytesPerSecond), measurements, basis },
  ...wholeMs(range),
});
