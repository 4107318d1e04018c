// The LOAD DATA statement of a .tsv segment: written by the source, read back where a server refuses LOAD DATA LOCAL.
import { CoffreError } from '../../errors.ts';
import { quoteName } from './names.ts';

/** `text`: the value itself, escaped. `hex`: its bytes in hexadecimal, for what no charset can carry. */
export type TsvForm = 'text' | 'hex';

export interface TsvColumn {
  readonly name: string;
  readonly form: TsvForm;
}

export interface TsvTable {
  readonly table: string;
  /** In the order of the file's fields. */
  readonly columns: readonly TsvColumn[];
}

/** Hexadecimal signs, because they read the same in every sql_mode and every shell. */
const FORMAT = "CHARACTER SET utf8mb4 FIELDS TERMINATED BY 0x09 ENCLOSED BY '' ESCAPED BY 0x5C LINES TERMINATED BY 0x0A";
const HEAD = "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE ";

/**
 * What the session must have set before any segment's rows are loaded, as one statement: `mariadb --init-command` takes it.
 * Strict, so that INSERTs fail where LOAD DATA LOCAL warns; invalid dates and zero in AUTO_INCREMENT columns are data.
 */
// unique_checks stays on: without it MariaDB fills an empty table by its bulk insert, which sorts what is sorted already. Measured
// (10.11, two cores, LOAD DATA without secondary keys, seconds of the server's processor time without / with the checks): 1.5 million
// narrow rows 5.9 / 2.9, 2 million in another order than the key's 18.3 / 9.6, 120,000 of 2.7 KB 8.2 / 4.3; and the bulk locks the
// table until its transaction ends.
export const LOAD_SESSION =
  "SET SESSION time_zone='+00:00', foreign_key_checks=0, unique_checks=1, " +
  "sql_mode='STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'" +
  ' /*M!100201 , check_constraint_checks=0 */ /*M!101100 , system_versioning_insert_history=1 */';

/**
 * UNHEX makes NULL of what is not hexadecimal and says nothing; the cast then gives the warning that refuses the load.
 * NULL stays NULL.
 */
const unhex = (field: string): string => `IFNULL(UNHEX(${field}),CAST(${field} AS SIGNED))`;

/** A row that ends too soon is warned of only when a column, not a variable, is its last field: the source sees to that. */
export function buildLoadStatement({ table, columns }: TsvTable): string {
  const fields = columns.map((column, at) => (column.form === 'hex' ? `@v${at}` : quoteName(column.name)));
  const decoded = columns.flatMap((column, at) => (column.form === 'hex' ? [`${quoteName(column.name)}=${unhex(`@v${at}`)}`] : []));
  return `${HEAD}${quoteName(table)} ${FORMAT} (${fields.join(',')})${decoded.length > 0 ? ` SET ${decoded.join(',')}` : ''}`;
}

/** The mirror of `buildLoadStatement`. Throws E_FORMAT for anything that it would not have written. */
export function parseLoadStatement(statement: string): TsvTable {
  const refuse = (): CoffreError => new CoffreError('E_FORMAT', 'the load statement of a segment is not one that coffre writes');
  if (!statement.startsWith(HEAD)) throw refuse();
  const names = /`((?:[^`]|``)*)`/y;
  let at = HEAD.length;
  const takeName = (): string => {
    names.lastIndex = at;
    const found = names.exec(statement);
    if (!found) throw refuse();
    at = names.lastIndex;
    return (found[1] as string).replaceAll('``', '`');
  };
  const take = (text: string): boolean => {
    if (!statement.startsWith(text, at)) return false;
    at += text.length;
    return true;
  };
  const table = takeName();
  if (!take(` ${FORMAT} (`)) throw refuse();
  const columns: { name: string; form: TsvForm }[] = [];
  do {
    if (take(`@v${columns.length}`)) columns.push({ name: '', form: 'hex' });
    else columns.push({ name: takeName(), form: 'text' });
  } while (take(','));
  if (!take(')')) throw refuse();
  let separator = ' SET ';
  for (const [index, column] of columns.entries()) {
    if (column.form !== 'hex') continue;
    if (!take(separator)) throw refuse();
    column.name = takeName();
    if (!take(`=${unhex(`@v${index}`)}`)) throw refuse();
    separator = ',';
  }
  if (at !== statement.length || buildLoadStatement({ table, columns }) !== statement) throw refuse();
  return { table, columns };
}
