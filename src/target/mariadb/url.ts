// Reads the URL of --to-database: mysql://user@host:port/db or mysql://user@localhost/db?socketPath=/run/….
import { CoffreError } from '../../errors.ts';

export interface DatabaseUrl {
  readonly user: string;
  readonly host: string | null;
  readonly port: number;
  readonly socketPath: string | null;
  readonly database: string;
}

const DEFAULT_PORT = 3306;
const HINT = 'write mysql://user@host:3306/database or mysql://user@localhost/database?socketPath=/run/mysqld/mysqld.sock';

/** Throws E_USAGE, above all for a password in the URL: arguments are visible to every user of the machine. No message repeats the URL. */
export function parseDatabaseUrl(text: string): DatabaseUrl {
  const refuse = (message: string, hint = HINT): CoffreError => new CoffreError('E_USAGE', message, { hint });
  const url = URL.parse(text);
  if (!url || (url.protocol !== 'mysql:' && url.protocol !== 'mariadb:'))
    throw refuse('the database URL is not a mysql:// or mariadb:// URL');
  if (url.password !== '') {
    throw refuse(
      'the database URL holds a password',
      'leave it out: give the password in the environment (COFFRE_DB_PASSWORD) or in a file, and change it, for it was visible in the process list',
    );
  }
  const decode = (part: string, name: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw refuse(`the ${name} in the database URL is not well encoded`);
    }
  };
  const user = decode(url.username, 'user');
  const database = decode(url.pathname.replace(/^\//, ''), 'database name');
  if (user === '') throw refuse('the database URL names no user');
  if (database === '' || database.includes('\0')) throw refuse('the database URL names no database');
  const socketPath = url.searchParams.get('socketPath');
  for (const key of url.searchParams.keys()) {
    if (key !== 'socketPath') throw refuse(`the database URL has an unknown parameter: ${key}`);
  }
  if (socketPath !== null && !socketPath.startsWith('/')) throw refuse('socketPath in the database URL must be an absolute path');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (host === '' && socketPath === null) throw refuse('the database URL names no host and no socketPath');
  return { user, host: socketPath === null ? host : null, port: url.port === '' ? DEFAULT_PORT : Number(url.port), socketPath, database };
}
