// From the file as written to the configuration in use: paths, names and secrets resolved, and what must agree checked.
import { dirname, isAbsolute, resolve } from 'node:path';
import type { ErrorCode } from '../errors.ts';
import type {
  Config,
  ContractConfig,
  DatabaseConfig,
  DatabaseFromShopConfig,
  FilesConfig,
  HostConfig,
  PlanConfig,
  Secret,
  ServerConfig,
  ShopConfig,
  VaultConfig,
} from './config.ts';
import { checkContract } from './contract.ts';
import { LOCK_ALLOWANCE_DAY_MS, REUSE_MAX_AGE_MS } from './lock-room.ts';
import { coverTheWeek } from './maintenance.ts';
import { defaultMemoryBytes, leastMemoryBytes } from './memory.ts';
import { checkVaultPlaces, overlaps, within } from './overlap.ts';
import { type KeyPath, nearestName, type Problem, printPath } from './problems.ts';
import { printDuration } from './quantity.ts';
import { resolveNotify } from './resolve-notify.ts';
import type { ConfigFile } from './schema.ts';
import { type Environment, type SecretReference, secretFromCredential, secretFromEnvironment, secretFromFile } from './secret.ts';

type Written<K extends 'vaults' | 'plans' | 'contracts' | 'shops'> = ConfigFile[K][string];

/** A shop's name is a folder in every vault, and `_coffre` is ours: hence no leading underscore or dash. */
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const NAME_EXPECTED = 'a name of small letters, digits and dashes is expected, 63 at most, such as dupont or csi-001';

/**
 * How much longer than the retention a lock may have to last: a run's length, the age up to which its segments are reused,
 * and a day for prune's own pace. The exact horizon is computed in src/retention; this keeps plans out that can never fit.
 */
const SHORT_RETENTION_MS = 86_400_000;
const DATABASE_PORT = 3306;
/** Monday to Friday, nine to six: what most contracts say. */
const BUSINESS_HOURS = { fromMinute: 9 * 60, toMinute: 18 * 60, days: [1, 2, 3, 4, 5] } as const;

