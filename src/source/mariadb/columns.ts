// The column table: how each type is selected, written into .sql and .tsv, and loaded, so that no bit of it changes.
import { GEOMETRY } from '../../target/mariadb/geometry.ts';
import type { TsvForm } from '../../target/mariadb/load-statement.ts';
import { quoteName } from '../../target/mariadb/names.ts';

export interface ColumnInfo {
  readonly name: string;
  /** DATA_TYPE of information_schema, lower case. */
  readonly type: string;
  /** null for what has no character set. */
  readonly charset: string | null;
  readonly nullable: boolean;
  /** Computed by the server: never selected, never inserted. */
  readonly generated: boolean;
}

/** How a value stands in an INSERT: `bare` for whole and decimal numbers, `quoted` text, `hex` bytes. */
export type SqlForm = 'bare' | 'quoted' | 'hex';

export interface ColumnPlan {
  readonly name: string;
  readonly type: string;
  readonly charset: string | null;
  /** What stands in the SELECT. */
  readonly select: string;
  readonly sql: SqlForm;
  readonly tsv: TsvForm;
  /** A value of it may be too large to be read with the rest of its row. */
  readonly wide: boolean;
}

const WHOLE_NUMBERS = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'decimal']);
const BYTES = new Set(['bit', 'binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob', 'vector', ...GEOMETRY]);
const STRINGS = new Set(['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext']);
const WIDE = new Set(['mediumblob', 'longblob', 'mediumtext', 'longtext', 'json', ...GEOMETRY.filter((type) => type !== 'point')]);

/**
 * Character sets whose every stored byte comes back from utf8mb4 (tried on 10.11, all 256 bytes of the single-byte ones).
 * Strings in any other travel as the bytes that the table holds.
 */
const TEXT_CHARSETS = new Set([
  'utf8mb4',
  'utf8mb3',
  'utf8',
  'ascii',
  'latin1',
  'latin2',
  'latin5',
  'latin7',
  'cp850',
  'cp852',
  'cp866',
  'koi8r',
  'koi8u',
  'keybcs2',
  'macce',
  'macroman',
]);

export function planColumn({ name, type, charset }: ColumnInfo): ColumnPlan {
  const column = quoteName(name);
  const wide = WIDE.has(type);
  const plan = (sql: SqlForm, tsv: TsvForm, select = column): ColumnPlan => ({ name, type, charset, select, sql, tsv, wide });
  if (WHOLE_NUMBERS.has(type)) return plan('bare', 'text');
  // The server prints a FLOAT with six digits; as a double it prints all that it holds.
  if (type === 'float') return plan('quoted', 'text', `${column}*1E0`);
  if (BYTES.has(type)) return plan('hex', 'hex');
  if (STRINGS.has(type) && charset !== null && !TEXT_CHARSETS.has(charset)) {
    return plan('hex', 'hex', charset === 'binary' ? column : `CAST(${column} AS BINARY)`);
  }
  // Strings; ENUM and SET by their text; dates, times and YEAR (quoted, for a bare 0 and '0000' differ); DOUBLE, whose text
  // is exact; JSON, UUID, INET4, INET6; and types that are not known yet, by the text that the server shows and takes.
  return plan('quoted', 'text');
}

/** Types whose order, as an index has it, equals the order of their literals in a comparison. Never ENUM. */
const ORDERED = new Set([...WHOLE_NUMBERS, 'char', 'varchar', 'binary', 'varbinary', 'date', 'datetime', 'uuid']);

export const isOrdered = (type: string): boolean => ORDERED.has(type);

/** A value of a key column, as read by the plan's `select`, as a literal that compares exactly. */
export function keyLiteral(column: ColumnPlan, value: Buffer): string {
  if (column.sql === 'bare') return value.toString('latin1');
  if (value.length === 0) return "''";
  const hex = `0x${value.toString('hex')}`;
  if (column.charset === null && column.sql === 'quoted') return `'${value.toString('latin1')}'`;
  if (column.sql === 'quoted') return `_utf8mb4 ${hex}`;
  return `_${column.charset ?? 'binary'} ${hex}`;
}
