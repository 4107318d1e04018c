// What doctor asks a database server: reachability, rights, version, and whether all tables can be read at one moment.
import { asCoffreError, CoffreError } from '../../errors.ts';
import { checkLocalInfile } from '../../target/mariadb/local-infile.ts';
import { quoteName, quoteText } from '../../target/mariadb/names.ts';
import { asServerError, connect, type ServerAddress, type Session } from '../../target/mariadb/session.ts';
import type { Finding } from '../source.ts';
import { allGrants, type Rights, rightsOf } from './privileges.ts';
import { prospect } from './prospect.ts';
import { readError } from './reading.ts';
import { readServer, type ServerInfo } from './schema.ts';

const OLDEST_MARIADB = 100_500;
const OLDEST_MYSQL = 80_000;

/** Throws ServerError. */
export async function readRights(session: Session, database: string, server: ServerInfo): Promise<Rights> {
  const account = (await session.text('SELECT CURRENT_USER()')) ?? '';
  // A line may hold the hash of a password: it is looked at here and goes nowhere.
  const grants = (await session.texts('SHOW GRANTS')).map(([line]) => line ?? '');
  return rightsOf(grants, account, database, server);
}

/** An account without any right on a database cannot even enter it, and so cannot be told what is missing one by one. */
const ACCESS_DENIED = 1044;

/** Throws E_DB_PRIVILEGE with the statements that help, E_DB_READ. */
export async function useDatabase(session: Session, database: string): Promise<void> {
  try {
    await session.run(`USE ${quoteName(database)}`);
  } catch (error) {
    const failure = readError(error, `the database ${database}`);
    if (asServerError(error).errno !== ACCESS_DENIED) throw failure;
    const account = await session.text('SELECT CURRENT_USER()').catch(() => null);
    const server = account === null ? null : await readServer(session).catch(() => null);
    if (account === null || server === null) throw failure;
    throw new CoffreError(failure.code, failure.message, { cause: error, hint: allGrants(account, database, server) });
  }
}

/** Never throws. */
export async function checkDatabase(address: ServerAddress, database: string): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  try {
    const session = await connect(address, { localInfile: false });
    try {
      await useDatabase(session, database);
      const server = await readServer(session);
      findings.push({ name: 'database connection', ok: true, detail: `${database} on ${server.version}` });
      findings.push(versionFinding(server));
      const rights = await readRights(session, database, server);
      findings.push(rightsFinding(rights));
      findings.push(await consistencyFinding(session, database, server, rights));
      findings.push(await checkLocalInfile(session));
    } finally {
      await session.end();
    }
  } catch (error) {
    const { message, hint } = asCoffreError(error, 'E_DB_CONNECT');
    findings.push({ name: 'database connection', ok: false, detail: message, hint });
  }
  return findings;
}

function versionFinding(server: ServerInfo): Finding {
  const ok = server.number >= (server.mariadb ? OLDEST_MARIADB : OLDEST_MYSQL);
  const detail = `${server.mariadb ? 'MariaDB' : 'MySQL'} ${server.version}`;
  return { name: 'database version', ok, detail, ...(ok ? {} : { hint: 'coffre is made for MariaDB 10.5 or later and MySQL 8' }) };
}

function rightsFinding({ missing }: Rights): Finding {
  const name = 'database privileges';
  if (missing.length === 0) return { name, ok: true, detail: 'tables, views, triggers, events and routines can be read' };
  const detail = missing.map(({ privilege, why }) => `${privilege} is missing (${why})`).join('; ');
  return { name, ok: false, detail, hint: missing.map(({ grant }) => `${grant};`).join(' ') };
}

async function consistencyFinding(session: Session, database: string, server: ServerInfo, rights: Rights): Promise<Finding> {
  const name = 'database consistency';
  const tables = await session.texts(
    `SELECT t.TABLE_NAME FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON e.ENGINE=t.ENGINE
     WHERE t.TABLE_SCHEMA=${quoteText(database)} AND t.TABLE_TYPE<>'SEQUENCE' AND e.TRANSACTIONS<>'YES' ORDER BY 1`,
  );
  const names = tables.map(([table]) => table ?? '');
  const some = `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
  if (names.length > 0 && !rights.lockTables) {
    return {
      name,
      ok: false,
      detail: `tables that may change while they are read, for their engine has no transactions: ${some}`,
      hint: `GRANT LOCK TABLES ON ${rights.on} TO ${rights.user}; or ALTER TABLE … ENGINE=InnoDB`,
    };
  }
  const { method, detail, grants } = prospect(server, rights);
  const held =
    names.length === 0
      ? 'every table takes part in the snapshot'
      : `locked while they are read, for their engine has no transactions: ${some}`;
  // Doctor prints hints below what is red alone.
  const better = grants.length > 0 ? `; better with ${grants.join(' or ')}` : '';
  return { name, ok: true, detail: `${method}: ${detail}; ${held}${better}`, ...(grants[0] ? { hint: grants[0] } : {}) };
}
