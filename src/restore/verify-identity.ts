// Verification of the sealed identity in a vault: without it, the bucket and the recovery key give nothing back.
import { createHash } from 'node:crypto';
import { IS_LIVE } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { CoffreError } from '../errors.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { LockMode, Vault } from '../vault/vault.ts';

/**
 * Requires that `keys/<keyId>.age` is in this vault, byte for byte, and locked as strongly as it was, and no shorter than any manifest of the shop there. A shop
 * that has no snapshot there needs none. Throws E_OBJECT_MISSING, E_OBJECT_ALTERED, E_LOCK_DROPPED or what the vault throws.
 */
export async function verifyIdentity(
  catalog: Catalog,
  vault: Vault,
  request: { readonly shop: string; readonly keyId: string; readonly sealed: Uint8Array; readonly signal: AbortSignal },
): Promise<void> {
  const { shop, keyId, signal } = request;
  const rows = await catalog.db
    .selectFrom('objects')
    .selectAll()
    .where('vault', '=', vault.name)
    .where('shop', '=', shop)
    .where('kind', 'in', ['manifest', 'key'])
    .where(IS_LIVE)
    .where('state', '=', 'stored')
    .execute();
  const manifests = rows.filter((row) => row.kind === 'manifest');
  if (manifests.length === 0) return;
  const neededUntilMs = Math.max(...manifests.map((row) => row.retainUntil ?? 0));
  const expected = createHash('sha256').update(request.sealed).digest('hex');
  let failure = new CoffreError('E_OBJECT_MISSING', `${vault.name}: the sealed identity ${keyId} of ${shop} was never stored here`);
  for (const row of rows) {
    if (row.kind !== 'key' || row.refId !== keyId || row.versionId === null) continue;
    const what = `${vault.name}: ${row.key}`;
    const object = await vault.stat(row.key, row.versionId);
    if (object === null) failure = new CoffreError('E_OBJECT_MISSING', `${what}, the sealed identity, is gone`);
    else if ((object.lock?.retainUntil.epochMilliseconds ?? 0) < neededUntilMs) {
      const until = object.lock === null ? 'not locked' : `locked until ${object.lock.retainUntil}`;
      failure = new CoffreError('E_LOCK_DROPPED', `${what}, the sealed identity, is ${until}: shorter than what it opens`);
    } else if (object.lock !== null && !isAsStrong(object.lock.mode, (row.lockMode as LockMode | null) ?? vault.lockMode)) {
      failure = new CoffreError(
        'E_LOCK_DROPPED',
        `${what}, the sealed identity, has a ${object.lock.mode} lock, ${row.lockMode ?? vault.lockMode} was promised`,
      );
    } else if ((await sha256Of(vault, row.key, row.versionId, signal)) !== expected) {
      failure = new CoffreError('E_OBJECT_ALTERED', `${what} is not the sealed identity of this machine's keyDir`);
    } else return;
  }
  throw failure;
}

async function sha256Of(vault: Vault, key: string, versionId: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await vault.get(key, versionId, signal)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
