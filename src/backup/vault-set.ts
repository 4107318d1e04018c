// The vaults of one run: written to in parallel; one that fails leaves the run, and the run fails when none is left.
import { asCoffreError, CoffreError } from '../errors.ts';
import type { Vault } from '../vault/vault.ts';

export class VaultSet {
  readonly required: readonly string[];
  readonly #active = new Map<string, Vault>();
  /** One for each vault that ever joined: aborts when it leaves, so that nothing goes on trying there. */
  readonly #gone = new Map<string, AbortController>();
  readonly #left = new Map<string, CoffreError>();
  readonly #onLeave: (vault: string, error: CoffreError) => void;

  constructor(required: readonly string[], onLeave: (vault: string, error: CoffreError) => void) {
    this.required = required;
    this.#onLeave = onLeave;
  }

  join(vault: Vault): void {
    this.#active.set(vault.name, vault);
    this.#gone.set(vault.name, new AbortController());
  }

  /** Takes a vault out of the run, for the first reason given. Throws that reason when it was the last one. */
  leave(name: string, error: unknown): void {
    const reason = asCoffreError(error, 'E_VAULT_IO', name);
    this.#active.delete(name);
    if (!this.#left.has(name)) {
      this.#left.set(name, reason);
      this.#onLeave(name, reason);
      this.#gone.get(name)?.abort(reason);
    }
    if (this.#active.size === 0 && this.#left.size === this.required.length) throw this.failure();
  }

  get active(): readonly Vault[] {
    return [...this.#active.values()];
  }

  get left(): ReadonlyMap<string, CoffreError> {
    return this.#left;
  }

  /** Why nothing is left: the first vault's own reason, the others named in it. */
  failure(): CoffreError {
    const reasons = [...this.#left.entries()];
    const first = reasons[0];
    if (first === undefined) return new CoffreError('E_INTERNAL', 'no vault left without a reason');
    if (reasons.length === 1) return first[1];
    const all = reasons.map(([name, error]) => `${name}: ${error.message} [${error.code}]`).join('; ');
    return new CoffreError(first[1].code, `every vault failed: ${all}`, { cause: first[1], hint: first[1].hint });
  }

  /**
   * Does `work` in every active vault at once, with a signal that aborts with the run, or when that vault leaves it. A vault whose
   * work fails leaves at once; the results of the others come back. Throws when none is left, and when the run itself was aborted.
   */
  async each<T>(signal: AbortSignal, work: (vault: Vault, signal: AbortSignal) => Promise<T>): Promise<ReadonlyMap<string, T>> {
    const results = new Map<string, T>();
    const vaults = this.active;
    if (vaults.length === 0 && this.#left.size > 0) throw this.failure();
    let failure: unknown = null;
    await Promise.all(
      vaults.map(async (vault) => {
        const gone = (this.#gone.get(vault.name) as AbortController).signal;
        try {
          results.set(vault.name, await work(vault, AbortSignal.any([signal, gone])));
        } catch (error) {
          // an aborted run says nothing about its vaults
          if (signal.aborted) return;
          try {
            this.leave(vault.name, error);
          } catch (last) {
            failure = last;
          }
        }
      }),
    );
    signal.throwIfAborted();
    if (failure !== null) throw failure;
    return results;
  }
}
