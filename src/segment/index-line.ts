// One line of an index: an entry as compact JSON and back, checked by hand because a shop has a million of them.
import { isUtf8 } from 'node:buffer';
import { CoffreError } from '../errors.ts';
import type { BytePath, ChunkEntry, FileEntry, IndexEntry } from '../source/source.ts';
import { isId } from './id.ts';

/** `t` of a line. FORMAT.md lists the other keys. */
const TYPE_TO_LETTER = { file: 'f', directory: 'd', symlink: 'l', hardlink: 'h', fifo: 'p', device: 'c' } as const;
const LETTER_TO_TYPE: ReadonlyMap<unknown, FileEntry['type']> = new Map(
  Object.entries(TYPE_TO_LETTER).map(([type, letter]) => [letter, type as FileEntry['type']]),
);

/** What JSON.parse makes of a line, before anything was checked. */
interface RawLine {
  readonly t?: unknown;
  readonly p?: unknown;
  readonly pb?: unknown;
  readonly s?: unknown;
  readonly m?: unknown;
  readonly u?: unknown;
  readonly g?: unknown;
  readonly mt?: unknown;
  readonly ct?: unknown;
  readonly i?: unknown;
  readonly l?: unknown;
  readonly lb?: unknown;
  readonly o?: unknown;
  readonly ob?: unknown;
  readonly a?: unknown;
  readonly h?: unknown;
  readonly x?: unknown;
  readonly n?: unknown;
  readonly tb?: unknown;
  readonly r?: unknown;
  readonly sg?: unknown;
}

export const NOT_ASCII = /[\u0080-\uffff]/;
const SHA256 = /^[0-9a-f]{64}$/;
const DECIMAL = /^-?[0-9]{1,20}$/;

/** The line of an entry, its `\n` included. */
export function encodeEntry(entry: IndexEntry): string {
  return 'path' in entry ? encodeFile(entry) : encodeChunk(entry);
}

/** The entry of a line (without its `\n`). Throws E_FORMAT; `where` names the line in the message. */
export function decodeEntry(line: string, where: () => string): IndexEntry {
  let raw: RawLine;
  try {
    raw = JSON.parse(line) as RawLine;
  } catch {
    throw new CoffreError('E_FORMAT', `${where()}: not a JSON line`);
  }
  try {
    if (typeof raw !== 'object' || raw === null) throw new LineProblem('not an object');
    return raw.t === 'sql' || raw.t === 'rows' ? decodeChunk(raw, raw.t) : decodeFile(raw);
  } catch (error) {
    if (error instanceof LineProblem) throw new CoffreError('E_FORMAT', `${where()}: ${error.message}`);
    throw error;
  }
}

/** Stays inside this file: becomes an E_FORMAT that names the line. */
class LineProblem extends Error {}

function encodeFile(entry: FileEntry): string {
  let line = `{"t":"${TYPE_TO_LETTER[entry.type]}",${encodePath('p', entry.path)},"s":${entry.sizeBytes},"m":${entry.mode}`;
  line += `,"u":${entry.uid},"g":${entry.gid},"mt":"${entry.mtimeNs}","ct":"${entry.ctimeNs}","i":"${entry.inode}"`;
  if (entry.target !== undefined) line += `,${encodePath('l', entry.target)}`;
  if (entry.sha256 !== undefined) line += `,"h":"${entry.sha256}"`;
  if (entry.segment !== undefined) line += `,"sg":"${entry.segment}"`;
  if (entry.member !== undefined) line += `,${encodePath('o', entry.member)}`;
  if (entry.extended) line += ',"a":1';
  if (entry.unstable) line += ',"x":1';
  return `${line}}\n`;
}

function encodeChunk(entry: ChunkEntry): string {
  return `${JSON.stringify({ t: entry.type, n: entry.name, tb: entry.table, r: entry.rows, sg: entry.segment })}\n`;
}

/** `p` with text when the bytes are UTF-8, else `pb` with base64: either gives exactly these bytes back. */
function encodePath(key: 'p' | 'l' | 'o', path: BytePath): string {
  if (!NOT_ASCII.test(path)) return `"${key}":${JSON.stringify(path)}`;
  const bytes = Buffer.from(path, 'latin1');
  return isUtf8(bytes) ? `"${key}":${JSON.stringify(bytes.toString('utf8'))}` : `"${key}b":"${bytes.toString('base64')}"`;
}

