// The table that stands in a database until its restore is whole: which snapshot, and which tables are finished.
import type { LoadedTable, RestoreScope } from '../target.ts';
import { quoteName, quoteText } from './names.ts';
import { asServerError, type Session } from './session.ts';

/** Also what a person sees who looks into a database whose restore failed. */
export const JOURNAL_TABLE = 'coffre_restore_incomplete';
const TABLE = quoteName(JOURNAL_TABLE);
/** No such table; no such column: written by an older coffre. */
const NO_TABLE = 1146;
const NO_COLUMN = 1054;

export interface Journal {
  /** Null: it says nothing of what it belongs to. */
  readonly scope: RestoreScope | null;
  /** Rows in and keys built; noted after both, so what is not here may hold anything. */
  readonly finished: readonly LoadedTable[];
}

/** Null when there is none. Throws ServerError. */
export async function readJournal(session: Session): Promise<Journal | null> {
  try {
    const rows = await session.texts(`SELECT step, name, row_count FROM ${TABLE}`);
    const of = (step: string): [string, string | null][] =>
      rows.filter(([each]) => each === step).map(([, name, count]) => [name as string, count ?? null]);
    const [snapshot] = of('snapshot');
    const only = of('only').map(([name]) => name);
    return {
      scope: snapshot ? { snapshot: snapshot[0], tables: only.length > 0 ? only : null } : null,
      finished: of('finished').map(([table, count]) => ({ table, rows: Number(count) })),
    };
  } catch (error) {
    const { errno } = asServerError(error);
    if (errno === NO_TABLE) return null;
    if (errno === NO_COLUMN) return { scope: null, finished: [] };
    throw error;
  }
}

/** Before anything else is made. One that is there already goes on. Throws ServerError. */
export async function startJournal(session: Session, scope: RestoreScope | null): Promise<void> {
  // Its own charset and engine: what the server would take by default may not hold every name, or lose rows in a crash.
  await session.run(
    `CREATE TABLE IF NOT EXISTS ${TABLE} (step VARCHAR(16) NOT NULL, name VARCHAR(64) NOT NULL, row_count BIGINT UNSIGNED, ` +
      'PRIMARY KEY (step, name)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ' +
      "COMMENT='a restore by coffre has not come to its end'",
  );
  if (!scope) return;
  // One statement: a journal that names a snapshot names all of its scope.
  const rows = [['snapshot', scope.snapshot] as const, ...(scope.tables ?? []).map((table) => ['only', table] as const)];
  await session.run(
    `INSERT IGNORE INTO ${TABLE} (step, name) VALUES ${rows.map(([step, name]) => `('${step}',${quoteText(name)})`).join(',')}`,
  );
}

/** After their rows were committed, their keys built and their rows counted. Throws ServerError. */
export async function noteFinished(session: Session, tables: readonly LoadedTable[]): Promise<void> {
  if (tables.length === 0) return;
  const rows = tables.map(({ table, rows: count }) => `('finished',${quoteText(table)},${count})`);
  await session.run(`REPLACE INTO ${TABLE} (step, name, row_count) VALUES ${rows.join(',')}`);
}

/** They are loaded again by whoever goes on: before something else than their rows is written into them. Throws ServerError. */
export async function forgetFinished(session: Session, tables: readonly string[]): Promise<void> {
  // on some servers names differ in case from those in the snapshot
  const names = tables.map((table) => `LOWER(${quoteText(table)})`).join(',');
  await session.run(`DELETE FROM ${TABLE} WHERE step='finished' AND LOWER(name) IN (${names})`);
}

export async function endJournal(session: Session): Promise<void> {
  await session.run(`DROP TABLE IF EXISTS ${TABLE}`);
}

export function isSameScope(a: RestoreScope, b: RestoreScope): boolean {
  const list = (scope: RestoreScope): string => JSON.stringify(scope.tables && [...scope.tables].sort());
  return a.snapshot === b.snapshot && list(a) === list(b);
}
