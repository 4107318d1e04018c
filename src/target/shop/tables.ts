// Statements about the tables of a shop, by their names without prefix; what goes wrong is said without a value of theirs.
import { CoffreError } from '../../errors.ts';
import { quoteName, quoteText } from '../mariadb/names.ts';
import type { ShopTables } from '../shop.ts';

/** As a statement names it. */
export function tableName({ database, prefix }: ShopTables, name: string): string {
  return `${database === null ? '' : `${quoteName(database)}.`}${quoteName(prefix + name)}`;
}

/** Throws E_DB_READ. */
export async function ask({ session }: ShopTables, what: string, sql: string): Promise<(string | null)[][]> {
  try {
    return await session.texts(sql);
  } catch (cause) {
    throw failure('E_DB_READ', `reading ${what}`, cause);
  }
}

/** Returns how many rows were changed. Throws E_TARGET_WRITE. */
export async function change({ session }: ShopTables, what: string, sql: string): Promise<number> {
  try {
    return (await session.run(sql)).affectedRows;
  } catch (cause) {
    throw failure('E_TARGET_WRITE', `writing ${what}`, cause);
  }
}

/** All of `work` or, where the tables know transactions, nothing. Throws as `work` does. */
export async function inTransaction<T>(tables: ShopTables, what: string, work: () => Promise<T>): Promise<T> {
  await change(tables, what, 'START TRANSACTION');
  try {
    const result = await work();
    await change(tables, what, 'COMMIT');
    return result;
  } catch (error) {
    // with a connection that is gone the server does it by itself
    await tables.session.run('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** Of base tables, with prefix, as the server writes them. Throws E_DB_READ. */
export async function tableNames(tables: ShopTables): Promise<readonly string[]> {
  const schema = tables.database === null ? 'DATABASE()' : quoteText(tables.database);
  const rows = await ask(
    tables,
    'the list of tables',
    `SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=${schema} AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')`,
  );
  return rows.map(([name]) => name as string);
}

/** Which of `names` (without prefix) are there. Throws E_DB_READ. */
export async function presentTables(tables: ShopTables, names: readonly string[]): Promise<ReadonlySet<string>> {
  // a server with lower_case_table_names has folded the prefix too
  const there = new Set((await tableNames(tables)).map((name) => name.toLowerCase()));
  return new Set(names.filter((name) => there.has((tables.prefix + name).toLowerCase())));
}

/** The value that holds for all shops; null when there is none. Throws E_DB_READ. */
export async function globalSetting(tables: ShopTables, name: string): Promise<string | null> {
  const rows = await ask(
    tables,
    'ps_configuration',
    `SELECT value FROM ${tableName(tables, 'configuration')} WHERE name=${quoteText(name)} ORDER BY (id_shop IS NULL OR id_shop=0) DESC, (id_shop_group IS NULL OR id_shop_group=0) DESC LIMIT 1`,
  );
  return rows[0]?.[0] ?? null;
}

/** The server quotes what it refused, so only the number of its error is handed on. */
function failure(code: 'E_DB_READ' | 'E_TARGET_WRITE', what: string, cause: unknown): CoffreError {
  if (cause instanceof CoffreError) return cause;
  const { errno } = (cause ?? {}) as { readonly errno?: unknown };
  const how = typeof errno === 'number' && errno > 0 ? `the server answers error ${errno}` : 'the connection to the server is gone';
  return new CoffreError(code, `${what}: ${how}`, { cause });
}
