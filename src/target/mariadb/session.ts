// One connection to a MariaDB or MySQL server: SQL as bytes out, cells as bytes in, errors as codes.
import { createConnection } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import type { Connection, ConnectionOptions, QueryOptions } from 'mysql2';
import mysql from 'mysql2';
import type { Secret } from '../../config/config.ts';
import { CoffreError, type ErrorCode } from '../../errors.ts';
import { startInfile, type Wire } from './infile.ts';
import { type OnRow, RowTap } from './row-tap.ts';

/** Where a server is and who asks. `socketPath` wins over host and port. */
export interface ServerAddress {
  readonly user: string;
  readonly password: Secret | null;
  readonly host: string | null;
  readonly port: number;
  readonly socketPath: string | null;
  /** Makes the byte stream to the server when neither leads there directly (an SSH tunnel). */
  readonly stream?: () => Duplex;
}

/** A value as the server sent it; null is SQL NULL. */
export type Cell = Buffer | null;

/** What a statement without rows answered. `info` is the text of the OK packet: `Records: 3  Deleted: 0  Skipped: 0  Warnings: 0`. */
export interface Done {
  readonly affectedRows: number;
  readonly warnings: number;
  readonly info: string;
}

/** An error that the server answered, with its number; what it means depends on who asked. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  readonly errno: number;
  /** The connection is gone. */
  readonly fatal: boolean;

  constructor(message: string, errno: number, fatal: boolean) {
    super(message);
    this.errno = errno;
    this.fatal = fatal;
  }
}

/** The rows of a query as they arrive. `pause` holds back the server through TCP; `ended` settles once, after the last row. */
export interface RowFlow {
  pause(): void;
  resume(): void;
  readonly ended: Promise<void>;
}

const CONNECT_TIMEOUT_MS = 15_000;
/** What is read from the server at once. */
const READ_BYTES = 256 * 1024;

const AUTH_ERRNOS = new Set([1045, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 2059, 3118, 3955, 4151]);
const PRIVILEGE_ERRNOS = new Set([1044, 1095, 1142, 1143, 1227, 1370, 1410, 1419, 1449]);

/** The code for an error number while connecting or asking for rights; null when the number says neither. */
export function accessCode(errno: number): ErrorCode | null {
  if (AUTH_ERRNOS.has(errno)) return 'E_DB_AUTH';
  return PRIVILEGE_ERRNOS.has(errno) ? 'E_DB_PRIVILEGE' : null;
}

export function printableAddress(address: ServerAddress): string {
  const where = address.stream ? 'the tunnel' : (address.socketPath ?? `${address.host ?? '127.0.0.1'}:${address.port}`);
  return `${address.user}@${where}`;
}

/**
 * Connects and sets what every session of coffre needs: utf8mb4, UTC, no inherited sql_mode, no server time limits.
 * `localInfile` lets this client answer LOAD DATA LOCAL, and even then only `loadLocal` ever does.
 * Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE, and what reading the secret throws.
 */
export async function connect(address: ServerAddress, options: { readonly localInfile: boolean }): Promise<Session> {
  const config: ConnectionOptions = {
    user: address.user,
    // Latin1 on our side means: a JavaScript string of bytes. The server is told utf8mb4 by SET NAMES below.
    charset: 'LATIN1_SWEDISH_CI',
    connectTimeout: CONNECT_TIMEOUT_MS,
    flags: [options.localInfile ? '+LOCAL_FILES' : '-LOCAL_FILES'],
    rowsAsArray: true,
    typeCast: false,
    ...(address.password === null ? {} : { password: address.password.read() }),
    stream: () => tapped.stream,
  };
  const tapped = new Tapped(address);
  const connection = mysql.createConnection(config);
  tapped.standBefore(connection);
  await new Promise<void>((resolve, reject) => {
    connection.on('error', () => {});
    connection.connect((error) => (error ? reject(error) : resolve()));
  }).catch((error: unknown) => {
    connection.destroy();
    tapped.stream.destroy();
    throw connectError(error, address);
  });
  const session = new Session(connection, tapped);
  try {
    // Alone and not empty: in the mode EMPTY_STRING_IS_NULL the empty ones below would be NULL.
    await session.run("SET SESSION sql_mode='NO_ENGINE_SUBSTITUTION'");
    // Before SET NAMES: with charset tracking mysql2 would follow it and stop sending our bytes as they are.
    await session.run("SET SESSION session_track_system_variables=''");
    await session.run('SET NAMES utf8mb4');
    await session.run(
      // A comment alone is an empty query to MySQL: what only MariaDB knows stands within the statement.
      "SET SESSION time_zone='+00:00', sql_mode='', net_read_timeout=7200, net_write_timeout=7200, wait_timeout=86400" +
        // Whatever the server's defaults: all rows, quoted names, ends of transactions that end them, and the English in which
        // LOAD DATA says how many rows it took.
        ', autocommit=1, completion_type=0, sql_select_limit=18446744073709551615, sql_big_selects=1, sql_safe_updates=0' +
        ", sql_auto_is_null=0, sql_quote_show_create=1, lc_messages='en_US'" +
        ' /*M!100100 , max_statement_time=0 */ /*M!100300 , idle_transaction_timeout=0 */',
    );
    await session.run('SET SESSION TRANSACTION READ WRITE');
  } catch (error) {
    session.destroy();
    throw connectError(error, address);
  }
  return session;
}

