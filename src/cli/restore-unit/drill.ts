// The restore unit's `drill`: one vault's snapshots into its scratch folder, as that folder's owner; nothing stays but what is told.
import { existsSync, lstatSync } from 'node:fs';
import { indexCopyPath } from '../../backup/state-files.ts';
import { passedDrills } from '../../catalog/drills.ts';
import { type Catalog, openCatalogToRead } from '../../catalog/open.ts';
import { getSnapshot, listSnapshots, type SnapshotWithCopies } from '../../catalog/snapshots.ts';
import { type Config, DRILL_DEFAULTS, type ShopConfig, type VaultConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import { missingImages } from '../../restore/drill/evidence.ts';
import { formerImages } from '../../restore/drill/former-images.ts';
import { clearPlace, lockDrills, makeDrillsDir, makePlace, scratchDatabase, sweep } from '../../restore/drill/place.ts';
import { type DrillPorts, dropDatabase, runDrill, withDatabase } from '../../restore/drill/run.ts';
import { shopIdentities, trustedKeys } from '../../restore/keys.ts';
import type { DrillRequest } from '../../restore/unit-protocol.ts';
import { readIndex } from '../../segment/index-file.ts';
import type { RestoreAdapters } from '../adapters.ts';
import { findShop } from '../shop.ts';
import { toolVersions } from '../tools.ts';
import { scratchOwner, type UnitDeps, type UnitTask } from './task.ts';

/**
 * Whoever may ask for anything may ask for a drill: it goes into no shop, and what is told of it is figures. Its folder is hidden from the
 * daemon (systemd/coffre.service), which could read it while a drill is under way.
 */
export const drillTask: UnitTask<DrillRequest> = {
  admit(config, request) {
    subjectOf(config, request);
    return scratchOwner(config);
  },
  serve,
};

/** Throws E_RESTORE_REFUSED, E_UNKNOWN_SHOP. */
function subjectOf(config: Config, { shop: name, from }: DrillRequest): { readonly shop: ShopConfig; readonly vault: VaultConfig } {
  const shop = findShop(config, name);
  const vault = shop.vaults.includes(from) ? config.vaults.get(from) : undefined;
  if (vault === undefined) throw new CoffreError('E_RESTORE_REFUSED', `shop ${shop.name} has no such vault`);
  return { shop, vault };
}

async function serve({ clock, config, adapters, signal, onStep, onProgress, onProblem }: UnitDeps, request: DrillRequest): Promise<object> {
  const { shop, vault } = subjectOf(config, request);
  const { scratchDir, drillDatabase } = config.restore;
  if (lstatSync(scratchDir, { throwIfNoEntry: false })?.uid !== process.geteuid?.()) {
    throw new CoffreError('E_RESTORE_REFUSED', `${scratchDir} changed its owner while the drill began`);
  }
  await using catalog = await openCatalogToRead(config.stateDir);
  const snapshots: SnapshotWithCopies[] = [];
  for (const id of request.snapshots) {
    const snapshot = await getSnapshot(catalog, id);
    const isOther = snapshot.shop !== shop.name || !snapshot.copies.some((copy) => copy.vault === vault.name);
    if (isOther || snapshots.some(({ source }) => source === snapshot.source)) {
      throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has no snapshot ${id} in ${vault.name} that could be drilled`);
    }
    snapshots.push(snapshot);
  }
  const missingBefore = await imagesBefore(passedDrills(catalog.db, shop.name));
  const ports = portsOf(adapters);
  const drillsDir = await makeDrillsDir(scratchDir);
  using _lock = await lockDrills(drillsDir);
  for (const dead of await sweep(drillsDir)) await dropScratch(ports, drillDatabase, drillsDir, dead);
  const folder = await makePlace(drillsDir, request.request);
  try {
    const identities = await shopIdentities(config, shop.name);
    const trusted = await trustedKeys(config);
    return await runDrill(
      { catalog, clock, ports, identities, trusted, folder, signal, onStep, onProgress, onProblem, tools: await toolVersions() },
      {
        ...{ drill: request.request, shop, vault, snapshots, server: drillDatabase },
        rules: shop.plan.drill ?? DRILL_DEFAULTS,
        missingBefore,
        formerImages: await imagesLost(config, catalog, snapshots),
      },
    );
  } finally {
    await clearPlace(folder);
    await dropScratch(ports, drillDatabase, drillsDir, request.request);
  }
}

/** Null: no drill that was passed counted them. */
async function imagesBefore(drills: AsyncIterable<string>): Promise<number | null> {
  for await (const text of drills) {
    const missing = missingImages(text);
    if (missing !== null) return missing;
  }
  return null;
}

/** Of the oldest snapshot of the files that is kept, by the daemon's own copies of both indexes; nothing where one lacks. */
async function imagesLost(config: Config, catalog: Catalog, drilled: readonly SnapshotWithCopies[]): Promise<ReadonlySet<number>> {
  const newer = drilled.find(({ source }) => source === 'files');
  if (newer === undefined) return new Set();
  const copyOf = ({ id, shop }: SnapshotWithCopies): string => indexCopyPath(config.stateDir, shop, id);
  const [older] = (await listSnapshots(catalog, newer.shop))
    .filter((one) => one.source === 'files' && one.complete === 1 && one.asOf < newer.asOf && existsSync(copyOf(one)))
    .sort((a, b) => a.asOf - b.asOf);
  if (older === undefined || !existsSync(copyOf(newer))) return new Set();
  return await formerImages(readIndex(copyOf(older)), readIndex(copyOf(newer)));
}

/**
 * A drill's database in a configured server, whether it was made or not; where it cannot be dropped now an empty folder reminds the next drill
 * of it, and the server is that drill's to complain of.
 */
async function dropScratch(ports: DrillPorts, server: Config['restore']['drillDatabase'], drillsDir: string, drill: string): Promise<void> {
  if (server === null) return;
  await dropDatabase(ports, withDatabase(server.url, 'information_schema'), server.password, scratchDatabase(drill)).catch(() =>
    makePlace(drillsDir, drill).catch(() => {}),
  );
}

function portsOf(adapters: RestoreAdapters): DrillPorts {
  return {
    openVault: (vault) => adapters.openVault(vault),
    openFiles: (directory) =>
      adapters.openFilesTarget(directory, {
        ...{ host: { type: 'local' }, overwrite: false, delete: false, checksum: false, chosen: null, keepOld: false },
        ...{ dropsPrivileges: true, files: null },
      }),
    openDatabase: (url, password) => adapters.openScratchDatabase(url, password),
    openSession: (url, password) => adapters.openDatabaseSession(url, password),
    host: adapters.host,
  };
}
