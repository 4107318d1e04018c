// The shops' age identities on this machine: the daemon reads `.pub` and `.age`, the restore unit alone reads what is in `identities`.
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { makeDirectory } from '../host/make-directory.ts';
import { identityInText, makeIdentity, recipientOf, sealIdentity } from './age.ts';
import { isId, newId } from './id.ts';
import { readPublicFile, readSecretFile, writeNewFile } from './key-file.ts';
import { isShopName } from './layout.ts';

/** What is public of a shop's identity. */
export interface ShopRecipient {
  readonly shop: string;
  /** Names `keys/<id>.age` in the vaults. */
  readonly keyId: string;
  /** `age1…` */
  readonly recipient: string;
}

export interface ShopIdentity extends ShopRecipient {
  /** The secret: `AGE-SECRET-KEY-1…`. */
  readonly identity: string;
}

export interface NewIdentity {
  readonly keyDir: string;
  readonly shop: string;
  /** The agency's recovery recipients, at least one. */
  readonly recoveryRecipients: readonly string[];
  readonly clock: Clock;
}

/**
 * Makes a shop's identity, or returns the one it has. Three files: `identities/<shop>.key` (the identity, 0600), `<shop>.age` (the
 * same sealed to the recovery recipients, for the vaults) and `<shop>.pub`.
 * Throws E_KEY (no recovery recipient, a damaged file), E_SECRET_MODE, E_STATE.
 */
export async function createIdentity({ keyDir, shop, recoveryRecipients, clock }: NewIdentity): Promise<ShopRecipient> {
  const paths = identityPaths(keyDir, shop);
  if (await exists(paths.public)) return loadRecipient(keyDir, shop);
  // Die between two of these lines and the next call goes on from the identity that is there: nothing was sealed to it
  // yet, because only `.pub`, written last, lets anyone encrypt.
  let made: ShopIdentity;
  if (await exists(paths.secret)) {
    made = await loadIdentity(keyDir, shop);
  } else {
    const identity = await makeIdentity();
    made = { shop, keyId: newId(clock), recipient: await recipientOf(identity), identity };
    await makeIdentityFolder(paths.secret);
    await writeNewFile(paths.secret, identityText(made), 0o600);
  }
  if (!(await exists(paths.sealed))) {
    await writeNewFile(paths.sealed, await sealIdentity(made.identity, recoveryRecipients), 0o644);
  }
  await writeNewFile(paths.public, recipientText(made), 0o644);
  return { shop, keyId: made.keyId, recipient: made.recipient };
}

/** The shop's recipient, without touching its identity. Throws E_KEY when it has none. */
export async function loadRecipient(keyDir: string, shop: string): Promise<ShopRecipient> {
  const path = identityPaths(keyDir, shop).public;
  const text = (await readPublicFile(path)).toString('utf8');
  const recipient = text.split('\n').find((line) => line.startsWith('age1'));
  if (recipient === undefined) throw new CoffreError('E_KEY', `${path} holds no recipient`);
  return { shop, keyId: keyIdIn(text, path), recipient: recipient.trim() };
}

/** The sealed identity: the bytes of `keys/<id>.age`. Throws E_KEY. */
export function loadSealedIdentity(keyDir: string, shop: string): Promise<Buffer> {
  return readPublicFile(identityPaths(keyDir, shop).sealed);
}

/** The identity itself. Throws E_KEY when it is missing or damaged, E_SECRET_MODE when others could read it. */
export async function loadIdentity(keyDir: string, shop: string): Promise<ShopIdentity> {
  const path = identityPaths(keyDir, shop).secret;
  return await identityIn(await readSecretFile(path), shop, path);
}

/** The identity in the text of a file. Throws E_KEY. */
export async function identityIn(text: string, shop: string, path: string): Promise<ShopIdentity> {
  const identity = identityInText(text);
  if (identity === null) throw new CoffreError('E_KEY', `${path} holds no identity`);
  return { shop, keyId: keyIdIn(text, path), recipient: await recipientOf(identity), identity };
}

/** Content of `identities/<shop>.key`. */
export function identityText(identity: ShopIdentity): string {
  return `${publicLines(identity)}${identity.identity}\n`;
}

/** Content of `<shop>.pub`. */
export function recipientText(identity: ShopRecipient): string {
  return `${publicLines(identity)}${identity.recipient}\n`;
}

/**
 * Writes the files of an identity that a vault gave back. Files that are there already are left as they are: false when they are of
 * another identity. Throws E_KEY, E_SECRET_MODE, E_STATE.
 */
export async function installIdentity(keyDir: string, identity: ShopIdentity, sealed: Uint8Array): Promise<boolean> {
  const paths = identityPaths(keyDir, identity.shop);
  // `.pub` last, as createIdentity does: only it lets anyone encrypt
  if (!(await exists(paths.secret))) {
    await makeIdentityFolder(paths.secret);
    await writeNewFile(paths.secret, identityText(identity), 0o600);
  }
  if ((await loadIdentity(keyDir, identity.shop)).identity !== identity.identity) return false;
  if (!(await exists(paths.sealed))) await writeNewFile(paths.sealed, sealed, 0o644);
  if (!(await exists(paths.public))) await writeNewFile(paths.public, recipientText(identity), 0o644);
  return true;
}

/** Where the three files of a shop's present identity are. Throws E_UNKNOWN_SHOP. */
export function identityPaths(keyDir: string, shop: string): { secret: string; sealed: string; public: string } {
  if (!isShopName(shop)) throw new CoffreError('E_UNKNOWN_SHOP', `${JSON.stringify(shop)} cannot be a shop's name`);
  return { secret: join(identityFolder(keyDir), `${shop}.key`), sealed: join(keyDir, `${shop}.age`), public: join(keyDir, `${shop}.pub`) };
}

/** Holds every secret that opens a backup and nothing else, so that one mount can hide them all from the daemon (systemd/RIGHTS.md). */
export function identityFolder(keyDir: string): string {
  return join(keyDir, 'identities');
}

/** Makes the folder of a secret, 0700, when it is missing. Throws E_STATE. */
export async function makeIdentityFolder(secret: string): Promise<void> {
  try {
    await makeDirectory(dirname(secret), 0o700);
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot make ${dirname(secret)}`);
  }
}

function publicLines({ shop, keyId, recipient }: ShopRecipient): string {
  return `# coffre identity of shop ${shop}\n# key id: ${keyId}\n# public key: ${recipient}\n`;
}

function keyIdIn(text: string, path: string): string {
  const keyId = /^# key id: (\S+)$/m.exec(text)?.[1];
  if (keyId === undefined || !isId(keyId)) throw new CoffreError('E_KEY', `${path} does not name its key id`);
  return keyId;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
