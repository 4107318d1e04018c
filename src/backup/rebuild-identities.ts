// Which identities of a shop are its own: anybody who knows the recovery recipient can seal one to it, and only signatures tell.
import { CoffreError } from '../errors.ts';
import { openIdentity, recipientOf } from '../segment/age.ts';
import type { ShopIdentity } from '../segment/identity-store.ts';
import { parseKey } from '../segment/layout.ts';
import type { ListedVersion } from '../vault/vault.ts';
import { type RebuildVault, readVersion, verdictOf } from './rebuild-read.ts';

export interface SealedIdentity extends ShopIdentity {
  readonly sealed: Buffer;
  /** null: on this machine only. */
  readonly version: ListedVersion | null;
}

/** A sealed identity is some hundred bytes. */
const LARGEST_SEALED_BYTES = 1024 * 1024;

/**
 * Every identity that the recovery identity opens, and those of this machine: whose they are is not known yet. `keys`: each with its
 * versions, oldest first. Throws what the vault throws.
 */
export async function openIdentities(
  from: RebuildVault & { readonly recovery: readonly string[]; readonly ownIdentities: readonly ShopIdentity[] },
  shop: string,
  keys: readonly (readonly [string, readonly ListedVersion[]])[],
): Promise<SealedIdentity[]> {
  const found: SealedIdentity[] = from.ownIdentities.map((own) => ({ ...own, sealed: Buffer.alloc(0), version: null }));
  if (from.recovery.length === 0) return found;
  for (const [key, versions] of keys) {
    const parsed = parseKey(key);
    if (parsed?.type !== 'identity') continue;
    for (const version of versions) {
      try {
        const sealed = await readVersion(from, version, LARGEST_SEALED_BYTES);
        const identity = await openIdentity(sealed, from.recovery);
        found.push({ shop, keyId: parsed.keyId, recipient: await recipientOf(identity), identity, sealed, version });
      } catch (error) {
        if (verdictOf(error, '') === null && !(error instanceof CoffreError && error.code === 'E_KEY')) throw error;
      }
    }
  }
  return found;
}

/**
 * Those of `candidates` that a signed manifest names (`recipients`: recipient to the newest snapshot sealed to it), or the signed
 * checkpoint (`presentKey`). The present one first. Pure.
 */
export function provenIdentities(
  candidates: readonly SealedIdentity[],
  recipients: ReadonlyMap<string, string>,
  presentKey: { readonly keyId: string; readonly recipient: string } | null,
): SealedIdentity[] {
  const named = new Set([...recipients.keys(), ...(presentKey === null ? [] : [presentKey.recipient])]);
  const newest = [...recipients].sort(([, a], [, b]) => (a < b ? 1 : -1))[0]?.[0] ?? null;
  const present = presentKey?.recipient ?? newest;
  const rank = (one: SealedIdentity): number => (one.recipient !== present ? 2 : one.keyId === presentKey?.keyId ? 0 : 1);
  return candidates.filter(({ recipient }) => named.has(recipient)).sort((a, b) => rank(a) - rank(b) || (a.keyId < b.keyId ? 1 : -1));
}
