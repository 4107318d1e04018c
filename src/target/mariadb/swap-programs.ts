// The programs that stand in the way of a swap: read with all that making them again needs, dropped, and made again.
import { CoffreError } from '../../errors.ts';
import { quoteAccount, quoteName, quoteText } from './names.ts';
import { asServerError, type Cell, type Session } from './session.ts';

export type ProgramKind = 'EVENT' | 'TRIGGER' | 'VIEW' | 'PROCEDURE' | 'FUNCTION' | 'PACKAGE' | 'PACKAGE BODY';

/** What SHOW CREATE said. Definitions keep the bytes of their author's character set. */
export interface OldProgram {
  readonly kind: ProgramKind;
  readonly name: string;
  /** The table of a trigger; empty for all others. */
  readonly table: string;
  readonly definer: string;
  /** Base64: the statement's bytes. */
  readonly create: string;
  /** Empty for a view. */
  readonly sqlMode: string;
  readonly charset: string;
  readonly collation: string;
  /** Collation of the database when it was made; empty for a view. */
  readonly databaseCollation: string;
  /** Of an event; empty for all others. */
  readonly timeZone: string;
}

interface Columns {
  readonly create: number;
  readonly charset: number;
  readonly mode?: number;
  readonly databaseCollation?: number;
  readonly timeZone?: number;
}
const COLUMNS: Readonly<Record<'VIEW' | 'EVENT' | 'OTHER', Columns>> = {
  VIEW: { create: 1, charset: 2 },
  EVENT: { mode: 1, timeZone: 2, create: 3, charset: 4, databaseCollation: 6 },
  OTHER: { mode: 1, create: 2, charset: 3, databaseCollation: 5 },
};

/**
 * Programs of `database` (the session's own), in the order in which they can be made again; `tables` given: only the triggers on those.
 * Throws ServerError, E_DB_PRIVILEGE for a body that cannot be seen: what cannot be put back must not be dropped.
 */
export async function readPrograms(session: Session, database: string, tables: ReadonlySet<string> | null): Promise<readonly OldProgram[]> {
  const named = await listPrograms(session, database, tables);
  const account = quoteAccount((await session.text('SELECT CURRENT_USER()')) ?? '@');
  await session.run('SET character_set_results=NULL');
  try {
    const programs: OldProgram[] = [];
    for (const each of named) {
      const [row] = await session.cells(`SHOW CREATE ${each.kind} ${quoteName(each.name)}`);
      programs.push(described(each, row, account));
    }
    return programs;
  } finally {
    if (!session.lost) await session.run('SET character_set_results=utf8mb4');
  }
}

type Named = Pick<OldProgram, 'kind' | 'name' | 'table' | 'definer'>;

/** Their names alone. Throws ServerError. */
export async function listPrograms(session: Session, database: string, tables: ReadonlySet<string> | null): Promise<readonly Named[]> {
  const schema = quoteText(database);
  const ask = (sql: string): Promise<Named[]> =>
    session.texts(sql).then((rows) =>
      rows.map(([kind, name, definer, table]) => ({
        kind: kind as ProgramKind,
        name: name as string,
        table: table ?? '',
        definer: definer ?? '',
      })),
    );
  const triggers = await ask(
    `SELECT 'TRIGGER', TRIGGER_NAME, DEFINER, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA=${schema}
     ORDER BY BINARY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER`,
  );
  if (tables) return triggers.filter((trigger) => tables.has(trigger.table));
  const routines = await ask(
    `SELECT ROUTINE_TYPE, ROUTINE_NAME, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=${schema}
     ORDER BY FIELD(ROUTINE_TYPE,'PACKAGE','FUNCTION','PROCEDURE','PACKAGE BODY'), BINARY ROUTINE_NAME`,
  );
  const views = await ask(
    `SELECT 'VIEW', TABLE_NAME, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA=${schema} ORDER BY BINARY TABLE_NAME`,
  );
  const events = await ask(
    `SELECT 'EVENT', EVENT_NAME, DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA=${schema} ORDER BY BINARY EVENT_NAME`,
  );
  return [...routines, ...views, ...triggers, ...events];
}