export function resolveConfig(
  written: ConfigFile,
  file: string,
  env: Environment,
  lineOf: (path: KeyPath) => number,
): { config: Config; problems: Problem[] } {
  const folder = dirname(file);
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const report = (path: KeyPath, message: string, code: ErrorCode = 'E_CONFIG'): void => {
    problems.push({ code, line: lineOf(path), message: `${printPath(path)} ${message}` });
  };
  const warn = (path: KeyPath, message: string): void => {
    warnings.push(`${file}:${lineOf(path)}: ${printPath(path)} ${message}`);
  };
  const absolute = (path: string): string => resolve(folder, path);

  /** From `<key>File: PATH` or `<key>: {…}`; at most one of them. */
  const secret = (at: KeyPath, key: string, filePath: string | undefined, reference: SecretReference): Secret | null => {
    if (filePath !== undefined && reference !== undefined) report([...at, key], `is given twice: keep ${key} or ${key}File`);
    if (filePath !== undefined) return secretFromFile(absolute(filePath), env);
    if (reference?.file !== undefined) return secretFromFile(absolute(reference.file), env);
    if (reference?.credential !== undefined) return secretFromCredential(reference.credential, env);
    if (reference?.env !== undefined) return secretFromEnvironment(reference.env, env);
    return null;
  };

  const map = <K extends 'vaults' | 'plans' | 'contracts' | 'shops', T>(
    section: K,
    make: (name: string, value: Written<K>, at: KeyPath) => T,
  ): ReadonlyMap<string, T> => {
    const made = new Map<string, T>();
    for (const [name, value] of Object.entries(written[section]) as [string, Written<K>][]) {
      if (!NAME.test(name)) report([section, name], `is not a good name: ${NAME_EXPECTED}`);
      made.set(name, make(name, value, [section, name]));
    }
    return made;
  };

  /** Reports a name that is not declared. */
  const mustExist = (at: KeyPath, name: string, section: 'vaults' | 'plans' | 'shops'): boolean => {
    if (Object.hasOwn(written[section], name)) return true;
    const known = Object.keys(written[section]);
    const nearest = nearestName(name, known);
    const allowed =
      nearest !== null
        ? `did you mean ${nearest}?`
        : known.length > 0
          ? `declared are ${known.join(', ')}`
          : `nothing is declared under ${section}`;
    report(at, `is ${JSON.stringify(name)}, which is not declared under ${section}: ${allowed}`);
    return false;
  };

  const keyDir = absolute(written.encryption === 'none' ? 'keys' : written.encryption.keyDir);
  const signingKeyFile = written.signing.keyFile === undefined ? resolve(keyDir, 'signing.key') : absolute(written.signing.keyFile);
  const vaults = map('vaults', (name, value, at): VaultConfig => {
    if (value.type === 'filesystem') {
      const { type, site, offsite } = value;
      return { name, type, path: absolute(value.path), media: value.media ?? 'disk', site: site ?? null, offsite };
    }
    const credentials = secret(at, 'credentials', value.credentialsFile, value.credentials);
    if (credentials === null) {
      report([...at, 'credentialsFile'], 'is missing: a JSON file (mode 600) with accessKeyId and secretAccessKey is expected');
    }
    if (value.lock.mode === 'GOVERNANCE') {
      warn([...at, 'lock', 'mode'], 'is GOVERNANCE: who holds the bypass permission can still delete, COMPLIANCE stops everyone');
    }
    if (value.endpoint.startsWith('http:') && !isLoopback(new URL(value.endpoint).hostname)) {
      warn([...at, 'endpoint'], 'is not encrypted on its way (http)');
    }
    return {
      name,
      type: 's3',
      endpoint: value.endpoint,
      region: value.region,
      bucket: value.bucket,
      prefix: value.prefix.replace(/^\/+|\/+$/g, ''),
      forcePathStyle: value.forcePathStyle,
      media: value.media ?? 'object',
      site: value.site ?? null,
      offsite: value.offsite,
      lock: { mode: value.lock.mode },
      credentials: credentials ?? secretFromFile('/dev/null'),
      pruneCredentials: secret(at, 'pruneCredentials', value.pruneCredentialsFile, value.pruneCredentials),
      readCredentials: secret(at, 'readCredentials', value.readCredentialsFile, value.readCredentials),
      timeouts: { connectMs: value.timeouts.connect, requestMs: value.timeouts.request },
      uploadBytesPerSecond: written.limits.bandwidth === 'none' ? null : written.limits.bandwidth,
    };
  });
  const { concurrency, memory } = written.limits;
  const leastMemory = leastMemoryBytes(concurrency);
  if (memory != null && memory < leastMemory) {
    const runs = concurrency === 1 ? 'a run needs' : `${concurrency} runs at a time (limits.concurrency) need`;
    report(['limits', 'memory'], `is ${Math.round(memory / 1e6)}MB: ${runs} at least ${leastMemory / 1e6}MB`);
  }
  checkVaultPlaces([...vaults.values()], report);

  const longestLockMs =
    written.limits.lockCeiling - written.limits.runDeadline - (written.limits.reuseMaxAge ?? REUSE_MAX_AGE_MS) - LOCK_ALLOWANCE_DAY_MS;
  const noTimeAtAll = coverTheWeek(written.maintenance);
  if (noTimeAtAll) report(['maintenance'], 'leaves no time: its windows cover the week');
  const plans = map('plans', (name, value, at): PlanConfig => {
    if (value.retention > longestLockMs) {
      const needed = printDuration(written.limits.lockCeiling - longestLockMs + value.retention);
      const ceiling = printDuration(written.limits.lockCeiling);
      report(
        [...at, 'retention'],
        `is ${printDuration(value.retention)}: its locks may last ${needed} (with a run, the reuse of segments and a day), beyond limits.lockCeiling ${ceiling}`,
        'E_LOCK_CEILING',
      );
    }
    if (value.retention < SHORT_RETENTION_MS) {
      warn([...at, 'retention'], `is ${printDuration(value.retention)}, less than a day: good for tests only`);
    }
    const maintenance = [...written.maintenance, ...value.maintenance];
    if (!noTimeAtAll && coverTheWeek(maintenance)) {
      report([...at, 'maintenance'], 'leaves no time: with those of the whole configuration its windows cover the week');
    }
    if (value.drill.vaults !== 'each-in-turn') {
      value.drill.vaults.forEach((vault, index) => {
        mustExist([...at, 'drill', 'vaults', index], vault, 'vaults');
      });
    }
    const country = value.rto.country ?? null;
    if (value.rto.calendar === 'business' && country === null) {
      warn([...at, 'rto'], 'counts business hours without a country: public holidays count as working days');
    }
    const region = value.rto.region ?? null;
    if (region !== null && country === null) report([...at, 'rto', 'region'], 'means nothing without country');
    if (region !== null && country?.includes('-'))
      report([...at, 'rto', 'region'], `is given twice: country ${country} names a part already`);
    if (value.rto.calendar === '24x7' && value.rto.hours) report([...at, 'rto', 'hours'], 'means nothing with calendar 24x7');
    return {
      name,
      retentionMs: value.retention,
      rto: {
        ...{ targetMs: value.rto.target, calendar: value.rto.calendar, country, region },
        ...{ hours: value.rto.hours ?? BUSINESS_HOURS, zone: value.rto.zone ?? written.timezone },
      },
      quotaBytes: value.quota ?? null,
      full: value.full,
      schedule: value.schedule,
      drill: {
        // whether a shop has it is seen when it is drilled: plans are for many shops
        vaults: value.drill.vaults === 'each-in-turn' ? null : value.drill.vaults,
        missingImagesPercent: value.drill.missingImagesPercent,
        newestOrderMs: value.drill.newestOrder,
      },
      report: value.report,
      maintenance,
    };
  });

  const contracts = map('contracts', (name, value, at): ContractConfig => {
    mustExist([...at, 'vault'], value.vault, 'vaults');
    value.shops?.forEach((shop, index) => {
      mustExist([...at, 'shops', index], shop, 'shops');
    });
    checkContract(value, at, report);
    const { firstMonth, issue, paid, period, price, rebill, subscribedTB, vault } = value;
    return {
      ...{ name, vault, title: value.title ?? null, subscribedTB, period, paid, firstMonth, price, rebill, issue },
      ...{ start: value.start ?? null, end: value.end ?? null, timezone: value.timezone ?? written.timezone },
      prices: value.prices.map(({ from, perTBMonth, s0 }) => ({ from, perTBMonth, s0: s0 ?? null })),
      taxPercent: value.taxPercent ?? null,
      index: value.index ?? null,
      shops: value.shops ?? null,
    };
  });

  const shops = map('shops', (name, value, at): ShopConfig => {
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
      plan: (planExists ? plans.get(value.plan) : undefined) ?? NO_PLAN,
      vaults: value.vaults,
      host: resolveHost(value.host, [...at, 'host']),
      database: value.database ? resolveDatabase(value.database, value.host.type, value.files ?? null, [...at, 'database']) : null,
      files: value.files ? resolveFiles(value.files, value.host.type, [...at, 'files']) : null,
      server: value.server ? resolveServer(value.server, value.host.type, [...at, 'server']) : null,
      contact: value.contact
        ? { emails: value.contact.email ?? [], language: value.contact.language, name: value.contact.name ?? null }
        : null,
      report: value.report ?? null,
    };
  });

  function resolveDrillDatabase(): Config['restore']['drillDatabase'] {
    const { drillDatabase } = written.restore;
    if (!drillDatabase) return null;
    const at = ['restore', 'drillDatabase'];
    const { url, password, passwordFile } = drillDatabase;
    const parts = URL.parse(url);
    const isGood = parts !== null && /^(mysql|mariadb):$/.test(parts.protocol) && parts.username !== '';
    if (!isGood || parts.pathname.replace('/', '') !== '')
      report([...at, 'url'], 'is not mysql://user@host:port, or mysql://user@localhost?socketPath=/run/…, without a database');
    if (parts !== null && parts.password !== '') report([...at, 'url'], 'holds a password: passwordFile is where it belongs');
    return { url, password: secret(at, 'password', passwordFile, password) };
  }

  function resolveTls(): Config['listen']['tls'] {
    const { http: address, tls: pair } = written.listen;
    if (!pair) return null;
    const at = ['listen', 'tls'];
    if (!address) report(at, 'means nothing without listen.http');
    const key = secret(at, 'key', pair.keyFile, pair.key);
    if (key === null) report([...at, 'keyFile'], 'is missing: the private key of the certificate (mode 600) is expected');
    return { certFile: absolute(pair.certFile), key: key ?? secretFromFile('/dev/null') };
  }

  function resolveHost(host: Written<'shops'>['host'], at: KeyPath): HostConfig {
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
  function onHost(path: string, hostType: HostConfig['type'], at: KeyPath): string {
    if (hostType === 'local') return absolute(path);
    if (!isAbsolute(path)) report(at, `is ${JSON.stringify(path)}: on a host reached by SSH an absolute path is expected`);
    return path;
  }

  function resolveDatabase(
    database: NonNullable<Written<'shops'>['database']>,
    hostType: HostConfig['type'],
    files: Written<'shops'>['files'] | null,
    at: KeyPath,
  ): DatabaseConfig | DatabaseFromShopConfig {
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
      report(
        at,
        host ? 'has both host and socketPath: one of them is expected' : 'has neither host nor socketPath: one of them is expected',
      );
    }
    const common = {
      host: host ?? null,
      socketPath: socketPath ? onHost(socketPath, hostType, [...at, 'socketPath']) : null,
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
    { root, exclude }: NonNullable<Written<'shops'>['server']>,
    hostType: HostConfig['type'],
    at: KeyPath,
  ): ServerConfig {
    const rootPath = onHost(root, hostType, [...at, 'root']);
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

  function resolveFiles(files: NonNullable<Written<'shops'>['files']>, hostType: HostConfig['type'], at: KeyPath): FilesConfig {
    const root = onHost(files.root, hostType, [...at, 'root']);
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

  if (written.verify.readWithin === null) warn(['verify', 'readWithin'], 'is off: nobody notices when what is stored rots');
  if (written.encryption === 'none') warn(['encryption'], 'is none: whoever reads a vault reads the shops');
  if (written.restore.unattended) {
    warn(['restore', 'unattended'], 'is true: whoever controls the daemon can have any shop’s files replaced (systemd/RIGHTS.md)');
  }
  const http = written.listen.http ?? null;
  const tls = resolveTls();
  if (http !== null && tls === null && !isLoopback(http.replace(/:\d+$/, ''))) {
    warn(['listen', 'http'], `is ${http}: tokens travel unencrypted unless a TLS proxy stands before it`);
  }
  for (const name of shops.keys()) {
    // The shop's identity would be the signing key's file.
    if (resolve(keyDir, 'identities', `${name}.key`) === signingKeyFile)
      report(['shops', name], `cannot be named so: ${signingKeyFile} is the signing key`);
  }
  const config: Config = {
    file,
    timezone: written.timezone,
    stateDir: absolute(written.stateDir),
    listen: {
      socket: written.listen.socket === null ? null : absolute(written.listen.socket),
      ...{ http, tls, proxies: written.listen.proxies },
    },
    encryption: written.encryption === 'none' ? 'none' : { keyDir, recovery: written.encryption.recovery },
    signing: { keyFile: signingKeyFile },
    vaults,
    plans,
    contracts,
    shops,
    limits: {
      concurrency: written.limits.concurrency,
      jitterMs: written.limits.jitter,
      bandwidthBytes: written.limits.bandwidth === 'none' ? null : written.limits.bandwidth,
      memoryBytes: written.limits.memory ?? defaultMemoryBytes(written.limits.concurrency),
      lockCeilingMs: written.limits.lockCeiling,
      runDeadlineMs: written.limits.runDeadline,
      vaultDeadlineMs: written.limits.vaultDeadline,
      reuseMaxAgeMs: written.limits.reuseMaxAge ?? null,
      clockSkewMs: written.limits.clockSkew,
    },
    restore: {
      socket: written.restore.socket === null ? null : absolute(written.restore.socket),
      unattended: written.restore.unattended,
      scratchDir: absolute(written.restore.scratchDir),
      keepExportsMs: written.restore.keepExports,
      drillDatabase: resolveDrillDatabase(),
    },
    verify: { readWithinMs: written.verify.readWithin },
    runs: { keepMs: written.runs.keep },
    audit: { keepMs: written.audit.keep },
    notify: resolveNotify(written.notify, secret, report, (line) => `${file}:${lineOf(line)}`, absolute),
    warnings,
  };
  return { config, problems };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Stands in for a plan that is not declared: the configuration is refused anyway. */
const NO_PLAN: PlanConfig = {
  name: '',
  retentionMs: 0,
  rto: { targetMs: 0, calendar: '24x7', country: null, region: null, hours: BUSINESS_HOURS, zone: 'UTC' },
  quotaBytes: null,
  full: 'fresh',
  schedule: { database: null, files: null, increments: null, server: null },
  maintenance: [],
};
