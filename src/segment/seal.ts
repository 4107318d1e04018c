// Plaintext to a stored object: zstd, then age unless said otherwise, measured and hashed at both ends. The mirror of open.ts.
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { CoffreError } from '../errors.ts';
import { abortable } from './abortable.ts';
import { type AgeNote, sealAge } from './age.ts';
import type { SealedFacts } from './manifest-types.ts';
import { compress } from './zstd.ts';

/** Chunks of any size, as they come or all there. */
export type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface SealOptions {
  /** age recipients, at least one; or `none`: not encrypted, said aloud. */
  readonly recipients: readonly string[] | 'none';
  /** What the age header says in the clear; nothing where the object is not encrypted. */
  readonly note?: AgeNote;
  readonly signal?: AbortSignal;
  /** Gets each compressed chunk before it is encrypted, and is waited for. Of `sealStream` alone. */
  readonly onCompressed?: (chunk: Uint8Array) => Promise<void>;
  /** Estimate of the plaintext: room for that much stored object is set aside at once. Too low is only slower. */
  readonly estimatedBytes?: number;
}

export interface Sealed {
  /** The whole object. */
  readonly stored: Buffer;
  readonly facts: SealedFacts;
}

export interface SealedStream {
  /** The object, once, in chunks; closes its source when the consumer stops early. */
  readonly stored: AsyncIterable<Buffer>;
  /** Only after `stored` ended. */
  facts(): SealedFacts;
}

/** Room for what zstd and age add to plaintext that does not compress. */
const OVERHEAD_BYTES = 64 * 1024;
const SMALLEST_ROOM_BYTES = 64 * 1024;
/** No estimate reserves more than this at once. */
const LARGEST_ROOM_BYTES = 64 * 1024 * 1024;

/** Where a sealed object goes when it turns out too large for memory. */
export interface Overflow {
  /** Stored bytes that may be held. */
  readonly aboveBytes: number;
  /** A file that does not exist yet; the caller removes it. */
  readonly path: string;
}

export interface SealedOrSpilled {
  /** The whole object, or null: it is in `Overflow.path`. */
  readonly stored: Buffer | null;
  readonly facts: SealedFacts;
}

/**
 * Seals into memory: for what is to be stored with one PUT. Holds the stored object once, and pages of the room that
 * stay unused are never touched. Throws E_KEY, the source's errors, and the signal's reason.
 */
export async function seal(plaintext: Bytes, options: SealOptions): Promise<Sealed> {
  const { stored, facts } = await collect(plaintext, options, null);
  return { stored: stored as Buffer, facts };
}

/** The same, but what grows beyond `overflow.aboveBytes`, whatever was estimated, goes on in a file. Throws file system errors too. */
export function sealOrSpill(plaintext: Bytes, options: SealOptions, overflow: Overflow): Promise<SealedOrSpilled> {
  return collect(plaintext, options, overflow);
}

async function collect(plaintext: Bytes, options: SealOptions, overflow: Overflow | null): Promise<SealedOrSpilled> {
  const estimate = options.estimatedBytes ?? SMALLEST_ROOM_BYTES;
  const room = Math.max(SMALLEST_ROOM_BYTES, Math.min(estimate + Math.ceil(estimate / 1024) + OVERHEAD_BYTES, LARGEST_ROOM_BYTES));
  let object = Buffer.allocUnsafeSlow(room);
  let used = 0;
  let file: FileHandle | null = null;
  const stream = sealStream(plaintext, options);
  try {
    for await (const chunk of stream.stored) {
      if (file === null && overflow !== null && used + chunk.length > overflow.aboveBytes) {
        file = await open(overflow.path, 'wx', 0o600);
        await file.writeFile(object.subarray(0, used));
        object = Buffer.alloc(0);
      }
      if (file !== null) {
        await file.writeFile(chunk);
        continue;
      }
      if (used + chunk.length > object.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(object.length * 2, used + chunk.length));
        larger.set(object.subarray(0, used), 0);
        object = larger;
      }
      object.set(chunk, used);
      used += chunk.length;
    }
  } finally {
    await file?.close();
  }
  return { stored: file === null ? object.subarray(0, used) : null, facts: stream.facts() };
}

/** Seals as it is read: for what is too large to be held. Errors come out of `stored`. */
export function sealStream(plaintext: Bytes, options: SealOptions): SealedStream {
  const plain = new Meter();
  const stored = new Meter();
  let ended = false;
  async function* produce(): AsyncGenerator<Buffer> {
    const whole = compress(plain.over(abortable(plaintext, options.signal)));
    const compressed = options.onCompressed ? told(whole, options.onCompressed) : whole;
    yield* stored.over(options.recipients === 'none' ? compressed : encrypt(compressed, options.recipients, options.note ?? null));
    ended = true;
  }
  return {
    stored: produce(),
    facts() {
      if (!ended) throw new CoffreError('E_INTERNAL', 'facts of a sealed stream asked for before its end');
      return { plainBytes: plain.bytes, plainSha256: plain.sha256(), storedBytes: stored.bytes, storedSha256: stored.sha256() };
    },
  };
}

async function* told(chunks: AsyncIterable<Buffer>, onChunk: (chunk: Uint8Array) => Promise<void>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    await onChunk(chunk);
    yield chunk;
  }
}

async function* encrypt(
  compressed: AsyncIterable<Uint8Array>,
  recipients: readonly string[],
  note: AgeNote | null,
): AsyncGenerator<Buffer> {
  const sealer = await sealAge(recipients, note);
  yield sealer.header;
  for await (const chunk of compressed) {
    const output = sealer.push(chunk);
    if (output.length > 0) yield output;
  }
  yield sealer.finish();
}

/** Counts and hashes what passes. */
export class Meter {
  bytes = 0;
  readonly #hash = createHash('sha256');
  #digest: string | null = null;

  add(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
  }

  async *over<T extends Uint8Array>(source: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const chunk of source) {
      this.add(chunk);
      yield chunk;
    }
  }

  /** Hex; nothing may be added afterwards. */
  sha256(): string {
    this.#digest ??= this.#hash.digest('hex');
    return this.#digest;
  }
}
