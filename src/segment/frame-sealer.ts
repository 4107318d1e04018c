// One object sealed in memory by synchronous steps, for a thread that does nothing else: several times today's streams per CPU second.
import { createHash } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { type AgeStart, PayloadSealer } from './age-payload.ts';
import type { SealedFacts } from './manifest-types.ts';
import type { Overflow, SealOptions } from './seal.ts';
import { FRAME_BYTES, type FrameCompressor } from './zstd.ts';

/** What zstd adds to a frame that does not compress, and age to it, with room to spare. */
const FRAME_OVERHEAD_BYTES = 64 * 1024;
const SMALLEST_ROOM_BYTES = 64 * 1024;
/** No estimate reserves more than this at once; and whatever is not small gets as much, so that memory fits the next object too. */
export const LARGEST_ROOM_BYTES = 64 * 1024 * 1024;
const LARGE_FROM_BYTES = 4 * 1024 * 1024;

/** Memory that an object is given to begin with, by its estimated plaintext. */
export function roomBytes(estimatedBytes: number): number {
  const estimate = estimatedBytes + FRAME_OVERHEAD_BYTES;
  return estimate >= LARGE_FROM_BYTES ? LARGEST_ROOM_BYTES : Math.max(SMALLEST_ROOM_BYTES, estimate);
}

/** Pages that stay unused are never touched. */
function makeRoom(bytes: number): Buffer<SharedArrayBuffer> {
  return Buffer.from(new SharedArrayBuffer(bytes));
}

export interface SealedObject {
  /** The whole object at the beginning of a buffer of its own, or null: it is in `Overflow.path`. */
  readonly stored: Buffer<SharedArrayBuffer> | null;
  readonly facts: SealedFacts;
}

export interface FrameSealerOptions extends Pick<SealOptions, 'estimatedBytes'> {
  /** null: not encrypted. */
  readonly age: AgeStart | null;
  readonly overflow: Overflow;
  /** Memory that an earlier object lay in, to be used again: what is freed and made anew costs the garbage collector dearly. */
  readonly room?: SharedArrayBuffer;
}

/** Takes pieces of at most FRAME_BYTES, each of which becomes a zstd frame, and gives the sealed object. */
export class FrameSealer {
  readonly #compressor: FrameCompressor;
  readonly #age: PayloadSealer | null;
  readonly #overflow: Overflow;
  readonly #plainHash = createHash('sha256');
  readonly #storedHash = createHash('sha256');
  #room: Buffer<SharedArrayBuffer>;
  #used = 0;
  #plainBytes = 0;
  #spilledBytes = 0;
  #file: number | null = null;

  constructor(compressor: FrameCompressor, options: FrameSealerOptions) {
    const { age } = options;
    const room = roomBytes(options.estimatedBytes ?? 0);
    this.#compressor = compressor;
    this.#age = age && new PayloadSealer(age.key);
    this.#overflow = options.overflow;
    const used = options.room && options.room.byteLength >= room ? Buffer.from(options.room) : null;
    this.#room = used ?? makeRoom(room);
    if (age) this.#append(age.header.length, (into, at) => into.set(age.header, at));
  }

  /** `piece` may be overwritten when this returns. Throws the file system's errors. */
  add(piece: Uint8Array): void {
    this.#plainBytes += piece.length;
    this.#plainHash.update(piece);
    const frame = this.#compressor.frame(piece);
    const age = this.#age;
    if (age) this.#append(age.nextBytes(frame.length), (room, at) => age.pushInto(frame, room, at));
    else this.#append(frame.length, (room, at) => frame.copy(room, at));
  }

  /** The object; the sealer has let go of it. */
  finish(): SealedObject {
    // no plaintext at all is a frame too: an object without one could not be decompressed
    if (this.#plainBytes === 0) this.add(new Uint8Array(0));
    const rest = this.#age?.finish();
    if (rest) this.#append(rest.length, (room, at) => rest.copy(room, at));
    const storedBytes = this.#spilledBytes + this.#used;
    const stored = this.#file === null ? this.#room.subarray(0, this.#used) : null;
    if (this.#file !== null) {
      this.#flush();
      closeSync(this.#file);
      this.#file = null;
    }
    const plainSha256 = this.#plainHash.digest('hex');
    const storedSha256 = this.#storedHash.digest('hex');
    return {
      stored,
      facts: { plainBytes: this.#plainBytes, plainSha256, storedBytes, storedSha256 },
    };
  }

  /** Nothing of it is wanted any more: a file that was begun goes. */
  drop(): void {
    if (this.#file === null) return;
    closeSync(this.#file);
    this.#file = null;
    unlinkSync(this.#overflow.path);
  }

  #append(bytes: number, write: (room: Buffer, at: number) => void): void {
    if (this.#file === null && this.#used + bytes > this.#overflow.aboveBytes) {
      this.#file = openSync(this.#overflow.path, 'wx', 0o600);
      this.#flush();
      this.#room = makeRoom(FRAME_BYTES + FRAME_OVERHEAD_BYTES);
    }
    if (this.#used + bytes > this.#room.length) {
      const larger = makeRoom(Math.max(this.#room.length * 2, this.#used + bytes));
      this.#room.copy(larger, 0, 0, this.#used);
      this.#room = larger;
    }
    write(this.#room, this.#used);
    const appended = this.#room.subarray(this.#used, this.#used + bytes);
    this.#storedHash.update(appended);
    this.#used += bytes;
    if (this.#file !== null) this.#flush();
  }

  #flush(): void {
    let at = 0;
    while (at < this.#used) at += writeSync(this.#file as number, this.#room, at, this.#used - at);
    this.#spilledBytes += this.#used;
    this.#used = 0;
  }
}
