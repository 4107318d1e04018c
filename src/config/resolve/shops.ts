// From shops: as written to the shops in use: how their hosts are reached, and what of them is backed up.
import { isAbsolute } from 'node:path';
import type {
  DatabaseConfig,
  DatabaseFromShopConfig,
  FilesConfig,
  HostConfig,
  PlanConfig,
  ServerConfig,
  ShopConfig,
  VaultConfig,
} from '../config.ts';
import { overlaps, within } from '../overlap.ts';
import type { KeyPath } from '../problems.ts';
import type { ConfigFile } from '../schema.ts';
import { secretFromFile } from '../secret.ts';
import { NO_PLAN } from './plans.ts';
import type { Reading } from './reading.ts';

type WrittenShop = ConfigFile['shops'][string];

/** What was resolved before the shops, and what they must not lie in. */
export interface Resolved {
  readonly vaults: ReadonlyMap<string, VaultConfig>;
  readonly plans: ReadonlyMap<string, PlanConfig>;
  readonly keyDir: string;
  readonly signingKeyFile: string;
}

const DATABASE_PORT = 3306;

export function resolveShop(name: string, value: WrittenShop, at: KeyPath, reading: Reading, resolved: Resolved): ShopConfig {
  const { mustExist, report, warn, written } = reading;
  const planExists = mustExist([...at, 'plan'], value.plan, 'plans');
  value.vaults.forEach((vault, index) => {
    mustExist([...at, 'vaults', index], vault, 'vaults');
    if (value.vaults.indexOf(vault) < index) report([...at, 'vaults', index], `names ${vault} a second time`);
  });
  if (value.contact?.email && !written.notify.mail) {
    warn([...at, 'contact', 'email'], 'is told nothing: notify.mail is not configured');
  }
  if (!value.database && !value.files && !value.server) {
    report(at, 'has nothing to back up: database, files or server is expected');
  }
  if (value.report?.monthly && !value.contact?.email) {
    warn([...at, 'report', 'monthly'], 'is sent to nobody: contact.email is not configured');
  }
  return {
    name,
    plan: (planExists ? resolved.plans.get(value.plan) : undefined) ?? NO_PLAN,
    vaults: value.vaults,
    host: resolveHost(value.host, [...at, 'host'], reading),
    database: value.database ? resolveDatabase(value.database, value.host.type, value.files ?? null, [...at, 'database'], reading) : null,
    files: value.files ? resolveFiles(value.files, value.host.type, [...at, 'files'], reading, resolved.vaults) : null,
    server: value.server ? resolveServer(value.server, value.host.type, [...at, 'server'], reading, resolved) : null,
    contact: value.contact
      ? { emails: value.contact.email ?? [], language: value.contact.language, name: value.contact.name ?? null }
      : null,
    report: value.report ?? null,
  };
}

function resolveHost(host: WrittenShop['host'], at: KeyPath, { absolute, env, report, secret }: Reading): HostConfig {
  if (host.type === 'local') return { type: 'local' };
  const referred = secret(at, 'key', host.keyFile?.[0], host.key);
  const keys = host.keyFile === undefined ? [referred] : host.keyFile.map((path) => secretFromFile(absolute(path), env));
  const agent = host.agent === true ? (env.SSH_AUTH_SOCK ?? null) : host.agent === false ? false : absolute(host.agent);
  if (referred === null && agent === false) report([...at, 'keyFile'], 'is missing: a private key (keyFile) or an agent is expected');
  return {
    type: 'ssh',
    host: host.host,
    port: host.port,
    user: host.user,
    keys: keys.filter((key) => key !== null),
    passphrase: secret(at, 'passphrase', host.passphraseFile, host.passphrase),
    agent: agent === false ? null : { socketPath: agent },
    knownHostsFile: absolute(host.knownHostsFile),
    connectTimeoutMs: host.connectTimeout,
  };
}

/** A path on the shop's host: only a local one can be relative to this file. */
function onHost(path: string, hostType: HostConfig['type'], at: KeyPath, { absolute, report }: Reading): string {
  if (hostType === 'local') return absolute(path);
  if (!isAbsolute(path)) report(at, `is ${JSON.stringify(path)}: on a host reached by SSH an absolute path is expected`);
  return path;
}

