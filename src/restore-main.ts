// The composition root of the restore unit: the only process that reads identities and writes into shops. Run by `coffre restore`
// and `coffre verify`, with their command line.
import type { Adapters, LandingDatabase, RestoreAdapters } from './cli/adapters.ts';
import { runProcess } from './cli/process.ts';
import { systemClock } from './clock.ts';
import type { FilesConfig, Secret, SshHostConfig } from './config/config.ts';
import { secretFromEnvironment, secretFromFile } from './config/secret.ts';
import { CoffreError } from './errors.ts';
import { closingHost } from './host/closing-host.ts';
import type { Host } from './host/host.ts';
import { localHost } from './host/local.ts';
import type { BytePath } from './source/source.ts';
import type { ServerAddress } from './target/mariadb/session.ts';

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
  async describeDatabase(url, { passwordFile: file, host }) {
    const { describeContents } = await import('./target/mariadb/swap-contents.ts');
    const { database, ...address } = await databaseAddress(url, file);
    if (host.type === 'local') return describeContents(address, database);
    const remote = await openSshHost(host);
    try {
      return await describeContents({ ...address, stream: () => remote.connect(databaseEnd(address)) }, database);
    } finally {
      await remote.close();
    }
  },
};

/** What --delete leaves: what --path did not choose, and what is in no snapshot of the shop because its configuration excludes it. */
async function staying(host: Host, root: string, files: FilesConfig | null, chosen: ((path: BytePath) => boolean) | null) {
  const { compilePatterns } = await import('./source/path-pattern.ts');
  const { PROFILE_EXCLUDES } = await import('./source/files/exclude.ts');
  const { foundExcludes } = await import('./source/shop/detect.ts');
  const found = files ? await foundExcludes(host, { root, profile: files.profile }) : [];
  const excluded = files ? compilePatterns([...PROFILE_EXCLUDES[files.profile], ...found, ...files.exclude]) : () => false;
  return (path: BytePath, isDirectory: boolean): 'whole' | 'itself' | 'no' => {
    if (excluded(path, isDirectory)) return 'whole';
    // a directory that was not chosen may hold what was
    return chosen !== null && !chosen(path) ? 'itself' : 'no';
  };
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
  adapters: { openVault, prepareVault: notHere, openSource: notHere, previewShop: notHere, findShops: notHere, checkHost: notHere },
  restore: { here: true, adapters },
}));
