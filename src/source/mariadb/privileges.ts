// Which rights a dump needs, told from SHOW GRANTS: what a user may not see is not missing from a listing with an error, it is silently absent.
import { decidingPattern, held, matches, parseGrant } from '../../target/mariadb/grants.ts';
import { grantPattern, quoteAccount, quoteName } from '../../target/mariadb/names.ts';
import type { ServerInfo } from './schema.ts';

export interface MissingPrivilege {
  readonly privilege: string;
  /** What it is needed for, printable. */
  readonly why: string;
  /** The statement that gives it. */
  readonly grant: string;
}

export interface Rights {
  /** Without these something would be left out. */
  readonly missing: readonly MissingPrivilege[];
  /** LOCK TABLES can be used. */
  readonly lockTables: boolean;
  /** The server can be held still: BACKUP STAGE, FLUSH TABLES WITH READ LOCK. */
  readonly reload: boolean;
  /** The account and the pattern of the database, quoted, for further grants. */
  readonly user: string;
  readonly on: string;
}

/** `grants`: the lines of SHOW GRANTS. `account`: CURRENT_USER(). */
export function rightsOf(grants: readonly string[], account: string, database: string, server: ServerInfo): Rights {
  const parsed = grants.flatMap(parseGrant);
  const everywhere = held(parsed.filter((grant) => grant.database === '*'));
  const pattern = decidingPattern(parsed, database);
  const here = new Set([...everywhere, ...held(parsed.filter((grant) => grant.object === '*' && grant.database === pattern))]);
  const has = (set: ReadonlySet<string>, ...names: readonly string[]): boolean =>
    set.has('ALL PRIVILEGES') || names.some((name) => set.has(name));
  const user = quoteAccount(account);
  const missing: MissingPrivilege[] = [];
  const need = (privilege: string, why: string): void => {
    if (!has(here, privilege)) missing.push({ privilege, why, grant: `GRANT ${privilege} ON ${quoteName(pattern)}.* TO ${user}` });
  };
  need('SELECT', 'tables it may not read do not even appear');
  need('SHOW VIEW', 'definitions of views');
  need('TRIGGER', 'triggers are not shown without it');
  need('EVENT', 'events are not shown without it');
  const proc = parsed.filter((grant) => matches(grant.database, 'mysql') && (grant.object === '*' || grant.object === 'proc'));
  // Those who may run or alter routines see that they are there; a body that stays hidden then stops the dump.
  const seesRoutines =
    has(here, 'SHOW CREATE ROUTINE', 'EXECUTE', 'ALTER ROUTINE', 'CREATE ROUTINE') ||
    has(everywhere, 'SELECT', 'SHOW_ROUTINE') ||
    (server.mariadb && has(held(proc), 'SELECT'));
  if (!seesRoutines) missing.push(routinePrivilege(user, pattern, server));
  return {
    missing,
    lockTables: has(here, 'LOCK TABLES') && has(here, 'SELECT'),
    reload: has(everywhere, 'RELOAD'),
    // What MariaDB called REPLICATION CLIENT until 10.5, and MySQL still does.
    user,
    on: `${quoteName(pattern)}.*`,
  };
}

/** Every statement that an account without any right needs, each with its semicolon. */
export function allGrants(account: string, database: string, server: ServerInfo): string {
  const user = quoteAccount(account);
  const pattern = grantPattern(database);
  const routines = routinePrivilege(user, pattern, server).grant;
  return `GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON ${quoteName(pattern)}.* TO ${user}; ${routines};`;
}

/** The right to see the bodies of routines, which each server calls otherwise. */
function routinePrivilege(user: string, pattern: string, server: ServerInfo): MissingPrivilege {
  const why = 'stored procedures and functions are not shown without it';
  // Before 8.0.20 only the right to read everything shows a body to who did not write it.
  if (!server.mariadb && server.number < 80_020) return { privilege: 'SELECT ON *.*', why, grant: `GRANT SELECT ON *.* TO ${user}` };
  if (!server.mariadb) return { privilege: 'SHOW_ROUTINE', why, grant: `GRANT SHOW_ROUTINE ON *.* TO ${user}` };
  if (server.number < 110_300) return { privilege: 'SELECT ON mysql.proc', why, grant: `GRANT SELECT ON mysql.proc TO ${user}` };
  return { privilege: 'SHOW CREATE ROUTINE', why, grant: `GRANT SHOW CREATE ROUTINE ON ${quoteName(pattern)}.* TO ${user}` };
}
