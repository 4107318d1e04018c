// The statements of phase keys, kept until the rows of their tables are in.
import { quoteName } from './names.ts';
import { splitStatements } from './sql-segment.ts';
import { statementSubject } from './statement-subject.ts';

const NAME = '`(?:[^`]|``)*`';
const NAMES = `\\(${NAME}(?:, ?${NAME})*\\)`;
const FOREIGN_KEY = new RegExp(
  `(ADD (?:CONSTRAINT ${NAME} )?FOREIGN KEY (?:${NAME} )?${NAMES} REFERENCES ((?:${NAME}\\.)?${NAME}) ${NAMES}[^\`,]*)(?:,\\s*|$)`,
  'y',
);

/** One element of an ALTER TABLE that adds foreign keys. */
export interface ForeignKey {
  /** `ADD CONSTRAINT … FOREIGN KEY … REFERENCES …`, one character per byte. */
  readonly clause: string;
  /** The table that it refers to: its name, and its database when that is another one. */
  readonly database: string | null;
  readonly table: string;
}

export class HeldKeys {
  /** Run before any of the others, on each connection: what the segment sets for itself. */
  readonly settings: Buffer[] = [];
  readonly #keys = new Map<string, Buffer[]>();
  readonly #foreignKeys: (readonly [table: string, statement: Buffer])[] = [];
  /** Of no table. */
  readonly others: Buffer[] = [];

  /** Reads a whole segment; nothing is kept of one that ends with an error. */
  async read(plaintext: AsyncIterable<Uint8Array>): Promise<readonly string[]> {
    const statements: Buffer[] = [];
    for await (const statement of splitStatements(plaintext)) statements.push(statement);
    const tables = new Set<string>();
    for (const statement of statements) {
      const { kind, table } = statementSubject(statement);
      if (kind === 'setting') this.settings.push(statement);
      else if (table === null) this.others.push(statement);
      else if (kind === 'foreign keys') this.#foreignKeys.push([table, statement]);
      else {
        tables.add(table);
        this.#keys.set(table, [...(this.#keys.get(table) ?? []), statement]);
      }
    }
    return [...tables];
  }

  /** In their order: one ALTER with all keys but the FULLTEXT ones, which the server builds one at a time. */
  keysOf(table: string): readonly Buffer[] {
    return this.#keys.get(table) ?? [];
  }

  get foreignKeys(): readonly (readonly [table: string, statement: Buffer])[] {
    return this.#foreignKeys;
  }
}

/** Takes a statement apart that adds foreign keys; null when it has another form than coffre's. */
export function splitForeignKeys(statement: Buffer): { readonly head: string; readonly keys: readonly ForeignKey[] } | null {
  const text = statement.toString('latin1').trimEnd();
  const head = new RegExp(`^ALTER TABLE ${NAME}\\s+`, 'i').exec(text)?.[0];
  if (!head) return null;
  const keys: ForeignKey[] = [];
  FOREIGN_KEY.lastIndex = head.length;
  while (FOREIGN_KEY.lastIndex < text.length) {
    const found = FOREIGN_KEY.exec(text);
    if (!found) return null;
    const names = [...(found[2] as string).matchAll(/`((?:[^`]|``)*)`/g)].map(([, name]) =>
      Buffer.from((name as string).replaceAll('``', '`'), 'latin1').toString('utf8'),
    );
    const table = names.pop() as string;
    keys.push({ clause: found[1] as string, database: names.pop() ?? null, table });
  }
  return { head, keys };
}

/** `table` of the database in use, or of another one. */
export const referenced = ({ database, table }: ForeignKey): string =>
  database === null ? quoteName(table) : `${quoteName(database)}.${quoteName(table)}`;
