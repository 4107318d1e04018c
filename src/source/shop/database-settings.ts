// The database settings in a shop's own configuration: which file, which names, and what its host means. Nothing of PHP is run.
import { dirname, join } from 'node:path';
import type { FilesConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { readHostFile, readOwnFile } from './host-file.ts';
import { COMPUTED, type PhpSettings, type PhpValue, phpSettings } from './php-settings.ts';

export interface DatabaseSettings {
  /** Where they were read, absolute. */
  readonly file: string;
  readonly name: string;
  readonly user: string;
  /** null: the shop has none. */
  readonly password: string | null;
  /** `localhost` means the usual socket, as it does to PHP. */
  readonly address: DatabaseAddress;
  /** Of the shop's tables. */
  readonly prefix: string;
}

export type DatabaseAddress =
  | { readonly type: 'local' }
  | { readonly type: 'socket'; readonly socketPath: string }
  | { readonly type: 'tcp'; readonly host: string; readonly port: number | null };

/** A file that may hold them, and how its values are found. */
interface Place {
  /** Below the shop's root; with `..` above it. */
  readonly path: string;
  /** A file that means, when it is there, that `path` belongs to another site. */
  readonly unless?: string;
  find(settings: PhpSettings): Found | null;
}

/** As written; undefined: the file does not say. */
interface Found {
  readonly host: PhpValue | undefined;
  readonly port: PhpValue | undefined;
  readonly name: PhpValue | undefined;
  readonly user: PhpValue | undefined;
  readonly password: PhpValue | undefined;
  readonly prefix: PhpValue | undefined;
}

const PRESTASHOP_1_7: Place = {
  path: 'app/config/parameters.php',
  find({ returned }) {
    if (returned === undefined) return null;
    const parameters = returned instanceof Map ? returned.get('parameters') : returned;
    if (parameters === undefined) return null;
    const get = (key: string): PhpValue | undefined => (parameters instanceof Map ? parameters.get(key) : parameters);
    return {
      host: get('database_host'),
      port: get('database_port'),
      name: get('database_name'),
      user: get('database_user'),
      password: get('database_password'),
      prefix: get('database_prefix'),
    };
  },
};

/** 1.4 to 1.6. An upgraded shop may have kept it, so it comes second. */
const PRESTASHOP_1_6: Place = {
  path: 'config/settings.inc.php',
  find: ({ constants }) =>
    constants.has('_DB_NAME_')
      ? {
          host: constants.get('_DB_SERVER_'),
          port: undefined,
          name: constants.get('_DB_NAME_'),
          user: constants.get('_DB_USER_'),
          password: constants.get('_DB_PASSWD_'),
          prefix: constants.get('_DB_PREFIX_'),
        }
      : null,
};

const wordpress = (path: string, unless?: string): Place => ({
  path,
  ...(unless === undefined ? {} : { unless }),
  find: ({ constants, variables }) =>
    constants.has('DB_NAME')
      ? {
          host: constants.get('DB_HOST'),
          port: undefined,
          name: constants.get('DB_NAME'),
          user: constants.get('DB_USER'),
          password: constants.get('DB_PASSWORD'),
          prefix: variables.get('table_prefix'),
        }
      : null,
});

/** In the order in which the application itself looks. */
const PLACES: Readonly<Record<FilesConfig['profile'], readonly Place[]>> = {
  prestashop: [PRESTASHOP_1_7, PRESTASHOP_1_6],
  wordpress: [wordpress('wp-config.php'), wordpress('../wp-config.php', '../wp-settings.php')],
  generic: [],
};

const BY_HAND = 'write name, user, host or socketPath and passwordFile under database: instead of fromShop';

/**
 * Reads them on the host that the shop lives on. Throws E_CONFIG when there is no such file, or a value in it is missing or is not
 * written out; no message holds a value.
 */
export async function readDatabaseSettings(
  host: Host,
  { root, profile }: Pick<FilesConfig, 'root' | 'profile'>,
): Promise<DatabaseSettings> {
  for (const place of PLACES[profile]) {
    const [folder, name] = place.path.startsWith('../') ? [dirname(root), place.path.slice(3)] : [root, place.path];
    const file = join(folder, name);
    const content = await readOwnFile(host, folder, name);
    if (content === null) continue;
    if (place.unless !== undefined && (await readHostFile(host, join(dirname(root), place.unless.slice(3)))) !== null) continue;
    const found = place.find(settingsOf(content, file));
    if (found !== null) return concluded(found, file);
  }
  const looked = PLACES[profile].map(({ path }) => path).join(', ') || 'none';
  throw new CoffreError('E_CONFIG', `no database settings in the shop at ${root} on ${host.name} (looked for ${looked})`, {
    hint: `check files.root and files.profile, or ${BY_HAND}`,
  });
}

function settingsOf(content: Buffer, file: string): PhpSettings {
  try {
    return phpSettings(content.toString('latin1'));
  } catch (cause) {
    if (!(cause instanceof CoffreError) || cause.code !== 'E_FORMAT') throw cause;
    throw new CoffreError('E_CONFIG', `${file}: ${cause.message}`, { cause, hint: BY_HAND });
  }
}

function concluded(found: Found, file: string): DatabaseSettings {
  const text = (key: keyof Found, needed: boolean): string => {
    const value = found[key];
    if (value === COMPUTED || value instanceof Map) {
      throw new CoffreError('E_CONFIG', `${file}: the database ${key} is not written out there, only PHP could work it out`, {
        hint: BY_HAND,
      });
    }
    const written = value === undefined || value === null || value === false ? '' : String(value);
    const bytes = Buffer.from(written, 'latin1');
    const decoded = bytes.toString('utf8');
    if (!Buffer.from(decoded, 'utf8').equals(bytes) || decoded.includes('\0')) {
      throw new CoffreError('E_CONFIG', `${file}: the database ${key} is not UTF-8 text`, { hint: BY_HAND });
    }
    if (needed && decoded === '') throw new CoffreError('E_CONFIG', `${file}: the database ${key} is missing`, { hint: BY_HAND });
    return decoded;
  };
  return {
    file,
    name: text('name', true),
    user: text('user', true),
    password: text('password', false) || null,
    address: parseAddress(text('host', false), text('port', false), file),
    prefix: text('prefix', false),
  };
}

/** The spellings of PrestaShop and WordPress: `host`, `host:port`, `host:/socket`, `host:port:/socket`, `[v6]:port`; a port beside it. */
export function parseAddress(host: string, port: string, file: string): DatabaseAddress {
  const wrong = (): CoffreError =>
    new CoffreError('E_CONFIG', `${file}: the database host is written in a way that coffre does not know`, { hint: BY_HAND });
  const socket = /^[^/]*:(\/.*)$/s.exec(host)?.[1] ?? (host.startsWith('/') ? host : undefined);
  if (socket !== undefined) return { type: 'socket', socketPath: socket };
  const match = /^(?:\[([\da-fA-F:.]+)\]|([^:\s[\]]*))(?::(\d{1,5}))?$/.exec(host);
  const bareV6 = match === null && /^[\da-fA-F:.]+$/.test(host) && host.split(':').length > 2;
  if (match === null && !bareV6) throw wrong();
  const name = bareV6 ? host : (match?.[1] ?? match?.[2] ?? '');
  const portText = match?.[3] ?? port;
  if (portText !== '' && !(/^\d{1,5}$/.test(portText) && Number(portText) >= 1 && Number(portText) <= 65_535)) throw wrong();
  // PHP's client goes to the socket whatever port stands beside localhost
  if (name === '' || name.toLowerCase() === 'localhost') return { type: 'local' };
  return { type: 'tcp', host: name, port: portText === '' ? null : Number(portText) };
}
