// Ids of live events: opaque, since the numbers behind them count everybody's events, and gaps would tell a client of other shops.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** One block of AES: the number, and zeros by which an id that is none of ours shows. */
const ALGORITHM = 'aes-128-ecb';
const BLOCK_BYTES = 16;

/** Of one daemon: the numbers begin anew with the next one, which has another key and takes none of these. */
export class EventIds {
  readonly #key = randomBytes(BLOCK_BYTES);

  encode(seq: number): string {
    const block = Buffer.alloc(BLOCK_BYTES);
    block.writeBigUInt64BE(BigInt(seq), 0);
    const cipher = createCipheriv(ALGORITHM, this.#key, null).setAutoPadding(false);
    return Buffer.concat([cipher.update(block), cipher.final()]).toString('base64url');
  }

  /** null: not one of these. */
  decode(id: string): number | null {
    const sealed = Buffer.from(id, 'base64url');
    if (sealed.length !== BLOCK_BYTES) return null;
    const decipher = createDecipheriv(ALGORITHM, this.#key, null).setAutoPadding(false);
    const block = Buffer.concat([decipher.update(sealed), decipher.final()]);
    if (block.readBigUInt64BE(8) !== 0n) return null;
    return Number(block.readBigUInt64BE(0));
  }
}
