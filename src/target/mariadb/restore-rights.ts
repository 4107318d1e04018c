// Which rights an account lacks that is to restore over a database: all of them at once, as the statements that give them.
import { CoffreError } from '../../errors.ts';
import { writeError } from './errors.ts';
import { decidingPattern, type Grant, held, parseGrant } from './grants.ts';
import { grantPattern, quoteAccount, quoteName } from './names.ts';
import { connect, type ServerAddress, type Session } from './session.ts';
import { swapNames } from './swap-names.ts';
import { listPrograms } from './swap-programs.ts';

/** What a restore does in each of its databases; who has them all may as well have been given ALL PRIVILEGES. */
const NEEDED = [
  ...(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'CREATE', 'DROP', 'ALTER', 'INDEX', 'REFERENCES', 'LOCK TABLES'] as const),
  ...(['CREATE VIEW', 'SHOW VIEW', 'TRIGGER', 'EVENT', 'CREATE ROUTINE', 'ALTER ROUTINE', 'EXECUTE'] as const),
];
/** Any of them lets somebody make programs that belong to somebody else. */
const DEFINERS = ['SET USER', 'SET_USER_ID', 'SET_ANY_DEFINER', 'SUPER'];

/** What an account sees of the server, for `missingGrants`. */
export interface AccountFacts {
  /** CURRENT_USER(). */
  readonly account: string;
  /** VERSION(). */
  readonly version: string;
  /** The lines of SHOW GRANTS. */
  readonly grants: readonly string[];
  /** Of the database that is restored over, as far as the account sees them. */
  readonly programs: readonly { readonly kind: string; readonly definer: string }[];
}

/** The statements, each with its semicolon, that give the account what a restore over the first of these databases needs in them. Pure. */
export function missingGrants(databases: readonly string[], { account, version, grants, programs }: AccountFacts): readonly string[] {
  const parsed = grants.flatMap(parseGrant);
  const everywhere = held(parsed.filter(({ database, object }) => database === '*' && object === '*'));
  const user = quoteAccount(account);
  const statements = databases
    .filter((database) => !NEEDED.every(has(held(inside(parsed, database)), everywhere)))
    .map((database) => `GRANT ALL PRIVILEGES ON ${quoteName(grantPattern(database))}.* TO ${user};`);
  const others = programs.filter(({ definer }) => definer !== account);
  const may = has(everywhere);
  const { setDefiner, seeBodies, showsRoutines } = wordsOf(version);
  if (others.length > 0 && !DEFINERS.some(may)) statements.push(`GRANT ${setDefiner} ON *.* TO ${user};`);
  const ofRoutines = parsed.filter(({ database, object }) => database === 'mysql' && (object === '*' || object === 'proc'));
  const shows = showsRoutines && has(everywhere, held(inside(parsed, databases[0] ?? '')))('SHOW CREATE ROUTINE');
  const seesBodies = may('SELECT') || may('SHOW_ROUTINE') || shows || held(ofRoutines).has('SELECT');
  if (others.some(({ kind }) => !OWN_BODIES.has(kind)) && !seesBodies) statements.push(`GRANT ${seeBodies} TO ${user};`);
  return statements;
}

/** Whoever sees that these are there sees what is in them. */
const OWN_BODIES: ReadonlySet<string> = new Set(['VIEW', 'TRIGGER', 'EVENT']);

const has =
  (...sets: readonly ReadonlySet<string>[]) =>
  (privilege: string): boolean =>
    sets.some((set) => set.has('ALL PRIVILEGES') || set.has(privilege));

function inside(grants: readonly Grant[], database: string): Grant[] {
  const pattern = decidingPattern(grants, database);
  return grants.filter((grant) => grant.object === '*' && grant.database === pattern);
}

interface Words {
  readonly setDefiner: string;
  readonly seeBodies: string;
  /** SHOW CREATE ROUTINE is a right of its own, which ALL PRIVILEGES of a database have. */
  readonly showsRoutines: boolean;
}

/** What each server calls it. */
function wordsOf(version: string): Words {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const isSince = (otherMajor: number, otherMinor: number): boolean => major > otherMajor || (major === otherMajor && minor >= otherMinor);
  if (!/mariadb/i.test(version)) {
    return { setDefiner: isSince(8, 2) ? 'SET_ANY_DEFINER' : 'SET_USER_ID', seeBodies: 'SHOW_ROUTINE ON *.*', showsRoutines: false };
  }
  return { setDefiner: isSince(10, 5) ? 'SET USER' : 'SUPER', seeBodies: 'SELECT ON mysql.proc', showsRoutines: isSince(11, 3) };
}

/** As `missingGrants`, asked of the server; `over`: what is restored over. Throws ServerError. */
export async function askMissingGrants(session: Session, databases: readonly string[], over: string): Promise<readonly string[]> {
  const [account, version] = [await session.text('SELECT CURRENT_USER()'), await session.text('SELECT VERSION()')];
  // A line may hold the hash of a password: it is looked at here and goes nowhere.
  const grants = (await session.texts('SHOW GRANTS')).map(([line]) => line ?? '');
  const programs = await listPrograms(session, over, null);
  return missingGrants(databases, { account: account ?? '', version: version ?? '', grants, programs });
}

/**
 * Whether this account could restore over the database, and what it could not do of that: nothing is touched. Returns the account as the
 * server knows it. Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE with all statements that are missing, E_SECRET_….
 */
export async function tryRestoring(address: ServerAddress, database: string): Promise<string> {
  const session = await connect(address, { localInfile: false });
  try {
    const { old, scratch } = swapNames(database);
    const missing = await askMissingGrants(session, [database, scratch, old], database);
    const account = (await session.text('SELECT CURRENT_USER()')) ?? '';
    if (missing.length === 0) return account;
    throw new CoffreError('E_DB_PRIVILEGE', `${account} may not do all that a restore over ${database} takes`, { hint: missing.join(' ') });
  } catch (error) {
    throw writeError(error, `the rights that a restore over ${database} takes`);
  } finally {
    await session.end();
  }
}

/**
 * The same for a server of drills, whose databases all begin in one way and belong to the account. `refuse` is told its
 * @@event_scheduler. Throws as tryRestoring, and what `refuse` throws.
 */
export async function tryDrills(address: ServerAddress, beginning: string, refuse: (scheduler: string | null) => void): Promise<string> {
  const session = await connect(address, { localInfile: false });
  try {
    const [[version, scheduler, account] = [null, null, null]] = await session.texts('SELECT VERSION(), @@event_scheduler, CURRENT_USER()');
    refuse(scheduler ?? null);
    const grants = (await session.texts('SHOW GRANTS')).map(([line]) => line ?? '');
    const facts = { account: account ?? '', version: version ?? '', grants, programs: [] };
    if (missingGrants([`${beginning}x`], facts).length === 0) return `${account} on ${version}`;
    throw new CoffreError('E_DB_PRIVILEGE', `${account} may not make databases of drills`, {
      hint: `GRANT ALL PRIVILEGES ON ${quoteName(`${grantPattern(beginning)}%`)}.* TO ${quoteAccount(account ?? '')};`,
    });
  } catch (error) {
    throw writeError(error, 'the rights that a drill takes');
  } finally {
    await session.end();
  }
}
