// What the headers of a pax archive say of a member, and headers that say something else of it. Pure over blocks of bytes (ustar.ts).
import { CoffreError } from '../errors.ts';
import type { BytePath } from './gnu-tar.ts';
import { BLOCK_BYTES, LARGEST_SIZE, padding, paxRecordOf, sumOf, ustarHeader, writeSum } from './ustar.ts';

export type MemberType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'device';

/** One member as its headers describe it; paths are relative. */
export interface TarMember {
  readonly type: MemberType;
  /** Without a trailing slash; `.` for the root. As written otherwise: a reader of foreign archives must check it. */
  readonly path: BytePath;
  readonly linkPath: BytePath;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** null: the archive does not say. */
  readonly ctimeNs: bigint | null;
  /** Length of the content as a reader sees it: holes counted. */
  readonly sizeBytes: number;
  /** Length of what the archive stores for it. */
  readonly storedBytes: number;
  /** Stored as GNU sparse 1.0: a map of the data regions, then these regions. */
  readonly sparse: boolean;
  /** Carries extended attributes or an ACL (`SCHILY.*`). */
  readonly extended: boolean;
  /** Carries file capabilities, in the record CAPABILITY_RECORD. */
  readonly hasCapability: boolean;
}

/** Changes to a member's headers. */
export interface HeaderChanges {
  /** Goes behind the records that its extended header has. */
  readonly addRecords?: Buffer;
  /** Replaces the name in its header (up to 100 bytes) and a `path` record: for sparse members, whose real name stands elsewhere. */
  readonly headerName?: BytePath;
  /** It comes out under this path. */
  readonly path?: BytePath;
  /** A hard link leads there. */
  readonly linkPath?: BytePath;
  readonly mtimeNs?: bigint;
  /** Its lower twelve bits. */
  readonly mode?: number;
  /** These records of its extended header are left out. */
  readonly dropRecords?: readonly string[];
}

const TYPES: Readonly<Record<string, MemberType>> = {
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'directory',
  '6': 'fifo',
};

/** The extended attribute that holds file capabilities. */
export const CAPABILITY_RECORD = 'SCHILY.xattr.security.capability';

export const damaged = (what: string): CoffreError => new CoffreError('E_FORMAT', `tar: ${what}`);

/** The member's headers anew: an extended one, its records, and the member's own `block`. */
export function rewritten(block: Buffer, member: TarMember, old: Map<string, Buffer> | null, changes: HeaderChanges): Buffer[] {
  const { path, linkPath, mtimeNs, headerName, mode, dropRecords } = changes;
  const kept = new Map(old ?? []);
  const own = Buffer.from(block);
  const text = (value: string, offset: number): void => {
    own.fill(0, offset, offset + 100).write(value, offset, 100, 'latin1');
  };
  if (headerName !== undefined) {
    kept.delete('path');
    text(headerName, 0);
    own.fill(0, 345, 500);
  }
  if (path !== undefined) {
    // the name of a sparse member stands in a record of its own, its header's is never shown
    kept.set(member.sparse ? 'GNU.sparse.name' : 'path', Buffer.from(path, 'latin1'));
    if (!member.sparse) {
      text(path, 0);
      own.fill(0, 345, 500);
    }
  }
  if (linkPath !== undefined) {
    kept.set('linkpath', Buffer.from(linkPath, 'latin1'));
    text(linkPath, 157);
  }
  if (mtimeNs !== undefined) kept.set('mtime', Buffer.from(seconds(mtimeNs)));
  if (mode !== undefined) own.write(`${mode.toString(8).padStart(7, '0')}\0`, 100, 'latin1');
  for (const key of dropRecords ?? []) kept.delete(key);
  writeSum(own, 0);
  const records = Buffer.concat([...[...kept].map(([key, value]) => paxRecordOf(key, value)), changes.addRecords ?? Buffer.alloc(0)]);
  const wholeSeconds = Math.max(0, Math.min(Number(member.mtimeNs / 1_000_000_000n), LARGEST_SIZE));
  const header = ustarHeader({ name: './PaxHeaders/member', flag: 'x', mode: 0o644, sizeBytes: records.length, seconds: wholeSeconds });
  return [header, records, padding(records.length), own];
}

/** Decimal seconds with nine digits behind the point: what `nanoseconds` reads. */
function seconds(ns: bigint): string {
  const size = ns < 0n ? -ns : ns;
  return `${ns < 0n ? '-' : ''}${size / 1_000_000_000n}.${String(size % 1_000_000_000n).padStart(9, '0')}`;
}

