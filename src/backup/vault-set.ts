// The vaults of one run: written to in parallel; one that fails leaves the run, and the run fails when none is left.
import { asCoffreError, CoffreError } from '../errors.ts';
import type { Vault } from '../vault/vault.ts';

export class VaultSet {
  readonly required: readonly string[];
  readonly #active = new Map<string, Vault>();
  readonly #left = new Map<string, CoffreError>();
  readonly #onLeave: (vault: string, error: CoffreError) => void;

  constructor(required: readonly string[], onLeave: (vault: string, error: CoffreError) => void) {
    this.required = required;
    this.#onLeave = onLeave;
  }

  join(vault: Vault): void {
    this.#active.set(vault.name, vault);
  }

  /** Takes a vault out of the run, for the first reason given. Throws that reason when it was the last one. */
  leave(name: string, error: unknown): void {
    const reason = asCoffreError(error, 'E_VAULT_IO', name);
    this.#active.delete(name);
    if (!this.#left.has(name)) {
      this.#left.set(name, reason);
      this.#onLeave(name, reason);
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
   * Does `work` in every active vault at once. A vault whose work fails leaves; the results of the others come back.
   * Throws when none is left, and when the run itself was aborted.
   */
  async each<T>(signal: AbortSignal, work: (vault: Vault) => Promise<T>): Promise<ReadonlyMap<string, T>> {
    const results = new Map<string, T>();
    const vaults = this.active;
    const settled = await Promise.allSettled(vaults.map((vault) => work(vault)));
    signal.throwIfAborted();
    settled.forEach((outcome, i) => {
      const vault = vaults[i] as Vault;
      if (outcome.status === 'fulfilled') results.set(vault.name, outcome.value);
      else this.leave(vault.name, outcome.reason);
    });
    return results;
  }
}
