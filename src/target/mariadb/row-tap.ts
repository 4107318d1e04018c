// Takes the rows of a running query out of the bytes that the server sends, before mysql2 makes a packet object of each.
import { CoffreError } from '../../errors.ts';

/**
 * One row of the text protocol as the server sent it: its fields, each behind its length, are the bytes from `from` to `to`.
 * They are only valid until it returns: the memory serves again.
 */
export type OnRow = (bytes: Buffer, from: number, to: number) => void;

const HEADER_BYTES = 4;
const LARGEST_PAYLOAD = 0xffffff;
/** First bytes of a payload (https://mariadb.com/kb/en/result-set-packets/). */
const OK = 0x00;
const LOCAL_INFILE = 0xfb;
const EOF = 0xfe;
const ERROR = 0xff;
/** An EOF is shorter than any row that begins with the same byte. */
const EOF_BYTES_BELOW = 9;

type Phase = 'through' | 'header' | 'columns' | 'rows';

/**
 * Stands between the socket and mysql2. Bytes go through as they are (copied, for mysql2 keeps what it likes), until `expectRows`
 * was called: then of the next answer head, column descriptions and end go through, and rows go to `onRow`. mysql2 sees a result
 * without rows; the number of the last packet is changed to fit.
 */
export class RowTap {
  readonly #forward: (bytes: Buffer) => void;
  #phase: Phase = 'through';
  #onRow: OnRow = () => {};
  #columnsLeft = 0;
  #lastSequence = 0;
  #paused = false;
  /** What is left of the chunk in which `pause` was called: it stays where it is until `resume`. */
  #rest: Buffer | null = null;
  /** The beginning of a packet whose end has not come, header included. */
  #part: Buffer = Buffer.alloc(0);
  #partBytes = 0;
  /** Payloads of a row of 16 MiB or more, which comes in several packets. */
  #long: Buffer[] = [];

  constructor(forward: (bytes: Buffer) => void) {
    this.#forward = forward;
  }

  /** To be called before the query is sent, while nothing else is under way. */
  expectRows(onRow: OnRow): void {
    if (this.#phase !== 'through') throw new CoffreError('E_INTERNAL', 'a query is still running on this connection');
    this.#phase = 'header';
    this.#onRow = onRow;
  }

  /** Rows are held back from now on. */
  pause(): void {
    this.#paused = true;
  }

  /** Takes up what was held back; false when that led to another pause. */
  resume(): boolean {
    this.#paused = false;
    const rest = this.#rest;
    this.#rest = null;
    return rest === null || this.take(rest);
  }

  /** What arrived. False: paused, and `bytes` must stay as they are until `resume` returned true. */
  take(bytes: Buffer): boolean {
    let at = 0;
    while (at < bytes.length) {
      if (this.#phase === 'through') {
        this.#forward(Buffer.from(bytes.subarray(at)));
        return true;
      }
      if (this.#paused) {
        this.#rest = bytes.subarray(at);
        return false;
      }
      at = this.#partBytes > 0 || bytes.length - at < HEADER_BYTES ? this.#complete(bytes, at) : this.#packets(bytes, at);
    }
    if (!this.#paused) return true;
    this.#rest = Buffer.alloc(0);
    return false;
  }

  /** All whole packets from `at` on; keeps the beginning of one that is not. Returns where it stopped. */
  #packets(bytes: Buffer, start: number): number {
    let at = start;
    while (bytes.length - at >= HEADER_BYTES && this.#phase !== 'through' && !this.#paused) {
      const length = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
      const end = at + HEADER_BYTES + length;
      if (end > bytes.length) return this.#keep(bytes, at, HEADER_BYTES + length);
      this.#packet(bytes, at, end);
      at = end;
    }
    return at;
  }

  #keep(bytes: Buffer, at: number, whole: number): number {
    if (this.#part.length < whole) this.#part = Buffer.allocUnsafeSlow(Math.max(whole, 64 * 1024));
    this.#partBytes = bytes.copy(this.#part, 0, at);
    return bytes.length;
  }

  /** Adds to the packet that was begun until it is whole. Returns where it stopped. */
  #complete(bytes: Buffer, start: number): number {
    let at = start;
    const upTo = (count: number): boolean => {
      const take = Math.min(count - this.#partBytes, bytes.length - at);
      if (this.#part.length < count) {
        const larger = Buffer.allocUnsafeSlow(Math.max(count, 64 * 1024));
        this.#part.copy(larger, 0, 0, this.#partBytes);
        this.#part = larger;
      }
      bytes.copy(this.#part, this.#partBytes, at, at + take);
      this.#partBytes += take;
      at += take;
      return this.#partBytes === count;
    };
    if (this.#partBytes < HEADER_BYTES && !upTo(HEADER_BYTES)) return at;
    const whole = HEADER_BYTES + this.#part.readUIntLE(0, 3);
    if (!upTo(whole)) return at;
    this.#partBytes = 0;
    this.#packet(this.#part, 0, whole);
    return at;
  }

  #packet(bytes: Buffer, at: number, end: number): void {
    const first = bytes[at + HEADER_BYTES];
    const length = end - at - HEADER_BYTES;
    if (this.#phase === 'rows') {
      if (this.#long.length > 0 || length === LARGEST_PAYLOAD) this.#longRow(bytes, at + HEADER_BYTES, end);
      else if (first === ERROR || (first === EOF && length < EOF_BYTES_BELOW)) this.#last(bytes, at, end);
      else this.#onRow(bytes, at + HEADER_BYTES, end);
      return;
    }
    this.#lastSequence = bytes[at + 3] as number;
    if (this.#phase === 'header') {
      // no result set: an error, or a statement without rows
      if (first === ERROR || first === OK || first === LOCAL_INFILE || first === undefined) this.#phase = 'through';
      else {
        this.#phase = 'columns';
        this.#columnsLeft = first < LOCAL_INFILE ? first : bytes.readUInt16LE(at + HEADER_BYTES + 1);
      }
    } else if (first === ERROR) {
      this.#phase = 'through';
    } else if (this.#columnsLeft === 0) {
      this.#phase = 'rows';
    } else {
      this.#columnsLeft--;
    }
    this.#forward(Buffer.from(bytes.subarray(at, end)));
  }

  #longRow(bytes: Buffer, from: number, to: number): void {
    this.#long.push(Buffer.from(bytes.subarray(from, to)));
    if (to - from === LARGEST_PAYLOAD) return;
    const row = Buffer.concat(this.#long);
    this.#long = [];
    this.#onRow(row, 0, row.length);
  }

  #last(bytes: Buffer, at: number, end: number): void {
    const packet = Buffer.from(bytes.subarray(at, end));
    packet[3] = (this.#lastSequence + 1) & 0xff;
    this.#phase = 'through';
    this.#forward(packet);
  }
}
