// Commands that a benchmark runs: ours, a shell pipeline, and how rclone gets to the store.
import type { Bucket } from '../../servers/s3.ts';
import { COFFRE, type World } from '../../world/world.ts';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A pipeline that fails when any of its programs fails. `values` reach it as environment variables. */
export function pipeline(script: string, values: Readonly<Record<string, string>>): Command {
  return { program: 'bash', args: ['-euc', `set -o pipefail; ${script}`], env: values };
}

export function coffre(world: World, ...args: readonly string[]): Command {
  return { program: COFFRE, args: ['--config', world.configFile, '--json', ...args] };
}

export interface Remote {
  readonly key: string;
  readonly env: Readonly<Record<string, string>>;
}

/** An object of the bucket for rclone, with its defaults (parts of 5 MiB, four at a time). No secret on a command line. */
export function remoteOf(bucket: Bucket, key: string, configFile: string): Remote {
  const { store } = bucket;
  return {
    key,
    env: {
      RCLONE_CONFIG: configFile,
      RCLONE_CONFIG_STORE_TYPE: 's3',
      RCLONE_CONFIG_STORE_PROVIDER: store.kind === 'ceph' ? 'Ceph' : store.kind === 'minio' ? 'Minio' : 'Other',
      RCLONE_CONFIG_STORE_ENDPOINT: store.endpoint,
      RCLONE_CONFIG_STORE_REGION: store.region,
      RCLONE_CONFIG_STORE_ACCESS_KEY_ID: store.accessKey,
      RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY: store.secretKey,
      RCLONE_CONFIG_STORE_FORCE_PATH_STYLE: 'true',
      // the bucket is there: no attempt to make it
      RCLONE_CONFIG_STORE_NO_CHECK_BUCKET: 'true',
      // rclone 1.60 cannot take one, and the store is on loopback
      AWS_CA_BUNDLE: '',
      REMOTE: `store:${bucket.name}/${key}`,
    },
  };
}
