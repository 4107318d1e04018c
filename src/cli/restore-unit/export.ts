// The restore unit's `export`: a plain archive of a shop into the scratch folder, as that folder's owner; older ones go when their time is over.
import { lstatSync } from 'node:fs';
import { openCatalogToRead } from '../../catalog/open.ts';
import { getSnapshot, type SnapshotWithCopies } from '../../catalog/snapshots.ts';
import { CoffreError } from '../../errors.ts';
import { exportShop } from '../../restore/export.ts';
import { demandRoom, exportFile, makeExportFolder, sweepExports } from '../../restore/export-place.ts';
import { shopIdentities, trustedKeys, vaultOrder } from '../../restore/keys.ts';
import type { ExportRequest } from '../../restore/unit-protocol.ts';
import type { Vault } from '../../vault/vault.ts';
import { findShop } from '../shop.ts';
import { demandUnattended, scratchOwner, type UnitDeps, type UnitTask } from './task.ts';

/** The text of INSERTs, compressed, beside what its rows take compressed in their segments; twice, for it lies beside the archive meanwhile. */
const DATABASE_FACTOR = 3;

/** What it makes the daemon can read: so only who could read shops anyway, or whom the configuration lets, may ask. */
export const exportTask: UnitTask<ExportRequest> = {
  admit(config, request, peerUid) {
    demandUnattended(config, peerUid, 'have a shop exported for download');
    findShop(config, request.shop);
    return scratchOwner(config);
  },
  serve,
};

async function serve(
  { clock, config, adapters, signal, onStep, onProgress, onProblem }: UnitDeps,
  request: ExportRequest,
): Promise<object> {
  const shop = findShop(config, request.shop);
  const { scratchDir } = config.restore;
  if (lstatSync(scratchDir, { throwIfNoEntry: false })?.uid !== process.geteuid?.()) {
    throw new CoffreError('E_RESTORE_REFUSED', `${scratchDir} changed its owner while the export began`);
  }
  await makeExportFolder(scratchDir);
  const removed = await sweepExports(scratchDir, new Set(request.keep));
  if (request.snapshots.length === 0) return { removed };
  onStep('export');
  await using catalog = await openCatalogToRead(config.stateDir);
  const snapshots: SnapshotWithCopies[] = [];
  for (const id of request.snapshots) {
    const snapshot = await getSnapshot(catalog, id);
    const isOther =
      snapshot.shop !== shop.name || snapshot.source === 'server' || snapshots.some(({ source }) => source === snapshot.source);
    if (isOther) throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has no snapshot ${id} that could be exported`);
    snapshots.push(snapshot);
  }
  const needed = snapshots.reduce((sum, { source, storedBytes }) => sum + storedBytes * (source === 'database' ? DATABASE_FACTOR : 1), 0);
  await demandRoom(scratchDir, needed);
  const vaults: Vault[] = [];
  const target = await adapters.openExport({ file: exportFile(scratchDir, request.request), madeAtS: Math.floor(clock.nowMs() / 1000) });
  try {
    const identities = await shopIdentities(config, shop.name);
    const trusted = await trustedKeys(config);
    for (const vault of vaultOrder(config, shop, null)) vaults.push(await adapters.openVault(vault));
    const deps = { catalog, clock, vaults, identities, trusted, signal, onProgress, onProblem };
    return { removed, ...(await exportShop(deps, shop.name, snapshots, target, true)) };
  } finally {
    await target.close();
    for (const vault of vaults) await vault.close().catch(() => {});
  }
}