function connectError(error: unknown, address: ServerAddress): CoffreError {
  if (error instanceof CoffreError) return error;
  const { errno, message } = asServerError(error);
  const code = accessCode(errno) ?? 'E_DB_CONNECT';
  const what = code === 'E_DB_CONNECT' ? 'cannot connect to the database as' : 'the database server refused';
  return new CoffreError(code, `${what} ${printableAddress(address)}: ${message}`, { cause: error });
}

interface DriverError {
  readonly message?: string;
  readonly code?: string;
  readonly errno?: number | string;
  readonly fatal?: boolean;
}

/** Drops what the driver hangs on its errors (the SQL, and so data) and keeps message and number. */
export function asServerError(error: unknown): ServerError {
  if (error instanceof ServerError) return error;
  const driver = (error ?? {}) as DriverError;
  const errno = typeof driver.errno === 'number' && driver.errno > 0 ? driver.errno : 0;
  const message = driver.message || driver.code || 'unknown error';
  return new ServerError(errno > 0 ? `${message} (${errno})` : message, errno, driver.fatal === true || errno === 0);
}

interface OkPacket {
  readonly affectedRows?: number;
  readonly warningStatus?: number;
  readonly info?: string;
}

/** The bytes between server and mysql2, with the tap on their way. */
class Tapped {
  readonly stream: Duplex;
  readonly tap: RowTap;
  #forward: (bytes: Buffer) => void = () => {};

  constructor(address: ServerAddress) {
    this.tap = new RowTap((bytes) => this.#forward(bytes));
    this.stream = address.stream ? address.stream() : this.#connectTo(address);
  }

  /** Takes the place of the driver's own listener. */
  standBefore(connection: Connection): void {
    const listeners = this.stream.listeners('data') as ((bytes: Buffer) => void)[];
    if (listeners.length !== 1) throw new CoffreError('E_INTERNAL', 'mysql2 has changed: it does not listen to its stream');
    this.stream.removeAllListeners('data');
    this.#forward = (bytes) => {
      // what the driver lets go of after an error that ended the connection
      if (!(connection as { _fatalError?: unknown })._fatalError) listeners[0]?.call(this.stream, bytes);
    };
    this.stream.on('data', (bytes: Buffer) => {
      if (!this.tap.take(bytes)) this.stream.pause();
    });
  }

  pause(): void {
    this.tap.pause();
    this.stream.pause();
  }

  resume(): void {
    if (this.tap.resume()) this.stream.resume();
  }

  /** One buffer for all that ever arrives: with a fresh one for each read the garbage collector costs as much as the encoding. */
  #connectTo({ socketPath, host, port }: ServerAddress): Duplex {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (count: number, buffer: Uint8Array): boolean => this.tap.take((buffer as Buffer).subarray(0, count)),
    };
    return socketPath !== null
      ? createConnection({ path: socketPath, onread })
      : createConnection({ host: host ?? '127.0.0.1', port, noDelay: true, onread });
  }
}

/** A connection in use by one caller at a time. Methods throw ServerError. */
export class Session {
  readonly #connection: Connection;
  readonly #tapped: Tapped;
  /** Of whoever waits for the running query. */
  readonly #onLost = new Set<(error: ServerError) => void>();
  /** What was asked and is not answered yet. */
  readonly #asked = new Set<Promise<unknown>>();
  #lost: ServerError | null = null;

