// Writes rows into bytes, straight from the server's packets: lines of a .tsv file and value lists of an INSERT.
import type { ColumnPlan } from './columns.ts';

const CHUNK_BYTES = 512 * 1024;
const HEX = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''), 'latin1');

/** Where the fields of one row stand in the bytes that the server sent (text protocol: each behind its length). */
export class RowFields {
  bytes: Buffer = Buffer.alloc(0);
  readonly starts: Int32Array;
  /** NULL_FIELD for NULL. */
  readonly lengths: Int32Array;

  constructor(count: number) {
    this.starts = new Int32Array(count);
    this.lengths = new Int32Array(count);
  }

  /** Finds all fields of a row. Throws RangeError when the bytes are not one. */
  locate(bytes: Buffer, from: number, to: number): void {
    const { starts, lengths } = this;
    this.bytes = bytes;
    let at = from;
    for (let index = 0; index < starts.length; index++) {
      const first = bytes[at++] as number;
      if (first < 0xfb) {
        starts[index] = at;
        lengths[index] = first;
        at += first;
      } else if (first === 0xfb) {
        starts[index] = at;
        lengths[index] = NULL_FIELD;
      } else {
        const size = first === 0xfc ? 2 : first === 0xfd ? 3 : 8;
        // no packet comes near 2^48 bytes
        const length = bytes.readUIntLE(at, Math.min(size, 6));
        at += size;
        starts[index] = at;
        lengths[index] = length;
        at += length;
      }
    }
    if (at !== to) throw new RangeError('a row has other than the columns that were asked for');
  }

  isNull(index: number): boolean {
    return this.lengths[index] === NULL_FIELD;
  }

  /** A view, not a copy; null for NULL. */
  field(index: number): Buffer | null {
    const start = this.starts[index] as number;
    return this.isNull(index) ? null : this.bytes.subarray(start, start + (this.lengths[index] as number));
  }
}

export const NULL_FIELD = -1;

/** Chunks that are kept for use again: those that wait, one that is read and one that is written. */
const SPARE_CHUNKS = 6;

/** Collects bytes into chunks; what is complete can be taken while more is written. */
export class ByteWriter {
  readonly #spare: Buffer[] = [];
  #taken: Buffer | null = null;
  #chunk: Buffer = Buffer.alloc(0);
  #end = 0;
  readonly #ready: { readonly whole: Buffer; readonly used: number }[] = [];
  #readyBytes = 0;
  /** All bytes ever written. */
  total = 0;

  get readyBytes(): number {
    return this.#readyBytes;
  }

