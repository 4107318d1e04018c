// Identities that a shop had before its present one: nothing new is sealed to them, and what was stays readable.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asCoffreError, CoffreError } from '../errors.ts';
import { isId } from './id.ts';
import { identityIn, identityText, loadIdentity, type ShopIdentity } from './identity-store.ts';
import { isCode, readSecretFile, writeNewFile } from './key-file.ts';

function folderOf(keyDir: string, shop: string): string {
  return join(keyDir, 'older', shop);
}

/** Keeps an identity as an older one, durable on return; one that is there already is left. Throws E_STATE. */
export async function keepOlderIdentity(keyDir: string, identity: ShopIdentity): Promise<void> {
  const folder = folderOf(keyDir, identity.shop);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot make ${folder}`);
  }
  try {
    await writeNewFile(join(folder, `${identity.keyId}.key`), identityText(identity), 0o600);
  } catch (error) {
    if (!(error instanceof CoffreError) || error.code !== 'E_KEY') throw error;
  }
}

/** Newest first. Throws E_KEY, E_SECRET_MODE. */
export async function olderIdentities(keyDir: string, shop: string): Promise<ShopIdentity[]> {
  const folder = folderOf(keyDir, shop);
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return [];
    throw asCoffreError(error, 'E_KEY', `cannot read ${folder}`);
  }
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