function decodeFile(raw: RawLine): FileEntry {
  const type = LETTER_TO_TYPE.get(raw.t);
  if (type === undefined) throw new LineProblem('unknown type of entry');
  const path = decodePath(raw.p, raw.pb);
  if (path === undefined) throw new LineProblem('no path');
  if (!isRelative(path)) throw new LineProblem('the path leaves the tree');
  const entry: { -readonly [K in keyof FileEntry]: FileEntry[K] } = {
    type,
    path,
    sizeBytes: natural(raw.s),
    mode: natural(raw.m),
    uid: natural(raw.u),
    gid: natural(raw.g),
    mtimeNs: integer(raw.mt),
    ctimeNs: integer(raw.ct),
    inode: integer(raw.i),
  };
  if (raw.l !== undefined || raw.lb !== undefined) {
    const target = decodePath(raw.l, raw.lb);
    if (target === undefined) throw new LineProblem('a wrong link target');
    if (type === 'hardlink' && !isRelative(target)) throw new LineProblem('the hard link leaves the tree');
    entry.target = target;
  } else if (type === 'symlink' || type === 'hardlink') throw new LineProblem('a link without a target');
  if (raw.h !== undefined) {
    if (typeof raw.h !== 'string' || !SHA256.test(raw.h)) throw new LineProblem('a wrong SHA-256');
    entry.sha256 = raw.h;
  }
  if (raw.sg !== undefined) entry.segment = segment(raw.sg);
  if (raw.o !== undefined || raw.ob !== undefined) {
    const member = decodePath(raw.o, raw.ob);
    if (member === undefined || !isRelative(member)) throw new LineProblem('a wrong member');
    entry.member = member;
  }
  if (raw.a !== undefined) {
    if (raw.a !== 1) throw new LineProblem('a wrong mark');
    entry.extended = true;
  }
  if (raw.x !== undefined) {
    if (raw.x !== 1) throw new LineProblem('a wrong mark');
    entry.unstable = true;
  }
  return entry;
}

function decodeChunk(raw: RawLine, type: ChunkEntry['type']): ChunkEntry {
  if (typeof raw.n !== 'string') throw new LineProblem('no name');
  if (typeof raw.r !== 'object' || raw.r === null || Array.isArray(raw.r)) throw new LineProblem('no row counts');
  const rows: Record<string, number> = Object.create(null);
  for (const [table, count] of Object.entries(raw.r)) rows[table] = natural(count);
  const entry: { -readonly [K in keyof ChunkEntry]: ChunkEntry[K] } = { type, name: raw.n, rows };
  if (raw.tb !== undefined) {
    if (typeof raw.tb !== 'string') throw new LineProblem('a wrong table');
    entry.table = raw.tb;
  }
  if (raw.sg !== undefined) entry.segment = segment(raw.sg);
  return entry;
}

function decodePath(text: unknown, base64: unknown): BytePath | undefined {
  if (typeof text === 'string') {
    if (!NOT_ASCII.test(text)) return text;
    if (!text.isWellFormed()) throw new LineProblem('a path with half a character');
    return Buffer.from(text, 'utf8').toString('latin1');
  }
  return typeof base64 === 'string' ? Buffer.from(base64, 'base64').toString('latin1') : undefined;
}

/** No empty, absolute or NUL-bearing path and none with a `..` component: an index cannot point out of the tree. */
export function isRelative(path: BytePath): boolean {
  if (path === '' || path.charCodeAt(0) === 0x2f || path.includes('\0')) return false;
  return !path.includes('..') || !path.split('/').includes('..');
}

function natural(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new LineProblem('a wrong number');
  return value as number;
}

function integer(value: unknown): bigint {
  if (typeof value !== 'string' || !DECIMAL.test(value)) throw new LineProblem('a wrong time or inode');
  return BigInt(value);
}

function segment(value: unknown): string {
  if (typeof value !== 'string' || !isId(value)) throw new LineProblem('a wrong segment id');
  return value;
}
