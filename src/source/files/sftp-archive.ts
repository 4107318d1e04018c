// An archive written by us from what SFTP gives, in place of GNU tar's: the same members, the same complaints.
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import type { Complaint, TarExit } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { READ_BYTES, type SftpAttributes, type SftpHandle, SftpRefusal, SftpSession } from '../../host/sftp-session.ts';
import { END_OF_ARCHIVE, paddedBytes } from '../../host/ustar.ts';
import type { BytePath } from '../source.ts';
import { MOST_HEADER_BYTES, type PaxMember, writeHeaders } from './pax-header.ts';
import { isLostConnection } from './reconnect.ts';
import { bytePath, describe } from './sftp-entry.ts';
import type { Archiver } from './tar-pack.ts';
import type { Found } from './walk.ts';

/** Entries that are being fetched at the same time: each costs a few round trips. */
const AHEAD = 32;
/** A file up to this is fetched ahead as a whole. */
const SMALL_BYTES = 256 * 1024;
/** Answers under way for one large file: 2 MiB, what a channel holds. */
const READS_AHEAD = 64;
export interface SftpPlace {
  readonly host: Host;
  readonly root: string;
  readonly clock: Clock;
}

export function startSftpArchiver(place: SftpPlace, paths: Iterable<BytePath>, signal: AbortSignal): Archiver {
  const complaints: Complaint[] = [];
  const exit = Promise.withResolvers<TarExit>();
  exit.promise.catch(() => {});
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  async function* stdout(): AsyncGenerator<Buffer> {
    try {
      yield* archive(place, paths, complaints, both);
      exit.resolve({ status: complaints.length > 0 ? 1 : 0, lost: false, complaints });
    } catch (error) {
      if (isLostConnection(error)) exit.resolve({ status: null, lost: true, complaints });
      else exit.reject(error);
    }
  }
  return { stdout: stdout(), ended: exit.promise, kill: () => stop.abort(new CoffreError('E_INTERRUPTED', 'not wanted any more')) };
}

/** What is known of an entry when its turn comes; null: nothing to store. */
interface Fetched {
  readonly found: Found;
  readonly target: BytePath;
  /** A small file's; null: it is read when its turn comes. */
  readonly content: Buffer | null;
}

async function* archive(
  { host, root, clock }: SftpPlace,
  paths: Iterable<BytePath>,
  complaints: Complaint[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  signal.throwIfAborted();
  const session = await SftpSession.open(host, clock, signal);
  const onAbort = (): void => session.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const queue: { readonly path: BytePath; readonly fetched: Promise<Fetched> }[] = [];
    const rest = paths[Symbol.iterator]();
    const fill = (): void => {
      while (queue.length < AHEAD) {
        const next = rest.next();
        if (next.done) return;
        const fetched = fetch(session, root, next.value, complaints);
        fetched.catch(() => {});
        queue.push({ path: next.value, fetched });
      }
    };
    for (fill(); queue.length > 0; fill()) {
      const { path, fetched } = queue.shift() as (typeof queue)[number];
      try {
        const entry = await fetched;
        yield header(entry);
        if (entry.found.type !== 'file') continue;
        if (entry.content !== null) yield padded(entry.content);
        else yield* large(session, root, entry.found, complaints);
      } catch (error) {
        if (!(error instanceof SftpRefusal)) throw signal.aborted ? signal.reason : error;
        complaints.push({ path, message: `Cannot open: ${MESSAGES[error.code]}` });
      }
    }
    yield END_OF_ARCHIVE;
  } finally {
    signal.removeEventListener('abort', onAbort);
    session.close();
  }
}

/** As GNU tar words them. */
const MESSAGES: Readonly<Record<SftpRefusal['code'], string>> = {
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EIO: 'Input/output error',
  ENOTSUP: 'Operation not supported',
};
const CHANGED = 'file changed as we read it';

async function fetch(session: SftpSession, root: string, path: BytePath, complaints: Complaint[]): Promise<Fetched> {
  const absolute = bytePath(root, path);
  const found = describe(path, await session.lstat(absolute));
  if (!found) throw new SftpRefusal('ENOENT');
  if (found.type === 'symlink') return { found, target: await session.readlink(absolute), content: null };
  if (found.type !== 'file') return { found, target: '', content: null };
  if (found.sizeBytes > SMALL_BYTES) {
    // Whether it can be read is asked before its header is written.
    await session.closeHandle(await session.open(absolute));
    return { found, target: '', content: null };
  }
  return await withFile(session, absolute, found, complaints, async (handle) => {
    const content = Buffer.alloc(found.sizeBytes);
    const got = await readInto(session, handle, content, 0);
    if (got < content.length) complaints.push(shrank(found, content.length - got));
    return { found, target: '', content };
  });
}

