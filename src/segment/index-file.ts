// A snapshot's index as a local file: written line by line as the run's journal, compressed when complete, read at speed.
import { isAscii, isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CoffreError } from '../errors.ts';
import type { IndexEntry } from '../source/source.ts';
import { EntryLine, EntryLines } from './entry-line.ts';
import { decodeEntry, encodeEntry } from './index-line.ts';
import { compress, decompress } from './zstd.ts';

const READ_BYTES = 256 * 1024;
const WRITE_CHARACTERS = 256 * 1024;
/** A line lists the tables of one segment at most; nothing that coffre writes comes near. */
const LONGEST_LINE_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Appends entries to a plain `.ndjson` file. What was appended before a `flush` that returned survives a crash; a line
 * that was being written may be torn, and `readIndex` and `resume` leave it out.
 */
export class IndexWriter {
  readonly path: string;
  readonly #file: FileHandle;
  #entries: number;
  /** One write after the other, whoever calls. */
  #last: Promise<void> = Promise.resolve();

  private constructor(path: string, file: FileHandle, entries: number) {
    this.path = path;
    this.#file = file;
    this.#entries = entries;
  }

  /** A new file; an older one under that name is emptied. Throws E_STATE. */
  static async open(path: string): Promise<IndexWriter> {
    return new IndexWriter(path, await state(path, open(path, 'w', 0o600)), 0);
  }

  /** Goes on with an interrupted run's file after its last whole line. Throws E_STATE; E_FORMAT when it is no index. */
  static async resume(path: string): Promise<IndexWriter> {
    let entries = 0;
    let wholeBytes = 0;
    for await (const block of blocks(readable(createReadStream(path, { highWaterMark: READ_BYTES }), path), path)) {
      if (!block.whole) break;
      wholeBytes += block.bytes.length;
      for (let at = block.bytes.indexOf(NEWLINE); at !== -1; at = block.bytes.indexOf(NEWLINE, at + 1)) entries += 1;
    }
    const file = await state(path, open(path, 'r+'));
    await state(path, file.truncate(wholeBytes));
    await file.close();
    return new IndexWriter(path, await state(path, open(path, 'a', 0o600)), entries);
  }

  /** Lines in the file, those of calls still under way included. */
  get entries(): number {
    return this.#entries;
  }

  /** Appends the lines of `entries` in this order, after those of every earlier call. Throws E_STATE, E_STATE_SPACE. */
  append(entries: Iterable<IndexEntry>): Promise<void> {
    return this.#inTurn(async () => {
      let text = '';
      for (const entry of entries) {
        text += entry instanceof EntryLine ? `${entry.line}\n` : encodeEntry(entry);
        this.#entries += 1;
        if (text.length >= WRITE_CHARACTERS) {
          await this.#file.appendFile(text);
          text = '';
        }
      }
      if (text !== '') await this.#file.appendFile(text);
    });
  }

  /** Everything appended before this call is on the disk when it returns. */
  flush(): Promise<void> {
    return this.#inTurn(() => this.#file.datasync());
  }

  /** Flushes and closes. Idempotent after success. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#file.close();
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(() => state(this.path, work()));
    this.#last = turn;
    // The caller sees the rejection through `turn`; this copy of it is only the queue.
    this.#last.catch(() => {});
    return turn;
  }
}

export interface ReadIndexOptions {
  /** Decompress while reading. Default: whether the name ends in `.zst`. */
  readonly compressed?: boolean;
}

/**
 * The entries of a local index, plain or `.zst`, in order and in bounded memory. A plain file is a journal: what follows
 * its last newline is left out. Throws E_STATE when it cannot be read, E_FORMAT (with the line's number) on garbage.
 */
export async function* readIndex(path: string, options: ReadIndexOptions = {}): AsyncGenerator<IndexEntry> {
  const compressed = options.compressed ?? path.endsWith('.zst');
  const file = createReadStream(path, { highWaterMark: READ_BYTES });
  yield* readLines(compressed ? decompress(readable(file, path)) : readable(file, path), path, compressed);
}

/**
 * The same many at a time, for whoever compares nearly all of them with what is there now: most are `EntryLine`, decoded and checked no
 * further than to their path and segment.
 */
export async function* readIndexLines(path: string): AsyncGenerator<readonly IndexEntry[]> {
  const compressed = path.endsWith('.zst');
  const file = readable(createReadStream(path, { highWaterMark: READ_BYTES }), path);
  yield* entryLines(compressed ? decompress(file) : file, path, compressed);
}

