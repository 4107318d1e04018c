// The restore unit's `files`: a snapshot of a shop's files, into the shop's own tree, as the tree's owner.
import { openCatalogToRead } from '../../catalog/open.ts';
import { getSnapshot } from '../../catalog/snapshots.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import { restoreFiles } from '../../restore/execute.ts';
import { shopIdentities, trustedKeys, vaultOrder } from '../../restore/keys.ts';
import { compilePaths } from '../../restore/paths.ts';
import type { FilesRequest } from '../../restore/unit-protocol.ts';
import type { Vault } from '../../vault/vault.ts';
import { filesTargetOptions, landedFiles } from '../restore/files.ts';
import { findShop } from '../shop.ts';
import { demandUnattended, type Owner, ownerOf, type UnitDeps, type UnitTask } from './task.ts';

export const filesTask: UnitTask<FilesRequest> = {
  admit(config, request, peerUid) {
    demandUnattended(config, peerUid, 'have a shop restored in place');
    if (peerUid !== 0 && request.keepSetuid) throw new CoffreError('E_RESTORE_REFUSED', 'only root may bring setuid bits and devices back');
    const { shop, root } = treeOf(config, request);
    return treeOwner(shop, root);
  },
  serve,
};

/** The shop's own tree, on this machine. Throws E_RESTORE_REFUSED, E_UNKNOWN_SHOP. */
export function treeOf(config: Config, request: Pick<FilesRequest, 'shop' | 'from'>): { readonly shop: ShopConfig; readonly root: string } {
  const shop = findShop(config, request.shop);
  if (request.from !== null && !shop.vaults.includes(request.from)) {
    throw new CoffreError('E_RESTORE_REFUSED', `shop ${shop.name} has no such vault`);
  }
  if (shop.host.type !== 'local' || shop.files === null) {
    throw new CoffreError('E_RESTORE_REFUSED', `shop ${shop.name} has no files on this machine`, {
      hint: 'coffre restore with --to-host brings files to the shop’s own host',
    });
  }
  return { shop, root: shop.files.root };
}

/** Throws E_RESTORE_REFUSED. */
export function treeOwner(shop: ShopConfig, root: string): Owner {
  return ownerOf(root, {
    absent: `mkdir it and chown it to the owner of ${shop.name}, then again`,
    roots: `chown it to the owner of ${shop.name}, or restore as root: coffre restore --to-dir`,
  });
}

async function serve({ clock, config, adapters, signal, onProgress, onProblem }: UnitDeps, request: FilesRequest): Promise<object> {
  const { shop, root } = treeOf(config, request);
  if (treeOwner(shop, root).uid !== process.geteuid?.()) {
    throw new CoffreError('E_RESTORE_REFUSED', 'the tree’s owner changed while the restore began');
  }
  await using catalog = await openCatalogToRead(config.stateDir);
  const snapshot = await getSnapshot(catalog, request.snapshot);
  if (snapshot.shop !== shop.name || snapshot.source !== 'files') {
    throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has no snapshot ${request.snapshot} of its files`);
  }
  const vaults: Vault[] = [];
  try {
    const identities = await shopIdentities(config, shop.name);
    const trusted = await trustedKeys(config);
    for (const vault of vaultOrder(config, shop, request.from)) vaults.push(await adapters.openVault(vault));
    const matches = compilePaths(request.paths);
    const options = { table: [], overwrite: true, delete: request.delete, checksum: request.checksum, keepSetuid: request.keepSetuid };
    const target = await adapters.openFilesTarget(root, filesTargetOptions(shop, options, snapshot, matches));
    const deps = { catalog, clock, vaults, identities, trusted, signal, onProgress, onProblem };
    const restored = await restoreFiles(deps, snapshot, target, matches).finally(() => target.close());
    const whole = snapshot.complete === 1 ? {} : { incomplete: true };
    return { ...landedFiles(restored, target), bySizeAndTime: !request.checksum, ...whole };
  } finally {
    for (const vault of vaults) await vault.close().catch(() => {});
  }
}
