// What a database holds now, nothing touched, for whoever is about to overwrite it.
import type { DatabaseContents } from '../target.ts';
import { writeError } from './errors.ts';
import { quoteText } from './names.ts';
import { connect, type ServerAddress } from './session.ts';

/** Touches nothing. Null when the database does not exist (or this user may not see it). Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE. */
export async function describeContents(address: ServerAddress, database: string): Promise<DatabaseContents | null> {
  const session = await connect(address, { localInfile: false });
  try {
    const schema = quoteText(database);
    const exists = await session.text(`SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME=${schema}`);
    if (exists === null) return null;
    const tables = await session.texts(
      `SELECT TABLE_NAME, COALESCE(TABLE_ROWS, 0), COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0) FROM information_schema.TABLES
       WHERE TABLE_SCHEMA=${schema} AND TABLE_TYPE NOT LIKE '%VIEW' AND TABLE_TYPE<>'SEQUENCE' ORDER BY BINARY TABLE_NAME`,
    );
    const count = async (view: string, column: string): Promise<number> =>
      Number(await session.text(`SELECT COUNT(*) FROM information_schema.${view} WHERE ${column}=${schema}`));
    return {
      database,
      tables: tables.map(([table, rows, bytes]) => ({ table: table as string, rows: Number(rows), bytes: Number(bytes) })),
      views: await count('VIEWS', 'TABLE_SCHEMA'),
      routines: await count('ROUTINES', 'ROUTINE_SCHEMA'),
      triggers: await count('TRIGGERS', 'TRIGGER_SCHEMA'),
      events: await count('EVENTS', 'EVENT_SCHEMA'),
    };
  } catch (error) {
    throw writeError(error, `looking into ${database}`);
  } finally {
    await session.end();
  }
}
