// Reads views, routines, packages, triggers and events, and writes them with the modes and character sets they were made in.
import { CoffreError } from '../../errors.ts';
import { quoteName, quoteText } from '../../target/mariadb/names.ts';
import { asServerError, type Cell, type Session } from '../../target/mariadb/session.ts';
import type { Warning } from '../source.ts';
import type { DatabaseSchema } from './schema.ts';
import { withoutOwnDatabase, withoutOwnSequences } from './view-text.ts';

/** All text is one character per byte: definitions keep the bytes of the character set their author used. */
export interface Programs {
  readonly views: readonly ViewDefinition[];
  /** In the order in which they must be made. */
  readonly routines: readonly Program[];
  readonly triggers: readonly Program[];
  readonly events: readonly Program[];
  readonly warnings: readonly Warning[];
}

export interface ViewDefinition {
  readonly name: string;
  readonly columns: readonly string[];
  readonly create: string;
  readonly charset: string;
  readonly collation: string;
  /** It names what does not exist: it could not be made again. */
  readonly broken: boolean;
}

export interface Program {
  readonly kind: 'PROCEDURE' | 'FUNCTION' | 'PACKAGE' | 'PACKAGE BODY' | 'TRIGGER' | 'EVENT';
  readonly name: string;
  readonly create: string;
  readonly sqlMode: string;
  readonly charset: string;
  readonly collation: string;
  /** Collation of the database when it was made: kept by making it under that collation again. */
  readonly databaseCollation: string;
  readonly timeZone: string | null;
}

/** Its tables, columns or functions are gone, or its definer may not read them: making it again would fail. */
const VIEW_BROKEN = new Set([1054, 1146, 1305, 1356]);
/** Its definer is gone, or we may not look: it can be made again all the same. */
const VIEW_CLOSED = new Set([1142, 1143, 1370, 1449]);

/** Throws ServerError, E_DB_PRIVILEGE when a body cannot be seen. */
export async function readPrograms(session: Session, database: string, schema: DatabaseSchema): Promise<Programs> {
  const schemaName = quoteText(database);
  const warnings: Warning[] = [];
  // No conversion: each definition comes in its author's character set, and goes back in it.
  await session.run('SET character_set_results=NULL');
  try {
    const views: ViewDefinition[] = [];
    for (const name of schema.views) views.push(await readView(session, database, name, warnings));
    const routines = await readRoutines(session, schemaName);
    const triggers: Program[] = [];
    for (const [name] of await session.texts(
      `SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=${schemaName}
       ORDER BY BINARY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER`,
    )) {
      const [row] = await session.cells(`SHOW CREATE TRIGGER ${quoteName(name as string)}`);
      triggers.push(program('TRIGGER', name as string, row, { mode: 1, create: 2, charset: 3 }));
    }
    const events: Program[] = [];
    for (const [name] of await session.texts(
      `SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA=${schemaName} ORDER BY BINARY EVENT_NAME`,
    )) {
      const [row] = await session.cells(`SHOW CREATE EVENT ${quoteName(name as string)}`);
      events.push({ ...program('EVENT', name as string, row, { mode: 1, create: 3, charset: 4 }), timeZone: cellText(row?.[2]) });
    }
    return { views, routines, triggers, events, warnings };
  } finally {
    if (!session.lost) await session.run('SET character_set_results=utf8mb4');
  }
}

async function readView(session: Session, database: string, name: string, warnings: Warning[]): Promise<ViewDefinition> {
  const [row] = await session.cells(`SHOW CREATE VIEW ${quoteName(name)}`);
  let columns: string[] = [];
  let broken = false;
  try {
    // Asked of the server, for a view's own columns are listed even where its tables are gone.
    columns = (await session.texts(`SHOW FIELDS FROM ${quoteName(name)}`)).map(([field]) => field as string);
  } catch (error) {
    const { errno, message } = asServerError(error);
    if (!VIEW_BROKEN.has(errno) && !VIEW_CLOSED.has(errno)) throw error;
    columns = ['unknown'];
    broken = VIEW_BROKEN.has(errno);
    if (broken) warnings.push({ kind: 'other', where: name, message: `the view cannot be used and is kept as a comment: ${message}` });
  }
  const own = Buffer.from(database, 'utf8').toString('latin1');
  const create = withoutOwnSequences(withoutOwnDatabase(cellText(row?.[1]), own), own);
  return { name, columns, create, charset: cellText(row?.[2]), collation: cellText(row?.[3]), broken };
}

async function readRoutines(session: Session, schemaName: string): Promise<Program[]> {
  const rows = await session.texts(
    `SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=${schemaName}
     ORDER BY FIELD(ROUTINE_TYPE,'PACKAGE','FUNCTION','PROCEDURE','PACKAGE BODY'), BINARY ROUTINE_NAME`,
  );
  const routines: Program[] = [];
  for (const [type, name] of rows) {
    const kind = type as Program['kind'];
    const [row] = await session.cells(`SHOW CREATE ${kind} ${quoteName(name as string)}`);
    routines.push(program(kind, name as string, row, { mode: 1, create: 2, charset: 3 }));
  }
  return routines;
}

function program(
  kind: Program['kind'],
  name: string,
  row: readonly Cell[] | undefined,
  at: { readonly mode: number; readonly create: number; readonly charset: number },
): Program {
  const create = row?.[at.create];
  if (!row || !create) {
    throw new CoffreError('E_DB_PRIVILEGE', `the body of ${kind.toLowerCase()} ${name} cannot be seen`, {
      hint:
        'grant the dump user the right to see routine bodies: GRANT SELECT ON mysql.proc TO … ' +
        '(MariaDB), GRANT SHOW CREATE ROUTINE ON the database (MariaDB 11.3 and later), GRANT SHOW_ROUTINE ON *.* (MySQL 8; before 8.0.20 GRANT SELECT ON *.*)',
    });
  }
  return {
    kind,
    name,
    create: create.toString('latin1'),
    sqlMode: cellText(row[at.mode]),
    charset: cellText(row[at.charset]),
    collation: cellText(row[at.charset + 1]),
    databaseCollation: cellText(row[at.charset + 2]),
    timeZone: null,
  };
}

function cellText(cell: Cell | undefined): string {
  return cell ? cell.toString('latin1') : '';
}
