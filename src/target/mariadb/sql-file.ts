// A database as one text of statements that any MariaDB loads with its client alone: rows as INSERTs, nobody's definers, no LOAD DATA.
import { CoffreError } from '../../errors.ts';
import type { LoadInstruction } from '../../source/source.ts';
import type { FrameFile } from '../frame-file.ts';
import type { DatabaseTarget, IncomingSegment, LoadedTable } from '../target.ts';
import { findDefiner } from './definers.ts';
import { insertStatements } from './inserts.ts';
import { LOAD_SESSION, parseLoadStatement } from './load-statement.ts';

/** One INSERT: what the smallest usual max_allowed_packet takes. */
const STATEMENT_BYTES = 512 * 1024;
const NEWLINE = 0x0a;
/** What a segment before may have left otherwise. */
const ROWS_SESSION = Buffer.from(`SET NAMES utf8mb4;\n${LOAD_SESSION};\nSTART TRANSACTION;\n`);
const ROWS_END = Buffer.from('COMMIT;\n');
const END_OF_STATEMENT = Buffer.from(';\n');

export class SqlFileTarget implements DatabaseTarget {
  /** One text has one order. */
  readonly connections = 1;
  readonly #file: FrameFile;
  readonly #keys: Buffer[] = [];

  constructor(file: FrameFile) {
    this.#file = file;
  }

  async prepare(): Promise<readonly LoadedTable[]> {
    return [];
  }

  async markIncomplete(): Promise<void> {}

  async markComplete(): Promise<void> {}

  async loadSql(segment: IncomingSegment, signal: AbortSignal): Promise<void> {
    await this.#whole(async () => {
      if (segment.phase === 'post') {
        await this.#file.write(withoutDefiners(await gathered(segment.plaintext)));
      } else {
        for await (const chunk of segment.plaintext) {
          signal.throwIfAborted();
          await this.#file.write(chunk);
        }
      }
      await this.#file.write(Buffer.of(NEWLINE));
    });
  }

  async loadRows(segment: IncomingSegment, load: LoadInstruction, signal: AbortSignal): Promise<LoadedTable> {
    const table = parseLoadStatement(load.statement);
    if (table.table !== load.table) {
      throw new CoffreError('E_FORMAT', `the load statement of a segment of ${load.table} names another table, ${table.table}`);
    }
    await this.#whole(async () => {
      const counted = { rows: 0 };
      await this.#file.write(ROWS_SESSION);
      for await (const statement of insertStatements(table, countingRows(segment.plaintext, counted), STATEMENT_BYTES)) {
        signal.throwIfAborted();
        await this.#file.write(statement);
        await this.#file.write(END_OF_STATEMENT);
      }
      if (counted.rows !== load.rows) {
        throw new CoffreError('E_LOAD_MISMATCH', `${table.table}: ${load.rows} rows expected, ${counted.rows} found`);
      }
      await this.#file.write(ROWS_END);
    });
    return { table: load.table, rows: load.rows };
  }

  async listTables(): Promise<readonly string[]> {
    throw new CoffreError('E_INTERNAL', 'an export is of a whole database');
  }

  /** Keys come after all rows, as they stand. None is built apart, so none is named. */
  async holdKeys(segment: IncomingSegment): Promise<readonly string[]> {
    this.#keys.push(await gathered(segment.plaintext));
    return [];
  }

  async finishTables(): Promise<void> {}

  async addForeignKeys(): Promise<void> {
    for (const text of this.#keys) await this.#file.write(Buffer.concat([text, Buffer.of(NEWLINE)]));
  }

  async publish(): Promise<void> {}

  async countRows(): Promise<readonly LoadedTable[]> {
    return [];
  }

  async close(): Promise<void> {}

  /** Nothing of a segment stays that turns out wrong at its end: another vault's copy may follow. */
  async #whole(write: () => Promise<void>): Promise<void> {
    const at = await this.#file.mark();
    try {
      await write();
    } catch (error) {
      await this.#file.takeBack(at);
      throw error;
    }
  }
}

/** Definitions alone: they fit the memory. */
async function gathered(plaintext: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const chunk of plaintext) pieces.push(Buffer.from(chunk));
  return Buffer.concat(pieces);
}

/** Values hold no newline as it is: each ends a row. */
async function* countingRows(plaintext: AsyncIterable<Uint8Array>, counted: { rows: number }): AsyncGenerator<Uint8Array> {
  for await (const chunk of plaintext) {
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) counted.rows += 1;
    yield chunk;
  }
}

/** Whoever loads it is the definer: the accounts of the server that it comes from are not on another one. Each definition begins a line. */
export function withoutDefiners(text: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let from = 0;
  for (let at = 0, newline = -1; at < text.length; at = newline + 1) {
    newline = text.indexOf(NEWLINE, at);
    if (newline < 0) newline = text.length;
    // the c of CREATE
    if (at < from || ((text[at] as number) | 0x20) !== 0x63) continue;
    const here = text.subarray(at);
    const clause = findDefiner(here);
    if (clause === null) continue;
    const head = at + headBytes(here, clause.without);
    pieces.push(text.subarray(from, head));
    from = head + here.length - clause.without.length;
  }
  return Buffer.concat([...pieces, text.subarray(from)]);
}

/** How far two texts agree before the clause that one lacks. */
function headBytes(text: Buffer, without: Buffer): number {
  let at = 0;
  while (at < without.length && text[at] === without[at]) at += 1;
  return at;
}
