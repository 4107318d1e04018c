// Makes a filesystem vault of a folder the first time it is used, and never again: later, a folder without its marker is an unmounted disk.
import { readdir } from 'node:fs/promises';
import type { Catalog } from '../catalog/open.ts';
import type { Config, FilesystemVaultConfig } from '../config/config.ts';
import { asCoffreError, type CoffreError } from '../errors.ts';

/** Makes a vault of a folder; leaves one that it is already. */
export type PrepareVault = (vault: FilesystemVaultConfig) => Promise<void>;

/**
 * Prepares those of the vaults named that the catalog has never seen anything in and whose folder is absent or empty.
 * Call it before vaults are opened for writing.
 * Returns what could not be prepared, by vault: it stays what it is, and whoever opens it finds it so. Throws E_CATALOG only.
 */
export async function prepareNewVaults(
  adapters: { readonly prepareVault: PrepareVault },
  config: Config,
  catalog: Catalog,
  names: Iterable<string>,
): Promise<ReadonlyMap<string, CoffreError>> {
  const failures = new Map<string, CoffreError>();
  for (const name of names) {
    const vault = config.vaults.get(name);
    if (vault?.type !== 'filesystem') continue;
    if ((await isKnown(catalog, name)) || !(await isEmpty(vault.path))) continue;
    try {
      await adapters.prepareVault(vault);
    } catch (error) {
      // A vault that is not fit costs the others nothing.
      failures.set(name, asCoffreError(error, 'E_VAULT_IO', `vault ${name}`));
    }
  }
  return failures;
}

async function isKnown(catalog: Catalog, vault: string): Promise<boolean> {
  const object = await catalog.db
    .selectFrom('objects')
    .select('id')
    .where('vault', '=', vault)
    .where('state', '!=', 'void')
    .limit(1)
    .executeTakeFirst();
  if (object !== undefined) return true;
  const probe = await catalog.db
    .selectFrom('probes')
    .select('id')
    .where('vault', '=', vault)
    .where('outcome', '=', 'proven')
    .limit(1)
    .executeTakeFirst();
  return probe !== undefined;
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).every((name) => name === 'lost+found');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
