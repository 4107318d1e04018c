// A composition root for the crash matrix, and for tests that run commands in their own process: what main.ts and restore-main.ts compose of folders and stores, with every port in reach.
import { Temporal } from 'temporal-polyfill';
import type { CliContext } from '../../src/cli/context.ts';
import type { Io } from '../../src/cli/io.ts';
import { runProgram } from '../../src/cli/program.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { S3VaultConfig, ShopConfig } from '../../src/config/config.ts';
import { CoffreError } from '../../src/errors.ts';
import { localHost } from '../../src/host/local.ts';
import { FilesSource } from '../../src/source/files/files-source.ts';
import { ShopTreeSource } from '../../src/source/shop/shop-tree.ts';
import type { Source } from '../../src/source/source.ts';
import { DirectoryTarget } from '../../src/target/files/directory-target.ts';
import { LandingDirectory } from '../../src/target/files/landing-directory.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { agreeing } from '../vault/agreeing-folder.ts';

export interface Outcome {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a command's document, whose parts each caller names
  readonly json: any;
  readonly stdout: string;
  readonly stderr: string;
}

/** The system's clock, moved on: locks and windows end when a run says so, while timers stay what they are. */
export function shiftedClock(shiftMs: number): Clock {
  return {
    ...systemClock,
    now: () => Temporal.Instant.fromEpochMilliseconds(systemClock.nowMs() + shiftMs),
    nowMs: () => systemClock.nowMs() + shiftMs,
  };
}

/** The SDK is loaded when it is needed: most children work in folders. */
async function openStore(vault: S3VaultConfig, clock: Clock): Promise<Vault> {
  const { S3Vault } = await import('../../src/vault/s3.ts');
  return new S3Vault(vault, clock);
}

async function openDatabase(shop: ShopConfig, clock: Clock): Promise<Source> {
  const { DatabaseSource } = await import('../../src/source/mariadb/database.ts');
  const { openShopDatabase } = await import('../../src/source/shop/resolve-database.ts');
  return await openShopDatabase(shop, localHost, (database) => new DatabaseSource(database, { clock }));
}

const notHere = (): Promise<never> => Promise.reject(new CoffreError('E_INTERNAL', 'not a part of this composition: run bin/coffre'));

/** Runs one command of coffre in this process. `argv` holds --config and the command; --json is added. */
export async function runHere(
  argv: readonly string[],
  clock: Clock,
  wrap: (vault: Vault) => Vault = (vault) => vault,
  folderAt: (folder: FilesystemVault, clock: Clock) => FilesystemVault = agreeing,
): Promise<Outcome> {
  let status = 0;
  let stdout = '';
  let stderr = '';
  const io: Io = {
    out: (text) => {
      stdout += text;
    },
    err: (text) => {
      stderr += text;
    },
    stdin: process.stdin,
    stdoutIsTerminal: false,
    stderr: process.stderr,
    columns: 80,
    env: process.env,
    cwd: process.cwd(),
    onHangup: () => {},
    onUser2: () => {},
    signal: new AbortController().signal,
    setExitStatus: (wanted) => {
      status = wanted;
    },
  };
  const openVault: CliContext['adapters']['openVault'] = async (vault) =>
    wrap(vault.type === 's3' ? await openStore(vault, clock) : folderAt(new FilesystemVault(vault, clock), clock));
  const context: CliContext = {
    clock,
    io,
    adapters: {
      openVault,
      prepareVault: async (vault) => void (await new FilesystemVault(vault, clock).initialise()),
      async openSource(shop, kind) {
        if (shop.host.type !== 'local' || kind === 'server') return await notHere();
        if (kind === 'database' || shop.files === null) return await openDatabase(shop, clock);
        return new ShopTreeSource(shop.files, localHost, (files) => new FilesSource(files, localHost, clock));
      },
      previewShop: notHere,
      findShops: notHere,
      checkHost: async () => [],
      tryRestoring: async () => '',
      tryDrillDatabase: async () => '',
    },
    restore: {
      here: true,
      adapters: {
        openVault,
        async openFilesTarget(directory, { overwrite, checksum }) {
          const fresh = (inside: string) => new DirectoryTarget(inside, localHost, new URL('../../src/host/local.ts', import.meta.url));
          return new LandingDirectory(directory, localHost, { fresh, overwrite, checksum, removeAllBut: null });
        },
        openDatabaseTarget: notHere,
        openShop: notHere,
        openExport: notHere,
        describeDatabase: notHere,
        openScratchDatabase: notHere,
        openDatabaseSession: notHere,
        host: localHost,
      },
    },
  };
  await runProgram(['--json', ...argv], '0.1.0', context);
  let json: unknown = null;
  try {
    json = JSON.parse(stdout);
  } catch {
    stderr += stdout;
  }
  return { status, json, stdout, stderr };
}
