// Archives byte by byte, as no honest program writes them.

export interface RawMember {
  readonly name: string;
  /** Type flag; default: a file. */
  readonly type?: string;
  readonly link?: string;
  readonly mode?: number;
  readonly content?: Buffer | string;
  /** What the header says of it, when it lies. */
  readonly size?: number | string;
  /** Of an extended header before it; as they stand, twice the same key included. */
  readonly records?: readonly (readonly [key: string, value: string])[];
  readonly prefix?: string;
}

const BLOCK = 512;
const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);

export function header({ name, type = '0', link = '', mode = 0o644, size = 0, prefix = '' }: RawMember): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0, 100, 'latin1');
  block.write(mode.toString(8).padStart(7, '0'), 100, 'latin1');
  block.write('0000000', 108, 'latin1');
  block.write('0000000', 116, 'latin1');
  block.write(typeof size === 'number' ? size.toString(8).padStart(11, '0') : size, 124, 12, 'latin1');
  block.write('13000000000', 136, 'latin1');
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(link, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  if (type === '3' || type === '4') block.write('0000001\x000000003', 329, 'latin1');
  block.write(prefix, 345, 155, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** One record as POSIX has it; the length counts itself. */
export function record(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`, 'latin1');
  let length = rest.length;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

export function member(raw: RawMember): Buffer {
  const content = Buffer.from(raw.content ?? '');
  const own = Buffer.concat([header({ size: content.length, ...raw }), padded(content)]);
  return raw.records ? Buffer.concat([extended(Buffer.concat(raw.records.map(([key, value]) => record(key, value)))), own]) : own;
}

/** An extended header of these bytes. */
export function extended(records: Buffer): Buffer {
  return Buffer.concat([header({ name: 'PaxHeaders/x', type: 'x', size: records.length }), padded(records)]);
}

export function rawArchive(...members: readonly (RawMember | Buffer)[]): Buffer {
  return Buffer.concat([...members.map((one) => (Buffer.isBuffer(one) ? one : member(one))), Buffer.alloc(2 * BLOCK)]);
}