async function* large(session: SftpSession, root: string, found: Found, complaints: Complaint[]): AsyncGenerator<Buffer> {
  const absolute = bytePath(root, found.path);
  let handle: SftpHandle | null = null;
  let given = 0;
  try {
    handle = await session.open(absolute);
    const file = handle;
    const before = await session.fstat(file);
    const pieces: Promise<{ piece: Buffer; got: number }>[] = [];
    let asked = 0;
    let missing = 0;
    const fill = (): void => {
      for (; pieces.length < READS_AHEAD && asked < found.sizeBytes; asked += READ_BYTES) {
        const piece = Buffer.alloc(Math.min(READ_BYTES, found.sizeBytes - asked));
        const read = readInto(session, file, piece, asked).then((got) => ({ piece, got }));
        read.catch(() => {});
        pieces.push(read);
      }
    };
    for (fill(); pieces.length > 0; fill()) {
      const { piece, got } = await (pieces.shift() as (typeof pieces)[number]);
      missing += piece.length - got;
      yield piece;
      given += piece.length;
    }
    if (missing > 0) complaints.push(shrank(found, missing));
    else if (differs(found, before) || differs(found, await session.fstat(file))) complaints.push({ path: found.path, message: CHANGED });
  } catch (error) {
    // Its header is written: the rest are zeros, and it is said.
    if (!(error instanceof SftpRefusal)) throw error;
    complaints.push({ path: found.path, message: `Read error at byte ${given}: ${MESSAGES[error.code]}` });
    for (; given < found.sizeBytes; given += READ_BYTES) yield Buffer.alloc(Math.min(READ_BYTES, found.sizeBytes - given));
  } finally {
    if (handle !== null) await session.closeHandle(handle).catch(() => {});
  }
  const padding = paddedBytes(found.sizeBytes) - found.sizeBytes;
  if (padding > 0) yield Buffer.alloc(padding);
}

async function withFile<T>(
  session: SftpSession,
  absolute: BytePath,
  found: Found,
  complaints: Complaint[],
  work: (handle: SftpHandle) => Promise<T>,
): Promise<T> {
  const handle = await session.open(absolute);
  try {
    const result = await work(handle);
    if (differs(found, await session.fstat(handle))) complaints.push({ path: found.path, message: CHANGED });
    return result;
  } finally {
    await session.closeHandle(handle).catch(() => {});
  }
}

/** Servers may give less than was asked for. Answers how much there was. */
async function readInto(session: SftpSession, handle: SftpHandle, into: Buffer, offset: number): Promise<number> {
  let at = 0;
  while (at < into.length) {
    const bytes = await session.read(handle, offset + at, Math.min(READ_BYTES, into.length - at));
    if (bytes === null || bytes.length === 0) return at;
    at += bytes.copy(into, at);
  }
  return at;
}

function differs(found: Found, now: SftpAttributes): boolean {
  const then = describe(found.path, now);
  return then === null || then.type !== found.type || then.sizeBytes !== found.sizeBytes || then.mtimeNs !== found.mtimeNs;
}

const shrank = (found: Found, bytes: number): Complaint => ({
  path: found.path,
  message: `File shrank by ${bytes} bytes; padding with zeros`,
});

function header({ found, target }: Fetched): Buffer {
  const { type, path, sizeBytes, mode, uid, gid, mtimeNs } = found;
  const member: PaxMember = {
    type: type as PaxMember['type'],
    path: type === 'directory' ? `${path}/` : path,
    target,
    sizeBytes,
    mode,
    uid,
    gid,
    mtimeNs,
  };
  const buffer = Buffer.allocUnsafe(MOST_HEADER_BYTES + path.length + target.length);
  return buffer.subarray(0, writeHeaders(buffer, 0, member));
}

function padded(content: Buffer): Buffer {
  const padding = paddedBytes(content.length) - content.length;
  return padding === 0 ? content : Buffer.concat([content, Buffer.alloc(padding)]);
}
