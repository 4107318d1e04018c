// Rows reach their reader whole and once, however the bytes of an answer are cut and whenever the reader pauses.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowTap } from '../../../src/target/mariadb/row-tap.ts';

const packet = (sequence: number, payload: Buffer): Buffer => {
  const head = Buffer.from([0, 0, 0, sequence & 0xff]);
  head.writeUIntLE(payload.length, 0, 3);
  return Buffer.concat([head, payload]);
};
const EOF = Buffer.from([0xfe, 0, 0, 2, 0]);
const ERROR = Buffer.concat([Buffer.from([0xff, 0x15, 0x04]), Buffer.from('#70100interrupted')]);

/** An answer of `columns` columns with these rows, as a server numbers its packets; a payload of 2^24 - 1 bytes goes on in the next. */
function answer(columns: number, rows: readonly Buffer[], end: Buffer): { bytes: Buffer; through: Buffer } {
  let sequence = 1;
  const out: Buffer[] = [];
  const add = (payload: Buffer): void => {
    out.push(packet(sequence++, payload));
  };
  add(columns < 0xfb ? Buffer.from([columns]) : Buffer.from([0xfc, columns & 0xff, columns >> 8]));
  for (let at = 0; at < columns; at++) add(Buffer.from(`column ${at}`));
  add(EOF);
  const head = Buffer.concat(out);
  for (const row of rows) {
    for (let at = 0; at <= row.length; at += 0xffffff) {
      add(row.subarray(at, at + 0xffffff));
      if (row.length - at < 0xffffff) break;
    }
  }
  out.push(packet(sequence, end));
  // to who is behind the tap no row came: the end has the number after the head's last
  return { bytes: Buffer.concat(out), through: Buffer.concat([head, packet(1 + columns + 2, end)]) };
}

/** Feeds the bytes in these pieces through one buffer that is overwritten each time, as a socket does. */
function feed(bytes: Buffer, pieces: readonly number[], pauseEvery: number): { rows: Buffer[]; through: Buffer } {
  const through: Buffer[] = [];
  const rows: Buffer[] = [];
  const tap = new RowTap((forwarded) => through.push(forwarded));
  tap.expectRows((buffer, from, to) => {
    rows.push(Buffer.from(buffer.subarray(from, to)));
    if (pauseEvery > 0 && rows.length % pauseEvery === 0) tap.pause();
  });
  const shared = Buffer.alloc(Math.max(...pieces));
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const count = bytes.copy(shared, 0, at, at + (pieces[index % pieces.length] as number));
    at += count;
    const before = rows.length;
    for (let going = tap.take(shared.subarray(0, count)); !going; going = tap.resume()) {
      if (pauseEvery > 0) expect(rows.length % pauseEvery, 'a row after a pause').toBe(0);
    }
    expect(rows.length).toBeGreaterThanOrEqual(before);
    shared.fill(0xee);
  }
  return { rows, through: Buffer.concat(through) };
}

// No row begins with what an error or a short EOF begins with: lengths come first.
const row = fc
  .uint8Array({ minLength: 1, maxLength: 300 })
  .map((bytes) => Buffer.from(bytes.map((byte, at) => (at === 0 ? byte % 0xfb : byte))));

test('any rows in any pieces with any pauses: all rows in order, and mysql2 sees an answer without rows', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.array(row, { maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 0, max: 3 }),
      fc.constantFrom(EOF, ERROR),
      (columns, rows, pieces, pauseEvery, end) => {
        const sent = answer(columns, rows, end);
        const got = feed(sent.bytes, pieces, pauseEvery);
        expect(got.rows.map((bytes) => bytes.toString('hex'))).toEqual(rows.map((bytes) => bytes.toString('hex')));
        expect(got.through.equals(sent.through)).toBe(true);
      },
    ),
  );
});

test.each([0xffffff - 1, 0xffffff, 0xffffff + 1, 2 * 0xffffff, 2 * 0xffffff + 5])(
  'a row of %d bytes, which may take several packets: comes as one',
  (size) => {
    const long = Buffer.alloc(size, 0x41);
    const sent = answer(2, [Buffer.from('before'), long, Buffer.from('after')], EOF);
    const got = feed(sent.bytes, [1_000_003, 17], 1);
    expect(got.rows.map((bytes) => bytes.length)).toEqual([6, size, 5]);
    expect(got.rows[1]?.equals(long)).toBe(true);
    expect(got.through.equals(sent.through)).toBe(true);
  },
);

test('a statement that answers without rows, or with an error: goes through, and the next answer is left alone', () => {
  for (const first of [Buffer.from([0x00, 1, 0, 2, 0, 0, 0]), ERROR]) {
    const through: Buffer[] = [];
    const tap = new RowTap((bytes) => through.push(bytes));
    tap.expectRows(() => expect.unreachable());
    const bytes = Buffer.concat([packet(1, first), packet(1, Buffer.from([1])), packet(2, Buffer.from('column'))]);
    expect(tap.take(bytes)).toBe(true);
    expect(Buffer.concat(through).equals(bytes)).toBe(true);
  }
});
