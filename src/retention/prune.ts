// Prunes one shop: tombstones in the catalog, then manifests, indexes, segments, each released in the ledger once its deletion is
// confirmed by a listing. A crash anywhere leaves tombstones, and the next prune goes on from them.
import { sql } from 'kysely';
import type { Temporal } from 'temporal-polyfill';
import { uploadId } from '../billing/entries.ts';
import { Ledger } from '../billing/ledger.ts';
import { audit } from '../catalog/audit.ts';
import { type Recorded, recordLook } from '../catalog/incidents.ts';
import { vaultsHolding } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { markInterrupted, recordRun } from '../catalog/runs.ts';
import { readLife } from '../catalog/shop-life.ts';
import { lockShop } from '../catalog/shop-lock.ts';
import type { IncidentKind } from '../catalog/tables/incidents.ts';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../errors.ts';
import { newId } from '../segment/id.ts';
import { checkSkew } from '../vault/clock-skew.ts';
import { inParallel } from '../vault/in-parallel.ts';
import type { Vault } from '../vault/vault.ts';
import { type Chosen, SEGMENTS_AT_ONCE } from './choose.ts';
import { requireNoJump } from './clock-jump.ts';
import { stillThere } from './confirm.ts';
import type { FactsRequest, SegmentPage } from './facts.ts';
import { keepAhead } from './keep-ahead.ts';
import { inFlightMarginMs } from './margins.ts';
import { type PlanObject, STAGES, type Stage } from './plan.ts';
import { openPlanner, type Planner } from './planner.ts';
import { type Decision, hasEnded } from './policy.ts';
import { type Finding, RECONCILED, reconcile } from './reconcile.ts';
import { type PruneResult, pruneShortfall, ResultBuilder } from './result.ts';
import { dropDeadPins, dropReleasedCopies, forgetSegments, removableSnapshots, tombstones } from './tidy.ts';

/** Deletions under way at once in one vault. */
const DELETIONS_IN_FLIGHT = 8;
/** After these nothing more is tried in this vault: every further request would fail, or hang, in the same way. */
const VAULT_IS_LOST: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'E_VAULT_UNREACHABLE',
  'E_VAULT_TIMEOUT',
  'E_VAULT_AUTH',
  'E_VAULT_DENIED',
  'E_BUCKET_MISSING',
]);

/** What has just been done. Tests stop here; nothing else may depend on it. */
export type PruneStep =
  | { readonly step: 'reconciled' | 'kept-ahead'; readonly vault: string }
  | { readonly step: 'tombstoned'; readonly stage: Stage }
  | { readonly step: 'deleted' | 'released'; readonly vault: string; readonly key: string }
  | { readonly step: 'removed'; readonly snapshot: string };

export interface PruneDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Opens a vault by its configured name with a credential that may delete versions. Throws E_UNKNOWN_VAULT and vault codes. */
  readonly openVault: (name: string) => Promise<Vault>;
  /** Removes what this machine keeps of a snapshot beside the catalog (its index, its manifests). Must bear being called twice. */
  readonly forgetSnapshot?: (shop: string, snapshot: string) => Promise<void>;
  /** Removes what this machine still keeps of a shop that has ended, but for snapshots that are there. Must bear being called twice. */
  readonly sweepEnded?: (shop: string) => Promise<void>;
  readonly steps?: (step: PruneStep) => void | Promise<void>;
  /** In which times are told; left out: this machine's. */
  readonly timezone?: string;
}

export interface PruneRequest {
  /** A shop, or `_coffre` for what probes left. */
  readonly shop: string;
  /** Vaults that the shop is configured with; those that still hold something of it are visited too. */
  readonly vaults: readonly string[];
  /** The plan's window: margins follow from it. */
  readonly retentionMs: number;
  /** limits.lockCeiling. */
  readonly ceilingMs: number;
  /** limits.clockSkew. */
  readonly clockSkewMs: number;
  /** For the audit log. */
  readonly who: string;
  /** Of the run that is queued for this; a new one when left out. */
  readonly runId?: string | undefined;
  readonly signal?: AbortSignal;
}

/** What prune would do, from the catalog alone: no vault is asked, nothing is written, no lock is taken. */
export async function planShop(catalog: Catalog, clock: Clock, request: Pick<PruneRequest, 'shop' | 'retentionMs'>): Promise<PruneResult> {
  const planner = await openPlanner(catalog, request.shop);
  try {
    return await planner.preview({ ...request, nowMs: clock.nowMs() });
  } finally {
    await planner.close();
  }
}

/**
 * Prunes one shop while holding its lock. Troubles with single objects or vaults are in the result's `errors`, the rest goes on.
 * Throws E_BUSY, E_STATE…, E_CLOCK_SKEW when a vault's clock contradicts ours, E_CLOCK_JUMP when none can and ours may have jumped
 * (nothing is decided then), and the signal's reason.
 */
