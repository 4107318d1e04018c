// What a catch-up finds to do by the catalog alone, and what it did, as it is printed, logged and kept.
import type { Catalog } from '../catalog/open.ts';
import { listSnapshots, objectsOf, snapshotSegments } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { CoffreError, type ErrorCode } from '../errors.ts';
import type { Problem } from '../restore/fetch.ts';
import { readRules } from '../retention/facts.ts';
import { type CatchUpPlan, type Gap, planCatchUp } from './catch-up-plan.ts';

/** Instants as RFC 3339 text, sizes in bytes. */
export interface CatchUpResult {
  readonly shop: string;
  /** true: nothing was done; `copied` is what would be. */
  readonly dryRun: boolean;
  readonly copied: readonly CopiedSnapshot[];
  /** Still not there, and why. */
  readonly left: readonly {
    readonly snapshot: string;
    readonly vault: string;
    readonly code: ErrorCode;
    readonly message: string;
    readonly hint: string;
  }[];
  /** Lacking, and left so: their windows have passed. */
  readonly passed: readonly { readonly snapshot: string; readonly vault: string }[];
  /** What was wrong with a copy that another one made up for. */
  readonly problems: readonly Problem[];
}

export interface CopiedSnapshot {
  readonly snapshot: string;
  readonly source: string;
  readonly vault: string;
  /** What had been found there; null: nothing was there. */
  readonly mended: string | null;
  /** Segments, index and manifest that were stored; the others were there already. */
  readonly objects: number;
  readonly bytes: number;
  readonly adopted: number;
  /** null in a dry run. */
  readonly lock: { readonly mode: string; readonly retainUntil: string } | null;
}

/** What a shop's vaults lack now, by the catalog alone. */
export async function readCatchUpPlan(catalog: Catalog, config: Config, shop: ShopConfig, nowMs: number): Promise<CatchUpPlan> {
  return planCatchUp({
    snapshots: await listSnapshots(catalog, shop.name),
    vaults: shop.vaults.filter((name) => config.vaults.has(name)),
    rules: await readRules(catalog.db, { shop: shop.name, retentionMs: shop.plan.retentionMs }),
    nowMs,
  });
}

/** Whether a catch-up would find anything to do. */
export async function needsCatchUp(catalog: Catalog, config: Config, shop: ShopConfig, nowMs: number): Promise<boolean> {
  return (await readCatchUpPlan(catalog, config, shop, nowMs)).gaps.length > 0;
}

/** What a catch-up would do, by the catalog alone: no vault is asked, nothing is written, no lock is taken. */
export async function previewCatchUp(catalog: Catalog, clock: Clock, config: Config, shop: ShopConfig): Promise<CatchUpResult> {
  const plan = await readCatchUpPlan(catalog, config, shop, clock.nowMs());
  const copied: CopiedSnapshot[] = [];
  const counted = new Set<string>();
  for (const gap of plan.gaps) {
    const { snapshot, vault, damage } = gap;
    let [objects, bytes, adopted] = [2, 0, 0];
    for (const segment of await lackingSegments(catalog, gap)) {
      // shared with a newer snapshot that is copied before
      if (counted.has(`${vault}\0${segment.id}`)) continue;
      counted.add(`${vault}\0${segment.id}`);
      objects++;
      bytes += segment.storedBytes;
    }
    adopted = snapshot.segments - (objects - 2);
    copied.push({ snapshot: snapshot.id, source: snapshot.source, vault, mended: damage, objects, bytes, adopted, lock: null });
  }
  return { shop: shop.name, dryRun: true, copied, left: [], passed: plan.passed, problems: [] };
}

/** By the catalog. */
export async function lackingSegments(catalog: Catalog, { snapshot, vault }: Gap) {
  const segments = await snapshotSegments(catalog, snapshot.id);
  const ids = segments.map((segment) => segment.id);
  const there = (await objectsOf(catalog, vault, ids, 'segment')).filter((row) => row.damage === null);
  const held = new Set(there.map((row) => row.refId));
  return segments.filter((segment) => !held.has(segment.id));
}

/** Why not everything is where it belongs after a catch-up, or null. */
export function catchUpShortfall(result: CatchUpResult): CoffreError | null {
  const [first] = result.left;
  if (!first) return null;
  // it did not even begin
  if (first.snapshot === '') return new CoffreError(first.code, first.message, { hint: first.hint });
  const more = result.left.length > 1 ? `, and ${result.left.length - 1} more` : '';
  return new CoffreError(
    'E_DEGRADED',
    `${result.shop}: snapshot ${first.snapshot} is still not in ${first.vault}: ${first.message} [${first.code}]${more}`,
    { hint: first.hint },
  );
}

/** The result of a catch-up that did not come to one. */
export function failedCatchUp(shop: string, { code, message, hint }: CoffreError): CatchUpResult {
  return { shop, dryRun: false, copied: [], left: [{ snapshot: '', vault: '', code, message, hint }], passed: [], problems: [] };
}
