// The keys a run needs: the shop's recipient and our signing key. The shop's identity is only ever handled sealed.
import type { KeyObject } from 'node:crypto';
import { createHash } from 'node:crypto';
import type { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import { objectsOf } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { loadRecipient, loadSealedIdentity } from '../segment/identity-store.ts';
import { identityKey } from '../segment/layout.ts';
import { loadSigningKey } from '../segment/signing-key.ts';
import type { Vault } from '../vault/vault.ts';
import { holds } from './locks.ts';
import type { SealTo } from './pack-parts.ts';
import { storeObject } from './store.ts';

export interface ShopKeys {
  readonly to: SealTo;
  readonly signingKey: KeyObject;
  /** null: encryption is `none`. */
  readonly identity: { readonly keyId: string; readonly recipient: string; readonly sealed: Buffer } | null;
}

/** Throws E_KEY, E_SECRET_MODE. Never reads the shop's identity itself. */
export async function openShopKeys(config: Config, shop: string): Promise<ShopKeys> {
  const signingKey = await loadSigningKey(config.signing.keyFile);
  if (config.encryption === 'none') return { to: 'none', signingKey, identity: null };
  const { keyId, recipient } = await loadRecipient(config.encryption.keyDir, shop);
  const sealed = await loadSealedIdentity(config.encryption.keyDir, shop);
  return { to: [recipient], signingKey, identity: { keyId, recipient, sealed } };
}

/** A killed run's copy has no hash in the catalog, and a few hundred bytes are read back faster than they are reasoned about. */
async function isWhole(vault: Vault, key: string, versionId: string, sha256: string, signal: AbortSignal): Promise<boolean> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of await vault.get(key, versionId, signal)) hash.update(chunk as Buffer);
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_OBJECT_MISSING') return false;
    throw error;
  }
  return hash.digest('hex') === sha256;
}

/**
 * Keeps the sealed identity in the vault, locked at least as long as what it opens: without it a bucket and the recovery
 * key would give nothing back.
 */
export async function storeIdentity(
  deps: { readonly catalog: Catalog; readonly clock: Clock },
  ledger: Ledger,
  vault: Vault,
  keys: ShopKeys,
  request: { readonly shop: string; readonly runId: string; readonly until: Temporal.Instant; readonly signal: AbortSignal },
): Promise<void> {
  if (!keys.identity) return;
  const { keyId, sealed } = keys.identity;
  const key = identityKey(request.shop, keyId);
  const sha256 = createHash('sha256').update(sealed).digest('hex');
  for (const known of await objectsOf(deps.catalog, vault.name, [keyId], 'key')) {
    if (known.versionId === null || !(await isWhole(vault, known.key, known.versionId, sha256, request.signal))) continue;
    const lock = await vault.extendLock(key, known.versionId, request.until);
    if (!holds(vault, lock, request.until)) {
      throw new CoffreError('E_LOCK_DROPPED', `${vault.name}: ${key} is locked until ${lock.retainUntil}, needed until ${request.until}`);
    }
    await ledger.lockRead(known.id, lock);
    return;
  }
  const stored = await storeObject(
    ledger,
    deps.clock,
    vault,
    {
      shop: request.shop,
      key,
      kind: 'key',
      refId: keyId,
      runId: request.runId,
      sha256,
      retainUntil: request.until,
      signal: request.signal,
    },
    sealed,
  );
  if (!stored.object.lock || !holds(vault, stored.object.lock, request.until)) {
    throw new CoffreError('E_LOCK_DROPPED', `${vault.name}: ${key} reads back without the lock it was given`);
  }
}
