// A stored object back to its plaintext, checked against what the manifest says of it. The mirror of seal.ts.
import { createHash } from 'node:crypto';
import { finished, type Readable } from 'node:stream';
import { CoffreError } from '../errors.ts';
import { abortable } from './abortable.ts';
import { openAge, openWholeAge } from './age.ts';
import { giveBack } from './give-back.ts';
import type { SealedFacts } from './manifest-types.ts';
import { Meter } from './seal.ts';
import { decompress, decompressInPlace, decompressInto } from './zstd.ts';

export interface OpenOptions {
  /** The object's key, for messages. */
  readonly what: string;
  readonly expected: SealedFacts;
  /** age identities, or `none` for an object that is not encrypted. */
  readonly identities: readonly string[] | 'none';
  readonly signal?: AbortSignal;
  /** Chunks of plaintext are only valid until the next one is asked for: cheaper, for consumers that copy at once. */
  readonly inPlace?: boolean;
}

/**
 * Opens an object held in memory. Its size and SHA-256 are checked before anything is given out, the plaintext's at its end.
 * Throws E_OBJECT_ALTERED, E_DECRYPT, E_FORMAT, E_KEY, and the signal's reason.
 */
export async function* openBuffer(stored: Uint8Array, options: OpenOptions): AsyncGenerator<Buffer> {
  checkStored(stored, options.expected, options.what);
  yield* openChecked(pieces(stored), options);
}

/**
 * Opens an object held in memory into `room`, which holds at least its plaintext, on the calling thread: for threads that nobody waits for.
 * Nothing is given out that was not checked to its end, by the hash of the stored bytes and the size of the plaintext. Returns the plaintext, which lies in `room`. Throws as openBuffer does.
 */
export async function openInto(stored: Buffer, room: Buffer, options: Omit<OpenOptions, 'inPlace'>): Promise<Buffer> {
  const { expected, what, identities } = options;
  checkStored(stored, expected, what);
  let unlocked = false;
  try {
    const compressed = identities === 'none' ? [stored] : givenBack(openWholeAge(stored, identities, () => (unlocked = true)));
    const target = room.subarray(0, expected.plainBytes);
    const plaintext = target.subarray(0, await decompressInto(compressed, target));
    // The stored bytes are those of the signed manifest, and opening them has proven itself: age authenticates each chunk and where the last one is,
    // each frame of zstd carries the checksum of its content. A second hash would cost a twentieth of a restore; `verify --read-data` makes it.
    checkSize(what, 'plaintext', plaintext.length, expected.plainBytes);
    return plaintext;
  } catch (error) {
    throw named(asAltered(error, unlocked, what), what);
  }
}

/** Whoever takes these chunks is done with one when it asks for the next. */
async function* givenBack(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    yield chunk;
    giveBack(chunk);
  }
}

/** A header that let an identity in says that the key is right: then the content is wrong. */
function asAltered(error: unknown, unlocked: boolean, what: string): unknown {
  if (!unlocked || !(error instanceof CoffreError) || error.code !== 'E_DECRYPT') return error;
  return new CoffreError('E_OBJECT_ALTERED', `${what}: ${error.message}`, { cause: error });
}

/**
 * Opens an object as it arrives: what comes out is **not** yet known to be what was written until the end was reached
 * without error. Throws as openBuffer does; an object that goes on past its size is refused there.
 */
export async function* openStream(stored: AsyncIterable<Uint8Array>, options: OpenOptions): AsyncGenerator<Buffer> {
  yield* openChecked(checkedAtEnd(abortable(stored, options.signal), options), options);
}

/**
 * Reads an object into memory, never more than its expected size, and checks size and SHA-256.
 * Throws E_OBJECT_ALTERED, the stream's errors, and the signal's reason.
 */
export async function readStored(
  stored: AsyncIterable<Uint8Array>,
  expected: Pick<SealedFacts, 'storedBytes' | 'storedSha256'>,
  what: string,
  signal?: AbortSignal,
): Promise<Buffer> {
  const object = Buffer.allocUnsafeSlow(expected.storedBytes);
  let used = 0;
  for await (const chunk of abortable(stored, signal)) {
    if (used + chunk.length > expected.storedBytes) throw longer(what, expected.storedBytes);
    object.set(chunk, used);
    used += chunk.length;
  }
  checkSize(what, 'stored', used, expected.storedBytes);
  checkStored(object, expected, what);
  return object;
}

/**
 * Reads an object into `room`, at least as large, and checks its size; its hash is for whoever opens it to check. The chunks of `stored` must
 * be nobody else's: they are empty afterwards. Throws as readStored.
 */
