// Streaming zstd: plaintext to one frame at level 3, one or more frames back to plaintext, in memory bounded by the window.

import type { ZstdCompress, ZstdDecompress } from 'node:zlib';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { CoffreError } from '../errors.ts';

export const ZSTD_LEVEL = 3;
/** Readers refuse frames that need more than 8 MiB of history; level 3 needs 2 MiB. */
export const ZSTD_MAX_WINDOW_LOG = 23;

/** Plaintext of one frame where a segment is compressed frame by frame: what level 3 looks back upon, so hardly less dense than one frame. */
export const FRAME_BYTES = 2 * 1024 * 1024;

const COMPRESS_PARAMS = { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 };

/** What zstd itself recommends for its output. */
const OUTPUT_BYTES = 128 * 1024;
/** Each step is a round trip to another thread: smaller pieces are put together first. */
const STEP_BYTES = 128 * 1024;

/**
 * What level 3 does, but it looks for repetitions of 7 bytes and more instead of 5. Rows of a shop (647 MB): a sixth less time, and
 * the same size to a thousandth.
 */
const FRAME_PARAMS = { ...COMPRESS_PARAMS, [constants.ZSTD_c_minMatch]: 7 };

/** From the middle of a frame's plaintext: whether it is worth the denser level. */
const SAMPLE_BYTES = 64 * 1024;
const SAMPLE_FROM_BYTES = 8 * SAMPLE_BYTES;
const INCOMPRESSIBLE_SHARE = 0.85;

const NOT_WRITTEN = 0xffffffff;
/** What is given out at once where the memory serves again. */
const STEP_OUTPUT_BYTES = 512 * 1024;

/** zlib's stream as Node's own synchronous functions drive it (lib/zlib.js, processChunkSync). Not public: Node's version is pinned. */
interface SyncHandle {
  writeSync(flush: number, input: Uint8Array, inputAt: number, inputBytes: number, output: Uint8Array, at: number, room: number): void;
}
interface SyncStream {
  readonly _handle: SyncHandle | null;
  /** Room left in the output, input not taken. */
  readonly _writeState: Uint32Array;
}

/**
 * Makes frames at once, on the calling thread, for threads that nobody waits for. One context and one output buffer serve all of
 * them: `zstdCompressSync` makes both anew each time, and clearing that away costs as much as a fifth of the compressing.
 */
export class FrameCompressor {
  readonly #dense = new FrameStream(FRAME_PARAMS);
  /** For what hardly compresses anyway: a sixth of a percent larger, in less than half of the time. */
  readonly #quick = new FrameStream({ ...FRAME_PARAMS, [constants.ZSTD_c_compressionLevel]: 1 });

  /** One frame with a content checksum; valid until the next call. Throws E_FORMAT. */
  frame(plaintext: Uint8Array): Buffer {
    return (this.#hardlyCompresses(plaintext) ? this.#quick : this.#dense).frame(plaintext);
  }

  #hardlyCompresses(plaintext: Uint8Array): boolean {
    if (plaintext.length < SAMPLE_FROM_BYTES) return false;
    const from = (plaintext.length - SAMPLE_BYTES) >> 1;
    return this.#quick.frame(plaintext.subarray(from, from + SAMPLE_BYTES)).length > SAMPLE_BYTES * INCOMPRESSIBLE_SHARE;
  }

  close(): void {
    this.#dense.close();
    this.#quick.close();
  }
}

/** One zstd context with its output buffer. */
class FrameStream {
  readonly #stream: ZstdCompress;
  readonly #inner: SyncStream;
  #output = Buffer.allocUnsafeSlow(FRAME_BYTES + FRAME_BYTES / 128 + 1024);
  #error: Error | null = null;

