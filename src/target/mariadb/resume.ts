// Clears away what an interrupted restore left, but for the tables that it had finished.
import type { LoadedTable, RestoreScope } from '../target.ts';
import { type Contents, dropContents } from './contents.ts';
import { JOURNAL_TABLE } from './journal.ts';
import { quoteName, quoteText } from './names.ts';
import type { Session } from './session.ts';

/**
 * Half-loaded tables are dropped, not emptied: keys may or may not have been built on them. Of finished ones the foreign keys and
 * triggers go, which come again at the end. Everything dropped here was made by the same restore: its journal began in a database
 * without it. Throws ServerError.
 */
export async function clearUnfinished(
  session: Session,
  contents: Contents,
  scope: RestoreScope,
  finished: readonly LoadedTable[],
): Promise<void> {
  const same = await nameComparison(session);
  const keep = new Set([JOURNAL_TABLE, ...finished.map(({ table }) => table)].map(same));
  const chosen = scope.tables && new Set(scope.tables.map(same));
  const ours = (table: string): boolean => chosen === null || chosen.has(same(table));
  await session.run('SET SESSION foreign_key_checks=0');
  const kept = contents.tables.filter((table) => ours(table) && keep.has(same(table)) && table !== JOURNAL_TABLE);
  for (const [table, constraint] of await session.texts(
    'SELECT TABLE_NAME, CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS ' +
      `WHERE TABLE_SCHEMA=${quoteText(contents.database)} AND CONSTRAINT_TYPE='FOREIGN KEY'`,
  )) {
    if (kept.includes(table as string)) {
      await session.run(`ALTER TABLE ${quoteName(table as string)} DROP FOREIGN KEY ${quoteName(constraint as string)}`);
    }
  }
  for (const [table, trigger] of await session.texts(
    `SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=${quoteText(contents.database)}`,
  )) {
    if (kept.includes(table as string)) await session.run(`DROP TRIGGER IF EXISTS ${quoteName(trigger as string)}`);
  }
  const tables = contents.tables.filter((table) => ours(table) && !keep.has(same(table)));
  const programs = chosen === null ? contents : { views: [], sequences: [], routines: [], events: [] };
  await dropContents(session, { ...contents, ...programs, tables });
}

/** On some servers names of tables differ in case from those in the snapshot. */
async function nameComparison(session: Session): Promise<(name: string) => string> {
  const folds = (await session.text('SELECT @@lower_case_table_names')) !== '0';
  return (name) => (folds ? name.toLowerCase() : name);
}
