// Splits SQL text into statements as the mariadb client does: quotes, comments, executable comments, DELIMITER.
import { CoffreError } from '../../errors.ts';

/** A statement is held in memory as a whole; max_allowed_packet of a usual server is far below this. */
const LONGEST_STATEMENT_BYTES = 256 * 1024 * 1024;
const FIRST_CAPACITY_BYTES = 256 * 1024;
/** The longest comment sign: `/*M!`. */
const LONGEST_SIGN_BYTES = 4;

const NEWLINE = 0x0a;
const SPACE = 0x20;
const BANG = 0x21;
const DOUBLE_QUOTE = 0x22;
const HASH = 0x23;
const SINGLE_QUOTE = 0x27;
const STAR = 0x2a;
const DASH = 0x2d;
const SLASH = 0x2f;
const CAPITAL_M = 0x4d;
const BACKSLASH = 0x5c;
const BACKTICK = 0x60;

export class StatementSplitter {
  /** Follows the session's sql_mode NO_BACKSLASH_ESCAPES: set it between two statements. */
  backslashEscapes = true;

  #buffer = Buffer.allocUnsafe(FIRST_CAPACITY_BYTES);
  #end = 0;
  /** Where the statement begins, and up to where it was looked at. */
  #start = 0;
  #at = 0;
  #inside: 'code' | 'quote' | 'line comment' | 'comment' = 'code';
  #quote = 0;
  /** In an executable comment: its content counts as code, and a delimiter in it ends nothing. */
  #executable = false;
  /** Something other than blanks and comments was seen since `#start`. */
  #content = false;
  #delimiter = Buffer.from(';');

