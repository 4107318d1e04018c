// What a stored snapshot gives back when age, zstd and tar open it, without coffre: each path with what lies under it, or statements.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { Decrypter } from 'age-encryption';

/** By path: `d` for a directory, `l` and a link's target, `f` and the SHA-256 of a file. */
export type Contents = ReadonlyMap<string, string>;

const BLOCK = 512;

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Decrypts and decompresses one object. Throws when no identity opens it. */
export async function openByHand(sealed: Buffer, identities: readonly string[]): Promise<Buffer> {
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  const compressed = Buffer.from(await decrypter.decrypt(sealed));
  return Buffer.concat(framesOf(compressed).map((frame) => zstdDecompressSync(frame)));
}

/** What is streamed has many frames, and Node stops after the first. See RFC 8878, 3.1. */
function framesOf(compressed: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  let at = 0;
  while (at < compressed.length) {
    const from = at;
    const descriptor = compressed.readUInt8(at + 4);
    const isSingle = (descriptor & 0x20) !== 0;
    const contentSize = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
    at += 5 + (isSingle ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] as number) + contentSize;
    for (let isLast = false; !isLast; ) {
      const block = compressed.readUIntLE(at, 3);
      isLast = (block & 1) !== 0;
      // a block of one repeated byte holds it once
      at += 3 + (((block >> 1) & 3) === 1 ? 1 : block >> 3);
    }
    if ((descriptor & 4) !== 0) at += 4;
    frames.push(compressed.subarray(from, at));
  }
  return frames;
}

/** What was worked out, for the next world that has it too; forgotten from time to time. */
export function remember<K, V>(known: Map<K, V>, key: K, value: V): void {
  if (known.size > 5_000) known.clear();
  known.set(key, value);
}

/** Members of segments by path, by the hash of the sealed segment: most lie in many worlds. */
const segments = new Map<string, Contents>();

/**
 * Puts an index and its segments together. `segment` gives one by its id. What is wrong is a line of `problems`: a line of the index that
 * no member answers, a member whose content is not what the line says.
 */
export async function contentsByHand(
  index: Buffer,
  identities: readonly string[],
  segment: (id: string) => Buffer | null,
): Promise<{ readonly contents: Contents; readonly problems: readonly string[] }> {
  const contents = new Map<string, string>();
  const problems: string[] = [];
  for (const line of (await openByHand(index, identities)).toString('utf8').split('\n').filter(Boolean)) {
    const entry = JSON.parse(line) as { t: string; p: string; o?: string; l?: string; h?: string; sg?: string };
    const sealed = entry.sg === undefined ? null : segment(entry.sg);
    if (sealed === null) {
      problems.push(`${entry.p} is in segment ${entry.sg}, which the manifest does not name`);
      continue;
    }
    const members = await membersOf(sealed, identities);
    const there = members.get(entry.o ?? entry.p);
    const said = entry.t === 'f' ? `f ${entry.h}` : entry.t === 'l' ? `l ${entry.l}` : entry.t;
    if (there !== said) problems.push(`${entry.p}: the index says ${said}, the segment ${entry.sg} ${there ?? 'nothing'}`);
    else contents.set(entry.p, there);
  }
  return { contents, problems };
}

/** Of a manifest. */
export interface SegmentText {
  readonly id: string;
  readonly key: string;
  readonly kind: string;
  readonly plainSha256: string;
}

/** The statements of a database's segments by id, all of whose contents must be what the manifest says; rows are hashed alone. */
export async function statementsByHand(
  listed: readonly SegmentText[],
  identities: readonly string[],
  body: (key: string) => Buffer | null,
): Promise<{ readonly contents: Contents; readonly problems: readonly string[] }> {
  const contents = new Map<string, string>();
  const problems: string[] = [];
  for (const { id, key, kind, plainSha256 } of listed) {
    const plain = await openByHand(body(key) as Buffer, identities);
    if (sha256(plain) !== plainSha256) problems.push(`${key} holds something else than the manifest says`);
    contents.set(id, kind === 'sql' ? plain.toString('utf8') : '');
  }
  return { contents, problems };
}

async function membersOf(sealed: Buffer, identities: readonly string[]): Promise<Contents> {
  const name = sha256(sealed);
  const known = segments.get(name);
  if (known !== undefined) return known;
  const members = readTar(await openByHand(sealed, identities));
  remember(segments, name, members);
  return members;
}

/** A pax archive of files, directories and symbolic links; paths without the slash that ends a directory's. */
function readTar(archive: Buffer): Contents {
  const members = new Map<string, string>();
  let pax = new Map<string, string>();
  let at = 0;
  while (at + BLOCK <= archive.length && archive[at] !== 0) {
    const header = archive.subarray(at, at + BLOCK);
    const field = (from: number, length: number): string =>
      header
        .subarray(from, from + length)
        .toString('utf8')
        .replace(/\0.*/s, '');
    const type = field(156, 1);
    const size = Number(pax.get('size') ?? Number.parseInt(field(124, 12), 8));
    const body = archive.subarray(at + BLOCK, at + BLOCK + size);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (type === 'x') {
      pax = readPax(body);
      continue;
    }
    const prefix = field(345, 155);
    const path = (pax.get('path') ?? (prefix === '' ? field(0, 100) : `${prefix}/${field(0, 100)}`)).replace(/\/$/, '');
    if (type === '5') members.set(path, 'd');
    else if (type === '2') members.set(path, `l ${pax.get('linkpath') ?? field(157, 100)}`);
    else if (type === '0') members.set(path, `f ${sha256(body)}`);
    else members.set(path, `a member of type ${type}`);
    pax = new Map();
  }
  return members;
}

/** Records of "<length> <key>=<value>\n". */
function readPax(body: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = Number(body.subarray(at, space).toString('latin1'));
    const record = body.subarray(space + 1, at + length - 1);
    const equals = record.indexOf(0x3d);
    records.set(record.subarray(0, equals).toString('latin1'), record.subarray(equals + 1).toString('utf8'));
    at += length;
  }
  return records;
}

/** Hashes of files by path, time and size: a tree is looked at again and again. */
const hashes = new Map<string, string>();

/** What lies below a folder, as `contentsByHand` says it. */
export function contentsOf(folder: string): Contents {
  const contents = new Map([['.', 'd']]);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const full = join(entry.parentPath, entry.name);
    const path = full.slice(folder.length + 1);
    if (entry.isDirectory()) contents.set(path, 'd');
    else if (entry.isSymbolicLink()) contents.set(path, `l ${readlinkSync(full)}`);
    else {
      const { mtimeNs, ino, size } = statSync(full, { bigint: true });
      const name = `${full} ${ino} ${mtimeNs} ${size}`;
      const hash = hashes.get(name) ?? sha256(readFileSync(full));
      remember(hashes, name, hash);
      contents.set(path, `f ${hash}`);
    }
  }
  return contents;
}

/** In words, the first few of them. */
export function differences(stored: Contents, wanted: Contents): string[] {
  const lines: string[] = [];
  for (const [path, what] of wanted) if (stored.get(path) !== what) lines.push(`${path} is ${stored.get(path) ?? 'missing'}, not ${what}`);
  for (const path of stored.keys()) if (!wanted.has(path)) lines.push(`${path} is too much`);
  return lines.slice(0, 5);
}
