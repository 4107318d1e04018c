// Turns the rows of a .tsv segment into INSERT statements, for servers that refuse LOAD DATA LOCAL.
import { CoffreError } from '../../errors.ts';
import type { TsvColumn, TsvTable } from './load-statement.ts';
import { quoteName } from './names.ts';

const TAB = 0x09;
const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
const QUOTE = 0x27;
const CAPITAL_N = 0x4e;
const HEX = /^(?:[0-9A-Fa-f]{2})+$/;

/**
 * Statements of about `statementBytes` (one row may exceed it). Values travel as they stand in the file: text becomes a
 * string literal, hex a hex literal. Throws E_LOAD_MISMATCH for a line with other than the table's fields or without its end.
 */
export async function* insertStatements(
  { table, columns }: TsvTable,
  tsv: AsyncIterable<Uint8Array>,
  statementBytes: number,
): AsyncGenerator<Buffer> {
  const head = Buffer.from(`INSERT INTO ${quoteName(table)} (${columns.map((column) => quoteName(column.name)).join(',')}) VALUES `);
  const comma = Buffer.from(',');
  let pieces: Buffer[] = [];
  let size = 0;
  for await (const line of lines(tsv, table)) {
    const row = rowLiteral(line, columns, table);
    pieces.push(pieces.length === 0 ? head : comma, row);
    size += row.length + 1;
    if (size >= statementBytes) {
      yield Buffer.concat(pieces);
      pieces = [];
      size = 0;
    }
  }
  if (pieces.length > 0) yield Buffer.concat(pieces);
}

/** Lines without their newline; an escaped newline (backslash before it) would belong to the value, but coffre writes `\n`. */
async function* lines(tsv: AsyncIterable<Uint8Array>, table: string): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  for await (const chunk of tsv) {
    const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    for (;;) {
      const newline = buffer.indexOf(NEWLINE, start);
      if (newline < 0) break;
      const tail = buffer.subarray(start, newline);
      yield rest.length > 0 ? Buffer.concat([...rest, tail]) : tail;
      rest = [];
      start = newline + 1;
    }
    if (start < buffer.length) rest.push(Buffer.from(buffer.subarray(start)));
  }
  if (rest.length > 0) throw new CoffreError('E_LOAD_MISMATCH', `${table}: its rows end within a row`);
}

function rowLiteral(line: Buffer, columns: readonly TsvColumn[], table: string): Buffer {
  // A text byte grows to two at most, a field by its quotes and comma.
  const out = Buffer.allocUnsafe(line.length * 2 + columns.length * 8 + 2);
  let end = 0;
  let at = 0;
  out[end++] = 0x28;
  for (const [index, column] of columns.entries()) {
    let stop = line.indexOf(TAB, at);
    if (stop < 0) stop = line.length;
    if ((stop === line.length) !== (index === columns.length - 1)) {
      throw new CoffreError('E_LOAD_MISMATCH', `a row of ${table} has other than ${columns.length} fields`);
    }
    if (index > 0) out[end++] = 0x2c;
    if (stop - at === 2 && line[at] === BACKSLASH && line[at + 1] === CAPITAL_N) end += out.write('NULL', end, 'latin1');
    else if (column.form === 'hex') end = hexLiteral(line, at, stop, out, end, table);
    else end = textLiteral(line, at, stop, out, end);
    at = stop + 1;
  }
  out[end++] = 0x29;
  return out.subarray(0, end);
}

function hexLiteral(line: Buffer, start: number, stop: number, out: Buffer, end: number, table: string): number {
  if (start === stop) return end + out.write("''", end, 'latin1');
  const text = line.toString('latin1', start, stop);
  if (!HEX.test(text)) throw new CoffreError('E_LOAD_MISMATCH', `a row of ${table} has a field that is not hexadecimal`);
  return end + out.write(`0x${text}`, end, 'latin1');
}

/** The escapes of the file (backslash and a letter) mean the same in a string literal; only the quote is new. */
function textLiteral(line: Buffer, start: number, stop: number, out: Buffer, end: number): number {
  out[end++] = QUOTE;
  for (let at = start; at < stop; at++) {
    const byte = line[at] as number;
    if (byte === QUOTE) out[end++] = BACKSLASH;
    out[end++] = byte;
  }
  out[end++] = QUOTE;
  return end;
}
