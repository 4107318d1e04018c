// Writes a database back: schema and programs statement by statement, rows by LOAD DATA, each load proved.
import { CoffreError } from '../../errors.ts';
import type { LoadInstruction } from '../../source/source.ts';
import type { DatabaseTarget, IncomingSegment, LoadedTable } from '../target.ts';
import { dropContents, listContents } from './contents.ts';
import { statementHead, writeError } from './errors.ts';
import { grantPattern, quoteAccount, quoteName } from './names.ts';
import { loadRows } from './rows.ts';
import { asServerError, connect, type ServerAddress, type Session } from './session.ts';
import { StatementSplitter } from './split.ts';

export interface MariadbTargetOptions {
  /** Drop what the database holds first; else a database that is not empty is refused. */
  readonly overwrite: boolean;
  /** Told what was done otherwise than the segment says: definers left out, INSERTs instead of LOAD DATA. */
  readonly onWarning?: (message: string) => void;
}

const NO_BACKSLASH_ESCAPES = 'NO_BACKSLASH_ESCAPES';
const UNKNOWN_DATABASE = 1049;
const ACCESS_DENIED = 1044;
const INCOMPLETE_TABLE = quoteName('coffre_restore_incomplete');
const DEFINER_REFUSED = new Set([1227, 4095]);
const DEFINER =
  /^(CREATE\s+(?:OR\s+REPLACE\s+)?(?:ALGORITHM\s*=\s*\w+\s+)?)DEFINER\s*=\s*(`(?:[^`]|``)*`|"(?:[^"]|"")*")@(`(?:[^`]|``)*`|"(?:[^"]|"")*")/i;

