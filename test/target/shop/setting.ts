// What tests of a running shop share: a database of a small shop, a session in it, and its tree.
import { connect, type Session } from '../../../src/target/mariadb/session.ts';
import type { ShopTables } from '../../../src/target/shop.ts';
import type { Mariadb } from '../../servers/mariadb.ts';
import { makePhpShop, type PhpShopOptions, type PhpShopRows, phpShopSql } from '../../servers/php-shop.ts';

export const NEVER = new AbortController().signal;
export const VERSIONS = ['1.6.1.24', '1.7.8.11', '8.1.2', '9.0.0'] as const;

let databases = 0;

export interface SmallShop {
  readonly root: string;
  readonly database: string;
  readonly tables: ShopTables;
  readonly session: Session;
  readonly options: PhpShopOptions;
}

/** A fresh database in `server` and a tree in `root`, which lead to each other. The session is the caller's to end. */
export async function makeSmallShop(
  server: Mariadb,
  root: string,
  rows: PhpShopRows,
  { database = `shop${++databases}`, cookieKey }: { readonly database?: string; readonly cookieKey?: string } = {},
): Promise<SmallShop> {
  const account = { user: `${database}_user`, password: 'p-w$1' };
  await server.createDatabase(database, account);
  await server.sql(phpShopSql(rows), { database });
  const prefix = rows.prefix ?? 'ps_';
  const options: PhpShopOptions = {
    version: rows.version,
    prefix,
    database: { socketPath: server.socketPath, name: database, ...account },
    ...(rows.edition === undefined ? {} : { edition: rows.edition }),
    ...(cookieKey === undefined ? {} : { cookieKey }),
  };
  makePhpShop(root, options);
  const session = await sessionOf(server, database);
  return { root, database, tables: { session, database: null, prefix }, session, options };
}

export async function sessionOf(server: Mariadb, database: string): Promise<Session> {
  const session = await connect(
    { user: 'root', password: null, host: null, port: server.port, socketPath: server.socketPath },
    { localInfile: false },
  );
  await session.run(`USE \`${database}\``);
  return session;
}
