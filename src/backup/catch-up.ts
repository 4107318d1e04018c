// Catch-up: brings a shop's snapshots into the vaults that lack them, newest first, from the vaults that have them.
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { Ledger } from '../billing/ledger.ts';
import { audit } from '../catalog/audit.ts';
import { recordGap } from '../catalog/gaps.ts';
import type { Catalog } from '../catalog/open.ts';
import { markInterrupted, recordRun } from '../catalog/runs.ts';
import { readLife } from '../catalog/shop-life.ts';
import { lockShop } from '../catalog/shop-lock.ts';
import { lastNeeds, objectsOf, snapshotSegments } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../errors.ts';
import { once } from '../restore/execute.ts';
import type { Problem } from '../restore/fetch.ts';
import { trustedKeys } from '../restore/keys.ts';
import { listShop } from '../restore/verify.ts';
import type { LockNeed } from '../retention/horizon.ts';
import { lifeEnd } from '../retention/policy.ts';
import { newId } from '../segment/id.ts';
import { inParallel } from '../vault/in-parallel.ts';
import type { Vault } from '../vault/vault.ts';
import { admitVault, type OpenVault } from './admit.ts';
import type { CatchUpPlan, Gap } from './catch-up-plan.ts';
import { type CatchUpResult, type CopiedSnapshot, catchUpShortfall, lackingSegments, readCatchUpPlan } from './catch-up-result.ts';
import { commitCopy, readManifestCopy, refuseUnknownManifest } from './commit-copy.ts';
import { type CopyLockRules, copyLock, longer } from './copy-lock.ts';
import { CopySources, NoSoundCopy } from './copy-sources.ts';
import type { RunLog } from './log.ts';
import type { MemoryBudget } from './memory.ts';
import { type Give, type PlaceContext, type PlacedObject, placeObject } from './place-object.ts';
import { openShopKeys, type ShopKeys, storeIdentity } from './shop-keys.ts';
import { catchUpPath } from './state-files.ts';

/** Objects on their way into one vault at once; memory bounds them further. */
const COPIES_IN_FLIGHT = 4;

export interface CatchUpDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly openVault: OpenVault;
  readonly log: RunLog;
  /** Of the whole process. */
  readonly memory: MemoryBudget;
  readonly onProgress?: (progress: CatchUpProgress) => void;
}

export interface CatchUpProgress {
  readonly shop: string;
  readonly vault: string;
  readonly snapshot: string;
  /** Stored bytes that are in place, and of all that is to be, over all vaults. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface CatchUpRequest {
  readonly shop: ShopConfig;
  /** Of the run that is queued for this; a new one when left out. */
  readonly runId?: string | undefined;
  /** Who asked for it. */
  readonly who?: string | undefined;
  readonly signal: AbortSignal;
}

/** Removes manifests on their way that came to nothing while their snapshot lasted, or that had arrived when their writer was killed. */
async function sweepPending(catalog: Catalog, shop: string, gaps: readonly Gap[]): Promise<void> {
  const open = new Set(gaps.map(({ snapshot, vault }) => `${snapshot.id}.${vault}`));
  const folder = dirname(catchUpPath(catalog.stateDir, 'x'));
  for (const name of await readdir(folder).catch(() => [])) {
    const row = await catalog.db
      .selectFrom('snapshots')
      .select(['shop', 'state'])
      .where('id', '=', name.split('.')[0] ?? '')
      .executeTakeFirst();
    // another shop's catch-up may be under way
    const isOver = row?.state !== 'committed' || (row.shop === shop && !open.has(name.replace(/\.[a-z]+$/, '')));
    if (isOver) await rm(join(folder, name), { force: true });
  }
}

/**
 * Catches one shop up while holding its lock, all vaults at once, each from the newest snapshot on. What cannot be brought to its place now is in
 * `left` and written down with its reason. Killed anywhere it is taken up by the next one: what had arrived is adopted.
 * Throws E_BUSY, E_STATE…, E_KEY and the signal's reason.
 */
