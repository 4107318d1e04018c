// What a prune asks of the catalog: which objects a stage takes, what would go, what waits. Each question is one transaction.
import { vaultsHolding } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { IDS_AT_ONCE, slices } from '../catalog/segments.ts';
import { type FactsRequest, readFacts, type SegmentPage } from './facts.ts';
import { type PlanObject, planPrune, type Stage } from './plan.ts';
import type { Decision } from './policy.ts';
import { type PruneResult, ResultBuilder, type WaitingLine, WaitingLines } from './result.ts';

/** Segments looked at in one transaction: what may go is held in memory, and the catalog's other writers wait meanwhile. */
export const SEGMENTS_AT_ONCE = 20_000;

/** What one look chose, marked as tombstones already. */
export interface Chosen {
  readonly objects: readonly PlanObject[];
  /** All snapshots. */
  readonly decisions: readonly Decision[];
  /** As of Facts. */
  readonly nextAfter: number | null;
}

/**
 * Plans anew and marks what this stage takes, in one transaction: a run that pins is before it or after it. From here on what was
 * marked is never used, and never forgotten until it is gone.
 */
export async function choose(catalog: Catalog, request: FactsRequest, stage: Stage, page: SegmentPage | null): Promise<Chosen> {
  return await catalog.transaction(async (tx) => {
    const facts = await readFacts(tx, request, page);
    const plan = planPrune(facts, false);
    const objects = plan.verdicts.flatMap((verdict) => (verdict.fate === 'goes' && verdict.stage === stage ? [verdict.object] : []));
    for (const ids of slices([...plan.going.keys()], IDS_AT_ONCE)) {
      await tx.updateTable('snapshots').set({ state: 'tombstone' }).where('id', 'in', ids).where('state', '=', 'committed').execute();
    }
    const ids = objects.map((object) => object.id);
    for (const slice of slices(ids, IDS_AT_ONCE)) {
      await tx.updateTable('objects').set({ state: 'tombstone' }).where('id', 'in', slice).where('state', '=', 'stored').execute();
    }
    return { objects, decisions: plan.decisions, nextAfter: facts.nextAfter };
  });
}

/** What a prune would do now, from the catalog alone: no vault is asked, nothing is written. */
export async function preview(catalog: Catalog, request: FactsRequest): Promise<PruneResult> {
  const result = new ResultBuilder(request.shop, true);
  const waiting = new WaitingLines(request.nowMs);
  let isFirst = true;
  for await (const { plan, facts } of lookThrough(catalog, request, true)) {
    if (isFirst) {
      result.decisions(plan.decisions);
      for (const snapshot of facts.snapshots) {
        const decision = plan.going.get(snapshot.id);
        if (decision) for (const copy of snapshot.copies) result.removed(snapshot.id, copy.vault, decision.reason);
      }
    }
    for (const verdict of plan.verdicts) {
      // the others come with each page
      if (!isFirst && verdict.object.kind !== 'segment') continue;
      if (verdict.fate === 'goes') result.released(verdict.object);
      waiting.add(verdict);
    }
    isFirst = false;
  }
  result.waiting(waiting.lines());
  return result.build();
}

/** What must wait for its lock as things stand. */
export async function lookWaiting(catalog: Catalog, request: FactsRequest): Promise<WaitingLine[]> {
  const waiting = new WaitingLines(request.nowMs);
  let isFirst = true;
  for await (const { plan } of lookThrough(catalog, request, false)) {
    for (const verdict of plan.verdicts) if (isFirst || verdict.object.kind === 'segment') waiting.add(verdict);
    isFirst = false;
  }
  return waiting.lines();
}

/** Plans page by page; every page holds all that are no segments. Marks nothing. */
async function* lookThrough(catalog: Catalog, request: FactsRequest, optimistic: boolean) {
  const vaults = await vaultsHolding(catalog.db, request.shop);
  // what is no segment is looked at even where no vault holds anything
  for (const vault of vaults.length === 0 ? [''] : vaults) {
    for (let after: number | null = 0; after !== null; ) {
      const page: SegmentPage = { vault, after, limit: SEGMENTS_AT_ONCE };
      const facts = await catalog.transaction((tx) => readFacts(tx, request, page));
      yield { facts, plan: planPrune(facts, optimistic) };
      after = facts.nextAfter;
    }
  }
}
