// Takes a CREATE TABLE apart, so that rows can be loaded before secondary keys and foreign keys exist.
import type { TableInfo } from './schema.ts';

/** All text here is one character per byte, as SHOW CREATE TABLE sent it. */
export interface SplitTable {
  /** The table without what comes later. */
  readonly create: string;
  /** `KEY …`, `UNIQUE KEY …` as they stood, for one ALTER. */
  readonly keys: readonly string[];
  /** Each for an ALTER of its own: the server builds one FULLTEXT index at a time. */
  readonly fulltext: readonly string[];
  readonly foreignKeys: readonly string[];
}

type ElementKind = 'column' | 'primary' | 'unique' | 'key' | 'fulltext' | 'foreign' | 'other';

/** `keysLater`: secondary keys are built when the rows are in. A small table keeps its own: to alter it costs more than it saves. */
export function splitCreateTable(table: TableInfo, keysLater: boolean): SplitTable {
  const text = table.create;
  const body = findBody(text);
  // CREATE TABLE … SELECT does not come out of SHOW CREATE; a definition without a body is kept as it is.
  if (!body) return { create: text, keys: [], fulltext: [], foreignKeys: [] };
  const elements = body.elements.map((element) => ({ element, kind: kindOf(element) }));
  const kept: string[] = [];
  const keys: string[] = [];
  const fulltext: string[] = [];
  const foreignKeys: string[] = [];
  const keepKeys = !keysLater || mustKeepKeys(table, elements);
  for (const { element, kind } of elements) {
    if (kind === 'foreign') foreignKeys.push(element);
    else if (keepKeys || kind === 'column' || kind === 'primary' || kind === 'other') kept.push(element);
    else if (kind === 'fulltext') fulltext.push(element);
    else if (kind === 'unique' && clusters(table, element, elements)) kept.push(element);
    else keys.push(element);
  }
  const create = `${text.slice(0, body.open + 1)}\n${kept.map((element) => `  ${element}`).join(',\n')}\n${text.slice(body.close)}`;
  return { create, keys, fulltext, foreignKeys };
}

interface Element {
  readonly element: string;
  readonly kind: ElementKind;
}

/**
 * Keys stay with the table when AUTO_INCREMENT hangs on a secondary one (it must exist from the start, and added later the
 * others would change their order), when history must not be altered, and where rows live elsewhere.
 */
function mustKeepKeys(table: TableInfo, elements: readonly Element[]): boolean {
  if (table.history !== 'none' || table.definitionOnly) return true;
  if (table.autoIncrement === null) return false;
  const column = `\`${bytesOf(table.autoIncrement).replaceAll('`', '``')}\``;
  const primary = elements.find(({ kind }) => kind === 'primary');
  return !primary?.element.includes(`(${column}`);
}

/** Without a primary key the first unique key over NOT NULL columns orders the rows: adding it later would rebuild the table. */
function clusters(table: TableInfo, element: string, elements: readonly Element[]): boolean {
  if (elements.some(({ kind }) => kind === 'primary')) return false;
  if (elements.find(({ kind }) => kind === 'unique')?.element !== element) return false;
  const name = nameOf(element);
  const index = table.indexes.find((known) => bytesOf(known.name) === name);
  return index?.columns.every((column) => !column.nullable) === true;
}

function kindOf(element: string): ElementKind {
  if (element.startsWith('`')) return 'column';
  if (element.startsWith('PRIMARY KEY')) return 'primary';
  if (element.startsWith('UNIQUE KEY')) return 'unique';
  if (element.startsWith('FULLTEXT KEY')) return 'fulltext';
  if (/^(?:SPATIAL |VECTOR )?KEY /.test(element)) return 'key';
  if (/^(?:CONSTRAINT `(?:[^`]|``)*` )?FOREIGN KEY /.test(element)) return 'foreign';
  // CHECK constraints, PERIOD FOR, and what is not known yet: with the table.
  return 'other';
}

function nameOf(element: string): string {
  return (/`((?:[^`]|``)*)`/.exec(element)?.[1] ?? '').replaceAll('``', '`');
}

const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** The parenthesis after the table's name and its elements, cut at commas outside of quotes, comments and inner parentheses. */
function findBody(text: string): { open: number; close: number; elements: string[] } | null {
  const elements: string[] = [];
  let depth = 0;
  let open = -1;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '`' || char === "'" || char === '"') {
      at = endOfQuoted(text, at);
    } else if (char === '/' && text[at + 1] === '*') {
      const end = text.indexOf('*/', at + 2);
      at = end < 0 ? text.length : end + 1;
    } else if (char === '(') {
      depth++;
      if (depth === 1) {
        open = at;
        start = at + 1;
      }
    } else if (char === ',' && depth === 1) {
      elements.push(text.slice(start, at).trim());
      start = at + 1;
    } else if (char === ')') {
      depth--;
      if (depth === 0) {
        elements.push(text.slice(start, at).trim());
        return { open, close: at, elements };
      }
    }
  }
  return null;
}

/** Index of the quote that closes; a doubled quote closes and opens again, which comes to the same. */
function endOfQuoted(text: string, start: number): number {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\' && quote === "'") at++;
    else if (text[at] === quote) return at;
  }
  return text.length;
}
