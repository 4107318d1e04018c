// Identities that a shop had before its present one: nothing new is sealed to them, and what was stays readable.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asCoffreError, CoffreError } from '../errors.ts';
import { makeDirectory } from '../host/make-directory.ts';
import { isId } from './id.ts';
import { identityFolder, identityIn, identityText, loadIdentity, makeIdentityFolder, type ShopIdentity } from './identity-store.ts';
import { isCode, readPublicFile, readSecretFile, writeNewFile } from './key-file.ts';

/** Of their sealed forms, which the daemon stores. */
function folderOf(keyDir: string, shop: string): string {
  return join(keyDir, 'older', shop);
}

/** Of the secrets. */
function secretFolderOf(keyDir: string, shop: string): string {
  return folderOf(identityFolder(keyDir), shop);
}

/**
 * Keeps an identity as an older one, durable on return; one that is there already is left. `sealed`: its sealed form, for the vaults to
 * get; null: they have it. Throws E_STATE.
 */
export async function keepOlderIdentity(keyDir: string, identity: ShopIdentity, sealed: Uint8Array | null = null): Promise<void> {
  const secret = join(secretFolderOf(keyDir, identity.shop), `${identity.keyId}.key`);
  await makeIdentityFolder(secret);
  // the secret first: a sealed form whose secret is not here would be stored for nobody
  await writeOnce(secret, identityText(identity), 0o600);
  if (sealed === null) return;
  const folder = folderOf(keyDir, identity.shop);
  try {
    await makeDirectory(folder, 0o755);
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot make ${folder}`);
  }
  await writeOnce(join(folder, `${identity.keyId}.age`), sealed, 0o644);
}

async function writeOnce(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  try {
    await writeNewFile(path, content, mode);
  } catch (error) {
    if (!(error instanceof CoffreError) || error.code !== 'E_KEY') throw error;
  }
}

/** Sealed forms of older identities that were made since the vaults got them: without them new recovery recipients could not read on. */
export async function olderSealedIdentities(keyDir: string, shop: string): Promise<{ readonly keyId: string; readonly sealed: Buffer }[]> {
  const folder = folderOf(keyDir, shop);
  const ids = (await namesIn(folder)).filter((name) => name.endsWith('.age')).map((name) => name.slice(0, -4));
  return await Promise.all(ids.filter(isId).map(async (keyId) => ({ keyId, sealed: await readPublicFile(join(folder, `${keyId}.age`)) })));
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (isCode(error, 'ENOENT')) return [];
    throw asCoffreError(error, 'E_KEY', `cannot read ${folder}`);
  }
}

/** Newest first. Throws E_KEY, E_SECRET_MODE. */
export async function olderIdentities(keyDir: string, shop: string): Promise<ShopIdentity[]> {
  const folder = secretFolderOf(keyDir, shop);
  const names = await namesIn(folder);
  const found: ShopIdentity[] = [];
  for (const name of names
    .filter((one) => one.endsWith('.key') && isId(one.slice(0, -4)))
    .sort()
    .reverse()) {
    const path = join(folder, name);
    found.push(await identityIn(await readSecretFile(path), shop, path));
  }
  return found;
}

/** Every secret that may open something of the shop, the present one first. Throws E_KEY, E_SECRET_MODE. */
export async function allIdentities(keyDir: string, shop: string): Promise<ShopIdentity[]> {
  const present = await loadIdentity(keyDir, shop);
  const older = await olderIdentities(keyDir, shop);
  return [present, ...older.filter((one) => one.identity !== present.identity)];
}
