// A shop's days in memory: backups and prunes as the daemon makes them, decided by the real rules (horizons, policy, lock needs, plan), on
// stores that enforce locks by a clock of their own. Rows are kept in maps instead of the catalog, so that a year takes seconds.
import { Temporal } from 'temporal-polyfill';
import { type Horizons, planHorizons, reuseMaxAgeMs } from '../../src/backup/horizons.ts';
import type { ShopLife } from '../../src/catalog/shop-life.ts';
import { ACTIVE } from '../../src/catalog/shop-life.ts';
import type { Config, PlanConfig, ShopConfig } from '../../src/config/config.ts';
import { CoffreError } from '../../src/errors.ts';
import { capped } from '../../src/retention/horizon.ts';
import { lockNeeds } from '../../src/retention/lock-needs.ts';
import { provisionalLockMs } from '../../src/retention/margins.ts';
import { type PlanObject, type PlanSnapshot, planPrune, STAGES } from '../../src/retention/plan.ts';
import { type Holds, isBackedUp, type PolicyRules } from '../../src/retention/policy.ts';
import type { FakeClock } from '../fake-clock.ts';
import type { MemoryVault } from '../vault/memory-vault.ts';

export interface LedgerRow {
  readonly at: number;
  readonly vault: string;
  readonly shop: string;
  readonly key: string;
  readonly versionId: string;
  readonly event: 'put' | 'release';
  readonly bytes: number;
}

export interface SimSnapshot extends PlanSnapshot {
  /** By the store's clock. */
  readonly trueCompletedAt: number;
  /** The plan's window when it was taken, or what a closing shop had left. */
  readonly windowMs: number;
  readonly segmentIds: readonly string[];
}

/** A store as one shop sees it. */
export interface SimStore {
  readonly vault: MemoryVault;
  /** Answers. */
  up: boolean;
}

export interface SimWorld {
  readonly config: Config;
  /** Of the stores: true time. */
  readonly clock: FakeClock;
  /** What the daemon's clock shows beyond true time. */
  skewMs: number;
  readonly ledger: LedgerRow[];
  nextId: number;
}

export interface Backup {
  readonly source: 'database' | 'files';
  readonly full: boolean;
  /** Bytes of each new segment. */
  readonly fresh: readonly number[];
  /** Which of the segments that may be reused are. */
  readonly reuses: (position: number) => boolean;
  readonly complete?: boolean;
  readonly dieAfter?: 'segments' | 'manifest';
}

interface Row extends PlanObject {
  /** Bytes are the store's. */
  readonly kind: 'segment' | 'index' | 'manifest' | 'key';
}

export class SimShop {
  readonly name: string;
  plan: PlanConfig;
  life: ShopLife = ACTIVE;
  readonly held = new Map<string, string>();
  shopHold: string | null = null;
  snapshots: SimSnapshot[] = [];
  readonly rows = new Map<number, Row>();
  readonly #world: SimWorld;
  readonly #shop: ShopConfig;
  readonly stores: readonly SimStore[];
  readonly #segmentsAt = new Map<string, number>();
  readonly #horizons = new Map<string, Horizons>();

  constructor(world: SimWorld, shop: ShopConfig, stores: readonly SimStore[]) {
    this.#world = world;
    this.#shop = shop;
    this.name = shop.name;
    this.plan = shop.plan;
    this.stores = stores;
  }

  get nowMs(): number {
    return this.#world.clock.nowMs() + this.#world.skewMs;
  }

