// Reads what a database consists of: tables with columns and keys, sequences, and each table's definition.
import { CoffreError } from '../../errors.ts';
import { quoteName, quoteText } from '../../target/mariadb/names.ts';
import type { Session } from '../../target/mariadb/session.ts';
import type { ColumnInfo } from './columns.ts';

export interface IndexInfo {
  readonly name: string;
  readonly unique: boolean;
  /** In order; `prefix`: only the first characters are in the index. */
  readonly columns: readonly { readonly name: string; readonly nullable: boolean; readonly prefix: boolean }[];
}

export interface TableInfo {
  readonly name: string;
  readonly engine: string;
  readonly transactional: boolean;
  /** Rows live elsewhere (FEDERATED, CONNECT, MERGE, SPIDER): only the definition is kept. */
  readonly definitionOnly: boolean;
  /** How history is kept: `insertable` can be written back, `current` means only present rows can. */
  readonly history: 'none' | 'insertable' | 'current';
  /** Names of the period columns when history is read. */
  readonly period: { readonly start: string; readonly end: string } | null;
  /** The server's estimates; null when it has none. */
  readonly rows: number | null;
  readonly dataBytes: number | null;
  readonly columns: readonly ColumnInfo[];
  readonly indexes: readonly IndexInfo[];
  readonly autoIncrement: string | null;
  /** SHOW CREATE TABLE, one character per byte: a default may hold bytes of no charset. */
  readonly create: string;
}

export interface SequenceInfo {
  readonly name: string;
  readonly create: string;
  readonly next: string;
  readonly cycles: string;
}

export interface DatabaseSchema {
  readonly name: string;
  readonly charset: string;
  readonly collation: string;
  readonly comment: string;
  readonly tables: readonly TableInfo[];
  readonly sequences: readonly SequenceInfo[];
  /** In name order, definitions are read with the programs. */
  readonly views: readonly string[];
}

export interface ServerInfo {
  readonly version: string;
  readonly mariadb: boolean;
  /** 101119 for 10.11.19, 80039 for 8.0.39. */
  readonly number: number;
  readonly maxAllowedPacket: number;
  /** 0: names of tables keep their case; 1: lower case; 2: kept, compared in lower case. */
  readonly lowerCaseTableNames: string;
}

export async function readServer(session: Session): Promise<ServerInfo> {
  const [row] = await session.texts('SELECT VERSION(), @@max_allowed_packet, @@lower_case_table_names');
  const version = row?.[0] ?? '';
  const [major = 0, minor = 0, patch = 0] = (/^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1) ?? []).map(Number);
  return {
    version,
    mariadb: /mariadb/i.test(version),
    number: major * 10_000 + minor * 100 + patch,
    maxAllowedPacket: Number(row?.[1] ?? 16_777_216),
    lowerCaseTableNames: row?.[2] ?? '0',
  };
}

/** Their rows are in other tables, in files or servers that are not the database's, or nowhere. (Mroonga keeps rows of its own: they are read.) */
const DEFINITION_ONLY = [
  'MRG_MYISAM',
  'FEDERATED',
  'CONNECT',
  'SPIDER',
  'SPHINX',
  'VP',
  'BLACKHOLE',
  'OQGRAPH',
  'S3',
  'PERFORMANCE_SCHEMA',
];

export const isDefinitionOnly = (engine: string | null): boolean => DEFINITION_ONLY.includes((engine ?? '').toUpperCase());

/** Throws ServerError, E_DB_READ. */
export async function readSchema(session: Session, database: string, server: ServerInfo): Promise<DatabaseSchema> {
  const schema = quoteText(database);
  const comment = server.mariadb && server.number >= 100_502 ? 'SCHEMA_COMMENT' : "''";
  const [head] = await session.texts(
    `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, ${comment} FROM information_schema.SCHEMATA WHERE SCHEMA_NAME=${schema}`,
  );
  if (!head) throw new CoffreError('E_DB_READ', `the database ${database} cannot be seen`);
  const relations = await session.texts(
    `SELECT t.TABLE_NAME, t.TABLE_TYPE, t.ENGINE, t.TABLE_ROWS, t.DATA_LENGTH, e.TRANSACTIONS FROM information_schema.TABLES t
     LEFT JOIN information_schema.ENGINES e ON e.ENGINE=t.ENGINE WHERE t.TABLE_SCHEMA=${schema} ORDER BY BINARY t.TABLE_NAME`,
  );
  const columns = await readColumns(session, schema);
  const indexes = await readIndexes(session, schema);
  const tables: TableInfo[] = [];
  const sequences: SequenceInfo[] = [];
  const views: string[] = [];
  for (const [name, type, engine, rows, dataBytes, transactions] of relations as string[][]) {
    if (name === undefined) continue;
    if (type === 'VIEW' || type === 'SYSTEM VIEW') {
      views.push(name);
    } else if (type === 'SEQUENCE') {
      sequences.push(await readSequence(session, name));
    } else {
      const own = columns.get(name) ?? { columns: [], autoIncrement: null, start: null, end: null };
      const create = await showCreate(session, 'TABLE', name);
      const history = type === 'SYSTEM VERSIONED' ? historyKind(own, create, server) : 'none';
      tables.push({
        name,
        // A table that cannot be opened (its engine is missing, its file is damaged) has none: reading it will say why.
        engine: engine ?? 'unknown',
        transactional: transactions === 'YES',
        definitionOnly: isDefinitionOnly(engine ?? null),
        history,
        period: history === 'insertable' ? { start: own.start ?? 'row_start', end: own.end ?? 'row_end' } : null,
        rows: rows === null ? null : Number(rows),
        dataBytes: dataBytes === null ? null : Number(dataBytes),
        columns: own.columns,
        indexes: indexes.get(name) ?? [],
        autoIncrement: own.autoIncrement,
        create,
      });
    }
  }
  return {
    name: database,
    charset: head[0] ?? 'utf8mb4',
    collation: head[1] ?? 'utf8mb4_general_ci',
    comment: head[2] ?? '',
    tables,
    sequences,
    views,
  };
}

