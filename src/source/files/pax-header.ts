// Headers of pax members as GNU tar writes them for ordinary files and links, put straight into the archive's buffer.
import {
  BLOCK_BYTES,
  LARGEST_ID,
  LARGEST_SIZE,
  NAME_BYTES,
  PREFIX_BYTES,
  paddedBytes,
  paxRecord,
  writeUstarHeader,
} from '../../host/ustar.ts';

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

/**
 * Writes the headers of one member into `into` at `at`, at most MOST_HEADER_BYTES and what its dumpdir takes; returns where they end. POSIX
 * pax: an extended header with what the ustar header cannot say (always the mtime in nanoseconds), then the ustar header.
 */
export function writeHeaders(into: Buffer, at: number, member: PaxMember): number {
  const { path } = member;
  const split = splitPath(path);
  let records = paxRecord('mtime', decimalSeconds(member.mtimeNs));
  if (split === null) records += paxRecord('path', path);
  if (member.target.length > NAME_BYTES || NOT_ASCII.test(member.target)) records += paxRecord('linkpath', member.target);
  if (member.sizeBytes > LARGEST_SIZE) records += paxRecord('size', String(member.sizeBytes));
  if (member.uid > LARGEST_ID) records += paxRecord('uid', String(member.uid));
  if (member.gid > LARGEST_ID) records += paxRecord('gid', String(member.gid));
  if (member.dumpdir !== undefined) records += paxRecord('GNU.dumpdir', member.dumpdir);
  const recordsEnd = at + BLOCK_BYTES + paddedBytes(records.length);
  const end = recordsEnd + BLOCK_BYTES;
  into.fill(0, at, end);
  const seconds = member.mtimeNs < 0n ? 0 : Math.min(Number(member.mtimeNs / 1_000_000_000n), LARGEST_SIZE);
  const name = member.path.slice(member.path.lastIndexOf('/') + 1).slice(0, 80);
  writeUstarHeader(into, at, {
    name: `PaxHeaders/${name}`,
    mode: 0o644,
    sizeBytes: records.length,
    seconds,
    flag: 'x',
  });
  into.write(records, at + BLOCK_BYTES, 'latin1');
  writeUstarHeader(into, recordsEnd, {
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