  get #now(): Temporal.Instant {
    return Temporal.Instant.fromEpochMilliseconds(this.nowMs);
  }

  get rules(): PolicyRules {
    const holds: Holds = { shop: this.shopHold, snapshots: this.held };
    return { retentionMs: this.plan.retentionMs, life: this.life, holds };
  }

  /** Stores that answer. Throws E_CLOCK_SKEW when one of them contradicts our clock. */
  #answering(): SimStore[] {
    const up = this.stores.filter((store) => store.up);
    if (up.length > 0 && Math.abs(this.#world.skewMs) > this.#world.config.limits.clockSkewMs) {
      throw new CoffreError('E_CLOCK_SKEW', `off by ${this.#world.skewMs} ms`);
    }
    return up;
  }

  /** As src/backup/run.ts: null when the shop is not backed up, or no vault takes it. */
  async backup(order: Backup): Promise<SimSnapshot | null> {
    if (!isBackedUp(this.life, this.nowMs)) return null;
    const vaults = this.#answering().map((store) => store.vault);
    if (vaults.length === 0) return null;
    const { config, clock } = this.#world;
    const { source } = order;
    const runId = this.#id('r');
    const endsAt = this.life.endsAt === null ? null : Temporal.Instant.fromEpochMilliseconds(this.life.endsAt);
    const provisional = capped(
      this.#now.add({ milliseconds: provisionalLockMs(config.limits.runDeadlineMs, this.plan.retentionMs) }),
      endsAt,
    );
    const reused = order.full ? [] : this.#reusable(source, vaults).filter((_, position) => order.reuses(position));
    const fresh: string[] = [];
    for (const bytes of order.fresh) {
      const id = this.#id('g');
      fresh.push(id);
      this.#segmentsAt.set(id, this.nowMs);
      for (const vault of vaults) await this.#put(vault, 'segment', id, runId, bytes, provisional);
    }
    if (order.dieAfter === 'segments') return null;
    clock.advance(60_000);
    const completedAt = this.#now;
    const horizons = this.#planHorizons(source, completedAt, endsAt, order.full);
    const id = this.#id('s');
    const segmentIds = [...reused, ...fresh];
    const copies: { vault: string; manifestKey: string }[] = [];
    for (const vault of vaults) {
      for (const row of this.rows.values()) {
        if (row.kind !== 'segment' || row.vault !== vault.name || !segmentIds.includes(row.refId as string)) continue;
        const isFresh = fresh.includes(row.refId as string);
        const need = isFresh ? horizons.own : horizons.reused(this.#segmentsAt.get(row.refId as string) ?? 0);
        if ((row.retainUntil ?? 0) < need.atLeast.epochMilliseconds) await this.#extend(vault, row, need.extendTo.epochMilliseconds);
      }
      await this.#put(vault, 'index', id, runId, 1, horizons.snapshotUntil);
      copies.push({ vault: vault.name, manifestKey: await this.#put(vault, 'manifest', id, runId, 1, horizons.snapshotUntil) });
      await this.#keepKey(vault, runId, horizons.snapshotUntil.epochMilliseconds);
    }
    if (order.dieAfter === 'manifest') return null;
    const complete = order.complete !== false;
    const snapshot: SimSnapshot = {
      ...{ id, source, complete, segmentIds, copies, tombstone: false, good: complete && vaults.length === this.stores.length },
      ...{ completedAt: completedAt.epochMilliseconds, keepUntil: horizons.promisedUntil.epochMilliseconds },
      ...{
        trueCompletedAt: clock.nowMs(),
        windowMs: Math.min(this.plan.retentionMs, (this.life.endsAt ?? Number.POSITIVE_INFINITY) - clock.nowMs()),
      },
    };
    this.snapshots.push(snapshot);
    return snapshot;
  }

  /**
   * As src/retention/prune.ts. `lucky` false: this deletion fails; `cut` after so many deletions the process is killed. Gives the
   * number of deletions. Throws E_CLOCK_SKEW.
   */
  async prune(lucky: () => boolean = () => true, cut = Number.POSITIVE_INFINITY): Promise<number> {
    const vaults = new Map(this.#answering().map((store) => [store.vault.name, store.vault]));
    if (vaults.size === 0) return 0;
    const nowMs = this.nowMs;
    const needs = lockNeeds(this.snapshots, nowMs, this.rules);
    for (const { snapshot: id, needed, wanted } of needs) {
      const snapshot = this.snapshots.find((it) => it.id === id) as SimSnapshot;
      const refs = new Set([...snapshot.segmentIds, id]);
      for (const row of this.rows.values()) {
        const vault = vaults.get(row.vault);
        if (!vault || !refs.has(row.refId as string) || (row.retainUntil ?? 0) >= needed) continue;
        await this.#extend(vault, row, Math.min(wanted, nowMs + this.#world.config.limits.lockCeilingMs));
      }
      for (const { vault } of snapshot.copies) {
        const there = vaults.get(vault);
        if (there) await this.#keepKey(there, null, Math.min(wanted, nowMs + this.#world.config.limits.lockCeilingMs));
      }
    }
    let deletions = 0;
    const users = new Map<string, string[]>();
    for (const { id, segmentIds } of this.snapshots) {
      for (const ref of segmentIds) {
        const own = users.get(ref);
        if (own) own.push(id);
        else users.set(ref, [id]);
      }
    }
    for (const stage of STAGES) {
      const facts = { nowMs, ...this.rules, snapshots: this.snapshots, objects: [...this.rows.values()], users };
      const plan = planPrune({ ...facts, pins: new Map(), aliveRuns: new Set() }, false);
      if (plan.going.size > 0) {
        this.snapshots = this.snapshots.map((it) =>
          plan.going.has(it.id) && !it.tombstone ? { ...it, tombstone: true, good: false } : it,
        );
      }
      for (const verdict of plan.verdicts) {
        if (verdict.fate !== 'goes' || verdict.stage !== stage) continue;
        const row = verdict.object as Row;
        this.rows.set(row.id, { ...row, tombstone: true });
        const vault = vaults.get(row.vault);
        if (!vault || !lucky()) continue;
        if (deletions++ >= cut) return deletions;
        await this.#delete(vault, row);
      }
    }
    const held = new Set([...this.rows.values()].map((row) => row.refId));
    this.snapshots = this.snapshots.filter((it) => !it.tombstone || held.has(it.id));
    return deletions;
  }

  /** Bytes of this shop in all vaults, by its rows. */
  get levelBytes(): number {
    let sum = 0;
    for (const row of this.rows.values()) sum += row.sizeBytes;
    return sum;
  }

  #id(prefix: string): string {
    return `${prefix}${(this.#world.nextId++).toString().padStart(9, '0')}`;
  }

  #reusable(source: 'database' | 'files', vaults: readonly MemoryVault[]): string[] {
    const names = vaults.map((vault) => vault.name);
    const base = this.snapshots.findLast(
      (it) => it.source === source && !it.tombstone && names.every((name) => it.copies.some((copy) => copy.vault === name)),
    );
    if (!base) return [];
    const there = new Set<string>();
    for (const row of this.rows.values()) if (row.kind === 'segment' && !row.tombstone) there.add(`${row.vault} ${row.refId}`);
    const maxAgeMs = reuseMaxAgeMs(this.#world.config, { plan: this.plan }, source);
    return base.segmentIds.filter((ref) => {
      const createdAt = this.#segmentsAt.get(ref) ?? 0;
      return createdAt >= this.nowMs - maxAgeMs && createdAt <= this.nowMs && names.every((name) => there.has(`${name} ${ref}`));
    });
  }

  /** The schedule's part of it changes with the hour at most: cron expressions are what takes time here. */
  #planHorizons(source: 'database' | 'files', completedAt: Temporal.Instant, endsAt: Temporal.Instant | null, full: boolean): Horizons {
    const name = `${source} ${completedAt} ${this.plan.name} ${endsAt} ${full}`;
    let known = this.#horizons.get(name);
    if (!known) {
      known = planHorizons(this.#world.config, { ...this.#shop, plan: this.plan }, source, completedAt, endsAt, full);
      this.#horizons.clear();
      this.#horizons.set(name, known);
    }
    return known;
  }

  async #put(vault: MemoryVault, kind: Row['kind'], refId: string, runId: string, bytes: number, until: Temporal.Instant): Promise<string> {
    const key = `${this.name}/${kind}/${refId}`;
    const { versionId, lock } = await vault.put({ key, body: Buffer.alloc(bytes), retainUntil: until });
    const id = this.#world.nextId++;
    const retainUntil = lock?.retainUntil.epochMilliseconds ?? null;
    const row: Row = {
      id,
      vault: vault.name,
      key,
      versionId,
      kind,
      refId,
      runId,
      tombstone: false,
      sizeBytes: bytes,
      retainUntil,
      createdAt: this.nowMs,
    };
    this.rows.set(id, row);
    this.#book(row, 'put', bytes);
    return key;
  }

  async #extend(vault: MemoryVault, row: Row, untilMs: number): Promise<void> {
    const lock = await vault.extendLock(row.key, row.versionId, Temporal.Instant.fromEpochMilliseconds(untilMs));
    this.rows.set(row.id, { ...row, retainUntil: lock.retainUntil.epochMilliseconds });
  }

  /** The identity outlasts what it opens. */
  async #keepKey(vault: MemoryVault, runId: string | null, untilMs: number): Promise<void> {
    let longest = untilMs;
    let own: Row | undefined;
    for (const row of this.rows.values()) {
      if (row.vault !== vault.name) continue;
      if (row.kind === 'key') own = row;
      else longest = Math.max(longest, row.retainUntil ?? 0);
    }
    if (own && (own.retainUntil ?? 0) < longest) await this.#extend(vault, own, longest);
    if (!own && runId) await this.#put(vault, 'key', this.name, runId, 1, Temporal.Instant.fromEpochMilliseconds(longest));
  }

  async #delete(vault: MemoryVault, row: Row): Promise<void> {
    try {
      await vault.deleteVersion(row.key, row.versionId);
    } catch (error) {
      // within the skew that is allowed, the store's clock may be behind ours
      const lock = (await vault.stat(row.key, row.versionId))?.lock;
      if (!(error instanceof CoffreError) || error.code !== 'E_LOCKED' || !lock) throw error;
      const late = lock.retainUntil.epochMilliseconds - this.#world.clock.nowMs();
      if (late > this.#world.config.limits.clockSkewMs) throw new Error(`${row.key} was to be deleted ${late} ms before its lock ends`);
      return;
    }
    this.rows.delete(row.id);
    this.#book(row, 'release', -row.sizeBytes);
  }

  #book({ vault, key, versionId }: Row, event: LedgerRow['event'], bytes: number): void {
    // as the ledger: its time does not go back
    const at = Math.max(this.nowMs, this.#world.ledger.at(-1)?.at ?? 0);
    this.#world.ledger.push({ at, vault, shop: this.name, key, versionId, event, bytes });
  }
}
