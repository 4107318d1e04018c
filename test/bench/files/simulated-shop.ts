// coffre looking after one shop through days that pass at once: the engine itself in this process, on a clock that can be set ahead.
import { Temporal } from 'temporal-polyfill';
import { MemoryBudget } from '../../../src/backup/memory.ts';
import { type BackupDeps, backupSource } from '../../../src/backup/run.ts';
import { shortfallOf } from '../../../src/backup/snapshot-result.ts';
import { pruneDeps, pruneTarget } from '../../../src/backup/upkeep-deps.ts';
import { type Catalog, openCatalog } from '../../../src/catalog/open.ts';
import { type Clock, systemClock } from '../../../src/clock.ts';
import type { Config, ShopConfig } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { localHost } from '../../../src/host/local.ts';
import { pruneShop } from '../../../src/retention/prune.ts';
import { pruneShortfall } from '../../../src/retention/result.ts';
import { FilesSource } from '../../../src/source/files/files-source.ts';
import { FilesystemVault } from '../../../src/vault/filesystem.ts';
import type { World } from '../../world/world.ts';

/** The system's clock, set ahead; its timers and durations are the system's. */
export class ClockAhead implements Clock {
  #aheadMs = 0;

  /** Not backwards: that would be another test. */
  goTo(instant: Temporal.Instant): void {
    this.#aheadMs = Math.max(this.#aheadMs, instant.epochMilliseconds - systemClock.nowMs());
  }

  now(): Temporal.Instant {
    return Temporal.Instant.fromEpochMilliseconds(this.nowMs());
  }

  nowMs(): number {
    return Math.round(systemClock.nowMs() + this.#aheadMs);
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  after(delayMs: number, callback: () => void, options?: { unref?: boolean }) {
    return systemClock.after(delayMs, callback, options);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(delayMs, signal);
  }
}

export class SimulatedShop {
  readonly #clock: ClockAhead;
  readonly #config: Config;
  readonly #shop: ShopConfig;
  readonly #catalog: Catalog;
  readonly #deps: BackupDeps;
  readonly #signal: AbortSignal;

  private constructor(world: World, clock: ClockAhead, config: Config, catalog: Catalog, signal: AbortSignal) {
    this.#clock = clock;
    this.#config = config;
    this.#shop = config.shops.get(world.shop) as ShopConfig;
    this.#catalog = catalog;
    this.#signal = signal;
    const quiet = (): void => {};
    this.#deps = {
      config,
      catalog,
      clock,
      openVault: async (vault) => {
        if (vault.type !== 'filesystem') throw new Error('a simulated shop has filesystem vaults alone: a store has a clock of its own');
        return new FilesystemVault(vault, clock);
      },
      openSource: async (shop) => {
        if (!shop.files) throw new Error(`${shop.name} has no files`);
        return new FilesSource(shop.files, localHost, clock);
      },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      onProgress: quiet,
      memory: MemoryBudget.forProcess(config.limits.memoryBytes, 1),
      tools: { coffre: 'bench' },
    };
  }

  static async open(world: World, clock: ClockAhead, signal: AbortSignal): Promise<SimulatedShop> {
    const config = loadConfig(world.configFile, {});
    return new SimulatedShop(world, clock, config, await openCatalog(config.stateDir), signal);
  }

  /** Throws when the snapshot is not good. */
  async backup(full: boolean): Promise<void> {
    const result = await backupSource(this.#deps, { shop: this.#shop, source: 'files', full, signal: this.#signal });
    const shortfall = shortfallOf(this.#shop.name, result);
    if (shortfall) throw shortfall;
  }

  /** Throws when anything was red. */
  async prune(): Promise<void> {
    const deps = pruneDeps(this.#config, this.#catalog, this.#clock, { openVault: this.#deps.openVault });
    const result = await pruneShop(deps, { ...pruneTarget(this.#config, this.#shop.name), who: 'bench', signal: this.#signal });
    const shortfall = pruneShortfall(result);
    if (shortfall) throw shortfall;
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }
}
