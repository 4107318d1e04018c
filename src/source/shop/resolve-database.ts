// From `database: shop` to a database that can be opened: what the configuration leaves open is read in the shop's own.
import { userInfo } from 'node:os';
import type { DatabaseConfig, DatabaseFromShopConfig, Secret, ShopConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { Finding, Source } from '../source.ts';
import { type DatabaseSettings, readDatabaseSettings } from './database-settings.ts';
import { existing } from './host-file.ts';

const DEFAULT_PORT = 3306;

/** Where the servers of the distributions put it: Debian, older Debian, Red Hat, SUSE, MySQL from source. */
const USUAL_SOCKETS = [
  '/run/mysqld/mysqld.sock',
  '/var/run/mysqld/mysqld.sock',
  '/var/lib/mysql/mysql.sock',
  '/run/mysql/mysql.sock',
  '/tmp/mysql.sock',
] as const;

export interface ResolvedDatabase {
  readonly config: DatabaseConfig;
  /** The shop's file that was read; null: everything stands in the configuration. */
  readonly file: string | null;
  /** Sockets that were looked for and are not there, so that the address is a guess. */
  readonly noSockets: readonly string[];
}

/**
 * The shop's database as its source takes it. The password stays in memory, in the secret that is returned.
 * Throws E_CONFIG when the shop has no database or its settings cannot be read, and what reaching the host throws.
 */
export async function resolveDatabase(shop: ShopConfig, host: Host): Promise<ResolvedDatabase> {
  const { database, files } = shop;
  if (database === null) throw new CoffreError('E_CONFIG', `shop ${shop.name} has no database`);
  if (!('fromShop' in database)) return { config: database, file: null, noSockets: [] };
  if (files === null) throw new CoffreError('E_CONFIG', `shop ${shop.name}: a database from the shop needs files.root`);
  const settings = await readDatabaseSettings(host, files);
  const { fromShop: _, ...given } = database;
  // An account of ours may see other shops too, and its password must reach no server that the shop chose.
  const addressGiven = given.host !== null || given.socketPath !== null || settings.address.type === 'local';
  if (given.user !== null && (given.name === null || !addressGiven)) {
    throw new CoffreError('E_CONFIG', `shop ${shop.name}: with a user of your own, ${settings.file} must not choose what it opens`, {
      hint: 'write name: and host: or socketPath: beside user: under database:',
    });
  }
  const { noSockets, ...address } = await addressOf(database, settings, host);
  if (given.user === null && address.socketPath !== null && isOurs(settings.user, host)) {
    throw new CoffreError('E_CONFIG', `${settings.file} names ${settings.user}, whom the server knows by its socket as this program`, {
      hint: 'a shop must not choose that account; if it is to be used, write user: and name: under database:',
    });
  }
  return {
    config: {
      ...given,
      ...address,
      name: given.name ?? settings.name,
      user: given.user ?? settings.user,
      password: given.password ?? passwordOf(given.user, settings),
    },
    file: settings.file,
    noSockets,
  };
}

/** Over a socket a server may let somebody in for being that user of the system: then the shop would read by our rights. */
function isOurs(user: string, host: Host): boolean {
  return user === (host.type === 'local' ? userInfo().username : 'root');
}

/** The shop's password opens the shop's account and no other. */
function passwordOf(givenUser: string | null, { user, password, file }: DatabaseSettings): Secret | null {
  if (password === null || (givenUser !== null && givenUser !== user)) return null;
  return { from: file, read: () => password };
}

async function addressOf(
  given: DatabaseFromShopConfig,
  { address }: DatabaseSettings,
  host: Host,
): Promise<Pick<DatabaseConfig, 'host' | 'port' | 'socketPath'> & Pick<ResolvedDatabase, 'noSockets'>> {
  const tcp = (name: string, port: number | null) => ({
    host: name,
    port: given.port ?? port ?? DEFAULT_PORT,
    socketPath: null,
    noSockets: [],
  });
  const socket = (socketPath: string) => ({ host: null, port: DEFAULT_PORT, socketPath, noSockets: [] });
  if (given.socketPath !== null) return socket(given.socketPath);
  if (given.host !== null) return tcp(given.host, null);
  if (address.type === 'tcp') return tcp(address.host, address.port);
  if (given.port !== null) return tcp('127.0.0.1', null);
  if (address.type === 'socket') return socket(address.socketPath);
  const there = await existing(host, USUAL_SOCKETS);
  const usual = USUAL_SOCKETS.find((path) => there.has(path));
  return usual === undefined ? { ...tcp('127.0.0.1', null), noSockets: USUAL_SOCKETS } : socket(usual);
}

/** The shop's database as a source; doctor also hears where its settings came from. Throws as resolveDatabase. */
export async function openShopDatabase(shop: ShopConfig, host: Host, open: (config: DatabaseConfig) => Source): Promise<Source> {
  const { config, file, noSockets } = await resolveDatabase(shop, host);
  const source = open(config);
  if (file === null) return source;
  const at = config.socketPath ?? `${config.host}:${config.port}`;
  const guessed = noSockets.length === 0 ? '' : `; no socket at ${noSockets.join(', ')}`;
  const finding: Finding = { name: 'settings', ok: true, detail: `${config.name} as ${config.user} at ${at}, read from ${file}${guessed}` };
  return {
    kind: source.kind,
    async open(options) {
      try {
        return await source.open(options);
      } catch (error) {
        if (guessed === '' || !(error instanceof CoffreError) || error.code !== 'E_DB_CONNECT') throw error;
        throw new CoffreError(error.code, `${error.message} (${file} says localhost${guessed})`, {
          hint: 'start the server, or say where it is: socketPath: or host: beside fromShop: true under database:',
          cause: error,
        });
      }
    },
    check: async () => [finding, ...(await source.check())],
  };
}