/** `typeFlag`: of `block`, the member's own header. Throws E_FORMAT for what coffre's archives never hold. */
export function describe(block: Buffer, typeFlag: string, records: Map<string, Buffer> | null): TarMember {
  const type = TYPES[typeFlag];
  if (type === undefined) throw damaged(`a member of type ${JSON.stringify(typeFlag)}`);
  if (block.toString('latin1', 257, 263) !== 'ustar\0') throw damaged('a header that is not ustar');
  const text = (key: string): string | undefined => records?.get(key)?.toString('latin1');
  const count = (key: string): number | undefined => {
    const value = text(key);
    if (value === undefined) return undefined;
    const number = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) throw damaged(`${key} is not a number`);
    return number;
  };
  const major = text('GNU.sparse.major');
  if (major === undefined ? records && [...records.keys()].some((key) => key.startsWith('GNU.sparse.')) : major !== '1') {
    throw damaged('a sparse member in an older format than 1.0');
  }
  const prefix = cString(block, 345, 155);
  const headerName = cString(block, 0, 100);
  const path = text('GNU.sparse.name') ?? text('path') ?? (prefix ? `${prefix}/${headerName}` : headerName);
  const hasContent = type === 'file';
  const storedBytes = hasContent ? (count('size') ?? octal(block, 124, 12)) : 0;
  if (type !== 'file' && type !== 'hardlink' && (count('size') ?? octal(block, 124, 12)) !== 0)
    throw damaged('a special member with content');
  const ctime = text('ctime');
  const mtime = text('mtime');
  return {
    type,
    path: path.replace(/^\.\/+$/, '.').replace(/(.)\/+$/s, '$1'),
    linkPath: text('linkpath') ?? cString(block, 157, 100),
    mode: octal(block, 100, 8) & 0o7777,
    uid: count('uid') ?? octal(block, 108, 8),
    gid: count('gid') ?? octal(block, 116, 8),
    mtimeNs: mtime === undefined ? BigInt(octal(block, 136, 12)) * 1_000_000_000n : nanoseconds(mtime),
    ctimeNs: ctime === undefined ? null : nanoseconds(ctime),
    sizeBytes: (major === undefined ? undefined : count('GNU.sparse.realsize')) ?? storedBytes,
    storedBytes,
    sparse: major !== undefined,
    extended: records !== null && hasExtended(records),
    hasCapability: records?.has(CAPABILITY_RECORD) ?? false,
  };
}

function hasExtended(records: ReadonlyMap<string, Buffer>): boolean {
  for (const key of records.keys()) if (key.startsWith('SCHILY.')) return true;
  return false;
}

/** `bytes`: of an extended header, without padding. Throws E_FORMAT. */
export function parseRecords(bytes: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(bytes.toString('latin1', at, space));
    const end = at + length;
    const equals = bytes.indexOf(0x3d, space);
    if (!Number.isSafeInteger(length) || end > bytes.length || equals < 0 || equals >= end || bytes[end - 1] !== 0x0a) {
      throw damaged('a malformed extended header');
    }
    const key = bytes.toString('latin1', space + 1, equals);
    // Readers differ in which of two they believe: an archive that says a thing twice is refused.
    if (records.has(key)) throw damaged(`an extended header says ${key} twice`);
    records.set(key, Buffer.from(bytes.subarray(equals + 1, end - 1)));
    at = end;
  }
  return records;
}

/** Decimal seconds with up to nine digits behind the point, as GNU tar writes them; negative before 1970. */
function nanoseconds(text: string): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) throw damaged('a time that is not a number');
  const value = BigInt(match[2] as string) * 1_000_000_000n + BigInt((match[3] ?? '').padEnd(9, '0').slice(0, 9));
  return match[1] ? -value : value;
}

/** Throws E_FORMAT. */
export function octal(block: Buffer, offset: number, length: number): number {
  if (((block[offset] as number) & 0x80) !== 0) throw damaged('a number in base 256');
  const text = block.toString('latin1', offset, offset + length).replace(/[\0 ]+$/, '');
  if (text === '') return 0;
  if (!/^ *[0-7]+$/.test(text)) throw damaged('a number that is not octal');
  return Number.parseInt(text, 8);
}

function cString(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset);
  return block.toString('latin1', offset, end < 0 ? offset + length : Math.min(end, offset + length));
}

/** Throws E_FORMAT where the header does not sum up to what it says. */
export function checkSum(block: Buffer): void {
  if (octal(block, 148, 8) !== sumOf(block, 0)) throw damaged('a header with a wrong checksum');
}

const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);
export const isZero = (block: Buffer): boolean => block.equals(ZERO_BLOCK);
