// How shops stand, as lists of them tell it: read from the catalog once, and told again for as long as nothing has changed it.
import { sql } from 'kysely';
import type { Catalog } from '../catalog/open.ts';
import { type Clock, nextTurn } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { disksUnder } from '../host/block-device.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import type { NewRunEvent } from './feed.ts';
import { readStatus } from './read-status.ts';
import type { ShopStatus } from './status.ts';

export interface StatusBoardOptions {
  /** What is in force; a reload puts another one in its place. */
  readonly config: () => Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/** What is red because time goes by is red so much later at most, and ages are so much too small. */
const KEPT_MS = 60_000;
/** Disks are added and mounted seldom. */
const DISKS_KEPT_MS = 60_000;
/** As long as one look takes nobody else is answered: others have their turn after so much of it. */
const TURN_MS = 8;

/** Of one reading. */
interface Kept {
  readonly status: ShopStatus;
  readonly config: Config;
  readonly atMs: number;
  readonly changes: string;
}

export class StatusBoard {
  readonly #options: StatusBoardOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #disks = new Map<string, { readonly atMs: number; readonly names: Promise<ReadonlySet<string>> }>();
  /** By shop: how often something of it changed here. */
  readonly #changes = new Map<string, number>();
  #changesOfAll = 0;

  constructor(options: StatusBoardOptions) {
    this.#options = options;
  }

  /** Something was changed here, by other means than a run. */
  changed(): void {
    this.#changesOfAll++;
  }

  /** A run went on: what it has done is in the catalog. */
  happened({ shop, type }: Pick<NewRunEvent, 'shop' | 'type'>): void {
    if (type === 'progress') return;
    if (shop === DAEMON_SHOP) this.#changesOfAll++;
    else this.#changes.set(shop, (this.#changes.get(shop) ?? 0) + 1);
  }

  /** As it is at `nowMs`. */
  async read(shop: ShopConfig, nowMs: number): Promise<ShopStatus> {
    return await this.#read(shop, await this.#foreignChanges(), nowMs);
  }

  /** Of each, in their order: as it is now, but for what only time has changed within a minute. */
  async of(shops: readonly ShopConfig[]): Promise<ShopStatus[]> {
    const { clock, config } = this.#options;
    const foreign = await this.#foreignChanges();
    const statuses: ShopStatus[] = [];
    let turnMs = clock.monotonicMs();
    for (const shop of shops) {
      const kept = this.#kept.get(shop.name);
      const isSame = kept?.config === config() && kept.changes === this.#changesOf(shop.name, foreign);
      const nowMs = clock.monotonicMs();
      if (kept && isSame && nowMs - kept.atMs < KEPT_MS) {
        statuses.push(kept.status);
        continue;
      }
      if (nowMs - turnMs > TURN_MS) {
        await nextTurn();
        turnMs = clock.monotonicMs();
      }
      statuses.push(await this.#read(shop, foreign, clock.nowMs()));
    }
    return statuses;
  }

  async #read(shop: ShopConfig, foreign: number, nowMs: number): Promise<ShopStatus> {
    const { catalog, clock } = this.#options;
    const config = this.#options.config();
    // before it is read: what changes meanwhile may not be in it
    const [atMs, changes] = [clock.monotonicMs(), this.#changesOf(shop.name, foreign)];
    const declared = config.shops.get(shop.name) ?? shop;
    const status = await readStatus(config, catalog, declared, nowMs, (path) => this.#disksUnder(path));
    if (this.#kept.size > config.shops.size) for (const name of this.#kept.keys()) if (!config.shops.has(name)) this.#kept.delete(name);
    this.#kept.set(shop.name, { status, config, atMs, changes });
    return status;
  }

  #changesOf(shop: string, foreign: number): string {
    return `${foreign} ${this.#changesOfAll} ${this.#changes.get(shop) ?? 0}`;
  }

  /** Rises whenever another process has written into the catalog. */
  async #foreignChanges(): Promise<number> {
    const { rows } = await sql<{ data_version: number }>`pragma data_version`.execute(this.#options.catalog.db);
    return rows[0]?.data_version ?? Number.NaN;
  }

  #disksUnder(path: string): Promise<ReadonlySet<string>> {
    const nowMs = this.#options.clock.monotonicMs();
    let known = this.#disks.get(path);
    if (known === undefined || nowMs - known.atMs >= DISKS_KEPT_MS) {
      known = { atMs: nowMs, names: disksUnder(path) };
      this.#disks.set(path, known);
    }
    return known.names;
  }
}
