// The payload of age v1 files (https://c2sp.org/age), by node:crypto: all that a thread needs which is given a header and a key.
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { CoffreError } from '../errors.ts';
import { giveBack } from './give-back.ts';

export const CHUNK_BYTES = 64 * 1024;
export const TAG_BYTES = 16;
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;
const AEAD = 'chacha20-poly1305';
const NO_BYTES = Buffer.alloc(0);

/** What a new age file begins with. */
export interface AgeStart {
  /** Header and payload nonce. */
  readonly header: Uint8Array;
  /** A secret of this one file. */
  readonly key: Uint8Array;
}

/** RFC 5869, as age says. */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** The STREAM nonce: 11 bytes of big-endian counter, then 1 for the last chunk, else 0. */
class ChunkNonce {
  readonly bytes = Buffer.alloc(12);
  #counter = 0;

  take(last: boolean): Buffer {
    // The upper five bytes stay 0: 2^48 chunks are 16 EiB.
    this.bytes.writeUIntBE(this.#counter, 5, 6);
    this.bytes[11] = last ? 1 : 0;
    this.#counter += 1;
    return this.bytes;
  }
}

/** Cuts a stream into whole blocks, always holding back the last one, whole or not: only `finish` knows that it was the last. */
class BlockCutter {
  readonly #blockBytes: number;
  readonly #held: Buffer;
  #heldBytes = 0;

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
    this.#held = Buffer.allocUnsafe(blockBytes);
  }

  /** How many blocks `push(input)` will hand over. */
  count(inputBytes: number): number {
    return Math.max(0, Math.ceil((this.#heldBytes + inputBytes) / this.#blockBytes) - 1);
  }

  /** Hands each complete block that is not the last to `onBlock`, which must be done with it on return. */
  push(input: Uint8Array, onBlock: (block: Uint8Array) => void): void {
    let offset = 0;
    if (this.#heldBytes > 0) {
      offset = Math.min(this.#blockBytes - this.#heldBytes, input.length);
      this.#held.set(input.subarray(0, offset), this.#heldBytes);
      this.#heldBytes += offset;
      if (offset === input.length) return;
      onBlock(this.#held);
      this.#heldBytes = 0;
    }
    for (; input.length - offset > this.#blockBytes; offset += this.#blockBytes) {
      onBlock(input.subarray(offset, offset + this.#blockBytes));
    }
    this.#held.set(input.subarray(offset), 0);
    this.#heldBytes = input.length - offset;
  }

  finish(): Uint8Array {
    return this.#held.subarray(0, this.#heldBytes);
  }
}

export class PayloadSealer {
  /** Not bytes: to tell that those are no key object, Node makes and drops two errors for each chunk. */
  readonly #key: KeyObject;
  readonly #nonce = new ChunkNonce();
  readonly #cutter = new BlockCutter(CHUNK_BYTES);

  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  push(plaintext: Uint8Array): Buffer {
    const bytes = this.nextBytes(plaintext.length);
    const output = bytes === 0 ? NO_BYTES : Buffer.allocUnsafe(bytes);
    this.pushInto(plaintext, output, 0);
    return output;
  }

  nextBytes(plainBytes: number): number {
    return this.#cutter.count(plainBytes) * SEALED_CHUNK_BYTES;
  }

  pushInto(plaintext: Uint8Array, target: Buffer, offset: number): void {
    let at = offset;
    this.#cutter.push(plaintext, (chunk) => {
      at += this.#seal(chunk, false, target, at);
    });
  }

  finish(): Buffer {
    const chunk = this.#cutter.finish();
    const output = Buffer.allocUnsafe(chunk.length + TAG_BYTES);
    this.#seal(chunk, true, output, 0);
    return output;
  }

  #seal(chunk: Uint8Array, last: boolean, output: Buffer, offset: number): number {
    const cipher = createCipheriv(AEAD, this.#key, this.#nonce.take(last), { authTagLength: TAG_BYTES });
    const sealed = cipher.update(chunk);
    output.set(sealed, offset);
    giveBack(sealed);
    cipher.final();
    output.set(cipher.getAuthTag(), offset + chunk.length);
    return chunk.length + TAG_BYTES;
  }
}

export class PayloadOpener {
  readonly #key: KeyObject;
  readonly #nonce = new ChunkNonce();
  readonly #cutter = new BlockCutter(SEALED_CHUNK_BYTES);
  #chunks = 0;

  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  push(stored: Uint8Array): Buffer {
    const plaintexts: Buffer[] = [];
    this.#cutter.push(stored, (chunk) => plaintexts.push(this.#open(chunk, false)));
    return plaintexts.length === 1 ? (plaintexts[0] as Buffer) : Buffer.concat(plaintexts);
  }

  *whole(stored: Buffer): Generator<Buffer> {
    const last = Math.max(0, Math.ceil(stored.length / SEALED_CHUNK_BYTES) - 1) * SEALED_CHUNK_BYTES;
    for (let at = 0; at < last; at += SEALED_CHUNK_BYTES) yield this.#open(stored.subarray(at, at + SEALED_CHUNK_BYTES), false);
    yield this.#last(stored.subarray(last));
  }

  finish(): Buffer {
    return this.#last(this.#cutter.finish());
  }

  #last(chunk: Uint8Array): Buffer {
    const first = this.#chunks === 0;
    const plaintext = this.#open(chunk, true);
    // An empty last chunk after a full one would give one plaintext two forms.
    if (plaintext.length === 0 && !first) throw new CoffreError('E_FORMAT', 'age: the last chunk is empty');
    return plaintext;
  }

  #open(chunk: Uint8Array, last: boolean): Buffer {
    const number = this.#chunks;
    this.#chunks += 1;
    if (chunk.length < TAG_BYTES) throw new CoffreError('E_FORMAT', `age: chunk ${number} is truncated`);
    const text = chunk.subarray(0, chunk.length - TAG_BYTES);
    const decipher = createDecipheriv(AEAD, this.#key, this.#nonce.take(last), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(chunk.subarray(text.length));
    const plaintext = decipher.update(text);
    try {
      decipher.final();
    } catch (error) {
      throw new CoffreError('E_DECRYPT', `age: chunk ${number} was altered or the file was truncated`, { cause: error });
    }
    return plaintext;
  }
}
