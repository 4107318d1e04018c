// A sum over many texts that does not depend on their order: two lists of a million entries are compared in no memory.
import { createHash } from 'node:crypto';

const MODULUS = 1n << 256n;

export class ContentSum {
  #sum = 0n;
  #count = 0;

  add(text: string): void {
    this.#sum = (this.#sum + BigInt(`0x${createHash('sha256').update(text, 'latin1').digest('hex')}`)) % MODULUS;
    this.#count += 1;
  }

  /** In words; null: both were given the same texts, each as often. */
  differsFrom(expected: ContentSum): string | null {
    if (this.#count !== expected.#count) return `${this.#count} files and links were written, the index has ${expected.#count}`;
    return this.#sum === expected.#sum ? null : 'a file or link is not what the index says';
  }
}
