// Whether what a vault holds of our shops is known here: a second installation with the same configuration, or a lost state, is not found late.
import { recordLook } from '../catalog/incidents.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { DAEMON_PREFIX, parseKey } from '../segment/layout.ts';
import type { ListedVersion, Vault } from '../vault/vault.ts';
import { logIncident, type RunLog } from './log.ts';

interface KnownDeps {
  readonly config: Config;
  readonly catalog: Catalog;
}

interface TellDeps extends KnownDeps {
  readonly log: RunLog;
  readonly clock: Clock;
}

/**
 * At the first use of a vault, what it holds already of declared shops becomes an incident of each of them: status is red at once. The
 * backup goes on all the same: a machine that lost its state must not be left without any, and nothing that is there is written over.
 * Throws vault codes.
 */
export async function tellOfUnknown(deps: TellDeps, vault: Vault, signal: AbortSignal): Promise<void> {
  if (await hasWritten(deps.catalog, vault.name)) return;
  for (const [shop, { key, versionId, sizeBytes }] of await unknownOfShops(deps, vault, signal)) {
    const detail = `the catalog knows nothing of it: ${foreignHint(vault.name)}`;
    const sightings = [{ kind: 'foreign version' as const, key, versionId, sizeBytes, detail }];
    // no kinds: it was not looked for all of them, so nothing is gone
    const { opened } = await recordLook(deps.catalog, deps.clock, { vault: vault.name, shop, kinds: [], sightings, who: 'backup' });
    for (const incident of opened) logIncident(deps.log, incident);
  }
}

/** What `tellOfUnknown` tells of, as an error for whoever is about to try the vault: E_VERSION_FOREIGN. Throws vault codes too. */
export async function refuseUnknown(deps: KnownDeps, vault: Vault, signal: AbortSignal): Promise<void> {
  if (await hasWritten(deps.catalog, vault.name)) return;
  const [first] = await unknownOfShops(deps, vault, signal);
  if (first === undefined) return;
  const [, { key }] = first;
  throw new CoffreError('E_VERSION_FOREIGN', `it holds ${key}, of which this machine’s catalog knows nothing`, {
    hint: foreignHint(vault.name),
  });
}

/** The daemon's own objects there that the catalog does not know, first `most` of them: somebody else's daemon or doctor. */
export async function foreignDaemonKeys({ catalog }: KnownDeps, vault: Vault, signal: AbortSignal, most = 3): Promise<string[]> {
  const found = new Set<string>();
  for await (const { key, isDeleteMarker } of vault.listVersions(DAEMON_PREFIX)) {
    signal.throwIfAborted();
    if (isDeleteMarker || parseKey(key) === null || found.has(key) || (await isOurs(catalog, vault.name, key))) continue;
    found.add(key);
    if (found.size === most) break;
  }
  return [...found];
}

export function foreignHint(vault: string): string {
  return `another installation writes here: give one of them another prefix or folder; or this machine’s state was lost: coffre catalog rebuild --from ${vault}`;
}

/** Intents count, of whatever came of them: a row is written before the store is asked. */
async function hasWritten(catalog: Catalog, vault: string): Promise<boolean> {
  const row = await catalog.db
    .selectFrom('objects')
    .select('id')
    .where('vault', '=', vault)
    .where('kind', '!=', 'probe')
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** One object of each declared shop that has any there: what every snapshot has, and nobody but coffre makes. */
async function unknownOfShops({ config, catalog }: KnownDeps, vault: Vault, signal: AbortSignal): Promise<Map<string, ListedVersion>> {
  const found = new Map<string, ListedVersion>();
  for await (const name of vault.listNames()) {
    const shop = name.endsWith('/') ? name.slice(0, -1) : '';
    if (!config.shops.has(shop)) continue;
    for (const folder of ['keys', 'snapshots']) {
      for await (const version of vault.listVersions(`${shop}/${folder}/`)) {
        signal.throwIfAborted();
        if (version.isDeleteMarker || parseKey(version.key) === null) continue;
        // a run of ours may have begun meanwhile
        if (!(await isOurs(catalog, vault.name, version.key))) found.set(shop, version);
        break;
      }
    }
  }
  return found;
}

async function isOurs(catalog: Catalog, vault: string, key: string): Promise<boolean> {
  const row = await catalog.db
    .selectFrom('objects')
    .select('id')
    .where('vault', '=', vault)
    .where('key', '=', key)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