export async function catchUpShop(deps: CatchUpDeps, request: CatchUpRequest): Promise<CatchUpResult> {
  const { catalog, clock } = deps;
  const { shop } = request;
  const lock = await lockShop(catalog.stateDir, clock, shop.name, 'a catch-up', deps.config.timezone);
  const runId = request.runId ?? newId(clock);
  try {
    await markInterrupted(catalog, clock, shop.name);
    const plan = await readCatchUpPlan(catalog, deps.config, shop, clock.nowMs());
    if (plan.gaps.length === 0) {
      await sweepPending(catalog, shop.name, []);
      return { shop: shop.name, dryRun: false, copied: [], left: [], passed: plan.passed, problems: [] };
    }
    const run = { id: runId, kind: 'catch-up', shop: shop.name, source: null, who: request.who } as const;
    const result = await recordRun(catalog, clock, run, async () => {
      const copied = await new CatchUp(deps, request, runId, plan).run();
      return { result: copied, failure: catchUpShortfall(copied) };
    });
    // what was damaged is evidence, mended or not
    if (result.problems.length > 0 || result.copied.some((copy) => copy.mended !== null)) {
      await audit(catalog, clock, { who: 'coffre', what: 'catch-up', shop: shop.name, detail: result });
    }
    return result;
  } finally {
    lock.release();
  }
}

class CatchUp {
  readonly #deps: CatchUpDeps;
  readonly #request: CatchUpRequest;
  readonly #runId: string;
  readonly #plan: CatchUpPlan;
  readonly #ledger: Ledger;
  readonly #copied: CopiedSnapshot[] = [];
  readonly #left: CatchUpResult['left'][number][] = [];
  readonly #problems: Problem[] = [];
  readonly #needs = new Map<string, LockNeed>();
  #doneBytes = 0;
  #totalBytes = 0;

  constructor(deps: CatchUpDeps, request: CatchUpRequest, runId: string, plan: CatchUpPlan) {
    this.#deps = deps;
    this.#request = request;
    this.#runId = runId;
    this.#plan = plan;
    this.#ledger = new Ledger(deps.catalog, deps.clock);
  }

