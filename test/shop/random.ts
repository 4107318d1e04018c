// A small seeded generator of pseudo-random values: the same seed gives the same shop on every machine.

/** xoshiro128** (Blackman, Vigna; public domain), seeded through splitmix32 from a text. Not for cryptography. */
export class Random {
  readonly #state: Uint32Array;

  constructor(seed: string) {
    // FNV-1a over the text, then splitmix32 for each word of the state
    let hash = 0x811c9dc5;
    for (const byte of Buffer.from(seed)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
    this.#state = Uint32Array.from({ length: 4 }, () => {
      hash = (hash + 0x9e3779b9) >>> 0;
      let z = hash;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    });
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    const s = this.#state as unknown as [number, number, number, number];
    const five = Math.imul(s[1], 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** An integer from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + (this.uint32() % (high - low + 1));
  }

  /** true once in `n`. */
  oneIn(n: number): boolean {
    return this.uint32() % n === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.uint32() % list.length] as T;
  }

  /** `count` words of `list`, separated by blanks. */
  words(list: readonly string[], count: number): string {
    let text = this.pick(list);
    for (let i = 1; i < count; i++) text += ` ${this.pick(list)}`;
    return text;
  }

  hex(length: number): string {
    let text = '';
    while (text.length < length) text += this.uint32().toString(16).padStart(8, '0');
    return text.slice(0, length);
  }

  /** Incompressible bytes. The same steps as `uint32`, with the state in local variables: ten times as fast for megabytes. */
  bytes(length: number): Buffer {
    const words = new Uint32Array(Math.ceil(length / 4));
    let [a, b, c, d] = this.#state as unknown as [number, number, number, number];
    for (let i = 0; i < words.length; i++) {
      const five = Math.imul(b, 5);
      words[i] = Math.imul((five << 7) | (five >>> 25), 9);
      const t = b << 9;
      c ^= a;
      d ^= b;
      b ^= c;
      a ^= d;
      c ^= t;
      d = (d << 11) | (d >>> 21);
    }
    this.#state.set([a, b, c, d]);
    return Buffer.from(words.buffer, 0, length);
  }
}
