// Rows of the ledger as numbers only: when, which vault and shop, how many bytes. Ten million of them are added up in a moment.

/** A vault and a shop in it. */
export type Pair = readonly [vault: string, shop: string];

/** Rows in the ledger's order; `pair` are places in `pairs`. */
export interface Moves {
  readonly pairs: readonly Pair[];
  /** Epoch milliseconds, never going back. */
  readonly at: ArrayLike<number>;
  /** What came (+) or went (-). */
  readonly bytes: ArrayLike<number>;
  readonly pair: ArrayLike<number>;
  readonly length: number;
}

export interface MoveRow {
  readonly at: number;
  readonly vault: string;
  readonly shop: string;
  readonly bytes: number;
}

/** Two doubles (exact up to 2^53) and a number of four bytes. */
const ROW_BYTES = 20;

/** Gathers rows; `take` gives what was gathered and begins anew. */
export class MovesBuilder {
  readonly #pairs: Pair[] = [];
  readonly #numbers = new Map<string, Map<string, number>>();
  #at: number[] = [];
  #bytes: number[] = [];
  #pair: number[] = [];

  add({ at, bytes, shop, vault }: MoveRow): void {
    let shops = this.#numbers.get(vault);
    if (!shops) {
      shops = new Map();
      this.#numbers.set(vault, shops);
    }
    let number = shops.get(shop);
    if (number === undefined) {
      number = this.#pairs.length;
      this.#pairs.push([vault, shop]);
      shops.set(shop, number);
    }
    this.#at.push(at);
    this.#bytes.push(bytes);
    this.#pair.push(number);
  }

  take(): Moves {
    const moves = { pairs: [...this.#pairs], at: this.#at, bytes: this.#bytes, pair: this.#pair, length: this.#at.length };
    this.#at = [];
    this.#bytes = [];
    this.#pair = [];
    return moves;
  }
}

/** The moves as bytes, without their pairs: all instants, all bytes, all pairs, little-endian. */
export function packMoves({ at, bytes, length, pair }: Moves): Uint8Array {
  const packed = new ArrayBuffer(length * ROW_BYTES);
  new Float64Array(packed, 0, length).set(at);
  new Float64Array(packed, length * 8, length).set(bytes);
  new Uint32Array(packed, length * 16, length).set(pair);
  return new Uint8Array(packed);
}

export function unpackMoves(pairs: readonly Pair[], packed: Uint8Array): Moves {
  const length = packed.length / ROW_BYTES;
  // what the database gives may begin anywhere
  const { buffer, byteOffset } = packed.byteOffset % 8 === 0 ? packed : new Uint8Array(packed);
  return {
    pairs,
    length,
    at: new Float64Array(buffer, byteOffset, length),
    bytes: new Float64Array(buffer, byteOffset + length * 8, length),
    pair: new Uint32Array(buffer, byteOffset + length * 16, length),
  };
}
