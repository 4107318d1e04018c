// Adds foreign keys once every table is in; of a restore of some tables, those whose other table is there.
import type { TableChoice } from '../target.ts';
import { statementHead, writeError } from './errors.ts';
import { type HeldKeys, referenced, splitForeignKeys } from './held-keys.ts';
import { asServerError, type Session } from './session.ts';
import { isChosen } from './statement-subject.ts';

const NO_TABLE = 1146;

/** Throws CoffreError. */
export async function addForeignKeys(
  session: Session,
  held: HeldKeys,
  choice: TableChoice | null,
  onWarning: (message: string) => void,
): Promise<void> {
  try {
    for (const setting of held.settings) await session.run(setting);
    if (choice === null || choice.only === null) for (const statement of held.others) await session.run(statement);
    for (const [table, statement] of held.foreignKeys) {
      if (choice && !isChosen({ kind: 'foreign keys', table }, choice)) continue;
      const wanted = choice?.only ? await withExisting(session, table, statement, onWarning) : statement;
      if (!wanted) continue;
      await session.run(wanted).catch((error: unknown) => {
        throw writeError(error, statementHead(statement));
      });
    }
  } catch (error) {
    throw writeError(error, 'adding foreign keys');
  }
}

/** The statement with those keys alone whose other table exists; null when none is left. */
async function withExisting(
  session: Session,
  table: string,
  statement: Buffer,
  onWarning: (message: string) => void,
): Promise<Buffer | null> {
  const split = splitForeignKeys(statement);
  if (!split) return statement;
  const clauses: string[] = [];
  for (const key of split.keys) {
    if (await exists(session, referenced(key))) clauses.push(key.clause);
    else onWarning(`a foreign key of ${table} is left out: the table ${key.table} it refers to is not in the target`);
  }
  return clauses.length > 0 ? Buffer.from(`${split.head}${clauses.join(',\n  ')}`, 'latin1') : null;
}

async function exists(session: Session, name: string): Promise<boolean> {
  try {
    await session.texts(`SELECT 1 FROM ${name} LIMIT 0`);
    return true;
  } catch (error) {
    if (asServerError(error).errno === NO_TABLE) return false;
    throw error;
  }
}
