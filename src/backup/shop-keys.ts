// The keys a run needs: the shop's recipient and our signing key. The shop's identity is only ever handled sealed.
import type { KeyObject } from 'node:crypto';
import { createHash } from 'node:crypto';
import { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import { IS_LIVE } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { objectsOf } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { loadRecipient, loadSealedIdentity } from '../segment/identity-store.ts';
import { identityKey } from '../segment/layout.ts';
import { olderSealedIdentities } from '../segment/older-identities.ts';
import { refuseHalfRotated } from '../segment/rotate-identity.ts';
import { loadSigningKey } from '../segment/signing-key.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { LockMode, Vault } from '../vault/vault.ts';
import { holds } from './locks.ts';
import { storeObject } from './store.ts';
import type { SealTo } from './store-part.ts';

export interface ShopKeys {
  readonly to: SealTo;
  readonly signingKey: KeyObject;
  /** null: encryption is `none`. */
  readonly identity: { readonly keyId: string; readonly recipient: string; readonly sealed: Buffer } | null;
  /** Sealed forms of the shop's older identities that a vault may lack. */
  readonly older: readonly { readonly keyId: string; readonly sealed: Buffer }[];
}

/** Throws E_KEY, E_SECRET_MODE. Never reads an identity itself. */
export async function openShopKeys(config: Config, shop: string): Promise<ShopKeys> {
  const signingKey = await loadSigningKey(config.signing.keyFile);
  if (config.encryption === 'none') return { to: 'none', signingKey, identity: null, older: [] };
  await refuseHalfRotated(config.encryption.keyDir, shop);
  const { keyId, recipient } = await loadRecipient(config.encryption.keyDir, shop);
  const sealed = await loadSealedIdentity(config.encryption.keyDir, shop);
  const older = await olderSealedIdentities(config.encryption.keyDir, shop);
  return { to: [recipient], signingKey, identity: { keyId, recipient, sealed }, older };
}

/** A killed run's copy has no hash in the catalog, and a few hundred bytes are read back faster than they are reasoned about. */
async function isWhole(vault: Vault, key: string, versionId: string, sha256: string, signal: AbortSignal): Promise<boolean> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of await vault.get(key, versionId, signal)) hash.update(chunk as Buffer);
  } catch (error) {
    if (error instanceof CoffreError && (error.code === 'E_OBJECT_MISSING' || error.code === 'E_OBJECT_ALTERED')) return false;
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
  for (const older of keys.older) {
    // Once is enough: nothing new is sealed to it, so nothing of it is ever locked for longer than what there is now.
    const known = await objectsOf(deps.catalog, vault.name, [older.keyId], 'key');
    if (known.length === 0) await storeSealed(deps, ledger, vault, older, request);
  }
  await storeSealed(deps, ledger, vault, keys.identity, request);
}

async function storeSealed(
  deps: { readonly catalog: Catalog; readonly clock: Clock },
  ledger: Ledger,
  vault: Vault,
  { keyId, sealed }: { readonly keyId: string; readonly sealed: Buffer },
  request: { readonly shop: string; readonly runId: string; readonly until: Temporal.Instant; readonly signal: AbortSignal },
): Promise<void> {
  const key = identityKey(request.shop, keyId);
  const until = laterOf(request.until, await longestLock(deps.catalog, vault.name, request.shop));
  const sha256 = createHash('sha256').update(sealed).digest('hex');
  await adoptCopies(deps.catalog, ledger, vault, { key, keyId, sha256, ...request });
  for (const known of await objectsOf(deps.catalog, vault.name, [keyId], 'key')) {
    // under a weaker lock than the vault gives by now: stored anew, since no extension changes the mode
    if (known.lockMode !== null && !isAsStrong(known.lockMode as LockMode, vault.lockMode)) continue;
    if (known.versionId === null || !(await isWhole(vault, known.key, known.versionId, sha256, request.signal))) continue;
    const lock = await vault.extendLock(key, known.versionId, until, request.signal);
    if (!holds(vault, lock, until)) {
      throw new CoffreError('E_LOCK_DROPPED', `${vault.name}: ${key} is locked until ${lock.retainUntil}, needed until ${until}`);
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
      retainUntil: until,
      signal: request.signal,
    },
    sealed,
  );
  if (!stored.object.lock || !holds(vault, stored.object.lock, until)) {
    throw new CoffreError('E_LOCK_DROPPED', `${vault.name}: ${key} reads back without the lock it was given`);
  }
}

/**
 * A machine that lost its catalog finds its own sealed identity in the vault: byte for byte the same, so it is ours, and is
 * written down instead of being stored again (which a filesystem vault would refuse).
 */
async function adoptCopies(
  catalog: Catalog,
  ledger: Ledger,
  vault: Vault,
  wanted: {
    readonly key: string;
    readonly keyId: string;
    readonly sha256: string;
    readonly shop: string;
    readonly runId: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const rows = await catalog.db
    .selectFrom('objects')
    .select('versionId')
    .where('vault', '=', vault.name)
    .where('key', '=', wanted.key)
    .execute();
  if (rows.length > 0) return;
  for await (const version of vault.listVersions(wanted.key)) {
    if (version.key !== wanted.key || version.isDeleteMarker) continue;
    const object = await vault.stat(wanted.key, version.versionId);
    if (!object || !(await isWhole(vault, wanted.key, version.versionId, wanted.sha256, wanted.signal))) continue;
    const { shop, key, keyId, runId } = wanted;
    const id = await ledger.intent({ vault: vault.name, shop, key, kind: 'key', refId: keyId, runId, expectedBytes: object.sizeBytes });
    await ledger.stored(id, object, wanted.sha256);
  }
}

/** The latest end of any lock of the shop in this vault: a reused segment's may lie well beyond the snapshot's own. */
async function longestLock(catalog: Catalog, vault: string, shop: string): Promise<Temporal.Instant | null> {
  const { last } = await catalog.db
    .selectFrom('objects')
    .select((eb) => eb.fn.max('retainUntil').as('last'))
    .where('vault', '=', vault)
    .where('shop', '=', shop)
    .where('kind', 'in', ['segment', 'index', 'manifest'])
    .where(IS_LIVE)
    .where('state', '=', 'stored')
    .executeTakeFirstOrThrow();
  return last === null ? null : Temporal.Instant.fromEpochMilliseconds(last);
}

function laterOf(a: Temporal.Instant, b: Temporal.Instant | null): Temporal.Instant {
  return b !== null && Temporal.Instant.compare(b, a) > 0 ? b : a;
}