interface TableColumns {
  readonly columns: ColumnInfo[];
  autoIncrement: string | null;
  start: string | null;
  end: string | null;
}

async function readColumns(session: Session, schema: string): Promise<Map<string, TableColumns>> {
  const rows = await session.texts(
    `SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME, IS_NULLABLE, EXTRA, GENERATION_EXPRESSION
     FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=${schema} ORDER BY TABLE_NAME, ORDINAL_POSITION`,
  );
  const tables = new Map<string, TableColumns>();
  for (const [table, name, type, charset, nullable, extra, expression] of rows as string[][]) {
    if (table === undefined || name === undefined) continue;
    const own = tables.get(table) ?? { columns: [], autoIncrement: null, start: null, end: null };
    tables.set(table, own);
    const generated = /\b(?:VIRTUAL|STORED|PERSISTENT) GENERATED\b/i.test(extra ?? '') || /^ROW (?:START|END)$/.test(expression ?? '');
    if (expression === 'ROW START') own.start = name;
    if (expression === 'ROW END') own.end = name;
    if (/\bauto_increment\b/i.test(extra ?? '')) own.autoIncrement = name;
    own.columns.push({ name, type: (type ?? '').toLowerCase(), charset: charset ?? null, nullable: nullable === 'YES', generated });
  }
  return tables;
}

async function readIndexes(session: Session, schema: string): Promise<Map<string, IndexInfo[]>> {
  const rows = await session.texts(
    `SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, NULLABLE, SUB_PART FROM information_schema.STATISTICS
     WHERE TABLE_SCHEMA=${schema} ORDER BY TABLE_NAME, INDEX_NAME='PRIMARY' DESC, INDEX_NAME, SEQ_IN_INDEX`,
  );
  const tables = new Map<string, IndexInfo[]>();
  for (const [table, index, nonUnique, column, nullable, prefix] of rows) {
    if (table === null || table === undefined || index === null || index === undefined) continue;
    const own = tables.get(table) ?? [];
    tables.set(table, own);
    let info = own.find((known) => known.name === index) as { name: string; unique: boolean; columns: unknown[] } | undefined;
    if (!info) {
      info = { name: index, unique: nonUnique === '0', columns: [] };
      own.push(info as IndexInfo);
    }
    // A part that is an expression (MySQL) has no column: as good as a prefix, the index cannot order reading.
    info.columns.push({ name: column ?? '', nullable: nullable === 'YES', prefix: prefix !== null || !column });
  }
  return tables;
}

/** History can be inserted from 10.11 on, and only when the period is of timestamps. */
function historyKind(own: TableColumns, create: string, server: ServerInfo): TableInfo['history'] {
  const byTransaction =
    own.start !== null &&
    /GENERATED ALWAYS AS ROW START/.test(create) &&
    own.columns.some((c) => c.name === own.start && c.type === 'bigint');
  return server.number >= 101_100 && !byTransaction ? 'insertable' : 'current';
}

async function readSequence(session: Session, name: string): Promise<SequenceInfo> {
  const create = await showCreate(session, 'SEQUENCE', name);
  const [row] = await session.texts(`SELECT next_not_cached_value, cycle_count FROM ${quoteName(name)}`);
  return { name, create, next: row?.[0] ?? '1', cycles: row?.[1] ?? '0' };
}

/** SHOW CREATE, one character per byte. Throws ServerError, E_DB_READ. */
export async function showCreate(session: Session, kind: 'TABLE' | 'SEQUENCE', name: string): Promise<string> {
  const [row] = await session.cells(`SHOW CREATE ${kind} ${quoteName(name)}`);
  const create = row?.[1];
  if (!create) throw new CoffreError('E_DB_READ', `${name} has no definition`);
  return create.toString('latin1');
}

/** What writing rows changes of a definition, and no ALTER: where the counter stands. */
const COUNTER = /\) ENGINE=\S+( AUTO_INCREMENT=\d+)/;

/** Both as SHOW CREATE TABLE writes them. */
export function sameDefinition(one: string, other: string): boolean {
  const plain = (create: string): string => create.replace(COUNTER, (all, counter: string) => all.slice(0, -counter.length));
  return one === other || plain(one) === plain(other);
}
