// What `coffre catalog rebuild` is told: a vault from the paper kit or from a configuration, the recovery identity, fingerprints.
import { resolve } from 'node:path';
import type { S3VaultConfig, Secret, VaultConfig } from '../config/config.ts';
import { type Environment, secretFromFile } from '../config/secret.ts';
import { CoffreError } from '../errors.ts';
import { readSecretFile } from '../segment/key-file.ts';

export interface RebuildOptions {
  readonly from: string;
  readonly endpoint?: string;
  readonly region: string;
  readonly bucket?: string;
  readonly prefix: string;
  readonly virtualHosted?: boolean;
  readonly credentialsFile?: string;
  readonly path?: string;
  readonly identityFile?: string;
  readonly fingerprint?: readonly string[];
  readonly stateDir?: string;
  readonly keyDir?: string;
}

/** The vault that the flags describe; null: they describe none. Throws E_USAGE. */
export function vaultFromFlags(options: RebuildOptions, cwd: string, env: Environment): VaultConfig | null {
  const { from: name, endpoint, bucket, path } = options;
  if (path !== undefined) {
    if (endpoint !== undefined || bucket !== undefined)
      throw new CoffreError('E_USAGE', '--path is of a folder, --endpoint and --bucket of S3: give one');
    return { name, type: 'filesystem', path: resolve(cwd, path), media: 'disk', site: null, offsite: false };
  }
  if (endpoint === undefined && bucket === undefined) return null;
  if (endpoint === undefined || bucket === undefined) throw new CoffreError('E_USAGE', '--endpoint and --bucket belong together');
  if (!/^https?:\/\/[^@\s]+$/.test(endpoint)) throw new CoffreError('E_USAGE', '--endpoint is an address such as https://s3.example.net');
  const vault: S3VaultConfig = {
    name,
    type: 's3',
    endpoint: endpoint.replace(/\/+$/, ''),
    region: options.region,
    bucket,
    prefix: options.prefix.replace(/^\/+|\/+$/g, ''),
    forcePathStyle: options.virtualHosted !== true,
    media: 'object',
    site: null,
    offsite: false,
    // nothing is written through it
    lock: { mode: 'COMPLIANCE' },
    credentials:
      options.credentialsFile === undefined ? credentialsFromEnvironment(env) : secretFromFile(resolve(cwd, options.credentialsFile)),
    pruneCredentials: null,
    readCredentials: null,
    timeouts: { connectMs: 10_000, requestMs: 120_000 },
    uploadBytesPerSecond: null,
  };
  return vault;
}

/** As the AWS tools take them. */
function credentialsFromEnvironment(env: Environment): Secret {
  return {
    from: '$AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY',
    read() {
      const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = env;
      if (!accessKeyId || !secretAccessKey) {
        throw new CoffreError('E_SECRET_MISSING', 'no credential that reads the bucket', {
          hint: 'name a file of mode 600 with --credentials-file, {"accessKeyId": …, "secretAccessKey": …}, or set $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY',
        });
      }
      return JSON.stringify({ accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) });
    },
  };
}

/** Every identity in the file; none when there is no file. Throws E_KEY, E_SECRET_MODE. */
export async function recoveryIdentities(options: RebuildOptions, cwd: string): Promise<string[]> {
  if (options.identityFile === undefined) return [];
  const path = resolve(cwd, options.identityFile);
  const found = (await readSecretFile(path)).split('\n').flatMap((line) => /AGE-SECRET-KEY-[A-Z0-9-]+/.exec(line)?.[0] ?? []);
  if (found.length === 0) throw new CoffreError('E_KEY', `${path} holds no identity (AGE-SECRET-KEY-1…)`);
  return found;
}

/** Throws E_USAGE. */
export function fingerprintsOf(options: RebuildOptions): string[] {
  return (options.fingerprint ?? []).map((text) => {
    const match = /^(SHA256:[A-Za-z0-9+/]{43})=?$/.exec(text.trim());
    if (match?.[1] === undefined) throw new CoffreError('E_USAGE', `--fingerprint is SHA256: and 43 characters, as on the recovery kit`);
    return match[1];
  });
}