  constructor(connection: Connection, tapped: Tapped) {
    this.#connection = connection;
    this.#tapped = tapped;
    const lose = (error: ServerError): void => {
      this.#lost ??= error;
      for (const notify of this.#onLost) notify(this.#lost);
    };
    connection.on('error', (error: unknown) => lose(asServerError(error)));
    connection.on('end', () => lose(new ServerError('the server closed the connection', 0, true)));
  }

  /** The server has closed it, or we have. */
  get lost(): boolean {
    return this.#lost !== null;
  }

  get threadId(): number {
    return this.#connection.threadId ?? 0;
  }

  /** Every row of a small result, cells as bytes. */
  cells(sql: string): Promise<Cell[][]> {
    return this.#ask(sql).then((rows) => rows as Cell[][]);
  }

  /** Every row of a small result, cells as text. */
  async texts(sql: string): Promise<(string | null)[][]> {
    const rows = await this.cells(sql);
    return rows.map((row) => row.map((cell) => (cell === null ? null : cell.toString('utf8'))));
  }

  /** The first cell of the first row, as text; null when there is none. */
  async text(sql: string): Promise<string | null> {
    return (await this.texts(sql))[0]?.[0] ?? null;
  }

  /** A statement without rows. Bytes are sent as they are. */
  async run(sql: string | Uint8Array): Promise<Done> {
    return asDone(await this.#ask(sql));
  }

  /**
   * Runs LOAD DATA LOCAL and answers its one request for a file with `rows`, whatever name the server asks for.
   * An error of `rows` looks like a normal end to the server: the statement then throws here, and the caller must roll back.
   */
  async loadLocal(sql: string, rows: AsyncIterable<Uint8Array>): Promise<Done> {
    let asked = false;
    let onLost: () => void = () => {};
    const lost = new Promise<void>((resolve) => {
      onLost = resolve;
      this.#onLost.add(onLost);
    });
    try {
      const answer = await this.#ask(sql, () => {
        if (asked) throw new ServerError('the server asked for a second file', 0, true);
        asked = true;
        return startInfile(this.#connection as unknown as Wire, rows, lost) as Readable;
      });
      if (!asked) throw new ServerError('the server did not ask for the rows', 0, false);
      return asDone(answer);
    } finally {
      this.#onLost.delete(onLost);
      onLost();
    }
  }

  /**
   * Starts a query, once all that was asked before is answered, and hands over each row at once, undecoded: a JavaScript value for
   * each field would cost more than all the rest. The caller pauses it when it has enough. `onRow` must not throw.
   */
  flow(sql: string, onRow: OnRow): RowFlow {
    const ended = new Promise<void>((resolve, reject) => {
      this.#onLost.add(reject);
      const leave = (): void => {
        this.#onLost.delete(reject);
      };
      const start = (): void => {
        if (this.#lost) throw this.#lost;
        this.#tapped.tap.expectRows(onRow);
        const query = this.#connection.query({ sql: bytes(sql), rowsAsArray: true } as QueryOptions);
        // The tap would have taken another answer for this one: rows that nobody saw must not end as if there had been none.
        query.on('result', (row: unknown) => {
          if (!Array.isArray(row)) return;
          this.#lost ??= new ServerError('rows went past their reader', 0, true);
          this.destroy();
        });
        query.on('error', (error: unknown) => {
          leave();
          reject(asServerError(error));
        });
        query.on('end', () => {
          leave();
          resolve();
        });
      };
      const refuse = (error: unknown): void => {
        leave();
        reject(error);
      };
      // The tap cannot tell whose answer comes: whoever holds tables locked asks for a sign of life in between.
      this.#whenAnswered(start).catch(refuse);
    });
    ended.catch(() => {});
    return { pause: () => this.#tapped.pause(), resume: () => this.#tapped.resume(), ended };
  }

  /** `start` follows at once upon the look that nothing is under way. */
  async #whenAnswered(start: () => void): Promise<void> {
    while (this.#asked.size > 0 && !this.#lost) await Promise.allSettled(this.#asked);
    start();
  }

  /** Says goodbye; never throws. */
  async end(): Promise<void> {
    if (this.#lost) {
      this.#connection.destroy();
      return;
    }
    await new Promise<void>((resolve) => {
      this.#onLost.add(() => resolve());
      this.#connection.end(() => resolve());
    });
    this.#connection.destroy();
  }

  /** Drops the connection; the server rolls back what was open. */
  destroy(): void {
    this.#lost ??= new ServerError('the connection was dropped', 0, true);
    this.#connection.destroy();
    // The driver only says that it sends no more: a server that writes rows which nobody reads would go on with that for hours,
    // and hold snapshot and locks as long.
    this.#tapped.stream.destroy();
    for (const notify of this.#onLost) notify(this.#lost);
  }

  #ask(sql: string | Uint8Array, infileStreamFactory?: (path: string) => Readable): Promise<unknown> {
    const answer = this.#send(sql, infileStreamFactory);
    this.#asked.add(answer);
    const answered = (): void => {
      this.#asked.delete(answer);
    };
    answer.then(answered, answered);
    return answer;
  }

  #send(sql: string | Uint8Array, infileStreamFactory?: (path: string) => Readable): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#lost) {
        reject(this.#lost);
        return;
      }
      this.#onLost.add(reject);
      const options = { sql: bytes(sql), rowsAsArray: true, ...(infileStreamFactory ? { infileStreamFactory } : {}) };
      this.#connection.query(options as QueryOptions, (error: unknown, answer: unknown) => {
        this.#onLost.delete(reject);
        if (error) reject(error instanceof CoffreError ? error : asServerError(error));
        else resolve(answer);
      });
    });
  }
}

/** SQL as one character per byte, which the latin1 connection sends unchanged. */
function bytes(sql: string | Uint8Array): string {
  const buffer = typeof sql === 'string' ? Buffer.from(sql, 'utf8') : Buffer.from(sql.buffer, sql.byteOffset, sql.byteLength);
  return buffer.toString('latin1');
}

function asDone(answer: unknown): Done {
  const ok = (Array.isArray(answer) ? {} : (answer ?? {})) as OkPacket;
  return { affectedRows: ok.affectedRows ?? 0, warnings: ok.warningStatus ?? 0, info: ok.info ?? '' };
}
