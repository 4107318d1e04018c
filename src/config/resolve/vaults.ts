// From vaults: as written to the vaults in use.
import type { VaultConfig } from '../config.ts';
import { isLoopback } from '../loopback.ts';
import type { KeyPath } from '../problems.ts';
import type { ConfigFile } from '../schema.ts';
import { secretFromFile } from '../secret.ts';
import type { Reading } from './reading.ts';

export function resolveVault(name: string, value: ConfigFile['vaults'][string], at: KeyPath, reading: Reading): VaultConfig {
  const { absolute, report, secret, warn, written } = reading;
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
}
