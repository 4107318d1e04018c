// One run of one source, readable top to bottom in crash order: what a crash leaves behind is said at each step.
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { Ledger } from '../billing/ledger.ts';
import { recordGap } from '../catalog/gaps.ts';
import type { Catalog } from '../catalog/open.ts';
import { recordStep } from '../catalog/run-queue.ts';
import { endedBy, finishRun, markInterrupted, startRun } from '../catalog/runs.ts';
import { noteFacts } from '../catalog/shop-facts.ts';
import { lockShop } from '../catalog/shop-lock.ts';
import { listSnapshots, recordSnapshot } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { EventFields } from '../events.ts';
import { capped, type LockNeed } from '../retention/horizon.ts';
import { provisionalLockMs } from '../retention/margins.ts';
import { newId } from '../segment/id.ts';
import type { Source, SourceKind } from '../source/source.ts';
import type { Lock, Vault } from '../vault/vault.ts';
import { admitVaults, type OpenVault } from './admit.ts';
import { type CommittedCopy, storeManifest } from './commit.ts';
import { planHorizons, reuseMaxAgeMs } from './horizons.ts';
import { lockSegments } from './locks.ts';
import type { RunLog } from './log.ts';
import { type MemoryBudget, memoryNow } from './memory.ts';
import { openReading, packReading } from './pack-reading.ts';
import type { OnProgress } from './progress.ts';
import { chooseReuse, confirmCopies, type ReuseBase } from './reuse.ts';
import { sealIndex } from './seal-index.ts';
import { factsOfBackup } from './shop-facts.ts';
import { openShopKeys, storeIdentity } from './shop-keys.ts';
import { requireOpen } from './shop-open.ts';
import { type SnapshotResult, shortfallOf } from './snapshot-result.ts';
import { indexCopyPath, journalPath, runDir, scratchPath } from './state-files.ts';
import { type RunSegment, sealedTo } from './store-part.ts';
import { sweepCopies, sweepRunDirs } from './sweep.ts';
import { VaultSet } from './vault-set.ts';

export interface BackupDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly openVault: OpenVault;
  readonly openSource: (shop: ShopConfig, kind: SourceKind) => Promise<Source>;
  readonly log: RunLog;
  readonly onProgress: OnProgress;
  /** Told of each step as it begins: open, read, lock, commit. */
  readonly onStep?: (step: string) => void;
  /** Of the whole process. */
  readonly memory: MemoryBudget;
  /** Names and versions of what took part, for the manifest. */
  readonly tools: Readonly<Record<string, string>>;
}