function described(named: Named, row: readonly Cell[] | undefined, account: string): OldProgram {
  const at = named.kind === 'VIEW' || named.kind === 'EVENT' ? COLUMNS[named.kind] : COLUMNS.OTHER;
  const text = (index: number | undefined): string => (index === undefined ? '' : (row?.[index]?.toString('latin1') ?? ''));
  const create = row?.[at.create];
  if (!create) {
    throw new CoffreError(
      'E_DB_PRIVILEGE',
      `the restoring user cannot see the body of ${named.kind.toLowerCase()} ${named.name}, and so could not put it back if the restore failed`,
      {
        hint:
          `nothing was touched; on the target server: GRANT SELECT ON mysql.proc TO ${account}; ` +
          '(MariaDB; SHOW_ROUTINE ON *.* on MySQL 8), or restore into a new database',
      },
    );
  }
  return {
    ...named,
    create: create.toString('base64'),
    sqlMode: text(at.mode),
    charset: text(at.charset),
    collation: text(at.charset + 1),
    databaseCollation: text(at.databaseCollation),
    timeZone: text(at.timeZone),
  };
}

/** Drops them, if they are there. Throws ServerError. */
export async function dropPrograms(session: Session, programs: readonly Pick<OldProgram, 'kind' | 'name'>[]): Promise<void> {
  for (const { kind, name } of programs) {
    // goes with its package
    if (kind === 'PACKAGE BODY') continue;
    // up to MariaDB 11 the word PACKAGE is only known in this mode
    if (kind === 'PACKAGE') await session.run("SET SESSION sql_mode='ORACLE'");
    await session.run(`DROP ${kind} IF EXISTS ${quoteName(name)}`);
    if (kind === 'PACKAGE') await session.run("SET SESSION sql_mode=''");
  }
}

export interface DatabaseProperties {
  readonly charset: string;
  readonly collation: string;
  /** Null where the server knows none (MySQL, MariaDB before 10.5). */
  readonly comment: string | null;
}

/** Throws ServerError. */
export async function readProperties(session: Session, database: string): Promise<DatabaseProperties> {
  const commented =
    (await session.text(
      "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='information_schema' AND COLUMN_NAME='SCHEMA_COMMENT'",
    )) !== null;
  const [row] = await session.texts(
    `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME${commented ? ', SCHEMA_COMMENT' : ''} FROM information_schema.SCHEMATA WHERE SCHEMA_NAME=${quoteText(database)}`,
  );
  return { charset: row?.[0] ?? 'utf8mb4', collation: row?.[1] ?? 'utf8mb4_general_ci', comment: commented ? (row?.[2] ?? '') : null };
}

/** Throws ServerError. */
export async function writeProperties(
  session: Session,
  database: string,
  { charset, collation, comment }: DatabaseProperties,
): Promise<void> {
  const commented = comment === null ? '' : ` COMMENT ${quoteText(comment)}`;
  await session.run(`ALTER DATABASE ${quoteName(database)} CHARACTER SET ${charset} COLLATE ${collation}${commented}`);
}

/**
 * Makes programs again as they were, in `database` (the session's own). Returns those that the server refused although all that they
 * name is there again (a view over a table that was gone before, too). Throws ServerError when the connection is lost.
 */
export async function makePrograms(
  session: Session,
  database: string,
  programs: readonly OldProgram[],
  properties: DatabaseProperties,
): Promise<readonly { readonly program: OldProgram; readonly why: string }[]> {
  let waiting = [...programs];
  for (;;) {
    const refused: { program: OldProgram; why: string }[] = [];
    for (const program of waiting) {
      try {
        await make(session, database, program, properties);
      } catch (error) {
        if (session.lost) throw error;
        refused.push({ program, why: asServerError(error).message });
      }
    }
    // views name each other in any order: another round as long as one of them came in
    if (refused.length === 0 || refused.length === waiting.length) return refused;
    waiting = refused.map(({ program }) => program);
  }
}

async function make(session: Session, database: string, program: OldProgram, properties: DatabaseProperties): Promise<void> {
  const otherCollation = program.databaseCollation !== '' && program.databaseCollation !== properties.collation;
  try {
    if (otherCollation) await session.run(`ALTER DATABASE ${quoteName(database)} COLLATE ${program.databaseCollation}`);
    await session.run(`SET SESSION sql_mode=${quoteText(program.sqlMode)}`);
    if (program.timeZone !== '') await session.run(`SET SESSION time_zone=${quoteText(program.timeZone)}`);
    await session.run(
      `SET character_set_client=${program.charset}, character_set_results=${program.charset}, collation_connection=${program.collation}`,
    );
    await session.run(Buffer.from(program.create, 'base64'));
  } finally {
    if (!session.lost) {
      await session.run('SET NAMES utf8mb4');
      await session.run("SET SESSION sql_mode='', time_zone='+00:00'");
      if (otherCollation) await writeProperties(session, database, properties);
    }
  }
}
