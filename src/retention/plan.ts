// What prune would do to one shop: what goes, what stays, what waits for its lock, each with its reason. Pure: rows in, plan out.
import type { ObjectsTable } from '../catalog/tables/objects.ts';
import { CHECKPOINT_KEEP_MS, orphanMarginMs, PROBE_MARGIN_MS, uploadMarginMs } from './margins.ts';
import { type Decision, decide, hasEnded, type PolicyRules, type PolicySnapshot } from './policy.ts';

/** A version (or an unfinished upload) that a vault holds. Instants are epoch milliseconds. */
export interface PlanObject {
  readonly id: number;
  readonly vault: string;
  readonly key: string;
  readonly versionId: string;
  readonly kind: ObjectsTable['kind'];
  readonly refId: string | null;
  readonly runId: string | null;
  readonly tombstone: boolean;
  readonly sizeBytes: number;
  readonly retainUntil: number | null;
  readonly createdAt: number;
}

export interface PlanSnapshot extends PolicySnapshot {
  readonly copies: readonly { readonly vault: string; readonly manifestKey: string }[];
}

/** What decides over the snapshots. */
export interface SnapshotFacts extends PolicyRules {
  readonly nowMs: number;
  readonly snapshots: readonly PlanSnapshot[];
  /** What the vaults hold for this shop, its segments left out or not: they decide nothing here. */
  readonly objects: readonly PlanObject[];
}

/** Everything that a plan depends on, read in one transaction. */
export interface PlanFacts extends SnapshotFacts {
  /** What the vaults hold for this shop. Segments that a kept snapshot uses may be left out: they stay. */
  readonly objects: readonly PlanObject[];
  /** Segment id to the snapshots that use it. */
  readonly users: ReadonlyMap<string, readonly string[]>;
  /** Segment id to the runs that rely on it. */
  readonly pins: ReadonlyMap<string, readonly string[]>;
  readonly aliveRuns: ReadonlySet<string>;
}

/**
 * Deletion goes in this order, each stage only when the one before it is confirmed: a manifest never outlives a segment of its, and
 * no object the key that opens it.
 */
export const STAGES = ['manifest', 'index', 'segment', 'key'] as const;
export type Stage = (typeof STAGES)[number];

export type Verdict =
  | { readonly object: PlanObject; readonly fate: 'stays'; readonly reason: string }
  | { readonly object: PlanObject; readonly fate: 'waits'; readonly reason: string; readonly until: number }
  | { readonly object: PlanObject; readonly fate: 'goes'; readonly reason: string; readonly stage: Stage };

export interface SnapshotPlan {
  /** Newest first. A snapshot whose window has ended and whose locks have not is among the kept. */
  readonly decisions: readonly Decision[];
  /** Snapshots to be removed, those whose removal had begun included. */
  readonly going: ReadonlyMap<string, Decision>;
  /** Kept by their locks alone: needed where they are, and nowhere else any more. */
  readonly waiting: ReadonlySet<string>;
}

export interface PrunePlan extends SnapshotPlan {
  /** One for each object. */
  readonly verdicts: readonly Verdict[];
}

/** The part of a plan that does not look at segments. */
export function planSnapshots(facts: SnapshotFacts): SnapshotPlan {
  return decideAll(facts, liveManifests(facts));
}

function decideAll(facts: SnapshotFacts, manifests: ReadonlyMap<string, readonly PlanObject[]>): SnapshotPlan {
  const snapshots = new Map(facts.snapshots.map((snapshot) => [snapshot.id, snapshot]));
  const decisions = decide(facts.snapshots, facts.nowMs, facts).map((decision) => waitForLocks(decision, facts, snapshots, manifests));
  return {
    decisions,
    going: new Map(decisions.filter((decision) => !decision.keep).map((decision) => [decision.snapshot, decision])),
    waiting: new Set(decisions.filter((decision) => decision.why === 'waits').map((decision) => decision.snapshot)),
  };
}

/**
 * Plans one shop. With `optimistic`, what goes in an earlier stage counts as gone for the later ones: that is what a dry run prints.
 * Without, only what is gone counts: the executor plans anew before each stage.
 */
