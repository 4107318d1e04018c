// The account that a restore in place writes into a shop's database with: the configured one, else the shop's own, else that of backups.
import type { DatabaseConfig, Secret, ShopConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { readDatabaseSettings } from './database-settings.ts';
import { resolveDatabase } from './resolve-database.ts';

export interface RestoringAccount {
  /** Of the database. */
  readonly name: string;
  /** Of the shop's tables; null: nobody knows. */
  readonly prefix: string | null;
  readonly address: Pick<DatabaseConfig, 'user' | 'password' | 'host' | 'port' | 'socketPath'>;
  /** Where user and password stand, for people. */
  readonly from: string;
}

/** Connects to nothing. Throws E_CONFIG and what reaching the host throws. */
export async function restoringAccount(shop: ShopConfig, host: Host): Promise<RestoringAccount> {
  const { config, file } = await resolveDatabase(shop, host);
  const { files } = shop;
  // a shop that lost its settings is restored all the same
  const own = files && files.profile !== 'generic' ? await readDatabaseSettings(host, files).catch(() => null) : null;
  const same = own?.name === config.name ? own : null;
  const { name, host: at, port, restore, socketPath } = config;
  const [account, from] = restore
    ? [restore, placeOf(`database.restore of the shop ${shop.name}`, restore.password)]
    : same
      ? [{ user: same.user, password: ownPassword(same) }, same.file]
      : [config, file ?? placeOf(`database of the shop ${shop.name}`, config.password)];
  return {
    ...{ name, from },
    prefix: own?.prefix ?? (files?.profile === 'prestashop' ? 'ps_' : null),
    address: { user: account.user, password: account.password, host: at, port, socketPath },
  };
}

/** Of a login that the server refused, with the place where user and password stand; anything else as it is. */
export function refusedAccount(error: unknown, account: RestoringAccount | null): unknown {
  if (account === null || !(error instanceof CoffreError) || error.code !== 'E_DB_AUTH') return error;
  const { address, from } = account;
  const bySystem = address.password === null && address.socketPath !== null;
  const others = bySystem ? '; without a password the server may know it by the system’s user, here the owner of the shop’s tree' : '';
  return new CoffreError('E_DB_AUTH', `${error.message}; that account is from ${from}`, {
    cause: error,
    hint: `check user and password in ${from}${others}; or name another account under database.restore`,
  });
}

function placeOf(name: string, password: Secret | null): string {
  return password === null ? name : `${name} (${password.from})`;
}

function ownPassword({ file, password }: { readonly file: string; readonly password: string | null }): Secret | null {
  return password === null ? null : { from: file, read: () => password };
}
