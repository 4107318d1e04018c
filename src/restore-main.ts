// The composition root of the restore unit: the only process that reads identities and writes into shops. Run by `coffre restore`
// and `coffre verify`, with their command line.
import type { Adapters, LandingDatabase, OpenShop, RestoreAdapters } from './cli/adapters.ts';
import { runProcess } from './cli/process.ts';
import { systemClock } from './clock.ts';
import type { FilesConfig, Secret, ShopConfig, SshHostConfig } from './config/config.ts';
import { secretFromEnvironment, secretFromFile } from './config/secret.ts';
import { CoffreError } from './errors.ts';
import { closingHost } from './host/closing-host.ts';
import type { Host } from './host/host.ts';
import { localHost } from './host/local.ts';
import { JOURNAL_FOLDER } from './restore/in-place-journal.ts';
import type { BytePath } from './source/source.ts';
import type { ServerAddress } from './target/mariadb/session.ts';
import { GUARD_PREFIX } from './target/shop/guard-page.ts';

/** The restore unit reads no shop and prepares no vault. */
const notHere = (): Promise<never> => Promise.reject(new CoffreError('E_INTERNAL', 'not a task of the restore unit'));

const PASSWORD_VARIABLE = 'COFFRE_DB_PASSWORD';

const openVault: Adapters['openVault'] = async (vault) => {
  if (vault.type === 's3') {
    const { S3Vault } = await import('./vault/s3.ts');
    return new S3Vault(vault, systemClock);
  }
  const { FilesystemVault } = await import('./vault/filesystem.ts');
  return new FilesystemVault(vault, systemClock);
};

/** The password of --password-file: nothing of the configuration, so its errors speak of the flag. */
function passwordFile(path: string): Secret {
  const secret = secretFromFile(path);
  const read = (): string => {
    try {
      return secret.read();
    } catch (cause) {
      if (!(cause instanceof CoffreError) || cause.code !== 'E_SECRET_MISSING') throw cause;
      throw new CoffreError(cause.code, cause.message, {
        cause,
        hint: `--password-file names a file of mode 600 that holds the password; or give it in $${PASSWORD_VARIABLE}`,
      });
    }
  };
  return { ...secret, read };
}

const adapters: RestoreAdapters = {
  openVault,
  async openFilesTarget(directory, { host, overwrite, delete: remove, checksum, chosen, keepOld, dropsPrivileges, files }) {
    if (host.type !== 'local') {
      const { RemoteDirectoryTarget } = await import('./target/files/remote-target.ts');
      const remote = await openSshHost(host);
      const removeAllBut = remove ? await staying(remote, directory, files, chosen) : null;
      return closingHost(
        new RemoteDirectoryTarget(directory, remote, { overwrite, removeAllBut, keepOld, checksum, dropsPrivileges }),
        remote,
      );
    }
    const removeAllBut = remove ? await staying(localHost, directory, files, chosen) : null;
    const { DirectoryTarget } = await import('./target/files/directory-target.ts');
    const { LandingDirectory } = await import('./target/files/landing-directory.ts');
    const here = new URL('./host/local.ts', import.meta.url);
    const fresh = (inside: string) => new DirectoryTarget(inside, localHost, here, { dropsPrivileges });
    return new LandingDirectory(directory, localHost, { fresh, overwrite, checksum, removeAllBut, dropsPrivileges });
  },
  async openDatabaseTarget(url, { passwordFile: file, definers, host, ...options }) {
    const { SwapTarget } = await import('./target/mariadb/swap.ts');
    const { KEEP_DEFINERS, parseDefinerRule } = await import('./target/mariadb/definers.ts');
    const { database, ...address } = await databaseAddress(url, file);
    const rule = definers === null ? KEEP_DEFINERS : parseDefinerRule(definers);
    const open = (at: ServerAddress): LandingDatabase => new SwapTarget(at, database, { ...options, definers: rule });
    if (host.type === 'local') return open(address);
    const remote = await openSshHost(host);
    return closingHost(open({ ...address, stream: () => remote.connect(databaseEnd(address)) }), remote);
  },
  openShop,
  async openExport(options) {
    const { createExport } = await import('./target/files/export-archive.ts');
    const { SqlFileTarget } = await import('./target/mariadb/sql-file.ts');
    return await createExport(options, (sql) => new SqlFileTarget(sql));
  },
  async describeDatabase(url, { passwordFile: file, host }) {
    const { describeContents } = await import('./target/mariadb/look.ts');
    const { database, ...address } = await databaseAddress(url, file);
    if (host.type === 'local') return describeContents(address, database);
    const remote = await openSshHost(host);
    try {
      return await describeContents({ ...address, stream: () => remote.connect(databaseEnd(address)) }, database);
    } finally {
      await remote.close();
    }
  },
  async openScratchDatabase(url, password) {
    const { SwapTarget } = await import('./target/mariadb/swap.ts');
    const { parseDefinerRule } = await import('./target/mariadb/definers.ts');
    const { parseDatabaseUrl } = await import('./target/mariadb/url.ts');
    const { database, ...address } = parseDatabaseUrl(url);
    const options = { overwrite: false, keepOld: false, definers: parseDefinerRule('strip'), onWarning: () => {} };
    return new SwapTarget({ ...address, password }, database, options);
  },
  async openDatabaseSession(url, password) {
    const { connect } = await import('./target/mariadb/session.ts');
    const { quoteName } = await import('./target/mariadb/names.ts');
    const { parseDatabaseUrl } = await import('./target/mariadb/url.ts');
    const { database, ...address } = parseDatabaseUrl(url);
    const session = await connect({ ...address, password }, { localInfile: false });
    await session.run(`USE ${quoteName(database)}`);
    return { texts: (sql) => session.texts(sql), run: (sql) => session.run(sql), close: () => session.end() };
  },
  host: localHost,
};

