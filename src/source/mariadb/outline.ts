// What a database was defined as at a moment: definitions belong to no snapshot, so they are looked at before it and after it.
import { quoteName, quoteText } from '../../target/mariadb/names.ts';
import type { Session } from '../../target/mariadb/session.ts';
import { type DatabaseSchema, sameDefinition } from './schema.ts';

export interface Outline {
  /** SHOW CREATE TABLE by name, one character per byte; for a view or a sequence, its kind. */
  readonly relations: ReadonlyMap<string, string>;
  /** Every view, routine, trigger and event with what changes when it is changed. */
  readonly programs: string;
}

/** Throws ServerError: 1146 when a table went away meanwhile. */
export async function readOutline(session: Session, database: string): Promise<Outline> {
  const rows = await session.texts(
    `SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA=${quoteText(database)} ORDER BY BINARY TABLE_NAME`,
  );
  const relations = new Map<string, string>();
  for (const [name, type] of rows as string[][]) {
    if (name === undefined || type === undefined) continue;
    const whole = type === 'BASE TABLE' || type === 'SYSTEM VERSIONED';
    const create = whole ? (await session.cells(`SHOW CREATE TABLE ${quoteName(name)}`))[0]?.[1]?.toString('latin1') : undefined;
    relations.set(name, create ?? type);
  }
  return { relations, programs: await readProgramOutline(session, database) };
}

/** The same after the schema was read: that is not asked for twice. Throws ServerError. */
export async function outlineOf(session: Session, database: string, schema: DatabaseSchema): Promise<Outline> {
  const relations = new Map(schema.tables.map(({ name, create }) => [name, create]));
  for (const { name } of schema.sequences) relations.set(name, 'SEQUENCE');
  for (const name of schema.views) relations.set(name, 'VIEW');
  return { relations, programs: await readProgramOutline(session, database) };
}

async function readProgramOutline(session: Session, database: string): Promise<string> {
  const schema = quoteText(database);
  const answers = [];
  for (const sql of [
    `SELECT TABLE_NAME, MD5(VIEW_DEFINITION), CHECK_OPTION, DEFINER, SECURITY_TYPE FROM information_schema.VIEWS WHERE TABLE_SCHEMA=${schema} ORDER BY 1`,
    `SELECT ROUTINE_TYPE, ROUTINE_NAME, LAST_ALTERED, MD5(ROUTINE_DEFINITION), DEFINER, SECURITY_TYPE, SQL_MODE FROM information_schema.ROUTINES
     WHERE ROUTINE_SCHEMA=${schema} ORDER BY 1, 2`,
    `SELECT TRIGGER_NAME, CREATED, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_TIMING, MD5(ACTION_STATEMENT), DEFINER
     FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=${schema} ORDER BY 1`,
    `SELECT EVENT_NAME, LAST_ALTERED, MD5(EVENT_DEFINITION), STATUS, DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA=${schema} ORDER BY 1`,
  ]) {
    answers.push(await session.texts(sql));
  }
  return JSON.stringify(answers);
}

/** The name of something that is not what it was, printable; null when all is the same. */
export function changedBetween(before: Outline, after: Outline): string | null {
  for (const name of new Set([...before.relations.keys(), ...after.relations.keys()])) {
    const was = before.relations.get(name);
    const is = after.relations.get(name);
    if (was === undefined || is === undefined || !sameDefinition(was, is)) return name;
  }
  return before.programs === after.programs ? null : 'a view, routine, trigger or event';
}
