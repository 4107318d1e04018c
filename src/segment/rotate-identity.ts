// A new identity for a shop, or the one it has sealed to other recovery recipients; what the old one opens stays readable.
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { makeIdentity, recipientOf, sealIdentity } from './age.ts';
import { newId } from './id.ts';
import {
  identityFolder,
  identityPaths,
  identityText,
  loadIdentity,
  loadRecipient,
  makeIdentityFolder,
  recipientText,
  type ShopIdentity,
  type ShopRecipient,
} from './identity-store.ts';
import { syncFolder, writeNewFile } from './key-file.ts';
import { keepOlderIdentity, olderIdentities } from './older-identities.ts';

export interface Rotation {
  readonly keyDir: string;
  readonly shop: string;
  readonly recoveryRecipients: readonly string[];
  /** new: another identity. reseal: the same one, sealed to the recipients given. Either way a key id of its own. */
  readonly what: 'new' | 'reseal';
  readonly clock: Clock;
}

/**
 * Call it while no run of the shop is under way. Throws E_KEY when the shop has no identity yet or the recipients are none,
 * E_SECRET_MODE, E_STATE.
 */
export async function rotateIdentity({ keyDir, shop, recoveryRecipients, what, clock }: Rotation): Promise<ShopRecipient> {
  // what was cut off is finished instead of begun once more
  if (await isRotating(keyDir, shop)) {
    await finishRotation(keyDir, shop);
    return await loadRecipient(keyDir, shop);
  }
  const before = await loadIdentity(keyDir, shop);
  const identity = what === 'new' ? await makeIdentity() : before.identity;
  const after: ShopIdentity = { shop, keyId: newId(clock), recipient: await recipientOf(identity), identity };
  const sealed = await sealIdentity(identity, recoveryRecipients);
  if (what === 'new') await keepOlderIdentity(keyDir, before);
  else {
    const known = new Set([before.identity]);
    for (const older of await olderIdentities(keyDir, shop)) {
      if (known.has(older.identity)) continue;
      known.add(older.identity);
      await keepOlderIdentity(keyDir, { ...older, keyId: newId(clock) }, await sealIdentity(older.identity, recoveryRecipients));
    }
  }
  // The three new files are made whole beside the old ones; the rename of the folder with the two that are no secret is the decision, and the
  // daemon sees it. Die before it and nothing happened, die after it and the next call, or the next run, moves what is left.
  const draft = join(keyDir, '.rotate-draft', shop);
  const decided = decidedFolder(keyDir, shop);
  const secret = rotatedSecret(keyDir, shop);
  await makeIdentityFolder(secret);
  try {
    await rm(secret, { force: true });
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { recursive: true, mode: 0o755 });
    await mkdir(dirname(decided), { recursive: true, mode: 0o755 });
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot make ${draft}`);
  }
  await writeNewFile(secret, identityText(after), 0o600);
  await writeNewFile(join(draft, 'age'), sealed, 0o644);
  await writeNewFile(join(draft, 'pub'), recipientText(after), 0o644);
  await moved(async () => {
    await rename(draft, decided);
    await syncFolder(dirname(decided));
  });
  await finishRotation(keyDir, shop);
  return { shop, keyId: after.keyId, recipient: after.recipient };
}

/** Whether a rotation was decided and not finished: until it is, the files of the shop do not belong together. */
export async function isRotating(keyDir: string, shop: string): Promise<boolean> {
  return await exists(decidedFolder(keyDir, shop));
}

/** Throws E_KEY while a rotation is unfinished. */
export async function refuseHalfRotated(keyDir: string, shop: string): Promise<void> {
  if (!(await isRotating(keyDir, shop))) return;
  throw new CoffreError('E_KEY', `the rotation of ${shop}'s key was cut off`, { hint: `coffre keys rotate ${shop} finishes it` });
}

async function finishRotation(keyDir: string, shop: string): Promise<void> {
  const decided = decidedFolder(keyDir, shop);
  if (!(await exists(decided))) return;
  const paths = identityPaths(keyDir, shop);
  await moved(async () => {
    for (const [from, to] of [
      [rotatedSecret(keyDir, shop), paths.secret],
      [join(decided, 'age'), paths.sealed],
      [join(decided, 'pub'), paths.public],
    ] as const) {
      if (await exists(from)) await rename(from, to);
    }
    await syncFolder(dirname(paths.secret));
    await syncFolder(keyDir);
    await rm(decided, { recursive: true, force: true });
    await syncFolder(dirname(decided));
  });
}

function decidedFolder(keyDir: string, shop: string): string {
  identityPaths(keyDir, shop);
  return join(keyDir, '.rotate', shop);
}

function rotatedSecret(keyDir: string, shop: string): string {
  return join(identityFolder(keyDir), '.rotate', `${shop}.key`);
}

async function moved(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', 'cannot put the new key files in place');
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
