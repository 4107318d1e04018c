// Writes the SQL of the phases pre, keys and post, and the head that every .sql segment begins with.
import { quoteName, quoteText } from '../../target/mariadb/names.ts';
import { splitCreateTable } from './ddl.ts';
import type { Program, Programs, ViewDefinition } from './programs.ts';
import type { DatabaseSchema, TableInfo } from './schema.ts';
import { orderViews } from './view-order.ts';
import { withoutOwnSequences } from './view-text.ts';

/** Text here is one character per byte; names and comments of ours go through `utf8`. */
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const name = (plain: string): string => utf8(quoteName(plain));

/** Definitions are taken as they are: a default that a strict server would refuse was accepted once. */
const DEFINITION_MODE = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION';
/** Rows must be taken as they are or refused. */
const ROW_MODE = `STRICT_ALL_TABLES,${DEFINITION_MODE}`;

/** What a session must have set, whatever the server's defaults are. */
function head(what: string, sqlMode: string): string {
  return [
    `-- coffre: ${what}`,
    'SET NAMES utf8mb4;',
    // Within the statement, for to MySQL a comment alone is an error.
    `SET SESSION sql_mode='${sqlMode}', time_zone='+00:00', foreign_key_checks=0` +
      " /*M!100201 , check_constraint_checks=0 */ /*M!100304 , system_versioning_alter_history='KEEP' */" +
      ' /*M!100500 , innodb_strict_mode=0 */ /*M!101100 , system_versioning_insert_history=1 */;',
    '',
  ].join('\n');
}

/** Before the INSERTs of a data segment, and after them. */
export const DATA_HEAD = `${head('rows of small tables', ROW_MODE)}START TRANSACTION;\n`;
export const DATA_TAIL = 'COMMIT;\n';
/** Around rows that hold the error value of an ENUM, which a strict server does not take. */
export const LENIENT = `SET SESSION sql_mode='${DEFINITION_MODE}';\n`;
export const STRICT = `SET SESSION sql_mode='${ROW_MODE}';\n`;

/** `keysLater`: tables so large that their secondary keys are built when their rows are in. */
export function writePre(schema: DatabaseSchema, keysLater: ReadonlySet<string>): Buffer {
  const out = [head('tables without foreign keys, the large ones without secondary keys', DEFINITION_MODE)];
  const comment = schema.comment === '' ? '' : ` /*M!100502 COMMENT ${utf8(quoteText(schema.comment))} */`;
  out.push(`ALTER DATABASE CHARACTER SET ${schema.charset} COLLATE ${schema.collation}${comment};\n`);
  for (const sequence of schema.sequences) {
    out.push(`\n${sequence.create};\nDO SETVAL(${name(sequence.name)}, ${sequence.next}, 0, ${sequence.cycles});\n`);
  }
  // Tables that only look at others after those.
  const tables = [...schema.tables].sort((a, b) => Number(a.definitionOnly) - Number(b.definitionOnly));
  for (const table of tables) {
    const { create } = splitCreateTable(table, keysLater.has(table.name));
    out.push(`\n${withoutOwnSequences(create, utf8(schema.name))};\n`);
  }
  return bytes(out);
}

/** Per large table one ALTER with its keys, one with each FULLTEXT key (the server builds one at a time), then all foreign keys. */
export function writeKeys(schema: DatabaseSchema, keysLater: ReadonlySet<string>): Buffer {
  const out = [head('keys and foreign keys', DEFINITION_MODE)];
  const split = schema.tables.map((table) => ({ table, parts: splitCreateTable(table, keysLater.has(table.name)) }));
  for (const { table, parts } of split) {
    if (parts.keys.length > 0) out.push(alter(table, parts.keys));
    for (const key of parts.fulltext) out.push(alter(table, [key]));
  }
  for (const { table, parts } of split) if (parts.foreignKeys.length > 0) out.push(alter(table, parts.foreignKeys));
  return bytes(out);
}

export function writePost(schema: DatabaseSchema, programs: Programs): Buffer {
  const out = [head('views, routines, triggers, events', DEFINITION_MODE)];
  const usable = programs.views.filter((view) => !view.broken);
  // Placeholders first: a view may use another one, or a function that uses one.
  for (const view of usable) out.push(placeholder(view));
  for (const routine of programs.routines) out.push(define(routine, schema));
  for (const view of orderViews(usable)) out.push(defineView(view));
  for (const view of programs.views.filter((each) => each.broken)) out.push(comment(`view that could not be used:\n${view.create}`));
  for (const trigger of programs.triggers) out.push(define(trigger, schema));
  for (const event of programs.events) out.push(define(event, schema));
  return bytes(out);
}

function alter(table: TableInfo, elements: readonly string[]): string {
  return `ALTER TABLE ${name(table.name)}\n  ${elements.map((element) => `ADD ${element}`).join(',\n  ')};\n`;
}

function placeholder(view: ViewDefinition): string {
  const columns = view.columns.map((column) => `NULL AS ${name(column)}`);
  return `CREATE VIEW ${name(view.name)} AS SELECT ${columns.join(', ')};\n`;
}

function defineView(view: ViewDefinition): string {
  const create = view.create.replace(/^CREATE /, 'CREATE OR REPLACE ');
  return `${inCharset(view.charset, view.collation)}${delimited(create)}${BACK_TO_UTF8}`;
}

function define(program: Program, schema: DatabaseSchema): string {
  const otherCollation = program.databaseCollation !== '' && program.databaseCollation !== schema.collation;
  const zone = program.timeZone !== null && program.timeZone !== '';
  return [
    '\n',
    otherCollation ? `ALTER DATABASE COLLATE ${program.databaseCollation};\n` : '',
    `SET SESSION sql_mode='${program.sqlMode}';\n`,
    zone ? `SET SESSION time_zone='${program.timeZone}';\n` : '',
    inCharset(program.charset, program.collation),
    delimited(program.create),
    BACK_TO_UTF8,
    zone ? "SET SESSION time_zone='+00:00';\n" : '',
    `SET SESSION sql_mode='${DEFINITION_MODE}';\n`,
    otherCollation ? `ALTER DATABASE CHARACTER SET ${schema.charset} COLLATE ${schema.collation};\n` : '',
  ].join('');
}

function inCharset(charset: string, collation: string): string {
  return `SET character_set_client=${charset}, character_set_results=${charset}, collation_connection=${collation};\n`;
}

const BACK_TO_UTF8 = 'SET NAMES utf8mb4;\n';

/** A body holds semicolons: it ends with a sign that it does not hold. */
function delimited(text: string): string {
  const sign = [';;', '$$', '//', '||;', '$coffre$'].find((candidate) => !text.includes(candidate)) ?? '$coffre-end$';
  // The newline ends a comment that the body may close with.
  return `DELIMITER ${sign}\n${text}\n${sign}\nDELIMITER ;\n`;
}

function comment(text: string): string {
  return `${text.replace(/^/gm, '-- ')}\n`;
}

function bytes(parts: readonly string[]): Buffer {
  return Buffer.from(parts.join(''), 'latin1');
}