function resolveDatabase(
  database: NonNullable<WrittenShop['database']>,
  hostType: HostConfig['type'],
  files: WrittenShop['files'] | null,
  at: KeyPath,
  reading: Reading,
): DatabaseConfig | DatabaseFromShopConfig {
  const { report, secret } = reading;
  const { host, socketPath, name, user } = database;
  if (database.fromShop) {
    if (!files || files.profile === 'generic') {
      report(at, 'comes from the shop, which needs files: with a root and profile prestashop or wordpress');
    }
    if (host && socketPath) report(at, 'has both host and socketPath: one of them is expected');
    if (database.port !== undefined && socketPath) report([...at, 'port'], 'means nothing with socketPath');
  } else {
    const orShop = files && files.profile !== 'generic' ? ` (or fromShop: true, to read it in the shop's own configuration)` : '';
    if (name === undefined) report([...at, 'name'], `is missing: the name of a database is expected${orShop}`);
    if (user === undefined) report([...at, 'user'], `is missing: a database user is expected${orShop}`);
  }
  if (!database.fromShop && !host === !socketPath) {
    report(at, host ? 'has both host and socketPath: one of them is expected' : 'has neither host nor socketPath: one of them is expected');
  }
  const common = {
    host: host ?? null,
    socketPath: socketPath ? onHost(socketPath, hostType, [...at, 'socketPath'], reading) : null,
    password: secret(at, 'password', database.passwordFile, database.password),
    ...(database.restore
      ? {
          restore: {
            user: database.restore.user,
            password: secret([...at, 'restore'], 'password', database.restore.passwordFile, database.restore.password),
          },
        }
      : {}),
    excludeData: database.excludeData,
    profile: database.profile,
    threads: database.threads,
    gentle: {
      rowsPerSecond: database.limits.rowsPerSecond,
      bytesPerSecond: database.limits.bandwidth === 'none' ? null : database.limits.bandwidth,
      maxRunningQueries: database.limits.maxRunningQueries,
      maxLockMs: database.limits.maxLock,
    },
  };
  return database.fromShop
    ? { ...common, fromShop: true, name: name ?? null, user: user ?? null, port: database.port ?? null }
    : { ...common, name: name ?? '', user: user ?? '', port: database.port ?? DATABASE_PORT };
}

function resolveServer(
  { root, exclude }: NonNullable<WrittenShop['server']>,
  hostType: HostConfig['type'],
  at: KeyPath,
  reading: Reading,
  resolved: Resolved,
): ServerConfig {
  const { absolute, report, written } = reading;
  const { keyDir, signingKeyFile, vaults } = resolved;
  const rootPath = onHost(root, hostType, [...at, 'root'], reading);
  if (hostType !== 'local') return { root: rootPath, exclude, own: [] };
  const vaultPaths: string[] = [];
  for (const vault of vaults.values()) {
    if (vault.type !== 'filesystem') continue;
    vaultPaths.push(vault.path);
    if (within(rootPath, vault.path)) report([...at, 'root'], `is ${JSON.stringify(rootPath)} and lies in vault ${vault.name}`);
  }
  // The identities of all shops would stand in one shop's backup, which that shop's own identity opens.
  const keys = within(signingKeyFile, keyDir) ? [keyDir] : [keyDir, signingKeyFile];
  return { root: rootPath, exclude, own: [absolute(written.stateDir), ...keys, ...vaultPaths] };
}

function resolveFiles(
  files: NonNullable<WrittenShop['files']>,
  hostType: HostConfig['type'],
  at: KeyPath,
  reading: Reading,
  vaults: Resolved['vaults'],
): FilesConfig {
  const { absolute, report, warn, written } = reading;
  const root = onHost(files.root, hostType, [...at, 'root'], reading);
  if (hostType === 'local') {
    for (const vault of vaults.values()) {
      if (vault.type !== 'filesystem' || !overlaps(root, vault.path)) continue;
      report(
        [...at, 'root'],
        `is ${JSON.stringify(root)} and overlaps vault ${vault.name} at ${vault.path}: a vault cannot back itself up`,
      );
    }
    if (overlaps(root, absolute(written.stateDir))) {
      warn([...at, 'root'], `overlaps stateDir ${absolute(written.stateDir)}: move stateDir out of the shop's tree`);
    }
  }
  const { profile, exclude, page } = files;
  if (page === undefined) return { root, profile, exclude };
  if (page === null) return { root, profile, exclude, page };
  const { url = null, through = null, text: marker = null, within: timeoutMs } = page;
  return { root, profile, exclude, page: { url, through, marker, timeoutMs } };
}