export function planPrune(facts: PlanFacts, optimistic: boolean): PrunePlan {
  const manifests = liveManifests(facts);
  const { decisions, going, waiting } = decideAll(facts, manifests);
  const context: Context = {
    facts,
    snapshots: new Set(facts.snapshots.map((snapshot) => snapshot.id)),
    going,
    waiting,
    gone: new Set(),
    manifests,
    orphans: [],
    needKey: new Map(),
    newestState: new Map(),
  };
  for (const object of facts.objects) {
    // named by their instants
    if (object.kind === 'state' && object.key > (context.newestState.get(object.vault) ?? ''))
      context.newestState.set(object.vault, object.key);
    if (object.kind === 'manifest' && !context.snapshots.has(object.refId ?? '')) context.orphans.push(object);
    if (isSealed(object)) context.needKey.set(object.vault, (context.needKey.get(object.vault) ?? 0) + 1);
  }
  if (!optimistic) return { decisions, going, waiting, verdicts: facts.objects.map((object) => judge(context, object)) };
  const verdicts = new Map<number, Verdict>();
  for (const stage of STAGES) {
    for (const object of facts.objects) {
      if (stageOf(object) !== stage) continue;
      const verdict = judge(context, object);
      verdicts.set(object.id, verdict);
      if (verdict.fate !== 'goes') continue;
      context.gone.add(object.id);
      if (isSealed(object)) context.needKey.set(object.vault, (context.needKey.get(object.vault) ?? 0) - 1);
    }
  }
  return { decisions, going, waiting, verdicts: facts.objects.map((object) => verdicts.get(object.id) as Verdict) };
}

interface Context {
  readonly facts: PlanFacts;
  readonly snapshots: ReadonlySet<string>;
  readonly going: ReadonlyMap<string, Decision>;
  readonly waiting: ReadonlySet<string>;
  readonly gone: Set<number>;
  /** `vault`, NUL, snapshot id → versions on that manifest's key. */
  readonly manifests: ReadonlyMap<string, readonly PlanObject[]>;
  /** Manifests of runs that were cut off before their snapshot was recorded. */
  readonly orphans: PlanObject[];
  /** Vault → how much is there that the shop's identity opens. */
  readonly needKey: Map<string, number>;
  /** Vault → key of the newest checkpoint there. */
  readonly newestState: Map<string, string>;
}

const at = (vault: string, snapshot: string): string => `${vault}\0${snapshot}`;

const isSealed = ({ kind }: PlanObject): boolean => kind === 'manifest' || kind === 'index' || kind === 'segment' || kind === 'stray';

function liveManifests(facts: SnapshotFacts): Map<string, PlanObject[]> {
  const manifests = new Map<string, PlanObject[]>();
  const add = (snapshot: string, object: PlanObject): void => {
    const list = manifests.get(at(object.vault, snapshot));
    if (list) list.push(object);
    else manifests.set(at(object.vault, snapshot), [object]);
  };
  const byKey = new Map<string, string>();
  for (const object of facts.objects) {
    if (object.kind !== 'manifest' || object.refId === null) continue;
    add(object.refId, object);
    byKey.set(at(object.vault, object.key), object.refId);
  }
  if (!facts.objects.some((object) => object.kind === 'stray')) return manifests;
  // a second version on a manifest's key shows a snapshot just as the first does; a foreign one is not signed by us
  for (const snapshot of facts.snapshots) for (const copy of snapshot.copies) byKey.set(at(copy.vault, copy.manifestKey), snapshot.id);
  for (const object of facts.objects) {
    const snapshot = object.kind === 'stray' ? byKey.get(at(object.vault, object.key)) : undefined;
    if (snapshot !== undefined) add(snapshot, object);
  }
  return manifests;
}

/**
 * Removal begins when some vault can begin it: until then the snapshot is as good as before and may as well be used. What was erased is
 * out of use at once.
 */
function waitForLocks(
  decision: Decision,
  { life, nowMs }: SnapshotFacts,
  snapshots: ReadonlyMap<string, PlanSnapshot>,
  manifests: ReadonlyMap<string, readonly PlanObject[]>,
): Decision {
  const snapshot = snapshots.get(decision.snapshot);
  if (decision.keep || !snapshot || snapshot.tombstone || life.state === 'erased') return decision;
  const ends = snapshot.copies.flatMap((copy) =>
    (manifests.get(at(copy.vault, snapshot.id)) ?? []).map((object) => object.retainUntil ?? 0),
  );
  const first = Math.min(...ends);
  if (ends.length === 0 || first <= nowMs) return decision;
  const reason = decision.why === 'over' ? 'its window has ended, its lock has not' : `${decision.reason}, its lock lasts`;
  return { ...decision, keep: true, why: 'waits', reason, until: first };
}

/** What hangs on a manifest's key goes with the manifests. */
function stageOf(object: PlanObject): Stage {
  if (object.kind === 'index' || object.kind === 'segment' || object.kind === 'key') return object.kind;
  return 'manifest';
}