  /** The oldest complete chunk; undefined when there is none. It is valid until the next call: then its memory serves again. */
  take(): Buffer | undefined {
    // fresh memory for each chunk would cost the garbage collector more than all the encoding
    if (this.#taken !== null && this.#taken.length === CHUNK_BYTES && this.#spare.length < SPARE_CHUNKS) this.#spare.push(this.#taken);
    const chunk = this.#ready.shift();
    this.#taken = chunk?.whole ?? null;
    if (chunk) this.#readyBytes -= chunk.used;
    return chunk?.whole.subarray(0, chunk.used);
  }

  /** Makes what was written so far complete. */
  flush(): void {
    if (this.#end === 0) return;
    this.#ready.push({ whole: this.#chunk, used: this.#end });
    this.#readyBytes += this.#end;
    this.#chunk = Buffer.alloc(0);
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
    this.#advance(putHex(this.#chunk, this.#end, bytes, 0, bytes.length) - this.#end);
  }

  /** Bytes with those of `escapes` that are not 0 replaced by a backslash and the byte given there. */
  escaped(bytes: Buffer, escapes: Uint8Array): void {
    this.#reserve(bytes.length * 2);
    this.#advance(putEscaped(this.#chunk, this.#end, bytes, 0, bytes.length, escapes) - this.#end);
  }

  /** Room for `most` bytes, into which `put` writes; it is given buffer and place, and answers the place after them. */
  put(most: number, put: (chunk: Buffer, end: number) => number): void {
    this.#reserve(most);
    this.#advance(put(this.#chunk, this.#end) - this.#end);
  }

  #advance(count: number): void {
    this.#end += count;
    this.total += count;
  }

  #reserve(count: number): void {
    if (this.#end + count <= this.#chunk.length) return;
    this.flush();
    this.#chunk = count > CHUNK_BYTES ? Buffer.allocUnsafeSlow(count) : (this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES));
  }
}

function putCopy(out: Buffer, end: number, bytes: Buffer, from: number, length: number): number {
  // short ones dominate, and a call into native code costs more than they do
  if (length > 64) {
    bytes.copy(out, end, from, from + length);
    return end + length;
  }
  for (let index = 0; index < length; index++) out[end + index] = bytes[from + index] as number;
  return end + length;
}

function putHex(out: Buffer, end: number, bytes: Buffer, from: number, length: number): number {
  let place = end;
  for (let at = from; at < from + length; at++) {
    const byte = bytes[at] as number;
    out[place++] = HEX[byte * 2] as number;
    out[place++] = HEX[byte * 2 + 1] as number;
  }
  return place;
}

function putEscaped(out: Buffer, end: number, bytes: Buffer, from: number, length: number, escapes: Uint8Array): number {
  let place = end;
  for (let at = from; at < from + length; at++) {
    const byte = bytes[at] as number;
    const letter = escapes[byte] as number;
    if (letter === 0) {
      out[place++] = byte;
    } else {
      out[place++] = 0x5c;
      out[place++] = letter;
    }
  }
  return place;
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

/** One line; `row` may hold more fields than there are columns. */
export function writeTsvRow(writer: ByteWriter, columns: readonly ColumnPlan[], row: RowFields, from: number, to: number): void {
  const { bytes, starts, lengths } = row;
  // every byte may become two (an escape, hex); a NULL and a separator take three
  writer.put((to - from) * 2 + columns.length * 3 + 1, (out, begin) => {
    let end = begin;
    for (let index = 0; index < columns.length; index++) {
      if (index > 0) out[end++] = 0x09;
      const length = lengths[index] as number;
      if (length === NULL_FIELD) {
        out[end++] = 0x5c;
        out[end++] = 0x4e;
        continue;
      }
      const column = columns[index] as ColumnPlan;
      const start = starts[index] as number;
      if (column.sql === 'bare') end = putCopy(out, end, bytes, start, length);
      else if (column.tsv === 'hex') end = putHex(out, end, bytes, start, length);
      else end = putEscaped(out, end, bytes, start, length, TSV_ESCAPES);
    }
    out[end++] = 0x0a;
    return end;
  });
}

/** A whole value or a piece of one (a piece of text ends between two characters). */
export function writeTsvValue(writer: ByteWriter, column: ColumnPlan, value: Buffer | null): void {
  if (value === null) writer.text('\\N');
  else if (column.tsv === 'hex') writer.hex(value);
  else writer.escaped(value, TSV_ESCAPES);
}

/**
 * `(1,'two',0x33)`. Columns named in `enumErrors` hold the error value of an ENUM, which may have '' among its proper values:
 * only the number 0 means it.
 */
export function writeSqlRow(
  writer: ByteWriter,
  columns: readonly ColumnPlan[],
  row: RowFields,
  from: number,
  to: number,
  enumErrors: ReadonlySet<string>,
): void {
  const { bytes, starts, lengths } = row;
  writer.put((to - from) * 2 + columns.length * 5 + 2, (out, begin) => {
    let end = begin;
    out[end++] = 0x28;
    for (let index = 0; index < columns.length; index++) {
      if (index > 0) out[end++] = 0x2c;
      const length = lengths[index] as number;
      const column = columns[index] as ColumnPlan;
      if (length === NULL_FIELD) {
        end += out.write('NULL', end, 'latin1');
        continue;
      }
      const start = starts[index] as number;
      if (enumErrors.size > 0 && enumErrors.has(column.name)) {
        out[end++] = 0x30;
      } else if (column.sql === 'bare') {
        end = putCopy(out, end, bytes, start, length);
      } else if (column.sql === 'hex') {
        end += out.write(length === 0 ? "''" : '0x', end, 'latin1');
        end = putHex(out, end, bytes, start, length);
      } else {
        out[end++] = 0x27;
        end = putEscaped(out, end, bytes, start, length, SQL_ESCAPES);
        out[end++] = 0x27;
      }
    }
    out[end++] = 0x29;
    return end;
  });
}
