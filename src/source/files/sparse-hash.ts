// SHA-256 of a file's content from what the archive stores of it: for a sparse member that is a map, then the data regions.
import { createHash, type Hash } from 'node:crypto';
import type { TarMember } from '../../host/tar-headers.ts';
import { paddedBytes } from '../../host/ustar.ts';

/** Sparse files longer than this get no hash: hashing the zeros of a terabyte of holes would take ten minutes. */
export const LONGEST_HASHED_SPARSE_BYTES = 256 * 1024 * 1024;

/** Takes the stored bytes of one member in order. */
export interface ContentHash {
  update(bytes: Buffer): void;
  /** Hex, equal to what sha256sum says of the file; null for a sparse file that is too long. */
  digest(): string | null;
}

export function contentHash(member: TarMember): ContentHash {
  if (!member.sparse) {
    const hash = createHash('sha256');
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('hex') };
  }
  return member.sizeBytes > LONGEST_HASHED_SPARSE_BYTES ? { update: () => {}, digest: () => null } : new SparseHash(member.sizeBytes);
}

const ZEROS = Buffer.alloc(64 * 1024);

/** GNU sparse format 1.0: lines of decimal numbers (count, then offset and length of each region), padded to a block; then the regions. */
class SparseHash implements ContentHash {
  readonly #hash: Hash = createHash('sha256');
  readonly #sizeBytes: number;
  #line = '';
  readonly #numbers: number[] = [];
  #mapBytes = 0;
  /** null while the map is incomplete. */
  #regions: { offset: number; length: number }[] | null = null;
  #paddingLeft = 0;
  #region = 0;
  #regionDone = 0;
  #position = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  update(bytes: Buffer): void {
    let rest = bytes;
    while (this.#regions === null && rest.length > 0) {
      const newline = rest.indexOf(0x0a);
      const end = newline < 0 ? rest.length : newline + 1;
      this.#line += rest.toString('latin1', 0, end);
      this.#mapBytes += end;
      rest = rest.subarray(end);
      if (newline >= 0) this.#endLine();
    }
    const skip = Math.min(this.#paddingLeft, rest.length);
    this.#paddingLeft -= skip;
    rest = rest.subarray(skip);
    for (let region = this.#regions?.[this.#region]; region && rest.length > 0; region = this.#regions?.[this.#region]) {
      if (this.#regionDone === 0) this.#zerosUpTo(region.offset);
      const take = Math.min(region.length - this.#regionDone, rest.length);
      this.#hash.update(rest.subarray(0, take));
      this.#position += take;
      this.#regionDone += take;
      rest = rest.subarray(take);
      if (this.#regionDone < region.length) return;
      this.#region += 1;
      this.#regionDone = 0;
    }
  }

  digest(): string {
    this.#zerosUpTo(this.#sizeBytes);
    return this.#hash.digest('hex');
  }

  #endLine(): void {
    this.#numbers.push(Number(this.#line));
    this.#line = '';
    if (this.#numbers.length < 1 + 2 * (this.#numbers[0] as number)) return;
    this.#regions = [];
    for (let i = 1; i < this.#numbers.length; i += 2) {
      const length = this.#numbers[i + 1] as number;
      if (length > 0) this.#regions.push({ offset: this.#numbers[i] as number, length });
    }
    this.#paddingLeft = paddedBytes(this.#mapBytes) - this.#mapBytes;
  }

  #zerosUpTo(offset: number): void {
    while (this.#position < offset) {
      const take = Math.min(ZEROS.length, offset - this.#position);
      this.#hash.update(ZEROS.subarray(0, take));
      this.#position += take;
    }
  }
}