  async run(): Promise<CatchUpResult> {
    const { catalog, clock, config, memory, openVault } = this.#deps;
    const { shop, signal } = this.#request;
    const { passed } = this.#plan;
    const keys = await openShopKeys(config, shop.name);
    const trusted = await trustedKeys(config);
    const nearestFirst = [...config.vaults.values()].sort((a, b) => Number(a.type === 's3') - Number(b.type === 's3'));
    // an object that many snapshots need is told of once
    const onProblem = once(this.#problems, ({ vault, key, code, message }) =>
      this.#deps.log.error({ ...this.#tell(), event: 'copy.damaged', vault, key, code }, message),
    );
    const sources = new CopySources({ catalog, openVault, vaults: nearestFirst, memory: memory.share(), signal, onProblem });
    let { gaps } = this.#plan;
    try {
      // What a round finds damaged on its way, in a source or beside what it mends, is the next one's.
      for (const tried = new Set<string>(); gaps.length > 0; ) {
        for (const gap of gaps) tried.add(nameOf(gap));
        await this.#prepare(gaps);
        const targets = [...new Set(gaps.map((gap) => gap.vault))];
        const own = (vault: string): readonly Gap[] => gaps.filter((gap) => gap.vault === vault);
        // a vault that is down does not hold the others up
        const settled = await Promise.allSettled(targets.map((vault) => this.#serve(vault, own(vault), sources, keys, trusted)));
        signal.throwIfAborted();
        for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
        const plan = await readCatchUpPlan(catalog, config, shop, clock.nowMs());
        gaps = plan.gaps.filter((gap) => !tried.has(nameOf(gap)));
      }
      await sweepPending(catalog, shop.name, this.#plan.gaps);
    } finally {
      await sources.close();
    }
    return { shop: shop.name, dryRun: false, copied: this.#copied, left: this.#left, passed, problems: this.#problems };
  }

  /** One vault, newest snapshot first. What is this vault's own fault ends it; what is one snapshot's leaves the older ones their turn. */
  async #serve(name: string, gaps: readonly Gap[], sources: CopySources, keys: ShopKeys, trusted: readonly string[]): Promise<void> {
    const { catalog, clock, log } = this.#deps;
    const { shop, signal } = this.#request;
    const opened: Vault[] = [];
    let at = 0;
    try {
      const vault = await admitVault(this.#deps, this.#ledger, name, opened, signal);
      await this.#ledger.resolveIntents(vault, shop.name, { signal });
      const place: PlaceContext = {
        ...{ catalog, ledger: this.#ledger, clock, shop: shop.name, runId: this.#runId, vault, signal },
        listing: await listShop(vault, shop.name),
      };
      const placed = new Map<string, PlacedObject>();
      for (; at < gaps.length; at++) {
        signal.throwIfAborted();
        const gap = gaps[at] as Gap;
        try {
          await this.#fill(gap, place, placed, sources, keys, trusted);
        } catch (error) {
          if (signal.aborted) throw error;
          const failure = asCoffreError(error, 'E_VAULT_IO', name);
          if (!isSnapshotsOwn(failure)) throw failure;
          await this.#leave(gap, failure);
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      const failure = asCoffreError(error, 'E_VAULT_IO', name);
      log.error({ ...this.#tell(), event: 'vault.left', vault: name, code: failure.code }, failure.message);
      for (const gap of gaps.slice(at)) await this.#leave(gap, failure);
    } finally {
      for (const vault of opened) await vault.close().catch(() => {});
    }
  }

  async #leave(gap: Gap, error: CoffreError): Promise<void> {
    const { catalog, clock } = this.#deps;
    const { vault, snapshot } = gap;
    this.#left.push({ snapshot: snapshot.id, vault, code: error.code, message: error.message, hint: error.hint });
    if (gap.damage === null) await recordGap(catalog, { snapshotId: snapshot.id, vault, error, atMs: clock.nowMs() });
  }

  /** Segments, each durable and locked in the vault; the shop's identity; index; manifest; row. */
  async #fill(
    gap: Gap,
    place: PlaceContext,
    placed: Map<string, PlacedObject>,
    sources: CopySources,
    keys: ShopKeys,
    trusted: readonly string[],
  ): Promise<void> {
    const { catalog, log } = this.#deps;
    const { shop, signal } = this.#request;
    const { snapshot } = gap;
    const { vault } = place;
    const need = copyLock(await this.#lockRules(), snapshot);
    const manifest = await readManifestCopy(catalog, snapshot, trusted);
    await refuseUnknownManifest(place, snapshot.id, manifest);
    const options = { readFirst: gap.damage === 'E_OBJECT_ALTERED' && !(await knowsWhich(catalog, gap)) };
    const own = new Map<string, PlacedObject>();
    await inParallel(manifest.segments, COPIES_IN_FLIGHT, async (segment) => {
      signal.throwIfAborted();
      const wanted = { ...segment, kind: 'segment' as const, refId: segment.id };
      const known = placed.get(segment.id);
      const give: Give = (store) => sources.give(vault.name, wanted, store);
      const it = known ?? (await placeObject(place, wanted, this.#needFor(segment.id, need), options, give));
      own.set(segment.id, it);
      placed.set(segment.id, { ...it, copied: false });
      if (it.copied && !known) this.#copiedSegment(gap, segment.key, it.sizeBytes);
    });
    await storeIdentity(this.#deps, this.#ledger, vault, keys, { shop: shop.name, runId: this.#runId, until: need.extendTo, signal });
    const { signingKey } = keys;
    const onManifest = (): void => log.debug({ ...this.#tell(), event: 'manifest.stored', vault: vault.name }, 'manifest stored');
    const committed = await commitCopy({ place, sources, snapshot, manifest, segments: own, need, options, signingKey, onManifest });
    const all = [...own.values(), committed.index, committed.manifest];
    const copies = all.filter((it) => it.copied);
    const first = all.reduce((a, b) => (Temporal.Instant.compare(a.lock.retainUntil, b.lock.retainUntil) <= 0 ? a : b));
    this.#copied.push({
      ...{ snapshot: snapshot.id, source: snapshot.source, vault: vault.name, mended: gap.damage },
      ...{ objects: copies.length, bytes: copies.reduce((sum, it) => sum + it.sizeBytes, 0), adopted: all.length - copies.length },
      lock: { mode: first.lock.mode, retainUntil: first.lock.retainUntil.toString() },
    });
    log.info({ ...this.#tell(), event: 'copy.made', vault: vault.name, snapshot: snapshot.id }, 'snapshot caught up');
  }

  /** How much there is to do; and until when each segment is locked, once for every snapshot that needs it, whichever of them brings it. */
  async #prepare(gaps: readonly Gap[]): Promise<void> {
    const { catalog } = this.#deps;
    for (const gap of gaps) for (const segment of await lackingSegments(catalog, gap)) this.#totalBytes += segment.storedBytes;
    const rules = await this.#lockRules();
    const ids = [...new Set(gaps.map((gap) => gap.snapshot.id))];
    for (const [id, last] of await lastNeeds(catalog, ids)) {
      const need = orNull(() => copyLock(rules, { id, completedAt: last - rules.retentionMs, keepUntil: last }));
      if (need) this.#needs.set(id, need);
    }
  }

  #needFor(segment: string, need: LockNeed): LockNeed {
    const last = this.#needs.get(segment);
    return last ? longer(last, need) : need;
  }

  async #lockRules(): Promise<CopyLockRules> {
    const { catalog, clock, config } = this.#deps;
    const { shop } = this.#request;
    const endsAt = lifeEnd(await readLife(catalog.db, shop.name));
    return { now: clock.now(), ceilingMs: config.limits.lockCeilingMs, retentionMs: shop.plan.retentionMs, endsAt };
  }

  #copiedSegment({ snapshot, vault }: Gap, key: string, bytes: number): void {
    this.#deps.log.debug({ ...this.#tell(), event: 'segment.copied', vault, bytes }, key);
    this.#doneBytes += bytes;
    const { doneBytes, totalBytes } = { doneBytes: this.#doneBytes, totalBytes: this.#totalBytes };
    this.#deps.onProgress?.({ shop: this.#request.shop.name, vault, snapshot: snapshot.id, doneBytes, totalBytes });
  }

  #tell() {
    return { run: this.#runId, shop: this.#request.shop.name };
  }
}

const SNAPSHOTS_OWN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'E_LOCK_CEILING',
  'E_STATE',
  'E_SIGNATURE',
  'E_FORMAT',
  'E_OBJECT_ALTERED',
  'E_VERSION_FOREIGN',
  'E_BUSY',
]);

/** Not the vault's fault: the next snapshot may fare better. */
function isSnapshotsOwn(error: CoffreError): boolean {
  return error instanceof NoSoundCopy || SNAPSHOTS_OWN.has(error.code);
}

const nameOf = (gap: Gap): string => `${gap.snapshot.id} ${gap.vault}`;

/** Whether the catalog says which of its objects in this vault are damaged; one that is gone shows in the listing. */
async function knowsWhich(catalog: Catalog, { snapshot, vault }: Gap): Promise<boolean> {
  const segments = (await snapshotSegments(catalog, snapshot.id)).map((segment) => segment.id);
  const rows = [
    ...(await objectsOf(catalog, vault, segments, 'segment')),
    ...(await objectsOf(catalog, vault, [snapshot.id], 'index')),
    ...(await objectsOf(catalog, vault, [snapshot.id], 'manifest')),
  ];
  return rows.some((row) => row.damage !== null) || rows.length < segments.length + 2;
}

function orNull<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof CoffreError) return null;
    throw error;
  }
}
