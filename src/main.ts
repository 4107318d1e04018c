// The composition root of `coffre`: the only file, with restore-main.ts, that names adapters.
import { fileURLToPath } from 'node:url';
import type { Adapters } from './cli/adapters.ts';
import { runProcess } from './cli/process.ts';
import { becomeUnit } from './cli/restore-unit/run-unit.ts';
import { systemClock } from './clock.ts';
import type { HostConfig, ShopConfig } from './config/config.ts';
import { CoffreError } from './errors.ts';
import { closingHost } from './host/closing-host.ts';
import type { Host } from './host/host.ts';
import { localHost } from './host/local.ts';
import type { Source, SourceKind } from './source/source.ts';
import { SharedBandwidth } from './vault/throttle.ts';

/** What all vaults, runs and shops of this process may send in a second. (A restore sends nothing: restore-main.ts has none.) */
const bandwidth = new SharedBandwidth(systemClock);

// Adapters are loaded when first opened: `coffre errors` must not wait for an S3 SDK.
const adapters: Adapters = {
  async openVault(vault) {
    if (vault.type === 's3') {
      const { S3Vault } = await import('./vault/s3.ts');
      return new S3Vault(vault, systemClock, { bandwidth: bandwidth.at(vault.uploadBytesPerSecond) });
    }
    const { FilesystemVault } = await import('./vault/filesystem.ts');
    return new FilesystemVault(vault, systemClock);
  },
  async prepareVault(vault) {
    const { FilesystemVault } = await import('./vault/filesystem.ts');
    await new FilesystemVault(vault, systemClock).initialise();
  },
  async openSource(shop, kind) {
    const host = await openHost(shop.host);
    try {
      return closedWithHost(await sourceOn(host, shop, kind), host);
    } catch (error) {
      await host.close();
      throw error;
    }
  },
  async previewShop(root) {
    const { previewShop } = await import('./source/shop/preview.ts');
    return previewShop(localHost, root);
  },
  async findShops(folders) {
    const { findShops } = await import('./source/shop/find-shops.ts');
    return findShops(localHost, folders);
  },
  async checkHost(shop) {
    if (shop.host.type === 'local') return [];
    const { checkSshHost } = await import('./host/ssh-check.ts');
    const host = await openHost(shop.host);
    try {
      return await checkSshHost(host, { root: shop.files?.root ?? null, database: databaseEnd(shop.database) }, systemClock);
    } finally {
      await host.close();
    }
  },
  async tryRestoring(shop) {
    const { refusedAccount, restoringAccount } = await import('./source/shop/restoring-account.ts');
    const { tryRestoring } = await import('./target/mariadb/restore-rights.ts');
    const host = await openHost(shop.host);
    try {
      const account = await restoringAccount(shop, host);
      const { address, from, name } = account;
      const end =
        address.socketPath === null ? { host: address.host ?? '127.0.0.1', port: address.port } : { socketPath: address.socketPath };
      const tunnel = host.type === 'local' ? {} : { stream: () => host.connect(end) };
      const known = await tryRestoring({ ...address, ...tunnel }, name).catch((error: unknown) => {
        throw refusedAccount(error, account);
      });
      return `${known}, from ${from}`;
    } finally {
      if (host !== localHost) await host.close();
    }
  },
  async tryDrillDatabase(url, password) {
    const { tryDrills } = await import('./target/mariadb/restore-rights.ts');
    const { parseDatabaseUrl } = await import('./target/mariadb/url.ts');
    const { DATABASE_PREFIX } = await import('./restore/drill/place.ts');
    const { refusedLogin, refuseEvents, withDatabase } = await import('./restore/drill/run.ts');
    const { database: _, ...address } = parseDatabaseUrl(withDatabase(url, 'information_schema'));
    return await tryDrills({ ...address, password }, DATABASE_PREFIX, refuseEvents).catch((error: unknown) => {
      throw refusedLogin(error, password);
    });
  },
};

async function openHost(config: HostConfig): Promise<Host> {
  if (config.type === 'local') return localHost;
  const { SshHost } = await import('./host/ssh.ts');
  return new SshHost(config, systemClock);
}

async function sourceOn(host: Host, shop: ShopConfig, kind: SourceKind): Promise<Source> {
  if (kind === 'files' && shop.files) {
    const { FilesSource } = await import('./source/files/files-source.ts');
    const { ShopTreeSource } = await import('./source/shop/shop-tree.ts');
    return new ShopTreeSource(shop.files, host, (files) => new FilesSource(files, host, systemClock));
  }
  if (kind === 'database' && shop.database) {
    const { DatabaseSource } = await import('./source/mariadb/database.ts');
    const { openShopDatabase } = await import('./source/shop/resolve-database.ts');
    return openShopDatabase(shop, host, (database) => {
      const end = databaseEnd(database);
      const tunnel = host.type === 'local' || end === null ? {} : { stream: () => host.connect(end) };
      return new DatabaseSource(database, { clock: systemClock, ...tunnel });
    });
  }
  if (kind === 'server' && shop.server) {
    const { FilesSource } = await import('./source/files/files-source.ts');
    const { ServerSource } = await import('./source/server/server-source.ts');
    return new ServerSource(shop.server, host, systemClock, (files, options) => new FilesSource(files, host, systemClock, options));
  }
  throw new CoffreError('E_CONFIG', `shop ${shop.name} has no source ${kind}`, { hint: `declare ${kind} under shops: ${shop.name}` });
}

/** Where a database is, as seen from its shop's host; null while only the shop's own configuration knows. */
function databaseEnd(database: ShopConfig['database']): Parameters<Host['connect']>[0] | null {
  if (database === null) return null;
  if (database.socketPath !== null) return { socketPath: database.socketPath };
  return database.port === null || database.host === null ? null : { host: database.host, port: database.port };
}

/** The host's connection ends with the reading or the check: each source has its own. */
function closedWithHost(source: Source, host: Host): Source {
  if (host.type === 'local') return source;
  return {
    kind: source.kind,
    async open(options) {
      try {
        return closingHost(await source.open(options), host);
      } catch (error) {
        await host.close();
        throw error;
      }
    },
    async check() {
      try {
        return await source.check();
      } finally {
        await host.close();
      }
    },
  };
}

await runProcess((argv, io) => ({
  adapters,
  restore: { here: false, become: () => becomeUnit(fileURLToPath(new URL('./restore-main.ts', import.meta.url)), argv, io) },
}));
