// What names a swapped table from elsewhere: foreign keys follow a renamed table wherever it goes, and defaults keep the name of a sequence's database.
import { quoteName, quoteText } from './names.ts';
import type { Session } from './session.ts';
import type { SwapNames } from './swap-names.ts';

export interface ForeignKey {
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  readonly columns: readonly string[];
  /** The schema that it must refer to. */
  readonly toSchema: string;
  readonly toTable: string;
  readonly toColumns: readonly string[];
  /** ` ON DELETE … ON UPDATE …` as SHOW CREATE TABLE has it: information_schema names rules that were never written, and a rule written is shown. */
  readonly rules: string;
}

/** Foreign keys as they are now, those of which `where` (over KEY_COLUMN_USAGE k) is true. Throws ServerError. */
async function readForeignKeys(session: Session, where: string): Promise<ForeignKey[]> {
  const rows = await session.texts(
    `SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME
     FROM information_schema.KEY_COLUMN_USAGE k
     WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND ${where}
     ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION`,
  );
  const keys = new Map<string, ForeignKey & { columns: string[]; toColumns: string[] }>();
  for (const row of rows) {
    const [schema, table, name, column, toSchema, toTable, toColumn] = row as [string, string, string, string, string, string, string];
    const id = JSON.stringify([schema, table, name]);
    const key = keys.get(id) ?? { schema, table, name, columns: [], toSchema, toTable, toColumns: [], rules: '' };
    key.columns.push(column);
    key.toColumns.push(toColumn);
    keys.set(id, key);
  }
  const found: ForeignKey[] = [];
  for (const key of keys.values()) found.push({ ...key, rules: await readRules(session, key) });
  return found;
}

const NAME = '`(?:[^`]|``)*`';
const NAMES = `\\(${NAME}(?:, ${NAME})*\\)`;
const AFTER_NAME = new RegExp(
  `^ FOREIGN KEY ${NAMES} REFERENCES ${NAME}(?:\\.${NAME})? ${NAMES}((?: ON (?:DELETE|UPDATE) (?:CASCADE|RESTRICT|NO ACTION|SET NULL|SET DEFAULT))*)`,
);

async function readRules(session: Session, { schema, table, name }: ForeignKey): Promise<string> {
  const create = (await session.texts(`SHOW CREATE TABLE ${quoteName(schema)}.${quoteName(table)}`))[0]?.[1] ?? '';
  const head = `CONSTRAINT ${quoteName(name)}`;
  for (let at = create.indexOf(head); at >= 0; at = create.indexOf(head, at + 1)) {
    const found = AFTER_NAME.exec(create.slice(at + head.length));
    if (found) return found[1] as string;
  }
  return '';
}

/** Foreign keys from tables that stay where they are to tables that are swapped. Throws ServerError. */
export async function readInbound(session: Session, { database }: SwapNames, swapped: ReadonlySet<string>): Promise<readonly ForeignKey[]> {
  const keys = await readForeignKeys(session, `k.REFERENCED_TABLE_SCHEMA=${quoteText(database)}`);
  return keys.filter((key) => swapped.has(key.toTable) && !(key.schema === database && swapped.has(key.table)));
}

/**
 * Makes each of these refer to the schema it must refer to, and makes it again where it is missing: a server takes no DROP and ADD of one
 * name in one statement, so a killed one lies between. Rows are not looked at. Throws ServerError.
 */
