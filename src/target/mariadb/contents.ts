// What a target database holds, and how all of it is dropped.
import { quoteName, quoteText } from './names.ts';
import type { Session } from './session.ts';

export interface Contents {
  readonly database: string;
  readonly tables: readonly string[];
  readonly views: readonly string[];
  readonly sequences: readonly string[];
  /** Kind (PROCEDURE, FUNCTION, PACKAGE) and name. */
  readonly routines: readonly (readonly [string, string])[];
  readonly events: readonly string[];
  readonly total: number;
  /** `12 tables, 2 views`. */
  readonly text: string;
}

/** Throws ServerError. */
export async function listContents(session: Session, database: string): Promise<Contents> {
  const schema = quoteText(database);
  const relations = await session.texts(`SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA=${schema}`);
  const named = (pick: (type: string) => boolean): string[] =>
    relations.filter(([, type]) => pick(type ?? '')).map(([name]) => name as string);
  const views = named((type) => type.includes('VIEW'));
  const sequences = named((type) => type === 'SEQUENCE');
  const tables = named((type) => !type.includes('VIEW') && type !== 'SEQUENCE');
  const routines = (
    await session.texts(`SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=${schema}`)
  ).flatMap(([type, name]) => (type === 'PACKAGE BODY' ? [] : [[type as string, name as string] as const]));
  const events = (await session.texts(`SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA=${schema}`)).map(
    ([name]) => name as string,
  );
  const counts: readonly (readonly [number, string])[] = [
    [tables.length, 'tables'],
    [views.length, 'views'],
    [sequences.length, 'sequences'],
    [routines.length, 'routines'],
    [events.length, 'events'],
  ];
  return {
    database,
    tables,
    views,
    sequences,
    routines,
    events,
    total: counts.reduce((sum, [count]) => sum + count, 0),
    text: counts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : [])).join(', '),
  };
}

/** Events first, so that none runs meanwhile. Throws ServerError. */
export async function dropContents(session: Session, contents: Contents): Promise<void> {
  await session.run('SET SESSION foreign_key_checks=0');
  for (const name of contents.events) await session.run(`DROP EVENT IF EXISTS ${quoteName(name)}`);
  for (const name of contents.views) await session.run(`DROP VIEW IF EXISTS ${quoteName(name)}`);
  for (const name of contents.tables) await session.run(`DROP TABLE IF EXISTS ${quoteName(name)}`);
  for (const name of contents.sequences) await session.run(`DROP SEQUENCE IF EXISTS ${quoteName(name)}`);
  for (const [kind, name] of contents.routines) {
    // Up to MariaDB 11 the word PACKAGE is only known in this mode.
    if (kind === 'PACKAGE') await session.run("SET SESSION sql_mode='ORACLE'");
    await session.run(`DROP ${kind} IF EXISTS ${quoteName(name)}`);
    if (kind === 'PACKAGE') await session.run("SET SESSION sql_mode=''");
  }
}
