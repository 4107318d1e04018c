// What the database benchmark runs: our commands, and those of a careful administrator without us.

import type { Mariadb } from '../../servers/mariadb.ts';
import type { Bucket } from '../../servers/s3.ts';
import { COFFRE, type World } from '../../world/world.ts';
import { type Command, pipeline } from './measure.ts';

/** Reader threads of mydumper, loader threads of myloader. */
export const PEER_THREADS = '2';

const DUMP =
  'mariadb-dump --no-defaults --socket="$SOCKET" --user=root --default-character-set=utf8mb4 --single-transaction --quick --routines --events --triggers --hex-blob "$DATABASE"';
const LOAD = 'mariadb --no-defaults --socket="$SOCKET" --user=root --default-character-set=utf8mb4 "$DATABASE"';

export function coffre(world: World, ...args: readonly string[]): Command {
  return { program: COFFRE, args: ['--config', world.configFile, '--json', ...args] };
}

export function restoreInto(world: World, server: Mariadb, database: string): Command {
  return coffre(
    world,
    'restore',
    world.shop,
    '--source',
    'database',
    '--to-database',
    `mysql://root@localhost/${database}?socketPath=${server.socketPath}`,
  );
}

/** (a): one consistent dump, compressed, encrypted, streamed into the bucket. rclone knows the store from its environment alone. */
export function dumpToStore(server: Mariadb, database: string, recipient: string, remote: Remote): Command {
  return pipeline(`${DUMP} | zstd -3 -q | age -r "$RECIPIENT" | rclone rcat "$REMOTE"`, {
    SOCKET: server.socketPath,
    DATABASE: database,
    RECIPIENT: recipient,
    ...remote.env,
  });
}

/** What (a) stored, opened again: its last line says whether it is whole. */
export function readFromStore(identityFile: string, remote: Remote): Command {
  return pipeline('rclone cat "$REMOTE" | age -d -i "$IDENTITY" | zstd -dcq | tail -n 1', { IDENTITY: identityFile, ...remote.env });
}

/** What (c) restores. */
export function dumpToFile(server: Mariadb, database: string, file: string): Command {
  return pipeline(`${DUMP} | zstd -3 -q -f -o "$FILE"`, { SOCKET: server.socketPath, DATABASE: database, FILE: file });
}

/** (c) */
export function loadFromFile(server: Mariadb, database: string, file: string): Command {
  return pipeline(`zstd -dcq "$FILE" | ${LOAD}`, { SOCKET: server.socketPath, DATABASE: database, FILE: file });
}

/** The text of a database, hashed: two are equal when these are. */
export function hashOfDump(server: Mariadb, database: string): Command {
  return pipeline(`${DUMP.replace('"$DATABASE"', '--order-by-primary --skip-comments "$DATABASE"')} | sha256sum`, {
    SOCKET: server.socketPath,
    DATABASE: database,
  });
}

/** (b): as consistent as the others for InnoDB, compressed (gzip: all that 0.10 knows), not encrypted, into a local folder. */
export function mydumper(server: Mariadb, database: string, folder: string): Command {
  const what = ['--triggers', '--routines', '--events', '--trx-consistency-only', '--compress'];
  return {
    program: 'mydumper',
    args: [
      '--socket',
      server.socketPath,
      '--user',
      'root',
      '--database',
      database,
      '--outputdir',
      folder,
      '--threads',
      PEER_THREADS,
      ...what,
      '--verbose',
      '1',
    ],
  };
}

/** (d): what mydumper wrote. */
export function myloader(server: Mariadb, database: string, folder: string): Command {
  return {
    program: 'myloader',
    args: [
      '--socket',
      server.socketPath,
      '--user',
      'root',
      '--database',
      database,
      '--directory',
      folder,
      '--threads',
      PEER_THREADS,
      '--verbose',
      '1',
    ],
  };
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
