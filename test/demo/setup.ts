// How the demo's installation is set up: an account for backups, the flags of coffre init, a contract.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Bucket } from '../servers/s3.ts';
import { runSql, type ShopServer } from '../shop/database.ts';
import { Random } from '../shop/random.ts';
import type { LockMode } from './oracles.ts';

export const TIMEZONE = 'Europe/Paris';
/** Every key of the demo lies below it in the bucket. */
export const PREFIX = 'prod';

const ACCOUNT = 'coffre';
const passwordFile = (home: string): string => path.join(home, 'database.password');

/** Makes the account that reads the shop's database, with the rights that a consistent dump needs and no others. */
export async function makeBackupAccount(server: ShopServer, database: string, home: string): Promise<void> {
  const password = new Random(`${home}/password`).hex(24);
  writeFileSync(passwordFile(home), `${password}\n`, { mode: 0o600 });
  await runSql(
    server,
    `CREATE USER '${ACCOUNT}'@'localhost' IDENTIFIED BY '${password}';
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON \`${database}\`.* TO '${ACCOUNT}'@'localhost';
GRANT SELECT ON mysql.proc TO '${ACCOUNT}'@'localhost';
GRANT RELOAD, BINLOG MONITOR ON *.* TO '${ACCOUNT}'@'localhost';`,
  );
}

/** Where coffre brings a database back to. */
export function databaseUrl(server: ShopServer, database: string): string {
  return `mysql://${server.rootUser}@localhost/${database}?socketPath=${server.socketPath}`;
}

export interface Installation {
  readonly shop: string;
  readonly home: string;
  /** Of the shop's files. */
  readonly root: string;
  /** Folder of the filesystem vault. */
  readonly nas: string;
  readonly bucket: Bucket | null;
  readonly server: ShopServer | null;
  readonly mode: LockMode;
  readonly retention: string;
}

/** The command line of `coffre init`. */
export function initArguments({ shop, home, root, nas, bucket, server, mode, retention }: Installation): string[] {
  const flags: Record<string, string> = {
    timezone: TIMEZONE,
    'state-dir': path.join(home, 'state'),
    'key-dir': path.join(home, 'keys'),
    socket: path.join(home, 'coffre.sock'),
    kit: path.join(home, 'recovery-kit.txt'),
    retention,
    'vault-path': nas,
    shop,
    'files-root': root,
  };
  if (bucket) {
    const credentials = path.join(home, 'offsite.json');
    const { accessKey, secretKey } = bucket.store;
    writeFileSync(credentials, JSON.stringify({ accessKeyId: accessKey, secretAccessKey: secretKey }), { mode: 0o600 });
    Object.assign(flags, {
      's3-endpoint': bucket.store.endpoint,
      's3-region': bucket.store.region,
      's3-bucket': bucket.name,
      's3-prefix': PREFIX,
      's3-lock-mode': mode,
      's3-credentials-file': credentials,
    });
  }
  if (server) {
    Object.assign(flags, { 'db-name': shop, 'db-user': ACCOUNT, 'db-socket': server.socketPath, 'db-password-file': passwordFile(home) });
  }
  return ['init', ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])];
}

/** The configuration that init wrote, with a contract to bill by. In a store that is not ours, no lock may last for weeks. */
export function withContract(config: string, { vault, borrowed }: { readonly vault: string; readonly borrowed: boolean }): string {
  return `${config.trimEnd()}

contracts:
  csi-001: { vault: ${vault}, subscribedTB: 1, period: month, price: { perTBMonth: "23.00", currency: EUR, stepTB: 1 } }
${borrowed ? '\nlimits: { runDeadline: 30m, reuseMaxAge: 1h, lockCeiling: 2d }\n' : ''}`;
}