export async function pruneShop(deps: PruneDeps, request: PruneRequest): Promise<PruneResult> {
  const { catalog, clock } = deps;
  const lock = await lockShop(catalog.stateDir, clock, request.shop, 'a prune', deps.timezone);
  const opened: Vault[] = [];
  let planner = null as Planner | null;
  try {
    await markInterrupted(catalog, clock, request.shop);
    const run = { id: request.runId ?? newId(clock), kind: 'prune', shop: request.shop, source: null, who: request.who } as const;
    const result = await recordRun(catalog, clock, run, async () => {
      planner = await openPlanner(catalog, request.shop);
      const pruned = await new Prune(deps, request, planner, opened).run();
      return { result: pruned, failure: pruneShortfall(pruned) };
    });
    if (result.removed.length > 0 || result.foreign.length > 0) {
      await audit(catalog, clock, { who: request.who, what: 'prune', shop: request.shop, detail: result });
    }
    return result;
  } finally {
    await planner?.close();
    for (const vault of opened) await vault.close().catch(() => {});
    lock.release();
  }
}

class Prune {
  readonly #deps: PruneDeps;
  readonly #request: PruneRequest;
  readonly #planner: Planner;
  readonly #ledger: Ledger;
  readonly #result: ResultBuilder;
  /** Vaults that answer. */
  readonly #vaults = new Map<string, Vault>();
  readonly #opened: Vault[];
  /** Taken before any vault's clock is compared with ours: should ours jump from here on, nothing is decided by where it went. */
  readonly #now: Temporal.Instant;
  /** A vault with a clock of its own has agreed with ours. */
  #clockAgreed = false;
  /** Delete markers on keys of ours. */
  readonly #markers: Finding[] = [];

  constructor(deps: PruneDeps, request: PruneRequest, planner: Planner, opened: Vault[]) {
    this.#deps = deps;
    this.#request = request;
    this.#planner = planner;
    this.#now = deps.clock.now();
    this.#opened = opened;
    this.#ledger = new Ledger(deps.catalog, deps.clock);
    this.#result = new ResultBuilder(request.shop, false);
  }

