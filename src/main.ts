// The composition root of `coffre`: the only file, with restore-main.ts, that names adapters.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Adapters } from './cli/adapters.ts';
import { processIo } from './cli/io.ts';
import { printError } from './cli/output.ts';
import { runProgram } from './cli/program.ts';
import { becomeUnit } from './cli/run-unit.ts';
import { systemClock } from './clock.ts';
import { asCoffreError, CoffreError } from './errors.ts';
import { localHost } from './host/local.ts';
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
    if (shop.host.type !== 'local') {
      throw new CoffreError('E_CONFIG', `shop ${shop.name}: hosts of type ${shop.host.type} cannot be read yet`, {
        hint: 'run coffre on that host, or give the shop a local host',
      });
    }
    if (kind === 'files' && shop.files) {
      const { FilesSource } = await import('./source/files/files-source.ts');
      const { ShopTreeSource } = await import('./source/shop/shop-tree.ts');
      return new ShopTreeSource(shop.files, localHost, (files) => new FilesSource(files, localHost, systemClock));
    }
    if (kind === 'database' && shop.database) {
      const { DatabaseSource } = await import('./source/mariadb/database.ts');
      const { openShopDatabase } = await import('./source/shop/resolve-database.ts');
      return openShopDatabase(shop, localHost, (database) => new DatabaseSource(database, { clock: systemClock }));
    }
    if (kind === 'server' && shop.server) {
      const { FilesSource } = await import('./source/files/files-source.ts');
      const { ServerSource } = await import('./source/server/server-source.ts');
      return new ServerSource(shop.server, localHost, systemClock, (files, options) => new FilesSource(files, localHost, systemClock, options));
    }
    throw new CoffreError('E_CONFIG', `shop ${shop.name} has no source ${kind}`, { hint: `declare ${kind} under shops: ${shop.name}` });
  },
};

const io = processIo();
const argv = process.argv.slice(2);
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    printError(io, argv.includes('--json'), asCoffreError(error));
    process.exit(1);
  });
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
await runProgram(argv, version, {
  adapters,
  restore: { here: false, become: () => becomeUnit(fileURLToPath(new URL('./restore-main.ts', import.meta.url)), argv, io) },
  clock: systemClock,
  io,
});
// Nothing is left to do: a socket that some library keeps open must not hold the terminal.
systemClock.after(2000, () => process.exit(), { unref: true });
