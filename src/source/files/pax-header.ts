// Headers of pax members as GNU tar writes them for ordinary files and links, put straight into the archive's buffer.

const BLOCK_BYTES = 512;
/** What an octal field of 8 bytes can say. */
const LARGEST_ID = 0o7777777;
const LARGEST_SIZE = 0o77777777777;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
const NOT_ASCII = /[\x80-\xff]/;

const FLAG = { file: '0', hardlink: '1', symlink: '2', directory: '5', fifo: '6' } as const;

export interface PaxMember {
  readonly type: keyof typeof FLAG;
  /** One character per byte (latin1). Of a directory it ends with a slash. */
  readonly path: string;
  /** Of a symbolic or hard link, one character per byte; else empty. */
  readonly target: string;
  /** 0 for what is no file. */
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** GNU tar's list of a directory's names (`GNU.dumpdir`), one character per byte. */
  readonly dumpdir?: string;
}

/** Of the headers of a member without dumpdir: more than a path and a target of the longest kind take. */
export const MOST_HEADER_BYTES = 2 * BLOCK_BYTES + 12 * 1024;

const HEADER_BLOCK_BYTES = 256 * 1024;

/** Content is padded to whole blocks. */
export function paddedBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/**
 * Writes the headers of one member into `into` at `at`, at most MOST_HEADER_BYTES and what its dumpdir takes; returns where they end. POSIX
 * pax: an extended header with what the ustar header cannot say (always the mtime in nanoseconds), then the ustar header.
 */
export function writeHeaders(into: Buffer, at: number, member: PaxMember): number {
  const { path } = member;
  const split = splitPath(path);
  let records = record('mtime', decimalSeconds(member.mtimeNs));
  if (split === null) records += record('path', path);
  if (member.target.length > NAME_BYTES || NOT_ASCII.test(member.target)) records += record('linkpath', member.target);
  if (member.sizeBytes > LARGEST_SIZE) records += record('size', String(member.sizeBytes));
  if (member.uid > LARGEST_ID) records += record('uid', String(member.uid));
  if (member.gid > LARGEST_ID) records += record('gid', String(member.gid));
  if (member.dumpdir !== undefined) records += record('GNU.dumpdir', member.dumpdir);
  const recordsEnd = at + BLOCK_BYTES + paddedBytes(records.length);
  const end = recordsEnd + BLOCK_BYTES;
  into.fill(0, at, end);
  const seconds = member.mtimeNs < 0n ? 0 : Math.min(Number(member.mtimeNs / 1_000_000_000n), LARGEST_SIZE);
  const name = member.path.slice(member.path.lastIndexOf('/') + 1).slice(0, 80);
  writeHeader(into, at, {
    name: `PaxHeaders/${name}`,
    prefix: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    sizeBytes: records.length,
    seconds,
    flag: 'x',
    target: '',
  });
  into.write(records, at + BLOCK_BYTES, 'latin1');
  writeHeader(into, recordsEnd, {
    name: split?.name ?? path.slice(0, NAME_BYTES),
    prefix: split?.prefix ?? '',
    mode: member.mode,
    uid: Math.min(member.uid, LARGEST_ID),
    gid: Math.min(member.gid, LARGEST_ID),
    sizeBytes: Math.min(member.sizeBytes, LARGEST_SIZE),
    seconds,
    flag: FLAG[member.type],
    target: member.target.slice(0, NAME_BYTES),
  });
  return end;
}

/** The headers of members that have no content, many in one buffer. */
export function* headerBlocks(members: Iterable<PaxMember>): Generator<Buffer> {
  let block = Buffer.alloc(0);
  let end = 0;
  for (const member of members) {
    const mostBytes = MOST_HEADER_BYTES + member.path.length + (member.dumpdir?.length ?? 0);
    if (end + mostBytes > block.length) {
      if (end > 0) yield block.subarray(0, end);
      block = Buffer.allocUnsafeSlow(Math.max(HEADER_BLOCK_BYTES, mostBytes));
      end = 0;
    }
    end = writeHeaders(block, end, member);
  }
  if (end > 0) yield block.subarray(0, end);
}

interface Header {
  readonly name: string;
  readonly prefix: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly seconds: number;
  readonly flag: string;
  readonly target: string;
}

/** Into a block of zeros. */
function writeHeader(into: Buffer, at: number, header: Header): void {
  into.write(header.name, at, NAME_BYTES, 'latin1');
  writeOctal(into, at + 100, 7, header.mode);
  writeOctal(into, at + 108, 7, header.uid);
  writeOctal(into, at + 116, 7, header.gid);
  writeOctal(into, at + 124, 11, header.sizeBytes);
  writeOctal(into, at + 136, 11, header.seconds);
  into.write(header.flag, at + 156, 'latin1');
  if (header.target !== '') into.write(header.target, at + 157, NAME_BYTES, 'latin1');
  into.write('ustar\x0000', at + 257, 'latin1');
  if (header.prefix !== '') into.write(header.prefix, at + 345, PREFIX_BYTES, 'latin1');
  // the sum is made with its own field as spaces
  let sum = 8 * 0x20;
  for (let i = at; i < at + BLOCK_BYTES; i++) sum += into[i] as number;
  writeOctal(into, at + 148, 6, sum);
  into[at + 155] = 0x20;
}

/** `digits` octal digits; what follows is left as it is, a zero. */
function writeOctal(into: Buffer, at: number, digits: number, value: number): void {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    into[i] = 0x30 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}

/** One pax record; its length counts its own digits. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return `${length}${rest}`;
}

function decimalSeconds(ns: bigint): string {
  const sign = ns < 0n ? '-' : '';
  const magnitude = ns < 0n ? -ns : ns;
  const fraction = (magnitude % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  return `${sign}${magnitude / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}`;
}

/** The path in the two fields of a ustar header; null when it needs a record. */
function splitPath(path: string): { readonly name: string; readonly prefix: string } | null {
  if (NOT_ASCII.test(path)) return null;
  if (path.length <= NAME_BYTES) return { name: path, prefix: '' };
  if (path.length > NAME_BYTES + 1 + PREFIX_BYTES) return null;
  // a directory's own last slash parts nothing
  const slash = path.lastIndexOf('/', Math.min(PREFIX_BYTES, path.length - 2));
  const name = path.slice(slash + 1);
  return slash > 0 && name !== '' && name.length <= NAME_BYTES ? { name, prefix: path.slice(0, slash) } : null;
}
