// What keeping a shop's vaults in order needs, from the configuration: prune, and the daily comparison with what the vaults hold.

import { rm } from 'node:fs/promises';
import { anchorLedger, packDays } from '../billing/anchors.ts';
import { purgeLedger, unbilledFrom } from '../billing/purge.ts';
import { forgetAudit, forgetRuns } from '../catalog/forget.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { certifyEnd } from '../retention/certificate.ts';
import { type PruneDeps, type PruneRequest, pruneShop } from '../retention/prune.ts';
import type { PruneResult } from '../retention/result.ts';
import type { WatchDeps } from '../retention/watch.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { loadSigningKey } from '../segment/signing-key.ts';
import type { OpenVault } from './admit.ts';
import { copyFolders, indexCopyPath, manifestCopyPath } from './state-files.ts';
import { sweepEnded, syncIfThere } from './sweep.ts';

/** What belongs to no shop (probe objects) has no window: it goes as soon as its lock has ended. */
const DAEMON_RETENTION_MS = 24 * 3600_000;

export interface VaultPorts {
  readonly openVault: OpenVault;
}

/** What a prune needs. */
export function pruneDeps(config: Config, catalog: Catalog, clock: Clock, { openVault }: VaultPorts): PruneDeps {
  return {
    catalog,
    clock,
    openVault: async (name) => {
      const vault = config.vaults.get(name);
      if (!vault) {
        throw new CoffreError('E_UNKNOWN_VAULT', `vault ${name} still holds objects and is not in ${config.file}`, {
          hint: 'declare it again until it is empty',
        });
      }
      return await openVault(vault);
    },
    forgetSnapshot: async (shop, snapshot) => {
      await rm(indexCopyPath(config.stateDir, shop, snapshot), { force: true });
      for (const vault of config.vaults.keys()) await rm(manifestCopyPath(config.stateDir, shop, snapshot, vault), { force: true });
      // the catalog forgets the snapshot next: a copy that a power cut gave back would have nobody to remove it
      for (const folder of copyFolders(config.stateDir, shop)) await syncIfThere(folder);
    },
    sweepEnded: (shop) => sweepEnded(catalog, shop),
    timezone: config.timezone,
  };
}

/** What a reconciliation, or reading what is stored, needs. */
export function watchDeps(config: Config, catalog: Catalog, clock: Clock, ports: VaultPorts): WatchDeps {
  const declared = new Map([...config.shops.values()].map(({ name, vaults }) => [name, vaults]));
  return { catalog, clock, declared, timezone: config.timezone, openVault: pruneDeps(config, catalog, clock, ports).openVault };
}

/** What a prune of this shop (or of DAEMON_SHOP) looks at. */
export function pruneTarget(config: Config, name: string): Omit<PruneRequest, 'who' | 'signal'> {
  const shop = config.shops.get(name);
  return {
    shop: name,
    vaults: shop?.vaults ?? [...config.vaults.keys()],
    retentionMs: shop?.plan.retentionMs ?? DAEMON_RETENTION_MS,
    ceilingMs: config.limits.lockCeilingMs,
    clockSkewMs: config.limits.clockSkewMs,
  };
}

/** Prunes, and says so in a signed certificate once nothing is left of a shop that has ended. With DAEMON_SHOP the catalog’s own past too. */
export async function pruneAndCertify(
  config: Config,
  catalog: Catalog,
  clock: Clock,
  ports: VaultPorts,
  request: PruneRequest,
): Promise<PruneResult> {
  if (request.shop === DAEMON_SHOP) {
    // first: what vaults say to the prune does not keep the catalog from being kept small
    const nowMs = clock.nowMs();
    await forgetRuns(catalog, nowMs, config.runs.keepMs);
    await forgetAudit(catalog, nowMs - config.audit.keepMs);
    await anchorLedger(catalog, clock);
    await packDays(catalog);
    await purgeLedger(catalog, clock, await unbilledFrom(catalog.db, config.contracts.values(), clock.now()));
  }
  const result = await pruneShop(pruneDeps(config, catalog, clock, ports), request);
  await certifyEnd(catalog, clock, request.shop, () => loadSigningKey(config.signing.keyFile));
  return result;
}
