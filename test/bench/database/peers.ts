// What the database benchmark runs: our commands, and those of a careful administrator without us.
import type { Mariadb } from '../../servers/mariadb.ts';
import type { World } from '../../world/world.ts';
import { type Command, coffre, pipeline, type Remote } from '../measuring/commands.ts';

/** Reader threads of mydumper, loader threads of myloader. */
export const PEER_THREADS = '2';

const DUMP =
  'mariadb-dump --no-defaults --socket="$SOCKET" --user=root --default-character-set=utf8mb4 --single-transaction --quick --routines --events --triggers --hex-blob "$DATABASE"';
const LOAD = 'mariadb --no-defaults --socket="$SOCKET" --user=root --default-character-set=utf8mb4 "$DATABASE"';

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