export class MariadbTarget implements DatabaseTarget {
  readonly #address: ServerAddress;
  readonly #database: string;
  readonly #options: MariadbTargetOptions;
  #session: Session | null = null;
  #prepared = false;
  #localInfileRefused = false;
  /** One connection, so one load at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(address: ServerAddress, database: string, options: MariadbTargetOptions) {
    this.#address = address;
    this.#database = database;
    this.#options = options;
  }

  async prepare(): Promise<void> {
    const session = await this.#open(true);
    const contents = await listContents(session, this.#database).catch((error: unknown) => {
      throw writeError(error, `reading what ${this.#database} holds`);
    });
    if (contents.total > 0) {
      if (!this.#options.overwrite) {
        throw new CoffreError('E_TARGET_NOT_EMPTY', `the database ${this.#database} already holds ${contents.text}`);
      }
      await dropContents(session, contents).catch((error: unknown) => {
        throw writeError(error, `emptying ${this.#database}`);
      });
    }
    this.#prepared = true;
  }

  markIncomplete(): Promise<void> {
    return this.#mark(`CREATE TABLE ${INCOMPLETE_TABLE} (note INT) COMMENT='a restore by coffre has not come to its end'`);
  }

  markComplete(): Promise<void> {
    return this.#mark(`DROP TABLE IF EXISTS ${INCOMPLETE_TABLE}`);
  }

  loadSql(segment: IncomingSegment, signal: AbortSignal): Promise<void> {
    return this.#inTurn(signal, async (session) => {
      const rows = segment.phase === 'data';
      // Definitions cannot be rolled back: what is not checked yet is read to its end first. Rows have their transaction.
      const plaintext = segment.unverified && !rows ? await wholeOf(segment.plaintext) : segment.plaintext;
      try {
        if (rows) await session.run('START TRANSACTION');
        await this.#execute(session, plaintext, rows);
        if (rows) await session.run('COMMIT');
      } catch (error) {
        if (!session.lost) await session.run('ROLLBACK').catch(() => session.destroy());
        throw writeError(error, `loading segment ${segment.id}`);
      }
    });
  }

  loadRows(segment: IncomingSegment, load: LoadInstruction, signal: AbortSignal): Promise<LoadedTable> {
    return this.#inTurn(signal, async (session) => {
      const rows = await loadRows(session, segment.plaintext, load, {
        refused: this.#localInfileRefused,
        onRefused: () => {
          this.#localInfileRefused = true;
          this.#options.onWarning?.('the server refuses LOAD DATA LOCAL (local_infile=0): rows are loaded as INSERTs, about half as fast');
        },
      });
      return { table: load.table, rows };
    });
  }

  async publish(): Promise<void> {}

  countRows(tables: readonly string[]): Promise<readonly LoadedTable[]> {
    return this.#inTurn(undefined, async (session) => {
      const versioned = new Set(
        (
          await session.texts(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE='SYSTEM VERSIONED'",
          )
        ).map(([name]) => name),
      );
      const counts: LoadedTable[] = [];
      for (const table of tables) {
        const history = versioned.has(table) ? ' FOR SYSTEM_TIME ALL' : '';
        const rows = await session.text(`SELECT COUNT(*) FROM ${quoteName(table)}${history}`).catch((error: unknown) => {
          throw writeError(error, `counting the rows of ${table}`);
        });
        counts.push({ table, rows: Number(rows) });
      }
      return counts;
    });
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await session?.end();
  }

  #mark(statement: string): Promise<void> {
    return this.#inTurn(undefined, async (session) => {
      await session.run(statement).catch((error: unknown) => {
        throw writeError(error, statementHead(Buffer.from(statement)));
      });
    });
  }

  async #execute(session: Session, plaintext: AsyncIterable<Uint8Array>, rows: boolean): Promise<void> {
    const splitter = new StatementSplitter();
    const runAll = async (last: boolean): Promise<void> => {
      for (let statement = splitter.next(last); statement; statement = splitter.next(last)) {
        // The transaction of a data segment is ours: its own COMMIT would come before the end of the text was checked.
        if (rows && isTransactionStatement(statement)) continue;
        await this.#statement(session, statement);
        if (mayChangeSqlMode(statement)) {
          const mode = (await session.text('SELECT @@sql_mode')) ?? '';
          splitter.backslashEscapes = !mode.includes(NO_BACKSLASH_ESCAPES);
        }
      }
    };
    for await (const chunk of plaintext) {
      splitter.push(chunk);
      await runAll(false);
    }
    await runAll(true);
  }

  async #statement(session: Session, statement: Buffer): Promise<void> {
    try {
      await session.run(statement);
    } catch (error) {
      const ours = withoutDefiner(statement);
      if (!ours || !DEFINER_REFUSED.has(asServerError(error).errno)) throw writeError(error, statementHead(statement));
      await session.run(ours.statement).catch((second: unknown) => {
        throw writeError(second, statementHead(statement));
      });
      this.#options.onWarning?.(`definer ${ours.definer} replaced by the restoring user: ${statementHead(Buffer.from(ours.statement))}`);
    }
  }

  /** Runs `work` alone on the connection, opening it anew after one was lost. An abort drops the connection: the server rolls back. */
  #inTurn<T>(signal: AbortSignal | undefined, work: (session: Session) => Promise<T>): Promise<T> {
    const run = async (): Promise<T> => {
      if (!this.#prepared) throw new CoffreError('E_INTERNAL', 'the database target was not prepared');
      signal?.throwIfAborted();
      const session = this.#session && !this.#session.lost ? this.#session : await this.#open(false);
      const drop = (): void => session.destroy();
      signal?.addEventListener('abort', drop, { once: true });
      try {
        return await work(session);
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      } finally {
        signal?.removeEventListener('abort', drop);
      }
    };
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #open(create: boolean): Promise<Session> {
    const session = await connect(this.#address, { localInfile: true }).catch((error: unknown) => {
      // the table's hint is of a shop's own user
      if (!(error instanceof CoffreError) || error.code !== 'E_DB_AUTH') throw error;
      throw new CoffreError(error.code, error.message, {
        cause: error,
        hint: 'check the user in --to-database, and its password in --password-file or $COFFRE_DB_PASSWORD',
      });
    });
    try {
      await this.#use(session, create);
      // Not written to the binary log where we may choose: a restore would fill it with the whole shop.
      await session.run('SET SESSION sql_log_bin=0').catch(() => {});
    } catch (error) {
      session.destroy();
      throw writeError(error, `opening the database ${this.#database}`);
    }
    this.#session = session;
    return session;
  }

  /** What gives the restoring user all it needs. */
  async #grant(session: Session): Promise<string> {
    const account = await session.text('SELECT CURRENT_USER()').catch(() => null);
    const user = account === null ? 'the user in --to-database' : quoteAccount(account);
    return `GRANT ALL PRIVILEGES ON ${quoteName(grantPattern(this.#database))}.* TO ${user};`;
  }

  async #use(session: Session, create: boolean): Promise<void> {
    const name = quoteName(this.#database);
    try {
      await session.run(`USE ${name}`);
    } catch (error) {
      const { errno } = asServerError(error);
      if (errno === ACCESS_DENIED) {
        throw new CoffreError('E_DB_PRIVILEGE', `the restoring user may not use the database ${this.#database}`, {
          cause: error,
          hint: `on the target server: CREATE DATABASE IF NOT EXISTS ${name}; ${await this.#grant(session)}`,
        });
      }
      if (!create || errno !== UNKNOWN_DATABASE) throw error;
      const grant = await this.#grant(session);
      await session.run(`CREATE DATABASE ${name}`).catch((refused: unknown) => {
        throw new CoffreError('E_DB_PRIVILEGE', `the database ${this.#database} does not exist and cannot be created`, {
          cause: refused,
          hint: `on the target server: CREATE DATABASE ${name}; ${grant}`,
        });
      });
      await session.run(`USE ${name}`);
    }
  }
}

async function* wholeOf(plaintext: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of plaintext) chunks.push(chunk);
  yield* chunks;
}

function isTransactionStatement(statement: Buffer): boolean {
  return statement.length < 40 && /^\s*(?:START TRANSACTION|COMMIT)\s*$/i.test(statement.toString('latin1'));
}

function mayChangeSqlMode(statement: Buffer): boolean {
  return statement.length < 4096 && /\bsql_mode\b/i.test(statement.toString('latin1'));
}

function withoutDefiner(statement: Buffer): { statement: Buffer; definer: string } | null {
  // Latin1 keeps every byte; the pattern is ASCII.
  const text = statement.toString('latin1');
  const found = DEFINER.exec(text);
  if (!found) return null;
  const rest = Buffer.from(`${found[1]}${text.slice(found[0].length).trimStart()}`, 'latin1');
  return { statement: rest, definer: `${found[2]}@${found[3]}` };
}
