// Where a vault's objects lie: what a proof of its locks is about, whatever the vault is named.
import type { VaultConfig } from './config.ts';

/**
 * The place as text, for comparison only. Two configurations that give the same text mean the same objects under the same kind of
 * lock: a proof of COMPLIANCE says nothing about GOVERNANCE, so the mode is part of it. The same store written differently
 * (another host name) counts as another place.
 */
export function vaultPlace(vault: VaultConfig): string {
  return JSON.stringify(
    vault.type === 's3' ? ['s3', vault.endpoint, vault.bucket, vault.prefix, vault.lock.mode] : ['filesystem', vault.path],
  );
}