export async function readStoredInto(
  stored: Readable,
  room: Buffer,
  expected: Pick<SealedFacts, 'storedBytes'>,
  what: string,
  signal?: AbortSignal,
): Promise<void> {
  let used = 0;
  const onAbort = (): void => void stored.destroy(signal?.reason);
  try {
    signal?.throwIfAborted();
    signal?.addEventListener('abort', onAbort, { once: true });
    await new Promise<void>((resolve, reject) => {
      finished(stored, { writable: false }, (error) => (error ? reject(error) : resolve()));
      stored.on('data', (chunk: Buffer) => {
        if (used + chunk.length > expected.storedBytes) {
          stored.destroy(longer(what, expected.storedBytes));
          return;
        }
        room.set(chunk, used);
        used += chunk.length;
        giveBack(chunk);
      });
    });
  } catch (error) {
    stored.destroy();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
  checkSize(what, 'stored', used, expected.storedBytes);
}

/** Throws E_OBJECT_ALTERED when size or SHA-256 of a stored object differ from what is expected. */
export function checkStored(stored: Uint8Array, expected: Pick<SealedFacts, 'storedBytes' | 'storedSha256'>, what: string): void {
  checkSize(what, 'stored', stored.length, expected.storedBytes);
  checkSha256(what, 'stored', createHash('sha256').update(stored).digest('hex'), expected.storedSha256);
}

export interface OpenSelfProvingOptions extends Omit<OpenOptions, 'expected' | 'inPlace'> {
  /** More plaintext than that is refused. */
  readonly maxPlainBytes: number;
}

/**
 * Opens an object whose content proves itself: a manifest, by its signature, when no catalog tells its hash.
 * Throws as openBuffer does.
 */
export async function* openSelfProving(stored: Uint8Array, options: OpenSelfProvingOptions): AsyncGenerator<Buffer> {
  yield* openLayers(pieces(stored), options, options.maxPlainBytes);
}

async function* openChecked(stored: AsyncIterable<Uint8Array>, options: OpenOptions): AsyncGenerator<Buffer> {
  const { expected, what } = options;
  const plain = new Meter();
  // What expands beyond its size is refused before the excess is given out.
  yield* plain.over(openLayers(stored, options, expected.plainBytes));
  checkSize(what, 'plaintext', plain.bytes, expected.plainBytes);
  checkSha256(what, 'plaintext', plain.sha256(), expected.plainSha256);
}

async function* openLayers(
  stored: AsyncIterable<Uint8Array>,
  { what, identities, signal, inPlace }: Omit<OpenOptions, 'expected'>,
  maxPlainBytes: number,
): AsyncGenerator<Buffer> {
  let plainBytes = 0;
  try {
    const compressed = identities === 'none' ? stored : decrypt(stored, identities, what);
    for await (const chunk of inPlace ? decompressInPlace(compressed) : decompress(compressed)) {
      signal?.throwIfAborted();
      plainBytes += chunk.length;
      if (plainBytes > maxPlainBytes) throw longer(`plaintext of ${what}`, maxPlainBytes);
      yield chunk;
    }
  } catch (error) {
    throw named(error, what);
  }
}

async function* decrypt(stored: AsyncIterable<Uint8Array>, identities: readonly string[], what: string): AsyncGenerator<Buffer> {
  const opener = openAge(identities);
  try {
    for await (const chunk of stored) {
      const output = await opener.push(chunk);
      if (output.length > 0) yield output;
    }
    const last = await opener.finish();
    if (last.length > 0) yield last;
  } catch (error) {
    throw asAltered(error, opener.unlocked, what);
  }
}

/** Passes a stored object on, and checks its size and hash before its last step can pass for an end. */
async function* checkedAtEnd(stored: AsyncIterable<Uint8Array>, options: OpenOptions): AsyncGenerator<Uint8Array> {
  const { expected, what } = options;
  const meter = new Meter();
  for await (const chunk of stored) {
    meter.add(chunk);
    if (meter.bytes > expected.storedBytes) throw longer(what, expected.storedBytes);
    yield chunk;
  }
  checkSize(what, 'stored', meter.bytes, expected.storedBytes);
  checkSha256(what, 'stored', meter.sha256(), expected.storedSha256);
}

/** Pieces that a step of zstd or age takes well. */
const PIECE_BYTES = 1024 * 1024;

async function* pieces(stored: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < stored.length; offset += PIECE_BYTES) yield stored.subarray(offset, offset + PIECE_BYTES);
}

function checkSize(what: string, which: string, actual: number, expected: number): void {
  if (actual !== expected) throw new CoffreError('E_OBJECT_ALTERED', `${what}: ${which} size is ${actual} bytes, expected ${expected}`);
}

function checkSha256(what: string, which: string, actual: string, expected: string): void {
  if (actual !== expected) throw new CoffreError('E_OBJECT_ALTERED', `${what}: ${which} SHA-256 is ${actual}, expected ${expected}`);
}

function longer(what: string, expected: number): CoffreError {
  return new CoffreError('E_OBJECT_ALTERED', `${what}: longer than the expected ${expected} bytes`);
}

/** The layers below know what is wrong, not with which object. */
function named(error: unknown, what: string): unknown {
  if (!(error instanceof CoffreError) || error.message.includes(what)) return error;
  if (error.code !== 'E_DECRYPT' && error.code !== 'E_FORMAT') return error;
  return new CoffreError(error.code, `${what}: ${error.message}`, { cause: error.cause ?? error, hint: error.hint });
}
