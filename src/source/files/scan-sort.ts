// Sorts what a scan of any size finds: in memory as long as that is little, beyond it in sorted runs on disk that are merged.
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What is held in memory before it goes to disk: some 40,000 entries. */
export const RUN_BYTES = 8 * 1024 * 1024;
/** What a string costs beside its characters. */
const BYTES_PER_STRING = 32;
const WRITE_BYTES = 1024 * 1024;

/** Strings of one character per byte; sorted by these bytes. `add` everything, then `sorted` once, then `close`. */
export class ScanSort {
  readonly #dir: string;
  readonly #runBytes: number;
  readonly #runs: string[] = [];
  #lines: string[] = [];
  #bytes = 0;

  /** `dir` takes the runs. */
  constructor(dir: string, runBytes = RUN_BYTES) {
    this.#dir = dir;
    this.#runBytes = runBytes;
  }

  /** Must be awaited when it gives a promise. */
  add(line: string): Promise<void> | null {
    // A copy: as a slice of what was received it would keep all of that alive.
    this.#lines.push(Buffer.from(line, 'latin1').toString('latin1'));
    this.#bytes += line.length + BYTES_PER_STRING;
    return this.#bytes >= this.#runBytes ? this.#spill() : null;
  }

  async *sorted(): AsyncGenerator<string> {
    const rest = this.#lines.sort();
    this.#lines = [];
    if (this.#runs.length === 0) {
      yield* rest;
      return;
    }
    const heads: { line: string; readonly rest: AsyncIterator<string> | Iterator<string> }[] = [];
    for (const lines of [...this.#runs.map(readRun), rest[Symbol.iterator]()]) {
      const first = await lines.next();
      if (!first.done) heads.push({ line: first.value, rest: lines });
    }
    // There are few runs: the least of their heads is found by looking at each.
    while (heads.length > 0) {
      let least = 0;
      for (let i = 1; i < heads.length; i++) if ((heads[i] as { line: string }).line < (heads[least] as { line: string }).line) least = i;
      const head = heads[least] as (typeof heads)[number];
      yield head.line;
      const next = await head.rest.next();
      if (next.done) heads.splice(least, 1);
      else head.line = next.value;
    }
  }

  /** Removes the runs. Idempotent. */
  async close(): Promise<void> {
    this.#lines = [];
    for (const path of this.#runs.splice(0)) await rm(path, { force: true });
  }

  async #spill(): Promise<void> {
    const lines = this.#lines.sort();
    this.#lines = [];
    this.#bytes = 0;
    const path = join(this.#dir, `scan-${this.#runs.length}.run`);
    await rm(path, { force: true });
    this.#runs.push(path);
    const file = await open(path, 'wx', 0o600);
    try {
      await writeRun(file, lines);
    } finally {
      await file.close();
    }
  }
}

/** Each line after its length, 4 bytes. */
async function writeRun(file: FileHandle, lines: readonly string[]): Promise<void> {
  let buffer = Buffer.allocUnsafe(WRITE_BYTES);
  let used = 0;
  const flush = async (): Promise<void> => {
    for (let at = 0; at < used; ) at += (await file.write(buffer, at, used - at)).bytesWritten;
    used = 0;
  };
  for (const line of lines) {
    if (used + 4 + line.length > buffer.length) await flush();
    if (4 + line.length > buffer.length) buffer = Buffer.allocUnsafe(4 + line.length);
    buffer.writeUInt32LE(line.length, used);
    buffer.write(line, used + 4, 'latin1');
    used += 4 + line.length;
  }
  await flush();
}

async function* readRun(path: string): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 64 * 1024 })) {
    rest = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
    let at = 0;
    while (at + 4 <= rest.length) {
      const end = at + 4 + rest.readUInt32LE(at);
      if (end > rest.length) break;
      yield rest.toString('latin1', at + 4, end);
      at = end;
    }
    rest = rest.subarray(at);
  }
}