/** As decodeIndex, for who asks little of each entry: most are `EntryLine`, as of readIndexLines. */
export async function* decodeIndexLines(plaintext: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<IndexEntry> {
  for await (const entries of entryLines(plaintext, what, true)) yield* entries;
}

async function* entryLines(source: AsyncIterable<Uint8Array>, what: string, endsWhole: boolean): AsyncGenerator<IndexEntry[]> {
  const lines = new EntryLines();
  let number = 0;
  const where = (): string => `${what}: line ${number}`;
  for await (const { text, ascii } of texts(source, what, endsWhole, where)) {
    const entries: IndexEntry[] = [];
    for (let start = 0, end = text.indexOf('\n'); end !== -1; start = end + 1, end = text.indexOf('\n', start)) {
      number += 1;
      const line = text.slice(start, end);
      entries.push(lines.read(line, ascii) ?? decodeEntry(line, where));
    }
    yield entries;
  }
}

/** The entries of an index's plaintext, as a restore gets it from a vault. Throws E_FORMAT and the stream's errors. */
export function decodeIndex(plaintext: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<IndexEntry> {
  return readLines(plaintext, what, true);
}

/** Compresses a finished index into `target` (`.ndjson.zst`), as `writeWhole` does. Throws E_STATE, E_STATE_SPACE. */
export async function compressIndex(path: string, target: string): Promise<void> {
  await writeWhole(target, async (append) => {
    for await (const chunk of compress(readJournal(path))) await append(chunk);
  });
}

/** The bytes of a local file, in chunks. Throws E_STATE. */
export function readJournal(path: string): AsyncGenerator<Uint8Array> {
  return readable(createReadStream(path, { highWaterMark: READ_BYTES }), path);
}

/**
 * Makes a file that is there whole or not at all: temporary file, fsync, rename, fsync of the folder. Returns what `write` does.
 * Throws what it throws, E_STATE, E_STATE_SPACE.
 */
export async function writeWhole<T>(target: string, write: (append: (chunk: Uint8Array) => Promise<void>) => Promise<T>): Promise<T> {
  const temporary = `${target}.tmp`;
  let result: T;
  try {
    const file = await state(target, open(temporary, 'w', 0o600));
    try {
      result = await write((chunk) => state(target, file.writeFile(chunk)));
      await state(target, file.sync());
    } finally {
      await file.close();
    }
    await state(target, rename(temporary, target));
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  const folder = await state(target, open(dirname(target), 'r'));
  try {
    await state(target, folder.sync());
  } finally {
    await folder.close();
  }
  return result;
}

async function* readLines(source: AsyncIterable<Uint8Array>, what: string, endsWhole: boolean): AsyncGenerator<IndexEntry> {
  let number = 0;
  const where = (): string => `${what}: line ${number}`;
  for await (const { text } of texts(source, what, endsWhole, where)) {
    for (let start = 0, end = text.indexOf('\n'); end !== -1; start = end + 1, end = text.indexOf('\n', start)) {
      number += 1;
      yield decodeEntry(text.slice(start, end), where);
    }
  }
}

/** Whole lines together. `where`: the last line of those before. */
async function* texts(source: AsyncIterable<Uint8Array>, what: string, endsWhole: boolean, where: () => string) {
  for await (const { bytes, whole } of blocks(source, what)) {
    if (!whole) {
      if (endsWhole) throw new CoffreError('E_FORMAT', `${what}: the last line is not complete`);
      return;
    }
    const ascii = isAscii(bytes);
    if (!ascii && !isUtf8(bytes)) throw new CoffreError('E_FORMAT', `${where()}: not UTF-8 after it`);
    yield { text: bytes.toString(ascii ? 'latin1' : 'utf8'), ascii };
  }
}

interface Block {
  readonly bytes: Buffer;
  /** Ends with a newline; false for what follows the last one, at the end. */
  readonly whole: boolean;
}

/** Cuts a byte stream into blocks of whole lines. */
async function* blocks(source: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<Block> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of source) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const cut = bytes.lastIndexOf(NEWLINE) + 1;
    if (cut > 0) {
      const block = heldBytes === 0 ? bytes.subarray(0, cut) : Buffer.concat([...held, bytes.subarray(0, cut)]);
      held = [];
      heldBytes = 0;
      yield { bytes: block, whole: true };
    }
    if (cut < bytes.length) {
      held.push(bytes.subarray(cut));
      heldBytes += bytes.length - cut;
      if (heldBytes > LONGEST_LINE_BYTES) throw new CoffreError('E_FORMAT', `${what}: a line of more than ${LONGEST_LINE_BYTES} bytes`);
    }
  }
  if (heldBytes > 0) yield { bytes: Buffer.concat(held), whole: false };
}

/** A local file's chunks; its errors become E_STATE. */
async function* readable(file: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* file;
  } catch (error) {
    throw stateError(path, error);
  }
}

async function state<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw stateError(path, error);
  }
}

function stateError(path: string, error: unknown): unknown {
  if (error instanceof CoffreError) return error;
  const full = error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  const text = error instanceof Error ? error.message : String(error);
  return new CoffreError(full ? 'E_STATE_SPACE' : 'E_STATE', `${path}: ${text}`, { cause: error });
}