  constructor(params: Record<number, number>) {
    this.#stream = createZstdCompress({ params });
    this.#inner = this.#stream as unknown as SyncStream;
    this.#stream.on('error', (error) => {
      this.#error = error;
    });
    if (typeof this.#inner._handle?.writeSync !== 'function' || !(this.#inner._writeState instanceof Uint32Array)) {
      throw new CoffreError('E_INTERNAL', 'this version of Node drives zstd in another way');
    }
  }

  frame(plaintext: Uint8Array): Buffer {
    const { _handle: handle, _writeState: state } = this.#inner;
    // ZSTD_compressBound: what does not compress grows by a 256th at most
    const bound = plaintext.length + Math.ceil(plaintext.length / 128) + 1024;
    if (this.#output.length < bound) this.#output = Buffer.allocUnsafeSlow(bound);
    // what a failed call leaves there must not pass for its result
    state[1] = NOT_WRITTEN;
    handle?.writeSync(constants.ZSTD_e_end, plaintext, 0, plaintext.length, this.#output, 0, this.#output.length);
    const [roomLeft = 0, inputLeft = 1] = state;
    if (this.#stream.destroyed || inputLeft !== 0 || roomLeft === 0) {
      throw new CoffreError('E_FORMAT', `zstd: ${this.#error?.message ?? 'a frame did not fit'}`);
    }
    return this.#output.subarray(0, this.#output.length - roomLeft);
  }

  close(): void {
    this.#stream.destroy();
  }
}

/**
 * Decompresses like `decompress`, on the calling thread and into one buffer: a chunk is only valid until the next one is asked for. For
 * a consumer that copies at once; a fresh buffer for each chunk costs the garbage collector more than decompressing. A last frame
 * that is cut off is not noticed here: only for plaintext whose size and hash are checked at its end. Throws E_FORMAT.
 */
export async function* decompressInPlace(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const stream = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_MAX_WINDOW_LOG } });
  // told a moment later, when nobody waits for it any more
  stream.on('error', () => {});
  const { _handle: handle, _writeState: state } = stream as unknown as SyncStream;
  const output = Buffer.allocUnsafeSlow(STEP_OUTPUT_BYTES);
  try {
    for await (const piece of stored) {
      let at = 0;
      for (let roomLeft = 0; at < piece.length || roomLeft === 0; ) {
        state[1] = NOT_WRITTEN;
        handle?.writeSync(constants.ZSTD_e_continue, piece, at, piece.length - at, output, 0, output.length);
        const inputLeft = state[1];
        if (stream.destroyed || inputLeft === NOT_WRITTEN || handle === null) {
          throw new CoffreError('E_FORMAT', 'zstd: no frame, a damaged one, or one that needs too much memory');
        }
        const before = at;
        at = piece.length - inputLeft;
        roomLeft = state[0] as number;
        if (roomLeft < output.length) yield output.subarray(0, output.length - roomLeft);
        else if (at === before) {
          if (at < piece.length) throw new CoffreError('E_FORMAT', 'zstd: something that is no frame follows one');
          break;
        }
      }
    }
  } finally {
    stream.destroy();
  }
}

/**
 * Decompresses one or more frames into `target`, on the calling thread; returns how many bytes came. As decompressInPlace it does not
 * notice a last frame that is cut off. Throws E_FORMAT, also when there is more than `target` holds.
 */
export async function decompressInto(stored: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, target: Uint8Array): Promise<number> {
  const stream = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_MAX_WINDOW_LOG } });
  stream.on('error', () => {});
  const { _handle: handle, _writeState: state } = stream as unknown as SyncStream;
  // Where the target is full zstd must still be able to say that nothing follows.
  const beyond = Buffer.allocUnsafeSlow(1024);
  let used = 0;
  try {
    for await (const piece of stored) {
      for (let at = 0, full = false; at < piece.length || full; ) {
        const [room, offset] = used < target.length ? [target, used] : [beyond, 0];
        state[1] = NOT_WRITTEN;
        handle?.writeSync(constants.ZSTD_e_continue, piece, at, piece.length - at, room, offset, room.length - offset);
        const [roomLeft = 0, inputLeft = NOT_WRITTEN] = state;
        if (stream.destroyed || inputLeft === NOT_WRITTEN || handle === null) {
          throw new CoffreError('E_FORMAT', 'zstd: no frame, a damaged one, or one that needs too much memory');
        }
        const came = room.length - offset - roomLeft;
        if (room === beyond && came > 0) throw new CoffreError('E_FORMAT', 'zstd: there is more than the plaintext should have');
        const before = at;
        at = piece.length - inputLeft;
        used += came;
        full = roomLeft === 0;
        if (came === 0 && at === before && at < piece.length)
          throw new CoffreError('E_FORMAT', 'zstd: something that is no frame follows one');
      }
    }
    return used;
  } finally {
    stream.destroy();
  }
}