/** What --delete leaves: what --path did not choose, and what is in no snapshot of the shop because its configuration excludes it. */
async function staying(host: Host, root: string, files: FilesConfig | null, chosen: ((path: BytePath) => boolean) | null) {
  const { compilePatterns } = await import('./source/path-pattern.ts');
  const { PROFILE_EXCLUDES } = await import('./source/files/exclude.ts');
  const { foundExcludes } = await import('./source/shop/detect.ts');
  const found = files ? await foundExcludes(host, { root, profile: files.profile }) : [];
  const excluded = files ? compilePatterns([...PROFILE_EXCLUDES[files.profile], ...found, ...files.exclude]) : () => false;
  return (path: BytePath, isDirectory: boolean): 'whole' | 'itself' | 'no' => {
    // a restore in place that is under way: its journal, and what its guards keep
    if (path === JOURNAL_FOLDER || path.slice(path.lastIndexOf('/') + 1).startsWith(GUARD_PREFIX)) return 'whole';
    if (excluded(path, isDirectory)) return 'whole';
    // a directory that was not chosen may hold what was
    return chosen !== null && !chosen(path) ? 'itself' : 'no';
  };
}

/** How long one request for a page may take. */
const PAGE_WITHIN_MS = 20_000;

async function openShop(shop: ShopConfig, { database: withDatabase }: { readonly database: boolean }): Promise<OpenShop> {
  const { RunningShop } = await import('./target/shop/running-shop.ts');
  const { SwapTarget } = await import('./target/mariadb/swap.ts');
  const { swapNames } = await import('./target/mariadb/swap-names.ts');
  const { connect } = await import('./target/mariadb/session.ts');
  const { refusedAccount, restoringAccount } = await import('./source/shop/restoring-account.ts');
  const host = shop.host.type === 'local' ? localHost : await openSshHost(shop.host);
  try {
    const found = withDatabase ? await restoringAccount(shop, host) : null;
    const address =
      found && (host.type === 'local' ? found.address : { ...found.address, stream: () => host.connect(databaseEnd(found.address)) });
    const session =
      address &&
      (await connect(address, { localInfile: false }).catch((error: unknown) => {
        throw refusedAccount(error, found);
      }));
    const names = found && swapNames(found.name);
    return {
      target: new RunningShop(host, shop.files ?? { root: '/nonexistent', profile: 'generic' }, systemClock),
      tables: (where) =>
        session && names && found && found.prefix !== null
          ? { session, database: where === 'running' ? names.database : names.scratch, prefix: found.prefix }
          : null,
      // without its database nobody says at which address
      http: pageOf(shop.files, session !== null),
      openDatabase(onWarning) {
        if (!found || !address) throw new CoffreError('E_INTERNAL', 'a shop was opened without its database');
        return new SwapTarget(address, found.name, { overwrite: true, held: true, onWarning });
      },
      async discardFiles() {
        if (!shop.files) return;
        if (host.type === 'local') (await import('./target/files/landing-directory.ts')).abandonStaged(shop.files.root);
        else await (await import('./target/files/remote-staging.ts')).RemoteStaging.discard(host, shop.files.root);
      },
      free: async () => ({
        files: host.type === 'local' && shop.files ? await freeAt(shop.files.root) : null,
        database:
          host.type === 'local' && session ? await session.text('SELECT @@datadir').then((folder) => freeAt(folder as string)) : null,
      }),
      async close() {
        await session?.end();
        if (host !== localHost) await host.close();
      },
    };
  } catch (error) {
    if (host !== localHost) await host.close();
    throw error;
  }
}

function pageOf(files: FilesConfig | null, withDatabase: boolean): OpenShop['http'] {
  if (files === null || files.profile === 'generic' || files.page === null) return null;
  const page = files.page ?? { url: null, through: null, timeoutMs: PAGE_WITHIN_MS, marker: null };
  return page.url !== null || withDatabase ? page : null;
}

/** Null: that folder is not on this machine, or nobody tells. */
async function freeAt(folder: string): Promise<number | null> {
  const { statfs } = await import('node:fs/promises');
  return await statfs(folder).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => null,
  );
}

async function openSshHost(config: SshHostConfig): Promise<Host> {
  const { SshHost } = await import('./host/ssh.ts');
  return new SshHost(config, systemClock);
}

/** Where the database is, as seen from the host that it is reached through. */
function databaseEnd({ socketPath, host, port }: ServerAddress): Parameters<Host['connect']>[0] {
  return socketPath === null ? { host: host ?? '127.0.0.1', port } : { socketPath };
}

async function databaseAddress(url: string, file: string | null) {
  const { parseDatabaseUrl } = await import('./target/mariadb/url.ts');
  const fromEnvironment = process.env[PASSWORD_VARIABLE] ? secretFromEnvironment(PASSWORD_VARIABLE, process.env) : null;
  return { ...parseDatabaseUrl(url), password: file === null ? fromEnvironment : passwordFile(file) };
}

await runProcess(() => ({
  adapters: {
    openVault,
    prepareVault: notHere,
    openSource: notHere,
    previewShop: notHere,
    findShops: notHere,
    checkHost: notHere,
    tryRestoring: notHere,
    tryDrillDatabase: notHere,
  },
  restore: { here: true, adapters },
}));
