// What a restore needs to trust and open things: the shop's identity, the fingerprint of the signing key, the vaults in order.
import type { Config, ShopConfig, VaultConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { loadRecipient, loadSealedIdentity } from '../segment/identity-store.ts';
import { allIdentities } from '../segment/older-identities.ts';
import { trustedFingerprints } from '../segment/signing-key.ts';
import type { Identities } from './fetch.ts';

/** All that the shop ever had, the present one first. Throws E_KEY, E_SECRET_MODE. Only the restore unit calls it. */
export async function shopIdentities(config: Config, shop: string): Promise<Identities> {
  if (config.encryption === 'none') return 'none';
  return (await allIdentities(config.encryption.keyDir, shop)).map(({ identity }) => identity);
}

/** The shop's identity as it must lie in every vault; null: nothing is encrypted. Throws E_KEY. */
export async function sealedIdentity(config: Config, shop: string): Promise<{ readonly keyId: string; readonly sealed: Buffer } | null> {
  if (config.encryption === 'none') return null;
  const { keyId } = await loadRecipient(config.encryption.keyDir, shop);
  return { keyId, sealed: await loadSealedIdentity(config.encryption.keyDir, shop) };
}

/** Fingerprints of the keys whose manifests we believe: the present one, and those it took over from. Throws E_KEY, E_SECRET_MODE. */
export async function trustedKeys(config: Config): Promise<readonly string[]> {
  return await trustedFingerprints(config.signing.keyFile);
}

/** Nearest first: a vault on a file system before one across the network. `from` given: that one alone. */
export function vaultOrder(config: Config, shop: ShopConfig, from: string | null): readonly VaultConfig[] {
  const names = from === null ? shop.vaults : [from];
  const vaults = names.map((name) => {
    const vault = config.vaults.get(name);
    if (!vault) throw new CoffreError('E_UNKNOWN_VAULT', `no vault ${JSON.stringify(name)} in ${config.file}`);
    return vault;
  });
  return vaults.sort((a, b) => Number(a.type === 's3') - Number(b.type === 's3'));
}
