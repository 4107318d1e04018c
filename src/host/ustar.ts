// Blocks of a tar archive, byte for byte as GNU tar writes them: the ustar header, records of an extended one, what fills up a block.

export const BLOCK_BYTES = 512;
/** Two blocks of zeros end an archive. */
export const END_OF_ARCHIVE: Buffer = Buffer.alloc(2 * BLOCK_BYTES);
/** What a header says of lengths, ids and names; what is more needs a record. */
export const LARGEST_SIZE = 0o77777777777;
export const LARGEST_ID = 0o7777777;
export const NAME_BYTES = 100;
export const PREFIX_BYTES = 155;

export interface UstarHeader {
  /** One character per byte (latin1), as are `prefix` and `target`. What does not fit is cut off. */
  readonly name: string;
  readonly prefix?: string;
  /** 0 file, 1 hard link, 2 symbolic link, 5 directory, 6 fifo, x extended header. */
  readonly flag: '0' | '1' | '2' | '5' | '6' | 'x';
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly sizeBytes?: number;
  /** Modification, in seconds since 1970. */
  readonly seconds?: number;
  readonly target?: string;
}

/** Content is padded to whole blocks. */
export function paddedBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** What follows a content of `sizeBytes`. */
export function padding(sizeBytes: number): Buffer {
  return Buffer.alloc(paddedBytes(sizeBytes) - sizeBytes);
}

export function ustarHeader(header: UstarHeader): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  writeUstarHeader(block, 0, header);
  return block;
}

/** Into a block of zeros. */
export function writeUstarHeader(into: Buffer, at: number, header: UstarHeader): void {
  const { prefix = '', target = '' } = header;
  into.write(header.name, at, NAME_BYTES, 'latin1');
  writeOctal(into, at + 100, 7, header.mode);
  writeOctal(into, at + 108, 7, header.uid ?? 0);
  writeOctal(into, at + 116, 7, header.gid ?? 0);
  writeOctal(into, at + 124, 11, header.sizeBytes ?? 0);
  writeOctal(into, at + 136, 11, header.seconds ?? 0);
  into.write(header.flag, at + 156, 'latin1');
  if (target !== '') into.write(target, at + 157, NAME_BYTES, 'latin1');
  into.write('ustar\x0000', at + 257, 'latin1');
  if (prefix !== '') into.write(prefix, at + 345, PREFIX_BYTES, 'latin1');
  writeSum(into, at);
}

/** The sum of a header over all but itself. */
export function writeSum(into: Buffer, at: number): void {
  writeOctal(into, at + 148, 6, sumOf(into, at));
  into[at + 154] = 0;
  into[at + 155] = 0x20;
}

/** It is made with its own field as spaces. */
export function sumOf(from: Buffer, at: number): number {
  let sum = 8 * 0x20;
  for (let i = at; i < at + 148; i++) sum += from[i] as number;
  for (let i = at + 156; i < at + BLOCK_BYTES; i++) sum += from[i] as number;
  return sum;
}

/** `digits` octal digits; what follows is left as it is. */
function writeOctal(into: Buffer, at: number, digits: number, value: number): void {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    into[i] = 0x30 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}

/** One pax record, `LENGTH KEY=VALUE\n`; one character per byte (latin1), as in `value`. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  return `${recordBytes(rest.length)}${rest}`;
}

/** The same of a value that may be long, as bytes. */
export function paxRecordOf(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), value, Buffer.from('\n')]);
  return Buffer.concat([Buffer.from(String(recordBytes(rest.length))), rest]);
}

/** The length of a record counts its own digits. */
function recordBytes(restBytes: number): number {
  let length = restBytes;
  while (length !== restBytes + String(length).length) length = restBytes + String(length).length;
  return length;
}