export interface BackupRequest {
  readonly shop: ShopConfig;
  readonly source: SourceKind;
  /** Read everything, whatever was stored before. */
  readonly full: boolean;
  /** The state before a restore in place: nobody who asks for the newest means it. Left out: a backup. */
  readonly purpose?: 'safety' | undefined;
  /** Of the run that is queued for this; a new one when left out. */
  readonly runId?: string | undefined;
  /** Who asked for it. */
  readonly who?: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Takes one snapshot of one source of one shop. The result may be incomplete (something unreadable) or degraded (a vault
 * left the run): it says so, and the caller must make that visible. Throws when there is no snapshot at all.
 */
export async function backupSource(deps: BackupDeps, request: BackupRequest): Promise<SnapshotResult> {
  const { catalog, config } = deps;
  const { shop } = request;
  // Nobody else writes, prunes or resolves for this shop meanwhile; the operating system frees the lock when we die.
  const lock = await lockShop(catalog.stateDir, deps.clock, shop.name, `a backup of ${request.source}`, config.timezone);
  const runId = request.runId ?? newId(deps.clock);
  const opened: Vault[] = [];
  try {
    await requireOpen(catalog, deps.clock, shop.name);
    // Runs of this shop that claim to be running are dead, since we hold the lock.
    await markInterrupted(catalog, deps.clock, shop.name);
    await startRun(catalog, deps.clock, { id: runId, kind: 'backup', shop: shop.name, source: request.source, who: request.who });
    deps.log.info({ run: runId, shop: shop.name, source: request.source, event: 'run.started' }, 'backup started');
    try {
      const result = await withinDeadline(deps, request, (signal) => takeSnapshot(deps, { ...request, signal }, runId, opened));
      const shortfall = shortfallOf(shop.name, result);
      await finishRun(catalog, deps.clock, runId, shortfall ? 'failed' : 'done', shortfall, result);
      await rm(runDir(catalog.stateDir, runId), { recursive: true, force: true });
      await sweepRunDirs(
        catalog,
        deps.clock.nowMs() - provisionalLockMs(config.limits.runDeadlineMs, shop.plan.retentionMs),
        result.adoptedRuns,
      );
      await sweepCopies(catalog, shop.name);
      deps.log.debug({ run: runId, shop: shop.name, source: request.source, event: 'run.memory', ...memoryNow(deps.memory) }, 'memory');
      deps.log.info({ run: runId, shop: shop.name, source: request.source, event: 'run.done', snapshot: result.id }, 'backup done');
      return result;
    } catch (error) {
      const failure = asCoffreError(error);
      // What was stored stays, with the journal, for the next run to adopt; provisional locks end by themselves.
      await finishRun(catalog, deps.clock, runId, 'failed', failure).catch(() => {});
      await rm(scratchPath(catalog.stateDir, runId), { recursive: true, force: true });
      tellEnd(deps.log, { run: runId, shop: shop.name, source: request.source, code: failure.code }, failure);
      throw failure;
    }
  } finally {
    for (const vault of opened) await vault.close().catch(() => {});
    lock.release();
  }
}

/** Being told to stop is no failure: the next run takes up what was stored. */
function tellEnd(log: RunLog, told: EventFields<'run.failed'>, failure: CoffreError): void {
  const end = endedBy(failure);
  if (end === 'interrupted') log.info({ ...told, event: 'run.interrupted' }, failure.message);
  else if (end === 'cancelled') log.info({ ...told, event: 'run.cancelled' }, failure.message);
  else log.error({ ...told, event: 'run.failed' }, failure.message);
}

/**
 * Stops the work at limits.runDeadline, or when the caller says so, and waits until it has really stopped: nothing of this run may
 * still write when the shop's lock is let go. Every step obeys the signal or has a deadline of its own; only a thread that hangs in the
 * kernel over the shop's files is left behind (E_FILES_STUCK): it reads, and would write nothing but its own scratch file, which is gone.
 */
async function withinDeadline<T>(deps: BackupDeps, request: BackupRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new AbortController();
  const timer = deps.clock.after(deps.config.limits.runDeadlineMs, () =>
    limit.abort(new CoffreError('E_DEADLINE', `${request.shop.name}: the ${request.source} backup took longer than limits.runDeadline`)),
  );
  const signal = AbortSignal.any([request.signal, limit.signal]);
  try {
    return await work(signal);
  } catch (error) {
    // a thread that was left behind is worse news than why the run was stopped
    if (error instanceof CoffreError && error.code === 'E_FILES_STUCK') throw error;
    throw signal.aborted ? signal.reason : error;
  } finally {
    timer.cancel();
  }
}

async function takeSnapshot(deps: BackupDeps, request: BackupRequest, runId: string, opened: Vault[]): Promise<SnapshotResult> {
  const { catalog, clock, config } = deps;
  const { shop, source } = request;
  const startedMs = clock.monotonicMs();
  const startedAt = clock.now();
  const ledger = new Ledger(catalog, clock);
  const stop = new AbortController();
  const signal = AbortSignal.any([request.signal, stop.signal]);
  const tell = { run: runId, shop: shop.name, source };
  let steps = 0;
  const begin = async (step: 'open' | 'read' | 'lock' | 'commit'): Promise<void> => {
    await recordStep(catalog, { runId, seq: ++steps, step, at: clock.nowMs() });
    deps.onStep?.(step);
  };
  await begin('open');

  // 1. Keys first: without recipient or signing key nothing may be written.
  const keys = await openShopKeys(config, shop.name);
  const [last] = await listSnapshots(catalog, { shop: shop.name, source });

  // 2. The source may begin to look while the vaults are asked; it holds nothing of the shop until it hears what may be reused.
  const mode = reuseMode(request);
  const previous = Promise.withResolvers<ReuseBase['previous']>();
  await mkdir(runDir(catalog.stateDir, runId), { recursive: true, mode: 0o700 });
  const opener = await deps.openSource(shop, source);
  const reading = openReading(opener, catalog.stateDir, runId, {
    signal,
    previous: previous.promise,
    reread: mode === 'reread',
  });
  // told once it is awaited, or not at all when no vault is left
  reading.catch(() => {});
  previous.promise.catch(() => {});

  // 3. Vaults that answer, whose clock agrees and whose locks are proven; the others leave the run.
  const vaults = new VaultSet(shop.vaults, (vault, error) =>
    deps.log.error({ ...tell, event: 'vault.left', vault, code: error.code }, error.message),
  );
  const provisionalMs = provisionalLockMs(config.limits.runDeadlineMs, shop.plan.retentionMs);
  // Whatever can refuse the run does so in here: afterwards the source holds locks of the shop, and only the reading lets go of them.
  const findReusable = async () => {
    await admitVaults(deps, ledger, vaults, opened, signal);
    await vaults.each(signal, (vault) => ledger.resolveIntents(vault, shop.name, { signal }));

    // 4. What may be reused is pinned in the transaction that chooses it: prune leaves it alone from here on.
    const rules = {
      shop: shop.name,
      source,
      runId,
      mode,
      vaults: vaults.active.map((vault) => vault.name),
      sealedTo: sealedTo(keys.to),
      nowMs: clock.nowMs(),
      maxAgeMs: reuseMaxAgeMs(config, shop, source),
      adoptWithinMs: provisionalMs,
    } as const;
    const choice = await chooseReuse(catalog, rules);
    if (choice.passedOver !== null) deps.log.warn({ ...tell, event: 'snapshot.passed-over' }, choice.passedOver);
    const reuse = await confirmCopies(catalog, rules, choice, vaults, signal, (vault, key) =>
      deps.log.error({ ...tell, event: 'segment.missing', vault, key }, 'a stored segment is gone from its vault: it is stored anew'),
    );
    await begin('read');
    return { reuse, shopEndsAt: await requireOpen(catalog, clock, shop.name) };
  };
  const { reuse, shopEndsAt } = await findReusable().catch(async (error: unknown) => {
    previous.reject(error);
    await reading.then((opened) => opened.close()).catch(() => {});
    throw error;
  });
  previous.resolve(reuse.previous);

  // 5. Read, seal, store: each segment durable in every vault under a provisional lock, then its lines in the journal.
  //    A crash leaves objects whose locks end soon, and a journal that names only what is stored.
  const { packed, summary, asOf } = await packReading(
    {
      catalog,
      ledger,
      clock,
      shop: shop.name,
      source,
      runId,
      to: keys.to,
      vaults,
      vaultDeadlineMs: config.limits.vaultDeadlineMs,
      reuse,
      memory: deps.memory.share(),
      provisionalUntil: capped(startedAt.add({ milliseconds: provisionalMs }), shopEndsAt),
      lastPlainBytes: last?.plainBytes ?? null,
      signal,
      abort: (reason) => stop.abort(asCoffreError(reason)),
      onProgress: deps.onProgress,
      onStored: (segment) =>
        deps.log.debug({ ...tell, event: 'segment.stored', segment: segment.row.id, bytes: segment.row.storedBytes }, segment.row.name),
      onReadAgain: (error, attempt) =>
        deps.log.warn({ ...tell, event: 'snapshot.redone', attempt, code: error.code }, `${error.message}: reading it all again`),
    },
    opener,
    reading,
  );
  if (packed.segments.length === 0) throw new CoffreError('E_INTERNAL', `${shop.name}: the ${source} source gave nothing`);

  // 6. The horizon. A crash here leaves longer locks on segments that no manifest names: they go when those end.
  const completedAt = clock.now();
  // asked once more: a shop that was suspended or erased meanwhile gets no snapshot, one that closes no lock beyond its end
  const endsAt = await requireOpen(catalog, clock, shop.name);
  await begin('lock');
  const horizons = planHorizons(config, shop, source, completedAt, endsAt, mode !== 'increment');
  // what a cut-off run stored was never used: to take it up is to store it
  const isOwn = (segment: RunSegment): boolean => segment.fresh || reuse.left.has(segment.row.id);
  const needOf = (segment: RunSegment): LockNeed => (isOwn(segment) ? horizons.own : horizons.reused(segment.row.createdAt));
  //    Meanwhile our own copy of the index is made, which is of no use before there is a snapshot.
  const indexCopy = indexCopyPath(catalog.stateDir, shop.name, runId);
  await mkdir(dirname(indexCopy), { recursive: true, mode: 0o700 });
  const sealing = sealIndex(journalPath(catalog.stateDir, runId), indexCopy, runDir(catalog.stateDir, runId), keys.to, signal);
  deps.log.debug({ ...tell, event: 'lock.started', segments: packed.segments.length }, 'extending locks');
  const locking = vaults.each(signal, async (vault, vaultSignal) => {
    const { vaultDeadlineMs } = config.limits;
    await lockSegments({ ledger, clock, vaultDeadlineMs, signal: vaultSignal }, vault, packed.segments, needOf);
    await storeIdentity(deps, ledger, vault, keys, { shop: shop.name, runId, until: horizons.snapshotUntil, signal: vaultSignal });
  });
  // both are waited for, whichever fails: nothing of a run goes on after it
  await Promise.allSettled([sealing, locking]);
  await locking;
  deps.log.debug({ ...tell, event: 'lock.done' }, 'locks read back');

  // 7. Per vault: index, manifest, catalog row. Only the row makes it a snapshot there.
  const sealedIndex = await sealing;
  await begin('commit');
  const full = packed.segments.every(isOwn);
  const freshStored = sum(packed.segments.filter((segment) => segment.fresh).map((segment) => segment.row.storedBytes));
  const allStored = sum(packed.segments.map((segment) => segment.row.storedBytes));
  const copies: CommittedCopy[] = [];
  const durationMs = (): number => Math.round(clock.monotonicMs() - startedMs);
  await vaults.each(signal, async (vault) => {
    const copy = await storeManifest(
      {
        catalog,
        ledger,
        clock,
        signal,
        runId,
        to: keys.to,
        signingKey: keys.signingKey,
        manifest: {
          format: 1,
          snapshot: runId,
          shop: shop.name,
          source,
          startedAt: startedAt.toString(),
          asOf: asOf.toString(),
          completedAt: completedAt.toString(),
          full,
          complete: summary.complete,
          ...(request.purpose ? { purpose: request.purpose } : {}),
          tools: deps.tools,
          ...(summary.server ? { server: summary.server } : {}),
          ...(summary.consistency ? { consistency: summary.consistency } : {}),
          counts: summary.counts,
          warnings: summary.warnings,
          encryption: keys.identity === null ? 'none' : { recipient: keys.identity.recipient },
        },
        promisedUntil: horizons.promisedUntil,
        horizon: horizons.snapshotUntil,
        segments: packed.segments,
        index: { ...sealedIndex, entries: packed.indexEntries },
      },
      vault,
    );
    signal.throwIfAborted();
    deps.log.debug({ ...tell, event: 'manifest.stored', vault: vault.name }, 'manifest stored');
    await recordSnapshot(catalog, {
      snapshot: {
        id: runId,
        shop: shop.name,
        source,
        runId,
        startedAt: startedAt.epochMilliseconds,
        asOf: asOf.epochMilliseconds,
        completedAt: completedAt.epochMilliseconds,
        full: full ? 1 : 0,
        complete: summary.complete ? 1 : 0,
        purpose: request.purpose ?? null,
        state: 'committed',
        keepUntil: horizons.promisedUntil.epochMilliseconds,
        plainBytes: packed.plainBytes,
        storedBytes: allStored + copy.manifestBytes,
        freshBytes: freshStored + copy.manifestBytes,
        segments: packed.segments.length,
        reusedSegments: packed.segments.filter((segment) => !segment.fresh).length,
        counts: JSON.stringify(summary.counts),
        warnings: JSON.stringify(summary.warnings),
        consistency: summary.consistency ? JSON.stringify(summary.consistency) : null,
        requiredVaults: JSON.stringify(shop.vaults),
        durationMs: durationMs(),
      },
      segments: packed.segments.map((segment, seq) => ({
        segmentId: segment.row.id,
        seq,
        partial: segment.partial ? 1 : 0,
        liveBytes: segment.row.phase === 'files' ? segment.liveBytes : null,
      })),
      copy: {
        snapshotId: runId,
        vault: vault.name,
        committedAt: copy.committedAt,
        manifestObject: copy.manifestObject,
        indexObject: copy.indexObject,
        verifiedAt: null,
        verifyError: null,
      },
    });
    copies.push(copy);
    deps.log.debug({ ...tell, event: 'vault.committed', vault: vault.name }, 'snapshot committed');
  });

  // Why the others lack it: a catch-up brings it there.
  for (const [vault, error] of vaults.left) await recordGap(catalog, { snapshotId: runId, vault, error, atMs: clock.nowMs() });

  await noteFacts(catalog, clock, shop.name, factsOfBackup(shop, deps.tools, summary.server));

  const held = strongestLock(copies);
  const firstCopy = copies[0] as CommittedCopy;
  return {
    id: runId,
    source,
    vaults: copies.map((copy) => copy.vault).sort(),
    segments: packed.segments.length,
    reusedSegments: packed.segments.filter((segment) => !segment.fresh).length,
    plainBytes: packed.plainBytes,
    storedBytes: allStored + firstCopy.manifestBytes,
    newBytes: freshStored + firstCopy.manifestBytes,
    ...(summary.counts.files === undefined ? {} : { files: summary.counts.files }),
    ...(summary.counts.tables === undefined ? {} : { tables: summary.counts.tables }),
    ...(summary.consistency ? { consistency: summary.consistency } : {}),
    lock: { mode: held.mode, retainUntil: held.retainUntil.toString(), verified: held.mode !== 'advisory' },
    durationMs: durationMs(),
    full,
    complete: summary.complete,
    adoptedRuns: reuse.interruptedRuns,
    warnings: summary.warnings,
    notes: reuse.passedOver === null ? [] : [reuse.passedOver],
    missing: [...vaults.left].map(([vault, error]) => ({ vault, code: error.code, message: error.message, hint: error.hint })),
  };
}

/** Files: a full follows the plan's `full`; without it what did not change is skipped. A database is always read whole. */
function reuseMode(request: BackupRequest): 'fresh' | 'reread' | 'increment' {
  if (!request.full) return 'increment';
  return request.source === 'database' ? 'fresh' : request.shop.plan.full;
}

/** The lock that protects: of the locked copies the one that lasts longest, else an advisory one. */
function strongestLock(copies: readonly CommittedCopy[]): Lock {
  const locks = copies.map((copy) => copy.lock);
  const real = locks.filter((lock) => lock.mode !== 'advisory');
  const [first, ...rest] = real.length > 0 ? real : locks;
  return rest.reduce((a, b) => (Temporal.Instant.compare(a.retainUntil, b.retainUntil) >= 0 ? a : b), first as Lock);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