/** Compresses into one frame with a content checksum. Backpressured; closes the source when its consumer stops. */
export async function* compress(plaintext: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const stage = new ZstdStage(
    createZstdCompress({
      chunkSize: OUTPUT_BYTES,
      params: COMPRESS_PARAMS,
    }),
  );
  try {
    for await (const piece of gather(plaintext)) yield* stage.write(piece);
    yield* stage.end();
  } finally {
    stage.close();
  }
}

/**
 * Decompresses one or more frames. Backpressured: a small input that expands a millionfold is given out piece by piece.
 * Throws E_FORMAT when the input is truncated, followed by something that is no frame, damaged, or needs too large a window.
 */
export async function* decompress(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let stage = makeDecompressStage();
  try {
    for await (const piece of gather(stored)) {
      let rest = piece;
      for (;;) {
        const takenBefore = stage.takenBytes;
        yield* stage.write(rest);
        const taken = stage.takenBytes - takenBefore;
        if (taken === rest.length) break;
        // zlib stops at a frame's end and says nothing about what follows; that must be another frame or it is an error.
        stage.close();
        stage = makeDecompressStage();
        rest = rest.subarray(taken);
      }
    }
    yield* stage.end();
  } finally {
    stage.close();
  }
}

function makeDecompressStage(): ZstdStage {
  return new ZstdStage(createZstdDecompress({ chunkSize: OUTPUT_BYTES, params: { [constants.ZSTD_d_windowLogMax]: ZSTD_MAX_WINDOW_LOG } }));
}

/** Pieces of at least STEP_BYTES (the last one may be shorter, none is empty): large chunks as they are, small ones joined. */
async function* gather(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let joined = Buffer.alloc(0);
  let used = 0;
  for await (const chunk of source) {
    if (used === 0 && chunk.length >= STEP_BYTES) {
      yield chunk;
      continue;
    }
    let offset = 0;
    while (offset < chunk.length) {
      if (used === 0 && joined.length === 0) joined = Buffer.allocUnsafe(STEP_BYTES);
      const count = Math.min(STEP_BYTES - used, chunk.length - offset);
      joined.set(chunk.subarray(offset, offset + count), used);
      used += count;
      offset += count;
      if (used === STEP_BYTES) {
        // The stage has consumed the piece when it asks for the next one: the buffer serves again.
        yield joined;
        used = 0;
      }
    }
  }
  if (used > 0) yield joined.subarray(0, used);
}

/** One zlib stream driven step by step: nothing runs between two steps, so nothing is left behind when a consumer stops. */
class ZstdStage {
  readonly #stream: ZstdCompress | ZstdDecompress;
  #error: Error | null = null;
  #ended = false;
  #wake: () => void = () => {};

  constructor(stream: ZstdCompress | ZstdDecompress) {
    this.#stream = stream;
    stream.on('readable', () => this.#wake());
    stream.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
    stream.on('error', (error) => {
      this.#error = error;
      this.#wake();
    });
  }

  /** Input bytes that zstd has consumed so far. */
  get takenBytes(): number {
    return this.#stream.bytesWritten;
  }

  async *write(piece: Uint8Array): AsyncGenerator<Buffer> {
    let consumed = false;
    this.#stream.write(piece, (error) => {
      // Told here before the error event: without it the step would look complete.
      if (error) this.#error = error;
      consumed = true;
      this.#wake();
    });
    yield* this.#output(() => consumed || this.#ended);
  }

  async *end(): AsyncGenerator<Buffer> {
    this.#stream.end();
    yield* this.#output(() => this.#ended);
  }

  close(): void {
    this.#stream.destroy();
  }

  async *#output(finished: () => boolean): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#error) throw new CoffreError('E_FORMAT', `zstd: ${this.#error.message}`, { cause: this.#error });
      const output: Buffer | null = this.#stream.read();
      if (output !== null) {
        yield output;
        continue;
      }
      if (finished()) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