export async function pointForeignKeys(
  session: Session,
  wanted: readonly ForeignKey[],
  afterStep: () => Promise<void> = async () => {},
): Promise<void> {
  if (wanted.length === 0) return;
  await session.run('SET SESSION foreign_key_checks=0');
  for (const key of wanted) {
    const table = `${quoteName(key.schema)}.${quoteName(key.table)}`;
    const [now] = await readForeignKeys(
      session,
      `k.TABLE_SCHEMA=${quoteText(key.schema)} AND k.TABLE_NAME=${quoteText(key.table)} AND k.CONSTRAINT_NAME=${quoteText(key.name)}`,
    );
    if (now && now.toSchema === key.toSchema && now.toTable === key.toTable) continue;
    if (now) {
      await session.run(`ALTER TABLE ${table} DROP FOREIGN KEY ${quoteName(key.name)}`);
      await afterStep();
    }
    const list = (columns: readonly string[]): string => columns.map(quoteName).join(', ');
    await session.run(
      `ALTER TABLE ${table} ADD CONSTRAINT ${quoteName(key.name)} FOREIGN KEY (${list(key.columns)}) ` +
        `REFERENCES ${quoteName(key.toSchema)}.${quoteName(key.toTable)} (${list(key.toColumns)})${key.rules}`,
    );
    await afterStep();
  }
}

/** Foreign keys of these tables of `schema`. Throws ServerError. */
export async function readOwn(session: Session, schema: string, tables: ReadonlySet<string>): Promise<readonly ForeignKey[]> {
  return (await readForeignKeys(session, `k.TABLE_SCHEMA=${quoteText(schema)}`)).filter((key) => tables.has(key.table));
}

/** Throws ServerError. */
export async function dropForeignKeys(session: Session, keys: readonly ForeignKey[]): Promise<void> {
  for (const key of keys) {
    await session.run(`ALTER TABLE ${quoteName(key.schema)}.${quoteName(key.table)} DROP FOREIGN KEY ${quoteName(key.name)}`);
  }
}

/** Foreign keys that leave `schema` are dropped: a table that is only kept must not hold back the live ones. Throws ServerError. */
export async function dropLeaving(session: Session, schema: string): Promise<void> {
  const keys = await readForeignKeys(session, `k.TABLE_SCHEMA=${quoteText(schema)} AND k.REFERENCED_TABLE_SCHEMA<>${quoteText(schema)}`);
  await dropForeignKeys(session, keys);
}

/** Rows that refer to nothing, by foreign key. Throws ServerError. */
export async function countOrphans(
  session: Session,
  keys: readonly ForeignKey[],
): Promise<readonly { readonly key: ForeignKey; readonly rows: number }[]> {
  const found: { key: ForeignKey; rows: number }[] = [];
  for (const key of keys) {
    const set = key.columns.map((column) => `c.${quoteName(column)} IS NOT NULL`).join(' AND ');
    const same = key.columns.map((column, at) => `p.${quoteName(key.toColumns[at] as string)}=c.${quoteName(column)}`).join(' AND ');
    const rows = Number(
      await session.text(
        `SELECT COUNT(*) FROM ${quoteName(key.schema)}.${quoteName(key.table)} c WHERE ${set} AND NOT EXISTS ` +
          `(SELECT 1 FROM ${quoteName(key.toSchema)}.${quoteName(key.toTable)} p WHERE ${same})`,
      ),
    );
    if (rows > 0) found.push({ key, rows });
  }
  return found;
}

/** A default that takes its value from a sequence names the sequence's database: that of the load becomes the real one. Throws ServerError. */
export async function pointDefaults(session: Session, { database, scratch }: SwapNames): Promise<void> {
  const rows = await session.texts(
    `SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA=${quoteText(database)} AND COLUMN_DEFAULT LIKE '%val(%' AND INSTR(COLUMN_DEFAULT, ${quoteText(quoteName(scratch))})`,
  );
  for (const [table, column, text] of rows as string[][]) {
    const there = `val(${quoteName(scratch)}.`;
    if ((text as string).startsWith("'") || !(text as string).includes(there)) continue;
    const expression = (text as string).replaceAll(there, `val(${quoteName(database)}.`);
    await session.run(
      `ALTER TABLE ${quoteName(database)}.${quoteName(table as string)} ALTER COLUMN ${quoteName(column as string)} SET DEFAULT (${expression})`,
    );
  }
}