  /** Takes more text. Throws E_FORMAT for a statement that never ends. */
  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#buffer.length) this.#makeRoom(chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next complete statement without its delimiter, comments before it dropped; null when more text is needed.
   * `last` says that no more text will come. Throws E_FORMAT.
   */
  next(last = false): Buffer | null {
    for (;;) {
      // A byte is decided only when every sign that may begin with it is there as a whole.
      const limit = last ? this.#end : this.#end - Math.max(LONGEST_SIGN_BYTES, this.#delimiter.length) + 1;
      if (this.#at >= limit) break;
      if (this.#inside === 'quote') this.#skipQuoted(limit);
      else if (this.#inside === 'comment') this.#skipComment(limit);
      else if (this.#inside === 'line comment') this.#skipLine(limit);
      else if (!this.#content && this.#maybeDelimiterCommand(last)) {
        if (!this.#takeDelimiterCommand(last)) return null;
      } else {
        const statement = this.#skipCode(limit);
        if (statement) return statement;
      }
    }
    if (!last || !this.#content) return null;
    if (this.#inside === 'quote' || this.#executable) throw new CoffreError('E_FORMAT', 'an SQL segment ends inside a string or comment');
    return this.#take(this.#end, this.#end);
  }

  /** Moves over code up to a change of state; returns the statement when its delimiter was met. */
  #skipCode(limit: number): Buffer | null {
    const buffer = this.#buffer;
    const first = this.#delimiter[0];
    while (this.#at < limit) {
      const byte = buffer[this.#at] as number;
      if (byte === first && !this.#executable && this.#isDelimiterHere()) {
        const resume = this.#at + this.#delimiter.length;
        if (this.#content) return this.#take(this.#at, resume);
        this.#at = resume;
        this.#start = resume;
        return null;
      }
      if (byte === SINGLE_QUOTE || byte === DOUBLE_QUOTE || byte === BACKTICK) {
        this.#inside = 'quote';
        this.#quote = byte;
        this.#content = true;
        this.#at++;
        return null;
      }
      if ((byte === HASH || byte === DASH || byte === SLASH || byte === STAR) && this.#commentSign(byte)) return null;
      this.#at++;
      if (byte > SPACE) {
        this.#content = true;
      } else if (!this.#content) {
        this.#start = this.#at;
        // A DELIMITER command may follow.
        return null;
      }
    }
    return null;
  }

  /** Handles a sign that opens a comment or closes an executable one at `#at`; false when it is none. */
  #commentSign(byte: number): boolean {
    const second = this.#peek(1);
    const third = this.#peek(2);
    if (byte === HASH || (byte === DASH && second === DASH && third <= SPACE)) {
      this.#inside = 'line comment';
      return true;
    }
    if (byte === SLASH && second === STAR) {
      const executable = third === BANG || (third === CAPITAL_M && this.#peek(3) === BANG);
      if (executable && !this.#executable) {
        this.#executable = true;
        this.#content = true;
      } else {
        this.#inside = 'comment';
      }
      this.#at += 2;
      return true;
    }
    if (byte === STAR && second === SLASH && this.#executable) {
      this.#executable = false;
      this.#at += 2;
      return true;
    }
    return false;
  }

  /** The byte `offset` after the current one; 0 beyond the end. */
  #peek(offset: number): number {
    return this.#at + offset < this.#end ? (this.#buffer[this.#at + offset] as number) : 0;
  }

  #skipQuoted(limit: number): void {
    const buffer = this.#buffer;
    const escapes = this.#quote !== BACKTICK && this.backslashEscapes;
    while (this.#at < limit) {
      const byte = buffer[this.#at++];
      if (byte === BACKSLASH && escapes) {
        this.#at++;
      } else if (byte === this.#quote) {
        // A doubled quote closes and opens again: the same to a splitter.
        this.#inside = 'code';
        return;
      }
    }
  }

  #skipComment(limit: number): void {
    const close = this.#buffer.subarray(0, this.#end).indexOf('*/', this.#at);
    this.#at = close < 0 ? limit : close + 2;
    if (close >= 0) this.#inside = 'code';
    if (!this.#content) this.#start = this.#at;
  }

  #skipLine(limit: number): void {
    const newline = this.#buffer.subarray(0, limit).indexOf(NEWLINE, this.#at);
    this.#at = newline < 0 ? limit : newline;
    if (newline >= 0) this.#inside = 'code';
    if (!this.#content) this.#start = this.#at;
  }

  #isDelimiterHere(): boolean {
    const end = this.#at + this.#delimiter.length;
    return end <= this.#end && this.#buffer.subarray(this.#at, end).equals(this.#delimiter);
  }

  #maybeDelimiterCommand(last: boolean): boolean {
    const byte = this.#buffer[this.#at];
    if (byte !== 0x44 && byte !== 0x64) return false;
    const known = this.#buffer
      .toString('latin1', this.#at, Math.min(this.#end, this.#at + 10))
      .toLowerCase()
      .replace('\t', ' ');
    return last ? known === 'delimiter ' : 'delimiter '.startsWith(known);
  }

  /** Reads `DELIMITER x` up to the end of its line; false when the line is not complete yet. */
  #takeDelimiterCommand(last: boolean): boolean {
    const newline = this.#buffer.subarray(0, this.#end).indexOf(NEWLINE, this.#at);
    if (newline < 0 && !last) return false;
    const end = newline < 0 ? this.#end : newline;
    const word = this.#buffer
      .toString('latin1', this.#at + 'delimiter '.length, end)
      .trim()
      .split(/\s/)[0];
    if (!word) throw new CoffreError('E_FORMAT', 'an SQL segment has a DELIMITER command without a delimiter');
    this.#delimiter = Buffer.from(word, 'latin1');
    this.#at = end;
    this.#start = end;
    return true;
  }

  #take(end: number, resume: number): Buffer {
    const statement = Buffer.from(this.#buffer.subarray(this.#start, end));
    this.#start = resume;
    this.#at = resume;
    this.#content = false;
    return statement;
  }

  #makeRoom(extra: number): void {
    const needed = this.#end - this.#start + extra;
    if (needed > LONGEST_STATEMENT_BYTES) throw new CoffreError('E_FORMAT', 'an SQL segment holds a statement that never ends');
    // Twice what is needed, so that a long statement is moved few times however small its pieces are.
    const target = needed * 2 > this.#buffer.length ? Buffer.allocUnsafe(needed * 2) : this.#buffer;
    this.#buffer.copy(target, 0, this.#start, this.#end);
    this.#buffer = target;
    this.#end -= this.#start;
    this.#at -= this.#start;
    this.#start = 0;
  }
}
