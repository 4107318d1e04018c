// A line of an index that is read only as far as somebody asks: what did not change is found out by its text, and written again as it is.
import type { BytePath, FileEntry, FileStat, OlderEntry } from '../source/source.ts';
import { isId } from './id.ts';
import { decodeEntry, isRelative, NOT_ASCII } from './index-line.ts';

/** Where a line of the usual form has its path: after `{"t":"f","p":"`. */
const PATH_AT = 14;
/** `,"sg":"<id>"}`: a usual line ends with it; what comes after it there (`o`, `a`, `x`) is rare. */
const SEGMENT_BYTES = 35;
const SEGMENT = ',"sg":"';
/** Between inode and segment: a file's hash, for the empty name of a directory nothing. */
const HASH = /,"h":"[0-9a-f]{64}",/y;

/** A regular file or directory, without the rarer fields. Everything else of it is decoded, and checked, when first asked for. */
export class EntryLine implements OlderEntry {
  readonly type: 'file' | 'directory';
  readonly path: BytePath;
  readonly sizeBytes: number;
  readonly segment: string;
  /** Without its newline. */
  readonly line: string;
  /** Where the text of size, mode, owner, times and inode begins. */
  readonly #statAt: number;
  #decoded: FileEntry | null = null;

  constructor(type: 'file' | 'directory', path: BytePath, sizeBytes: number, segment: string, line: string, statAt: number) {
    this.type = type;
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.segment = segment;
    this.line = line;
    this.#statAt = statAt;
  }

  get mode(): number {
    return this.#entry.mode;
  }

  get uid(): number {
    return this.#entry.uid;
  }

  get gid(): number {
    return this.#entry.gid;
  }

  get mtimeNs(): bigint {
    return this.#entry.mtimeNs;
  }

  get ctimeNs(): bigint {
    return this.#entry.ctimeNs;
  }

  get inode(): bigint {
    return this.#entry.inode;
  }

  /** Undefined for a directory, which no accessor of an optional property can say. */
  get sha256(): string {
    return this.#entry.sha256 as string;
  }

  /** Whether it says exactly this. False may also mean that it is written in another way: then its fields tell. */
  saysOf(found: FileStat): boolean {
    if (found.type !== this.type) return false;
    const text = statText(found);
    const end = this.#statAt + text.length;
    if (!this.line.startsWith(text, this.#statAt)) return false;
    if (end === this.line.length - SEGMENT_BYTES) return true;
    HASH.lastIndex = end;
    return HASH.test(this.line) && HASH.lastIndex === this.line.length - SEGMENT_BYTES + 1;
  }

  get #entry(): FileEntry {
    this.#decoded ??= decodeEntry(this.line, () => `the entry of ${JSON.stringify(this.path)}`) as FileEntry;
    return this.#decoded;
  }
}

/** As index-line.ts writes it. */
function statText({ sizeBytes, mode, uid, gid, mtimeNs, ctimeNs, inode }: FileStat): string {
  return `,"s":${sizeBytes},"m":${mode},"u":${uid},"g":${gid},"mt":"${mtimeNs}","ct":"${ctimeNs}","i":"${inode}"`;
}

/** Makes entries of lines; those of one part follow one another, and share the text of their segment's id. */
export class EntryLines {
  #segment = '';

  /** Null: a line of another form, to be decoded whole. `ascii`: known of it already. */
  read(line: string, ascii: boolean): EntryLine | null {
    const isFile = line.startsWith('{"t":"f","p":"');
    if (!isFile && !line.startsWith('{"t":"d","p":"')) return null;
    const segmentAt = line.length - SEGMENT_BYTES;
    if (!line.startsWith(SEGMENT, segmentAt) || !line.endsWith('"}')) return null;
    const pathEnd = line.indexOf('"', PATH_AT);
    const path = line.slice(PATH_AT, pathEnd);
    if (path.includes('\\') || (!ascii && NOT_ASCII.test(path)) || !isRelative(path)) return null;
    if (!line.startsWith(',"s":', pathEnd + 1)) return null;
    const sizeBytes = digitsAt(line, pathEnd + 6);
    if (!line.startsWith(this.#segment, segmentAt + SEGMENT.length) || this.#segment === '') {
      const segment = line.slice(segmentAt + SEGMENT.length, line.length - 2);
      if (!isId(segment)) return null;
      this.#segment = segment;
    }
    return sizeBytes === null ? null : new EntryLine(isFile ? 'file' : 'directory', path, sizeBytes, this.#segment, line, pathEnd + 1);
  }
}

/** The number that begins there and is followed by a comma; null when none does. */
function digitsAt(line: string, at: number): number | null {
  let value = 0;
  for (let i = at; ; i++) {
    const code = line.charCodeAt(i);
    if (code === 0x2c && i > at) return Number.isSafeInteger(value) ? value : null;
    if (!(code >= 0x30 && code <= 0x39)) return null;
    value = value * 10 + (code - 0x30);
  }
}
