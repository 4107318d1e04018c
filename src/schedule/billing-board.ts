// What takes much reading of the ledger, for the daemon's doors: proofs, one at a time, and the forecast, made anew now and then.
import { type ProofResult, proveInVaults } from '../backup/prove-billing.ts';
import { prepareProofInThread, readForecastInThread } from '../billing/in-thread.ts';
import type { ProofRequest } from '../billing/prepare-proof.ts';
import { type Forecast, forecastRequest } from '../billing/read-forecast.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { Config, ContractConfig } from '../config/config.ts';
import type { Ports } from './work.ts';

export interface BillingBoardOptions {
  readonly config: () => Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly ports: Pick<Ports, 'openVault'>;
}

/** Nothing that a forecast is made of changes faster than this matters. */
const FORECAST_FOR_MS = 15 * 60_000;

export class BillingBoard {
  readonly #options: BillingBoardOptions;
  readonly #stop = new AbortController();
  #proving: Promise<unknown> = Promise.resolve();
  #forecast: { readonly atMs: number; readonly config: Config; readonly made: Promise<Forecast> } | null = null;

  constructor(options: BillingBoardOptions) {
    this.#options = options;
  }

  /** As `coffre billing prove`; one after the other, since each reads everything. Throws E_USAGE, E_KEY, E_STATE…. */
  prove(request: Omit<ProofRequest, 'contracts'> & { readonly contracts: readonly ContractConfig[] }): Promise<ProofResult> {
    const { catalog, clock, config, ports } = this.#options;
    const proof = this.#proving.then(async () => {
      this.#stop.signal.throwIfAborted();
      const prepared = await prepareProofInThread(catalog, request);
      return await proveInVaults({ config: config(), catalog, clock, openVault: ports.openVault }, prepared, this.#stop.signal);
    });
    this.#proving = proof.catch(() => {});
    return proof;
  }

  /** Of all contracts and quotas, at most a quarter of an hour old. Throws E_STATE…. */
  forecast(): Promise<Forecast> {
    const { catalog, clock } = this.#options;
    const config = this.#options.config();
    const atMs = clock.monotonicMs();
    const known = this.#forecast;
    if (known !== null && known.config === config && atMs - known.atMs < FORECAST_FOR_MS) return known.made;
    const made = readForecastInThread(catalog, forecastRequest(config, clock.nowMs()));
    this.#forecast = { atMs, config, made };
    // what could not be read is tried again by who asks next
    made.catch(() => {
      if (this.#forecast?.made === made) this.#forecast = null;
    });
    return made;
  }

  /** Ends a proof that is under way, and waits for it. */
  async close(error: Error): Promise<void> {
    this.#stop.abort(error);
    await this.#proving;
    await this.#forecast?.made.catch(() => {});
  }
}
