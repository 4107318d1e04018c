// Doctor's look at the keys: the signing key, one identity a shop, sealed copies, and that the secrets are nobody else's.
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config, Secret, ShopConfig } from '../../config/config.ts';
import { secretFileProblem } from '../../config/secret.ts';
import { CoffreError } from '../../errors.ts';
import { identityFolder, identityPaths, loadRecipient, loadSealedIdentity } from '../../segment/identity-store.ts';
import { fingerprint, loadSigningKey } from '../../segment/signing-key.ts';
import { type Check, redCheck } from './check.ts';

export async function checkKeys(config: Config, shops: readonly ShopConfig[]): Promise<readonly Check[]> {
  const checks: Check[] = [];
  try {
    const key = await loadSigningKey(config.signing.keyFile);
    checks.push({ name: 'signing key', ok: true, detail: `${fingerprint(key)} in ${config.signing.keyFile}` });
  } catch (error) {
    const check = redCheck('signing key', error);
    const isNew = check.code === 'E_KEY';
    checks.push(
      isNew ? { ...check, hint: 'new installation: coffre keys make; an older one: bring the key file back from your copy' } : check,
    );
  }
  if (config.encryption !== 'none') {
    for (const shop of shops) checks.push(await checkIdentity(config.encryption.keyDir, shop.name));
    checks.push(await checkIdentityFolder(config.encryption.keyDir, config.stateDir));
  }
  checks.push(...checkSecrets(config, shops));
  return checks;
}

/** Reads what a backup needs (recipient, sealed copy) and only looks at the identity: doctor has no business with its content. */
async function checkIdentity(keyDir: string, shop: string): Promise<Check> {
  const name = `key of ${shop}`;
  try {
    const { keyId, recipient } = await loadRecipient(keyDir, shop);
    const sealed = await loadSealedIdentity(keyDir, shop);
    if (!sealed.subarray(0, 22).equals(Buffer.from('age-encryption.org/v1\n'))) {
      throw new CoffreError('E_KEY', `${join(keyDir, `${shop}.age`)} is no age file`);
    }
    const path = identityPaths(keyDir, shop).secret;
    const stats = await stat(path).catch(() => null);
    const older = join(keyDir, `${shop}.key`);
    if (stats === null && (await stat(older).catch(() => null)) !== null) {
      throw new CoffreError('E_KEY', `${older} is where the daemon reads it`, {
        hint: `mkdir -m 700 ${dirname(path)}; mv ${older} ${path}`,
      });
    }
    if (stats === null) {
      return {
        name,
        ok: true,
        warning: true,
        detail: `${recipient} (${keyId}): its identity is not on this machine, restores need the recovery kit`,
      };
    }
    const problem = secretFileProblem(stats, process.geteuid?.() ?? 0);
    if (problem !== null) throw new CoffreError('E_SECRET_MODE', `${path}: ${problem}`, { hint: `chmod 600 ${path}` });
    return { name, ok: true, detail: `${recipient} (${keyId})` };
  } catch (error) {
    const check = redCheck(name, error);
    return error instanceof CoffreError && error.code === 'E_KEY' ? { ...check, hint: `coffre keys make ${shop}` } : check;
  }
}

/** The folder that is the restore unit's alone. The daemon's user owns stateDir, and must not own this. */
async function checkIdentityFolder(keyDir: string, stateDir: string): Promise<Check> {
  const name = 'identities';
  const folder = identityFolder(keyDir);
  const stats = await stat(folder).catch(() => null);
  if (stats === null) return { name, ok: true, warning: true, detail: `${folder} does not exist: restores need the recovery kit` };
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  if ((stats.mode & 0o077) !== 0) {
    return redCheck(name, new CoffreError('E_SECRET_MODE', `${folder} has mode ${mode}`, { hint: `chmod 700 ${folder}` }));
  }
  const daemon = await stat(stateDir).catch(() => null);
  if (stats.uid !== 0 && stats.uid === daemon?.uid) {
    return {
      name,
      ok: true,
      warning: true,
      detail: `${folder} belongs to uid ${stats.uid}, as ${stateDir} does: whoever is the daemon reads backups`,
    };
  }
  return { name, ok: true, detail: `${folder}, of uid ${stats.uid} alone` };
}

/** Every secret that the configuration names is there and private. */
function checkSecrets(config: Config, shops: readonly ShopConfig[]): readonly Check[] {
  const used = new Set(shops.flatMap((shop) => shop.vaults));
  const secrets: [string, Secret | null][] = [
    ...[...config.vaults.values()].flatMap((vault): [string, Secret | null][] =>
      vault.type === 's3' && (used.has(vault.name) || shops.length === config.shops.size)
        ? [
            [`credentials of ${vault.name}`, vault.credentials],
            [`prune credentials of ${vault.name}`, vault.pruneCredentials],
            [`read credentials of ${vault.name}`, vault.readCredentials],
          ]
        : [],
    ),
    ...shops.map((shop): [string, Secret | null] => [`password of ${shop.name}`, shop.database?.password ?? null]),
  ];
  return secrets.flatMap(([name, secret]) => {
    if (secret === null) return [];
    try {
      secret.read();
      return [{ name, ok: true, detail: secret.from }];
    } catch (error) {
      return [redCheck(name, error)];
    }
  });
}
