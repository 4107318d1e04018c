// From the file as written to the configuration in use: paths, names and secrets resolved, and what must agree checked (sections: resolve/).
import { resolve } from 'node:path';
import type { Config } from './config.ts';
import { warnDoubleBilling } from './double-billing.ts';
import { warnLateStart } from './late-start.ts';
import { isLoopback } from './loopback.ts';
import { coverTheWeek } from './maintenance.ts';
import { defaultMemoryBytes, leastMemoryBytes } from './memory.ts';
import { checkVaultPlaces } from './overlap.ts';
import type { KeyPath, Problem } from './problems.ts';
import { resolveContract } from './resolve/contracts.ts';
import { resolveNotify } from './resolve/notify.ts';
import { resolvePlan } from './resolve/plans.ts';
import { beginReading, type Reading } from './resolve/reading.ts';
import { resolveShop } from './resolve/shops.ts';
import { resolveVault } from './resolve/vaults.ts';
import type { ConfigFile } from './schema.ts';
import { type Environment, secretFromFile } from './secret.ts';

type Written<K extends 'vaults' | 'plans' | 'contracts' | 'shops'> = ConfigFile[K][string];

/** A shop's name is a folder in every vault, and `_coffre` is ours: hence no leading underscore or dash. */
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const NAME_EXPECTED = 'a name of small letters, digits and dashes is expected, 63 at most, such as dupont or csi-001';

export function resolveConfig(
  written: ConfigFile,
  file: string,
  env: Environment,
  lineOf: (path: KeyPath) => number,
): { config: Config; problems: readonly Problem[] } {
  const reading = beginReading(written, file, env, lineOf);
  const { absolute, report, warn } = reading;

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

  const keyDir = absolute(written.encryption === 'none' ? 'keys' : written.encryption.keyDir);
  const signingKeyFile = written.signing.keyFile === undefined ? resolve(keyDir, 'signing.key') : absolute(written.signing.keyFile);
  const vaults = map('vaults', (name, value, at) => resolveVault(name, value, at, reading));
  const { concurrency, memory } = written.limits;
  const leastMemory = leastMemoryBytes(concurrency);
  if (memory != null && memory < leastMemory) {
    const runs = concurrency === 1 ? 'a run needs' : `${concurrency} runs at a time (limits.concurrency) need`;
    report(['limits', 'memory'], `is ${Math.round(memory / 1e6)}MB: ${runs} at least ${leastMemory / 1e6}MB`);
  }
  checkVaultPlaces([...vaults.values()], report);

  if (coverTheWeek(written.maintenance)) report(['maintenance'], 'leaves no time: its windows cover the week');
  const plans = map('plans', (name, value, at) => resolvePlan(name, value, at, reading));
  const contracts = map('contracts', (name, value, at) => resolveContract(name, value, at, reading));
  warnDoubleBilling(contracts.values(), warn);
  warnLateStart(contracts.values(), warn);
  const shops = map('shops', (name, value, at) => resolveShop(name, value, at, reading, { vaults, plans, keyDir, signingKeyFile }));

  if (written.verify.readWithin === null) warn(['verify', 'readWithin'], 'is off: nobody notices when what is stored rots');
  if (written.encryption === 'none') warn(['encryption'], 'is none: whoever reads a vault reads the shops');
  if (written.restore.unattended) {
    warn(['restore', 'unattended'], 'is true: whoever controls the daemon can have any shop’s files replaced (systemd/RIGHTS.md)');
  }
  const http = written.listen.http ?? null;
  const tls = resolveTls(reading);
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
      scratchUser: written.restore.scratchUser ?? null,
      keepExportsMs: written.restore.keepExports,
      drillDatabase: resolveDrillDatabase(reading),
    },
    verify: { readWithinMs: written.verify.readWithin },
    runs: { keepMs: written.runs.keep },
    audit: { keepMs: written.audit.keep },
    notify: resolveNotify(reading),
    warnings: reading.warnings,
  };
  return { config, problems: reading.problems };
}

function resolveDrillDatabase({ report, secret, written }: Reading): Config['restore']['drillDatabase'] {
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

function resolveTls({ absolute, report, secret, written }: Reading): Config['listen']['tls'] {
  const { http: address, tls: pair } = written.listen;
  if (!pair) return null;
  const at = ['listen', 'tls'];
  if (!address) report(at, 'means nothing without listen.http');
  const key = secret(at, 'key', pair.keyFile, pair.key);
  if (key === null) report([...at, 'keyFile'], 'is missing: the private key of the certificate (mode 600) is expected');
  return { certFile: absolute(pair.certFile), key: key ?? secretFromFile('/dev/null') };
}