  async run(): Promise<PruneResult> {
    // 1. Know what is there: nothing is decided on rows that a crash left open.
    for (const name of await this.#vaultNames()) await this.#enter(name);
    // 2. What must stay is locked before anything goes.
    for (const vault of [...this.#vaults.values()]) await this.#guard(vault.name, () => this.#keepAhead(vault));
    // 3. Stage by stage. The choice and its tombstones are one transaction: a run that pins is before it or after it.
    let decisions: readonly Decision[] = [];
    // No vault, no second clock: a snapshot must not be given up because ours is wrong while nobody can say so. A folder has none either.
    const folders = this.#clockAgreed ? [] : [...this.#vaults.keys()];
    if (folders.length > 0) {
      const { retentionMs, who } = this.#request;
      await requireNoJump(this.#deps.catalog, this.#deps.clock, { vaults: folders, nowMs: this.#now.epochMilliseconds, retentionMs, who });
    }
    for (const stage of this.#vaults.size > 0 ? STAGES : []) {
      if (stage === 'segment') await this.#removeSegments();
      else {
        const chosen = await this.#remove(stage, null);
        if (stage === 'manifest') {
          decisions = chosen.decisions;
          await this.#afterManifests(decisions);
        }
      }
    }
    // 4. What is gone everywhere is forgotten here.
    await this.#finish();
    for (const vault of [...this.#vaults.values()]) await this.#guard(vault.name, () => this.#removeMarkers(vault));
    this.#result.decisions(decisions);
    this.#result.waiting(await this.#planner.lookWaiting(this.#asked()));
    return this.#result.build();
  }

  async #vaultNames(): Promise<string[]> {
    const { db } = this.#deps.catalog;
    const { shop, vaults } = this.#request;
    const open = await db
      .selectFrom('objects')
      .select('vault')
      .distinct()
      .where('shop', '=', shop)
      .where(sql<boolean>`"state" = 'intent'`)
      .execute();
    return [...new Set([...vaults, ...(await vaultsHolding(db, shop)), ...open.map((row) => row.vault)])].sort();
  }

  #asked(): FactsRequest {
    return { shop: this.#request.shop, retentionMs: this.#request.retentionMs, nowMs: this.#now.epochMilliseconds };
  }

  async #enter(name: string): Promise<void> {
    await this.#guard(name, async () => {
      const { catalog, openVault } = this.#deps;
      const { shop, retentionMs, signal } = this.#request;
      const vault = await openVault(name);
      this.#opened.push(vault);
      if ((await checkSkew(vault, this.#deps.clock, this.#request.clockSkewMs)) !== null) this.#clockAgreed = true;
      const olderThanMs = inFlightMarginMs(retentionMs);
      await this.#ledger.resolveIntents(vault, shop, signal ? { olderThanMs, signal } : { olderThanMs });
      const onLast = async (finding: Finding): Promise<void> => void (await this.#record(name, [], [finding]));
      const { findings } = await reconcile(catalog, this.#ledger, vault, shop, signal, onLast);
      await this.#report(name, findings);
      this.#vaults.set(name, vault);
      await this.#step({ step: 'reconciled', vault: name });
    });
  }

  /** Everything is an incident; what somebody has acknowledged does not make this prune fail. */
  async #report(vault: string, findings: readonly Finding[]): Promise<void> {
    const { unacknowledged } = await this.#record(vault, RECONCILED, findings);
    const nameOf = (key: string, versionId: string, kind: string): string => `${kind}\0${key}\0${versionId}`;
    const unknown = new Set(unacknowledged.map((it) => nameOf(it.key, it.versionId, it.kind)));
    for (const finding of findings) {
      if (finding.what === 'delete marker') this.#markers.push(finding);
      if (finding.what === 'reappeared' || !unknown.has(nameOf(finding.key, finding.versionId, finding.what))) continue;
      this.#result.foreign(finding);
      if (finding.what !== 'missing') continue;
      this.#result.error(
        finding.vault,
        new CoffreError('E_OBJECT_MISSING', `${finding.vault}: ${finding.key} is gone, and coffre did not delete it`),
      );
    }
  }

  #record(vault: string, kinds: readonly IncidentKind[], findings: readonly Finding[]): Promise<Recorded> {
    const { catalog, clock } = this.#deps;
    const { shop, who } = this.#request;
    const sightings = findings.map(({ what: kind, ...finding }) => ({ ...finding, kind }));
    return recordLook(catalog, clock, { vault, shop, kinds, sightings, who });
  }

  async #keepAhead(vault: Vault): Promise<void> {
    const extensions = await keepAhead(this.#deps.catalog, this.#ledger, vault, { ...this.#request, now: this.#now });
    for (const extension of extensions) this.#result.extended(extension);
    await this.#step({ step: 'kept-ahead', vault: vault.name });
  }

  /** One stage, or one page of it: chosen, then deleted in all vaults at once. */
  async #remove(stage: Stage, page: SegmentPage | null): Promise<Chosen> {
    const chosen = await this.#planner.choose(this.#asked(), stage, page);
    await this.#step({ step: 'tombstoned', stage });
    const vaults = [...this.#vaults.values()];
    await Promise.all(vaults.map((vault) => this.#guard(vault.name, () => this.#deleteAll(vault, chosen.objects))));
    return chosen;
  }

  async #removeSegments(): Promise<void> {
    await Promise.all(
      [...this.#vaults.keys()].map(async (vault) => {
        for (let after: number | null = 0; after !== null && this.#vaults.has(vault); ) {
          after = (await this.#remove('segment', { vault, after, limit: SEGMENTS_AT_ONCE })).nextAfter;
        }
      }),
    );
  }

  async #deleteAll(vault: Vault, chosen: readonly PlanObject[]): Promise<void> {
    const own = chosen.filter((object) => object.vault === vault.name);
    const deleted: PlanObject[] = [];
    try {
      await inParallel(own, DELETIONS_IN_FLIGHT, async (object) => {
        this.#request.signal?.throwIfAborted();
        try {
          if (await this.#delete(vault, object)) deleted.push(object);
        } catch (error) {
          const failure = asCoffreError(error, 'E_VAULT_IO', `${vault.name}: delete ${object.key}`);
          // the vault as a whole: the guard takes it out
          if (VAULT_IS_LOST.has(failure.code) || this.#request.signal?.aborted) throw failure;
          this.#result.error(vault.name, failure, object.key);
        }
      });
    } catch (error) {
      // what is gone is released now if the vault will say so; else it is a tombstone, and the next prune finds it gone
      if (!this.#request.signal?.aborted) await this.#releaseGone(vault, deleted).catch(() => {});
      throw error;
    }
    await this.#releaseGone(vault, deleted);
  }

  /** A store may say that it deleted and not have done it: its bytes are billed until a listing shows that they are gone. */
  async #releaseGone(vault: Vault, deleted: readonly PlanObject[]): Promise<void> {
    const kept = await stillThere(vault, deleted, this.#request.signal);
    for (const object of deleted) {
      const lock = kept.get(object);
      if (lock === undefined) {
        await this.#ledger.released(object.id);
        this.#result.released(object);
        await this.#step({ step: 'released', vault: vault.name, key: object.key });
      } else if (lock !== null && lock.retainUntil.epochMilliseconds > this.#deps.clock.nowMs()) {
        // refused without a word, for a lock longer than we knew: its true end is what the next prune waits for
        await this.#ledger.lockRead(object.id, lock);
      } else {
        const what = object.kind === 'upload' ? 'was aborted' : 'was deleted';
        const said = `${vault.name}: ${object.key} ${what}, says the store, and is still there (${object.versionId})`;
        this.#result.error(vault.name, new CoffreError('E_NOT_DELETED', said), object.key);
      }
    }
  }

  /** false: its lock is longer than we knew. */
  async #delete(vault: Vault, object: PlanObject): Promise<boolean> {
    try {
      if (object.kind === 'upload') await vault.abortUpload(object.key, uploadId(object.versionId));
      else await vault.deleteVersion(object.key, object.versionId);
    } catch (error) {
      if (!(error instanceof CoffreError) || error.code !== 'E_LOCKED') throw error;
      // the lock is longer than we knew: its true end is what the next prune waits for
      const lock = (await vault.stat(object.key, object.versionId))?.lock ?? null;
      if (lock === null) throw error;
      await this.#ledger.lockRead(object.id, lock);
      return false;
    }
    await this.#step({ step: 'deleted', vault: vault.name, key: object.key });
    return true;
  }

  /** With the manifests went what held their segments. */
  async #afterManifests(decisions: readonly Decision[]): Promise<void> {
    await dropDeadPins(this.#deps.catalog, this.#request.shop);
    const reasons = new Map(decisions.map(({ snapshot, reason }) => [snapshot, reason]));
    for (const copy of await dropReleasedCopies(this.#deps.catalog, this.#request.shop)) {
      this.#result.removed(copy.snapshotId, copy.vault, reasons.get(copy.snapshotId) ?? 'its removal had begun');
    }
  }

  async #finish(): Promise<void> {
    const { catalog, forgetSnapshot, sweepEnded } = this.#deps;
    const { shop } = this.#request;
    const life = await readLife(catalog.db, shop);
    if (life.state === 'erased') {
      // our own copies name the shop's files, and no lock keeps them
      for (const snapshot of await tombstones(catalog, shop)) await forgetSnapshot?.(shop, snapshot);
    }
    for (const snapshot of await removableSnapshots(catalog, shop)) {
      // before the row says so: a crash in between only repeats it
      await forgetSnapshot?.(shop, snapshot);
      await catalog.transaction(async (tx) => {
        await tx.deleteFrom('snapshotSegments').where('snapshotId', '=', snapshot).execute();
        await tx.updateTable('snapshots').set({ state: 'removed' }).where('id', '=', snapshot).execute();
      });
      await this.#step({ step: 'removed', snapshot });
    }
    await forgetSegments(catalog, shop);
    if (hasEnded(life, this.#now.epochMilliseconds)) await sweepEnded?.(shop);
  }

  /**
   * A delete marker was told of as tampering; on a key of ours of which nothing is left it hides nothing any more and goes. One that
   * still hides a version stays as it was found: whoever looks into it shall find it, and restores see through it.
   */
  async #removeMarkers(vault: Vault): Promise<void> {
    for (const { key, versionId } of this.#markers.filter((marker) => marker.vault === vault.name)) {
      const rows = await this.#deps.catalog.db
        .selectFrom('objects')
        .select('state')
        .where('vault', '=', vault.name)
        .where('key', '=', key)
        .execute();
      if (rows.length === 0 || rows.some((row) => row.state !== 'released' && row.state !== 'void')) continue;
      await vault.deleteVersion(key, versionId);
      this.#result.removedMarker();
    }
  }

  /** Runs `work` for one vault; its failure is noted and the vault left alone from then on. */
  async #guard(name: string, work: () => Promise<void>): Promise<void> {
    this.#request.signal?.throwIfAborted();
    try {
      await work();
    } catch (error) {
      if (this.#request.signal?.aborted) throw error;
      const failure = asCoffreError(error, 'E_VAULT_IO', name);
      // Windows are counted by our clock. When a store contradicts it, giving snapshots up, which cannot be taken back, must wait.
      if (failure.code === 'E_CLOCK_SKEW') throw failure;
      this.#result.error(name, failure);
      // a lock that could not be kept ahead is red, and no reason to keep what is not needed any more
      if (failure.code !== 'E_LOCK_CEILING' && failure.code !== 'E_LOCK_DROPPED') this.#vaults.delete(name);
    }
  }

  async #step(step: PruneStep): Promise<void> {
    await this.#deps.steps?.(step);
  }
}
