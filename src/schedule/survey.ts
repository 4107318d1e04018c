// How all shops stand, kept up to date in memory by looking at one after the other: what metrics and notifications are told from.
import { levels } from '../billing/level.ts';
import type { Catalog } from '../catalog/open.ts';
import { type Clock, nextTurn } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError, type CoffreError } from '../errors.ts';
import type { RunFeed } from './feed.ts';
import type { ShopStatus } from './status.ts';
import type { StatusBoard } from './status-board.ts';

/** Of one snapshot, bytes and milliseconds. */
export interface SnapshotFigures {
  readonly plainBytes: number;
  readonly storedBytes: number;
  readonly freshBytes: number;
  readonly durationMs: number;
}

/** What is known of one shop. Its status is the one of `coffre status`: there is no other opinion on what is red. */
export interface ShopSurvey {
  readonly shop: string;
  /** Epoch milliseconds of the look. */
  readonly at: number;
  /** null: it could not be read; `error` says why. */
  readonly status: ShopStatus | null;
  readonly error: CoffreError | null;
  /** By id: of the newest good snapshot of each source. */
  readonly snapshots: ReadonlyMap<string, SnapshotFigures>;
  /** Bytes by vault, as the ledger has them. */
  readonly levels: ReadonlyMap<string, number>;
}

export interface SurveyOptions {
  /** What is in force; a reload puts another one in its place. */
  readonly config: () => Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly feed: Pick<RunFeed, 'subscribe'>;
  readonly board: Pick<StatusBoard, 'read'>;
}

/** A shop of which nothing happened here is looked at this often: other processes write too, and what is due comes with time. */
const EVERY_MS = 300_000;
/** After a look the thread is left to others for so many times as long as the look took. */
const REST_FACTOR = 4;
const LONGEST_REST_MS = 1000;
/** While nothing is to be looked at. */
const IDLE_MS = 1000;

export class Survey {
  readonly #options: SurveyOptions;
  readonly #shops = new Map<string, ShopSurvey>();
  readonly #stale = new Set<string>();

  constructor(options: SurveyOptions) {
    this.#options = options;
  }

  /** Each declared shop as last seen, in the order of the configuration; a shop that was not looked at yet is not in it. */
  shops(): readonly ShopSurvey[] {
    return [...this.#options.config().shops.keys()].flatMap((name) => this.#shops.get(name) ?? []);
  }

  /** Whether every declared shop was looked at since the start. */
  get isComplete(): boolean {
    return [...this.#options.config().shops.keys()].every((name) => this.#shops.has(name));
  }

  /** Looks until `signal` aborts. Never throws: what cannot be read is kept as unknown. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, config, feed } = this.#options;
    using ended = feed.subscribe({ filter: (event) => event.type === 'ended' });
    const onAbort = (): void => ended.close();
    signal.addEventListener('abort', onAbort);
    const listening = this.#listen(ended);
    try {
      while (!signal.aborted) {
        const name = this.#next();
        if (name === null) {
          await clock.sleep(IDLE_MS, signal).catch(() => {});
          continue;
        }
        const startedMs = clock.monotonicMs();
        await this.#look(config(), name);
        const tookMs = clock.monotonicMs() - startedMs;
        await nextTurn();
        // the first time through there is nothing to tell from yet: sooner, and still not alone
        const rest = this.isComplete ? REST_FACTOR : 1;
        await clock.sleep(Math.min(LONGEST_REST_MS, tookMs * rest), signal).catch(() => {});
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      ended.close();
      await listening;
    }
  }

  /** Looks at every declared shop now, one after the other. */
  async look(): Promise<void> {
    const config = this.#options.config();
    for (const name of config.shops.keys()) {
      await this.#look(config, name);
      await nextTurn();
    }
  }

  async #listen(ended: AsyncIterable<{ readonly shop: string }>): Promise<void> {
    for await (const { shop } of ended) {
      if (this.#options.config().shops.has(shop)) this.#stale.add(shop);
      // what the daemon does for itself (probes, checkpoints) concerns them all
      else for (const name of this.#shops.keys()) this.#stale.add(name);
    }
  }

  /** What was never looked at, then what something happened to, then what was not looked at for longest. */
  #next(): string | null {
    const config = this.#options.config();
    for (const name of this.#shops.keys()) if (!config.shops.has(name)) this.#shops.delete(name);
    for (const name of config.shops.keys()) if (!this.#shops.has(name)) return name;
    for (const name of this.#stale) {
      this.#stale.delete(name);
      if (config.shops.has(name)) return name;
    }
    const nowMs = this.#options.clock.nowMs();
    let oldest: ShopSurvey | null = null;
    for (const seen of this.#shops.values()) if (oldest === null || seen.at < oldest.at) oldest = seen;
    // an instant ahead of the clock: it was set back
    return oldest !== null && (nowMs - oldest.at >= EVERY_MS || oldest.at > nowMs) ? oldest.shop : null;
  }

  async #look(config: Config, name: string): Promise<void> {
    const { board, catalog, clock } = this.#options;
    const shop = config.shops.get(name);
    if (!shop) return;
    const at = clock.nowMs();
    try {
      const status = await board.read(shop, at);
      const ids = status.sources.flatMap(({ newestGood }) => newestGood?.id ?? []);
      const rows = await catalog.db
        .selectFrom('snapshots')
        .select(['id', 'plainBytes', 'storedBytes', 'freshBytes', 'durationMs'])
        .where('id', 'in', ids)
        .execute();
      const held = new Map<string, number>();
      for (const vault of config.vaults.keys()) {
        for (const { levelBytes } of await levels(catalog, { vault, shop: name })) held.set(vault, levelBytes);
      }
      this.#shops.set(name, { shop: name, at, status, error: null, snapshots: new Map(rows.map((row) => [row.id, row])), levels: held });
    } catch (error) {
      this.#shops.set(name, { shop: name, at, status: null, error: asCoffreError(error), snapshots: new Map(), levels: new Map() });
    }
  }
}
