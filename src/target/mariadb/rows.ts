// Loads the rows of one .tsv segment in a transaction and proves that the server took each of them as it is.
import { CoffreError } from '../../errors.ts';
import type { LoadInstruction } from '../../source/source.ts';
import { withoutValues, writeError } from './errors.ts';
import { refusesLoadData } from './geometry.ts';
import { insertStatements } from './inserts.ts';
import { buildLoadStatement, LOAD_SESSION, parseLoadStatement, type TsvTable } from './load-statement.ts';
import { quoteName, quoteText } from './names.ts';
import { asServerError, type Done, type Session } from './session.ts';

/** How large a multi-row INSERT is: well below any server's max_allowed_packet. */
const STATEMENT_BYTES = 512 * 1024;
/** LOAD DATA LOCAL is off: not allowed (old), capability disabled (MariaDB), local data disabled (MySQL 8). */
const REFUSED_ERRNOS = new Set([1148, 4166, 3948]);
const NEWLINE = 0x0a;
const RESULT_TOO_LONG = '1301';
const WARNINGS_SHOWN = 3;

export interface RowsOptions {
  /** Told when the server refuses LOAD DATA LOCAL and the rows went in as INSERTs. */
  readonly onRefused: () => void;
  /** Known to be refused: INSERTs at once. */
  readonly refused: boolean;
}

/**
 * Throws E_LOAD_MISMATCH when a row is missing, doubled or not taken as it stands; E_TARGET_WRITE, E_TARGET_SPACE; and what
 * `plaintext` throws. Whatever it throws, nothing of the segment stays. (A table of an engine without transactions is emptied.)
 */
export async function loadRows(
  session: Session,
  plaintext: AsyncIterable<Uint8Array>,
  load: LoadInstruction,
  options: RowsOptions,
): Promise<number> {
  const table = parseLoadStatement(load.statement);
  if (table.table !== load.table) {
    throw new CoffreError('E_FORMAT', `the load statement of a segment of ${load.table} names another table, ${table.table}`);
  }
  try {
    await session.run(LOAD_SESSION);
    await session.run('START TRANSACTION');
    // only what has no charset, or bytes, travels as hexadecimal: a geometry is among it
    const byInserts =
      options.refused || (table.columns.some(({ form }) => form === 'hex') && (await refusesLoadData(session, table.table)));
    await (byInserts ? insertRows(session, plaintext, table, load.rows) : loadOrInsert(session, plaintext, table, load.rows, options));
    await session.run('COMMIT');
  } catch (error) {
    await undo(session, table.table);
    throw writeError(error, `loading rows into ${table.table}`);
  }
  return load.rows;
}

async function loadOrInsert(
  session: Session,
  plaintext: AsyncIterable<Uint8Array>,
  table: TsvTable,
  rows: number,
  options: RowsOptions,
): Promise<void> {
  try {
    const done = await session.loadLocal(buildLoadStatement(table), wholeRows(plaintext, table.table));
    await proveLoad(session, done, table.table, rows);
  } catch (error) {
    // The refusal comes before the server asked for a byte: the plaintext is still whole.
    if (error instanceof CoffreError || !REFUSED_ERRNOS.has(asServerError(error).errno)) throw error;
    options.onRefused();
    await insertRows(session, plaintext, table, rows);
  }
}

/** A last row without its newline was cut off; the server would take what is left of it. */
async function* wholeRows(plaintext: AsyncIterable<Uint8Array>, table: string): AsyncGenerator<Uint8Array> {
  let last = NEWLINE;
  for await (const chunk of plaintext) {
    last = chunk.at(-1) ?? last;
    yield chunk;
  }
  if (last !== NEWLINE) throw new CoffreError('E_LOAD_MISMATCH', `${table}: its rows end within a row`);
}

async function proveLoad(session: Session, done: Done, table: string, rows: number): Promise<void> {
  const found = /^Records: (\d+)\s+Deleted: (\d+)\s+Skipped: (\d+)\s+Warnings: (\d+)/.exec(done.info);
  const [records, deleted, skipped, warnings] = (found?.slice(1) ?? []).map(Number);
  const exact = records === rows && deleted === 0 && skipped === 0 && warnings === 0 && done.warnings === 0 && done.affectedRows === rows;
  if (exact) return;
  const shown = await firstWarnings(session);
  const counts = found ? `${records} read, ${done.affectedRows} stored, ${skipped} skipped, ${warnings} warnings` : 'no counts given';
  throw new CoffreError('E_LOAD_MISMATCH', `${table}: ${rows} rows expected, ${counts}${shown.text ? `: ${shown.text}` : ''}`, {
    ...(shown.tooLong ? { hint: 'raise max_allowed_packet on the target server to at least that of the source, then restore again' } : {}),
  });
}

async function firstWarnings(session: Session): Promise<{ text: string; tooLong: boolean }> {
  const warnings = await session.texts(`SHOW WARNINGS LIMIT ${WARNINGS_SHOWN}`);
  return {
    text: warnings.map(([, code, message]) => `${withoutValues(message ?? '')} (${code})`).join('; '),
    tooLong: warnings.some(([, code]) => code === RESULT_TOO_LONG),
  };
}

async function insertRows(session: Session, plaintext: AsyncIterable<Uint8Array>, table: TsvTable, rows: number): Promise<void> {
  let stored = 0;
  for await (const statement of insertStatements(table, plaintext, STATEMENT_BYTES)) {
    try {
      const done = await session.run(statement);
      stored += done.affectedRows;
      if (done.warnings > 0) {
        const { text } = await firstWarnings(session);
        throw new CoffreError('E_LOAD_MISMATCH', `${table.table}: the server changed a value: ${text}`);
      }
    } catch (error) {
      throw rowError(error, table.table);
    }
  }
  if (stored !== rows) throw new CoffreError('E_LOAD_MISMATCH', `${table.table}: ${rows} rows expected, ${stored} stored`);
}

/** Duplicate, too long, out of range, wrong value, null where none may be: the row is not what the manifest promised. */
const ROW_ERRNOS = new Set([1048, 1062, 1136, 1264, 1265, 1292, 1366, 1367, 1406, 1411, 3140, 3819, 4025]);

function rowError(error: unknown, table: string): unknown {
  if (error instanceof CoffreError) return error;
  const server = asServerError(error);
  if (!ROW_ERRNOS.has(server.errno)) return error;
  return new CoffreError('E_LOAD_MISMATCH', `${table}: a row was refused: ${withoutValues(server.message)}`);
}

/** Leaves nothing of a failed load. A connection that is gone rolls back by itself. */
async function undo(session: Session, table: string): Promise<void> {
  if (session.lost) return;
  try {
    await session.run('ROLLBACK');
    const engine = await session.text(
      `SELECT e.TRANSACTIONS FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON e.ENGINE=t.ENGINE
       WHERE t.TABLE_SCHEMA=DATABASE() AND t.TABLE_NAME=${quoteText(table)}`,
    );
    if (engine === 'NO') await session.run(`TRUNCATE TABLE ${quoteName(table)}`);
  } catch {
    // The load's own error says more than the failure to clean up after it.
    session.destroy();
  }
}
