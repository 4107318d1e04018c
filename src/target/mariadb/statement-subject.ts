// Tells of a statement which table it is about, so that a restore of some tables can leave out the others.
import type { TableChoice } from '../target.ts';

export type SubjectKind =
  /** SET: whatever else is chosen, later statements rely on it. */
  | 'setting'
  | 'table'
  | 'rows'
  | 'keys'
  | 'foreign keys'
  | 'trigger'
  /** Sequences, views, routines, events, the database itself. */
  | 'other';

export interface Subject {
  readonly kind: SubjectKind;
  /** Null for settings and others. */
  readonly table: string | null;
}

const NAME = '`((?:[^`]|``)*)`';
const PATTERNS: readonly (readonly [SubjectKind, RegExp])[] = [
  ['table', new RegExp(`^CREATE TABLE (?:IF NOT EXISTS )?${NAME}`, 'i')],
  ['rows', new RegExp(`^(?:INSERT|REPLACE) INTO ${NAME}`, 'i')],
  ['foreign keys', new RegExp(`^ALTER TABLE ${NAME}\\s+ADD (?:CONSTRAINT ${NAME} )?FOREIGN KEY`, 'i')],
  ['keys', new RegExp(`^ALTER TABLE ${NAME}`, 'i')],
];
/** A trigger's text is its author's: names with and without quotes, with the database before them, comments between the words. */
const GAP = '(?:\\s|/\\*[^]*?\\*/|--\\s[^\\n]*\\n|#[^\\n]*\\n)+';
const GAP_OR_NONE = GAP.replace(/\+$/, '*');
const ANY_NAME = '(?:`(?:[^`]|``)*`|"(?:[^"]|"")*"|[\\w$\\x80-\\xff]+)';
const ACCOUNT = `(?:'(?:[^']|'')*'|${ANY_NAME})(?:@(?:'(?:[^']|'')*'|[\\w.%-]+|${ANY_NAME}))?(?:\\(\\))?`;
const TRIGGER = new RegExp(
  `^CREATE${GAP}(?:OR${GAP}REPLACE${GAP})?(?:DEFINER${GAP_OR_NONE}=${GAP_OR_NONE}${ACCOUNT}${GAP})?TRIGGER${GAP}` +
    `(?:IF${GAP}NOT${GAP}EXISTS${GAP})?(?:${ANY_NAME}\\.)?${ANY_NAME}${GAP}(?:BEFORE|AFTER)${GAP}[^]*?\\bON${GAP}(?:${ANY_NAME}\\.)?(${ANY_NAME})`,
  'i',
);
/** Head and two names of 64 characters, as long as they can get; a trigger's comments may make it longer. */
const HEAD_BYTES = 2048;

export function statementSubject(statement: Buffer): Subject {
  // Latin1 keeps every byte; what surrounds the names is ASCII.
  const head = statement.toString('latin1', 0, Math.min(statement.length, HEAD_BYTES));
  if (/^SET\s/i.test(head)) return { kind: 'setting', table: null };
  for (const [kind, pattern] of PATTERNS) {
    const found = pattern.exec(head);
    if (found) return { kind, table: unquoted(`\`${found[1]}\``) };
  }
  const trigger = TRIGGER.exec(statement.toString('latin1'));
  if (trigger) return { kind: 'trigger', table: unquoted(trigger[1] as string) };
  return { kind: 'other', table: null };
}

export function isChosen({ kind, table }: Subject, { only, except }: TableChoice): boolean {
  if (kind === 'setting') return true;
  if (table === null) return only === null;
  return !except.has(table) && (only === null || only.has(table));
}

function unquoted(name: string): string {
  const quote = name[0];
  const bytes = quote === '`' || quote === '"' ? name.slice(1, -1).replaceAll(quote + quote, quote) : name;
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
