// Makes the two databases that a swap needs beside the real one, and proves before anything is loaded that the old state could be put back.
import { CoffreError } from '../../errors.ts';
import { writeError } from './errors.ts';
import { grantPattern, quoteAccount, quoteName } from './names.ts';
import { askMissingGrants } from './restore-rights.ts';
import { accessCode, asServerError, type Session } from './session.ts';
import { JOURNAL_TABLE, SwapJournal } from './swap-journal.ts';
import type { SwapNames } from './swap-names.ts';
import { listPrograms, type OldProgram, readPrograms } from './swap-programs.ts';
import { dropDatabase } from './swap-steps.ts';

const TRIAL = quoteName('coffre_trial');

/**
 * The journal, new when there was none. Throws E_DB_PRIVILEGE with the statements that give the restoring user what it lacks;
 * nothing was touched then, and nothing is left.
 */
export async function makeBeside(
  session: Session,
  names: SwapNames,
  found: SwapJournal | null,
  chosen: ReadonlySet<string> | null,
): Promise<SwapJournal> {
  try {
    for (const name of [names.old, names.scratch]) await session.run(`CREATE DATABASE IF NOT EXISTS ${quoteName(name)}`);
    const journal = found ?? (await SwapJournal.create(session, names));
    await rehearse(session, names, chosen);
    return journal;
  } catch (error) {
    const refusal = await refusalOf(error, session, names);
    if (!session.lost && !found) await removeBeside(session, names).catch(() => {});
    throw refusal ?? writeError(error, `preparing a restore beside ${names.database}`);
  }
}

/** With all rights that are missing, so that whoever lacks three is not told of one at a time; null: it is not about rights. */
async function refusalOf(error: unknown, session: Session, { database, old, scratch }: SwapNames): Promise<CoffreError | null> {
  if (!(error instanceof CoffreError) && accessCode(asServerError(error).errno) !== 'E_DB_PRIVILEGE') return null;
  if (error instanceof CoffreError && error.code !== 'E_DB_PRIVILEGE') return error;
  const missing = await askMissingGrants(session, [database, scratch, old], database).catch(() => []);
  const told = missing.length > 0 ? { hint: `nothing was touched; on the target server: ${missing.join(' ')}` } : {};
  if (error instanceof CoffreError) return new CoffreError(error.code, error.message, { cause: error, hint: error.hint, ...told });
  const account = await session.text('SELECT CURRENT_USER()').catch(() => null);
  const user = account === null ? 'the user in --to-database' : quoteAccount(account);
  const always = [scratch, old].map((name) => `GRANT ALL PRIVILEGES ON ${quoteName(grantPattern(name))}.* TO ${user};`).join(' ');
  return new CoffreError('E_DB_PRIVILEGE', `the restoring user may not load beside ${database}: ${asServerError(error).message}`, {
    cause: error,
    hint: `nothing was touched; on the target server: ${always}`,
    ...told,
  });
}

/** Both databases, empty but for the journal: nobody has loaded yet. */
async function removeBeside(session: Session, names: SwapNames): Promise<void> {
  await dropDatabase(session, names.scratch, JOURNAL_TABLE);
  await session.run(`DROP DATABASE IF EXISTS ${quoteName(names.scratch)}`);
  await session.run(`DROP TABLE IF EXISTS ${quoteName(names.old)}.${quoteName(JOURNAL_TABLE)}`);
  await session.run(`DROP DATABASE IF EXISTS ${quoteName(names.old)}`);
}

/** What will be dropped must be one that this user can make again: bodies seen, definers settable, triggers allowed with the binary log on. */
async function rehearse(session: Session, names: SwapNames, chosen: ReadonlySet<string> | null): Promise<void> {
  const programs = await listPrograms(session, names.database, chosen);
  const old = quoteName(names.old);
  const definers = new Map(programs.map((program) => [program.definer, program]));
  for (const [definer, program] of definers) {
    await session.run(`DROP PROCEDURE IF EXISTS ${old}.${TRIAL}`);
    try {
      await session.run(`CREATE DEFINER=${definerName(definer)} PROCEDURE ${old}.${TRIAL}() SELECT 1`);
    } catch (error) {
      if (accessCode(asServerError(error).errno) !== 'E_DB_PRIVILEGE' && asServerError(error).errno !== 4095) throw error;
      throw await cannotRemake(session, program, error);
    }
    await session.run(`DROP PROCEDURE IF EXISTS ${old}.${TRIAL}`);
  }
  await readPrograms(session, names.database, chosen);
  const trigger = programs.find(({ kind }) => kind === 'TRIGGER');
  if (!trigger) return;
  await session.run(`DROP TRIGGER IF EXISTS ${old}.${TRIAL}`);
  await session.run(`CREATE TRIGGER ${old}.${TRIAL} BEFORE UPDATE ON ${old}.${quoteName(JOURNAL_TABLE)} FOR EACH ROW SET @coffre=1`);
  await session.run(`DROP TRIGGER IF EXISTS ${old}.${TRIAL}`);
}

/** As information_schema spells it: a role has no host. */
function definerName(definer: string): string {
  return definer.includes('@') && !definer.endsWith('@') ? quoteAccount(definer) : quoteName(definer.replace(/@$/, ''));
}

async function cannotRemake(
  session: Session,
  program: Pick<OldProgram, 'kind' | 'name' | 'definer'>,
  cause: unknown,
): Promise<CoffreError> {
  const account = await session.text('SELECT CURRENT_USER()');
  return new CoffreError(
    'E_DB_PRIVILEGE',
    `the restoring user could not put back ${program.kind.toLowerCase()} ${program.name}, whose definer is ${program.definer}, if the restore failed`,
    {
      cause,
      hint:
        `nothing was touched; on the target server: GRANT SET USER ON *.* TO ${account ? quoteAccount(account) : 'the user in --to-database'}; ` +
        '(MariaDB 10.5 and later; SET_USER_ID or SET_ANY_DEFINER on MySQL 8, SUPER on older servers), or restore into a new database',
    },
  );
}

/** Whether a view or sequence has the name of a table that is wanted alone. Throws E_TARGET_NOT_EMPTY. */
export function refuseOtherKinds(database: string, chosen: readonly string[], others: readonly string[]): void {
  const there = chosen.filter((table) => others.includes(table));
  if (there.length === 0) return;
  throw new CoffreError('E_TARGET_NOT_EMPTY', `${there.join(', ')} in ${database} is no table: it is not overwritten by one`, {
    hint: 'drop or rename it first, or restore the table into another database',
  });
}