function judge(context: Context, object: PlanObject): Verdict {
  const { facts, going } = context;
  const stays = (reason: string): Verdict => ({ object, fate: 'stays', reason });
  const waits = (reason: string, until: number): Verdict => ({ object, fate: 'waits', reason, until });
  const release = (reason: string): Verdict => {
    if (object.retainUntil !== null && object.retainUntil > facts.nowMs) return waits(reason, object.retainUntil);
    return { object, fate: 'goes', reason, stage: stageOf(object) };
  };
  const age = facts.nowMs - object.createdAt;
  const underWay = object.runId !== null && facts.aliveRuns.has(object.runId);

  switch (object.kind) {
    case 'foreign':
      return stays('not written by coffre: only its owner may delete it');
    case 'key':
      // a suspended shop may come back, and its key with it
      if (facts.life.state === 'suspended' || !hasEnded(facts.life, facts.nowMs) || underWay)
        return stays('an identity: without it nothing of the shop can be read');
      if ((context.needKey.get(object.vault) ?? 0) > 0) return stays('an identity: what it opens is still there');
      return release('the shop has ended, and nothing that it opens is left');
    case 'state':
      if (context.newestState.get(object.vault) === object.key) return stays('the newest checkpoint of the state');
      if (age < CHECKPOINT_KEEP_MS) return stays('a checkpoint of the state: it carries ledger and audit of its day');
      return release('a checkpoint of the state, older than any detail that is kept');
    case 'probe':
      return age < PROBE_MARGIN_MS ? stays('a probe may be under way') : release('left by a probe');
    case 'upload':
      if (underWay) return stays('its run is under way');
      return age < uploadMarginMs(facts.retentionMs)
        ? stays('its parts may still be arriving')
        : release('an upload that nobody will finish');
    case 'stray':
      return underWay ? stays('its run is under way') : release('a second version that nothing needs');
    case 'manifest':
    case 'index': {
      const decision = object.refId === null ? undefined : going.get(object.refId);
      if (decision === undefined && object.refId !== null && context.snapshots.has(object.refId)) return stays('of a kept snapshot');
      if (decision === undefined && !object.tombstone) {
        if (underWay) return stays('its run is under way');
        if (age < orphanMs(facts)) return stays('of a run that was cut off: the next one may take it up');
      }
      const reason = decision?.reason ?? 'of a run that was cut off, and nobody took it up';
      if (object.kind === 'manifest' || object.refId === null) return release(reason);
      const holder = manifestStillThere(context, object.vault, object.refId);
      return holder ? held(holder, waits, stays) : release(reason);
    }
    case 'segment':
      return judgeSegment(context, object, { stays, waits, release, age, underWay });
  }
}

interface Say {
  readonly stays: (reason: string) => Verdict;
  readonly waits: (reason: string, until: number) => Verdict;
  readonly release: (reason: string) => Verdict;
  readonly age: number;
  readonly underWay: boolean;
}

function judgeSegment(context: Context, object: PlanObject, { stays, waits, release, age, underWay }: Say): Verdict {
  const { facts, going, waiting } = context;
  const users = object.refId === null ? [] : (facts.users.get(object.refId) ?? []);
  // what one vault lacks is brought there while a snapshot is wanted, not while it only waits for its locks elsewhere
  const keeper = users.find((id) => !going.has(id) && (!waiting.has(id) || manifestStillThere(context, object.vault, id)));
  if (keeper !== undefined) return stays(`used by snapshot ${keeper}`);
  for (const id of users) {
    const holder = manifestStillThere(context, object.vault, id);
    if (holder) return held(holder, waits, stays);
  }
  // chosen already, in a transaction that saw no user and no pin: from then on no run may choose it
  if (object.tombstone) return release('nothing uses it');
  const pinned = object.refId === null ? undefined : facts.pins.get(object.refId);
  if (pinned?.[0] !== undefined) return stays(`run ${pinned[0]} relies on it`);
  if (underWay) return stays('its run is under way');
  if (users.length === 0) {
    const orphan = context.orphans.find((manifest) => mayName(context, manifest, object));
    if (orphan) return held(orphan, waits, stays);
    if (age < orphanMs(facts)) return stays('of a run that was cut off: the next one may take it up');
  }
  return release(users.length === 0 ? 'nothing uses it' : 'nothing kept uses it');
}

/** Of a shop that has ended there is no next run. */
function orphanMs(facts: PlanFacts): number {
  return hasEnded(facts.life, facts.nowMs) ? 0 : orphanMarginMs(facts.retentionMs);
}

/** A manifest that no snapshot row stands for may name every segment of its run. */
function mayName(context: Context, manifest: PlanObject, segment: PlanObject): boolean {
  return !context.gone.has(manifest.id) && manifest.vault === segment.vault && manifest.runId !== null && manifest.runId === segment.runId;
}

function manifestStillThere(context: Context, vault: string, snapshot: string): PlanObject | undefined {
  return context.manifests.get(at(vault, snapshot))?.find((object) => !context.gone.has(object.id));
}

function held(manifest: PlanObject, waits: Say['waits'], stays: Say['stays']): Verdict {
  const reason = `its manifest ${manifest.key} is still there`;
  return manifest.retainUntil === null ? stays(reason) : waits(reason, manifest.retainUntil);
}
