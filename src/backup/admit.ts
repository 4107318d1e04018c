// Who takes part in a run: vaults that answer, whose clock agrees with ours, and whose locks were shown to hold.
import type { Ledger } from '../billing/ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { Config, VaultConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { checkSkew } from '../vault/clock-skew.ts';
import type { Vault } from '../vault/vault.ts';
import { tellOfUnknown } from './known-vault.ts';
import type { RunLog } from './log.ts';
import { requireProven } from './prove.ts';
import type { VaultSet } from './vault-set.ts';

export type OpenVault = (vault: VaultConfig) => Promise<Vault>;

export interface AdmitDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: RunLog;
  readonly openVault: OpenVault;
}

/** Opens one vault, which is pushed to `opened` at once, and throws what makes it unfit to be written to. */
export async function admitVault(deps: AdmitDeps, ledger: Ledger, name: string, opened: Vault[], signal: AbortSignal): Promise<Vault> {
  const vaultConfig = deps.config.vaults.get(name);
  if (!vaultConfig) throw new CoffreError('E_UNKNOWN_VAULT', `no vault ${JSON.stringify(name)} in ${deps.config.file}`);
  const vault = await deps.openVault(vaultConfig);
  opened.push(vault);
  // lock dates are absolute and made from our clock
  await checkSkew(vault, deps.clock, deps.config.limits.clockSkewMs);
  await tellOfUnknown(deps, vault, signal);
  await requireProven(deps, ledger, vault, signal);
  return vault;
}

/**
 * Opens every required vault; one that is not fit leaves the run with its reason. Throws when none is left.
 * What was opened is pushed to `opened` at once, so that the caller closes it whatever happens.
 */
export async function admitVaults(deps: AdmitDeps, ledger: Ledger, vaults: VaultSet, opened: Vault[], signal: AbortSignal): Promise<void> {
  const settled = await Promise.allSettled(vaults.required.map((name) => admitVault(deps, ledger, name, opened, signal)));
  signal.throwIfAborted();
  for (const outcome of settled) if (outcome.status === 'fulfilled') vaults.join(outcome.value);
  settled.forEach((outcome, at) => {
    if (outcome.status === 'rejected') vaults.leave(vaults.required[at] as string, outcome.reason);
  });
}
