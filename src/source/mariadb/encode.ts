// Writes rows into bytes: lines of a .tsv file and value lists of an INSERT.
import type { Cell } from '../../target/mariadb/session.ts';
import type { ColumnPlan } from './columns.ts';

const CHUNK_BYTES = 256 * 1024;

/** Collects bytes into chunks; what is complete can be taken while more is written. */
export class ByteWriter {
  #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #end = 0;
  readonly #ready: Buffer[] = [];
  #readyBytes = 0;
  /** All bytes ever written. */
  total = 0;

  get readyBytes(): number {
    return this.#readyBytes;
  }

  /** The oldest complete chunk; undefined when there is none. */
  take(): Buffer | undefined {
    const chunk = this.#ready.shift();
    if (chunk) this.#readyBytes -= chunk.length;
    return chunk;
  }

  /** Makes what was written so far complete. */
  flush(): void {
    if (this.#end === 0) return;
    const chunk = this.#chunk.subarray(0, this.#end);
    this.#ready.push(chunk);
    this.#readyBytes += chunk.length;
    this.#chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    this.#end = 0;
  }

  text(ascii: string): void {
    this.#reserve(ascii.length);
    this.#advance(this.#chunk.write(ascii, this.#end, 'latin1'));
  }

  byte(byte: number): void {
    this.#reserve(1);
    this.#chunk[this.#end] = byte;
    this.#advance(1);
  }

  /** Bytes as they are. */
  raw(bytes: Buffer): void {
    this.#reserve(bytes.length);
    bytes.copy(this.#chunk, this.#end);
    this.#advance(bytes.length);
  }

  hex(bytes: Buffer): void {
    this.#reserve(bytes.length * 2);
    this.#advance(this.#chunk.write(bytes.toString('hex'), this.#end, 'latin1'));
  }

  /** Bytes with those of `escapes` that are not 0 replaced by a backslash and the byte given there. */
  escaped(bytes: Buffer, escapes: Uint8Array): void {
    this.#reserve(bytes.length * 2);
    const chunk = this.#chunk;
    let end = this.#end;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      const letter = escapes[byte] as number;
      if (letter === 0) {
        chunk[end++] = byte;
      } else {
        chunk[end++] = 0x5c;
        chunk[end++] = letter;
      }
    }
    this.#advance(end - this.#end);
  }

  #advance(count: number): void {
    this.#end += count;
    this.total += count;
  }

  #reserve(count: number): void {
    if (this.#end + count <= this.#chunk.length) return;
    this.flush();
    if (count > this.#chunk.length) this.#chunk = Buffer.allocUnsafe(count);
  }
}

function escapeTable(pairs: Readonly<Record<number, string>>): Uint8Array {
  const table = new Uint8Array(256);
  for (const [byte, letter] of Object.entries(pairs)) table[Number(byte)] = letter.charCodeAt(0);
  return table;
}

/** What LOAD DATA would take for the end of a field or row, for an escape, or for the end of the text. */
const TSV_ESCAPES = escapeTable({ 0: '0', 9: 't', 10: 'n', 92: '\\' });
/** Newlines and carriage returns too: the mariadb client reads by lines and drops the latter. */
const SQL_ESCAPES = escapeTable({ 0: '0', 10: 'n', 13: 'r', 26: 'Z', 39: "'", 92: '\\' });

/** One line; `row` may hold more cells than there are columns. */
export function writeTsvRow(writer: ByteWriter, columns: readonly ColumnPlan[], row: readonly Cell[]): void {
  for (let index = 0; index < columns.length; index++) {
    if (index > 0) writer.byte(0x09);
    writeTsvValue(writer, columns[index] as ColumnPlan, row[index] as Cell);
  }
  writer.byte(0x0a);
}

/** A whole value or a piece of one (a piece of text ends between two characters). */
export function writeTsvValue(writer: ByteWriter, column: ColumnPlan, value: Cell): void {
  if (value === null) writer.text('\\N');
  else if (column.tsv === 'hex') writer.hex(value);
  else writer.escaped(value, TSV_ESCAPES);
}

/** Stands for the error value of an ENUM, which may have '' among its proper values: only the number 0 means it. */
export const ENUM_ERROR = Buffer.from('0');

/** `(1,'two',0x33)`. */
export function writeSqlRow(writer: ByteWriter, columns: readonly ColumnPlan[], row: readonly Cell[]): void {
  writer.byte(0x28);
  for (let index = 0; index < columns.length; index++) {
    if (index > 0) writer.byte(0x2c);
    const value = row[index] as Cell;
    if (value === null) {
      writer.text('NULL');
      continue;
    }
    const form = (columns[index] as ColumnPlan).sql;
    if (form === 'bare' || value === ENUM_ERROR) {
      writer.raw(value);
    } else if (form === 'hex') {
      writer.text(value.length === 0 ? "''" : '0x');
      writer.hex(value);
    } else {
      writer.byte(0x27);
      writer.escaped(value, SQL_ESCAPES);
      writer.byte(0x27);
    }
  }
  writer.byte(0x29);
}
