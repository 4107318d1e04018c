// The client's side of SFTP version 3 (draft-ietf-secsh-filexfer-02), as far as reading takes it. Names are bytes: most clients take them for text.
import type { Duplex } from 'node:stream';
import { type Clock, withDeadline } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { BytePath } from './gnu-tar.ts';
import type { Host } from './host.ts';

export interface SftpAttributes {
  readonly sizeBytes: number;
  /** Type and rights, as st_mode; null where the server does not say. */
  readonly mode: number | null;
  readonly uid: number;
  readonly gid: number;
  /** Whole seconds since the epoch. */
  readonly mtimeSeconds: number;
}

export interface SftpName {
  readonly name: BytePath;
  readonly attributes: SftpAttributes;
}

export type SftpCode = 'ENOENT' | 'EACCES' | 'EIO' | 'ENOTSUP';

/** What the server refused; the session goes on. */
export class SftpRefusal extends Error {
  readonly code: SftpCode;

  constructor(code: SftpCode) {
    super(code);
    this.code = code;
  }
}

export type SftpHandle = Buffer & { readonly handle: unique symbol };

const INIT = 1;
const VERSION = 2;
const OPEN = 3;
const CLOSE = 4;
const READ = 5;
const LSTAT = 7;
const FSTAT = 8;
const OPENDIR = 11;
const READDIR = 12;
const REALPATH = 16;
const STAT = 17;
const READLINK = 19;
const STATUS = 101;
const HANDLE = 102;
const DATA = 103;
const NAME = 104;
const ATTRS = 105;

const PROTOCOL = 3;
const FOR_READING = 1;
const END_OF_FILE = 1;
const CODES: Readonly<Record<number, SftpCode>> = { 2: 'ENOENT', 3: 'EACCES', 8: 'ENOTSUP' };
/** OpenSSH sends at most 256 KiB. */
const LONGEST_PACKET_BYTES = 1024 * 1024;
/** What every server gives in one answer. */
export const READ_BYTES = 32 * 1024;

/** A program that stands in the way (ForceCommand) may never answer. */
const GREETING_LIMIT_MS = 20_000;

interface Reply {
  readonly type: number;
  readonly body: Reader;
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

export class SftpSession {
  readonly #host: Host;
  readonly #stream: Duplex;
  readonly #waiting = new Map<number, Waiting>();
  #version: Waiting | null = null;
  #nextId = 0;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #failure: unknown = null;

  private constructor(host: Host, stream: Duplex) {
    this.#host = host;
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('error', (error) => this.#fail(asCoffreError(error, 'E_SSH_LOST', host.name)));
    stream.on('close', () => this.#fail(connectionLost(host)));
    stream.on('end', () => this.#fail(connectionLost(host)));
  }

  /** Throws E_SSH_…, E_SSH_COMMAND when the server has no SFTP, or the signal's reason. */
  static async open(host: Host, clock: Clock, signal?: AbortSignal): Promise<SftpSession> {
    if (host.subsystem === undefined) throw new CoffreError('E_SSH_COMMAND', `${host.name} has no SFTP`);
    const session = new SftpSession(host, host.subsystem('sftp'));
    try {
      await withDeadline(
        clock,
        GREETING_LIMIT_MS,
        () => silent(host),
        () => session.#init(),
        signal,
      );
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  /** Ends it; what was not answered yet fails. Idempotent. */
  close(): void {
    this.#fail(connectionLost(this.#host));
    this.#stream.destroy();
  }

  /** Absolute, symbolic links followed. As all that follow, throws SftpRefusal, or E_SSH_LOST when the session is over. */
  async realpath(path: BytePath): Promise<BytePath> {
    const { body } = await this.#ask(REALPATH, [text(path)], NAME);
    body.uint32();
    return body.text();
  }

  async lstat(path: BytePath): Promise<SftpAttributes> {
    return attributes((await this.#ask(LSTAT, [text(path)], ATTRS)).body);
  }

  /** Of what a symbolic link leads to. */
  async stat(path: BytePath): Promise<SftpAttributes> {
    return attributes((await this.#ask(STAT, [text(path)], ATTRS)).body);
  }

  async fstat(handle: SftpHandle): Promise<SftpAttributes> {
    return attributes((await this.#ask(FSTAT, [text(handle)], ATTRS)).body);
  }

  async readlink(path: BytePath): Promise<BytePath> {
    const { body } = await this.#ask(READLINK, [text(path)], NAME);
    body.uint32();
    return body.text();
  }

  async open(path: BytePath): Promise<SftpHandle> {
    return handle(await this.#ask(OPEN, [text(path), uint32(FOR_READING), uint32(0)], HANDLE));
  }

  async opendir(path: BytePath): Promise<SftpHandle> {
    return handle(await this.#ask(OPENDIR, [text(path)], HANDLE));
  }

  /** Some of the names, without `.` and `..`; null: there are no more. */
  async readdir(handle: SftpHandle): Promise<readonly SftpName[] | null> {
    const reply = await this.#ask(READDIR, [text(handle)], NAME);
    if (reply.type === STATUS) return null;
    const names: SftpName[] = [];
    for (let left = reply.body.uint32(); left > 0; left--) {
      const name = reply.body.text();
      // `ls -l` for people
      reply.body.text();
      const about = attributes(reply.body);
      if (name !== '.' && name !== '..') names.push({ name, attributes: about });
    }
    return names;
  }

  /** At most `bytes`; null: the file ends before `offset`. */
  async read(handle: SftpHandle, offset: number, bytes: number): Promise<Buffer | null> {
    const at = Buffer.alloc(8);
    at.writeBigUInt64BE(BigInt(offset));
    const reply = await this.#ask(READ, [text(handle), at, uint32(bytes)], DATA);
    return reply.type === STATUS ? null : reply.body.bytes();
  }

  async closeHandle(handle: SftpHandle): Promise<void> {
    await this.#ask(CLOSE, [text(handle)], STATUS);
  }

  async #init(): Promise<void> {
    const answered = new Promise<Reply>((resolve, reject) => {
      this.#version = { resolve, reject };
    });
    this.#send(INIT, [uint32(PROTOCOL)]);
    const version = (await answered).body.uint32();
    if (version !== PROTOCOL) throw new CoffreError('E_SSH_COMMAND', `${this.#host.name} speaks SFTP version ${version}, not 3`);
  }

  /** A status of 0 or end of file passes; any other is thrown. */
  async #ask(type: number, fields: readonly Buffer[], expected: number): Promise<Reply> {
    if (this.#failure !== null) throw this.#failure;
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) >>> 0;
    const answered = new Promise<Reply>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#send(type, [uint32(id), ...fields]);
    const reply = await answered;
    if (reply.type === STATUS) {
      const code = reply.body.uint32();
      if (code !== 0 && code !== END_OF_FILE) throw new SftpRefusal(CODES[code] ?? 'EIO');
      if (expected === STATUS || (code === END_OF_FILE && (expected === NAME || expected === DATA))) return reply;
    } else if (reply.type === expected) return reply;
    throw this.#fail(damaged(this.#host));
  }

  #send(type: number, fields: readonly Buffer[]): void {
    const length = fields.reduce((sum, field) => sum + field.length, 1);
    this.#stream.write(Buffer.concat([uint32(length), Buffer.from([type]), ...fields]));
  }

  #receive(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    try {
      while (this.#receivedBytes >= 4) {
        if ((this.#received[0] as Buffer).length < 4) this.#received = [Buffer.concat(this.#received)];
        const length = (this.#received[0] as Buffer).readUInt32BE(0);
        if (length < 1 || length > LONGEST_PACKET_BYTES) throw damaged(this.#host);
        if (this.#receivedBytes < 4 + length) return;
        const all = this.#received.length === 1 ? (this.#received[0] as Buffer) : Buffer.concat(this.#received);
        const rest = all.subarray(4 + length);
        this.#received = rest.length > 0 ? [rest] : [];
        this.#receivedBytes = rest.length;
        this.#answer(all.subarray(4, 4 + length));
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #answer(packet: Buffer): void {
    const type = packet[0] as number;
    const body = new Reader(packet.subarray(1), this.#host);
    if (type === VERSION) {
      this.#version?.resolve({ type, body });
      return;
    }
    const id = body.uint32();
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (!waiting) throw damaged(this.#host);
    waiting.resolve({ type, body });
  }

  /** Everything that waits, and everything that will be asked, fails with the first reason. */
  #fail(error: unknown): unknown {
    this.#failure ??= error;
    this.#version?.reject(this.#failure);
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failure);
    this.#waiting.clear();
    return this.#failure;
  }
}

class Reader {
  readonly #bytes: Buffer;
  readonly #host: Host;
  #at = 0;

  constructor(bytes: Buffer, host: Host) {
    this.#bytes = bytes;
    this.#host = host;
  }

  uint32(): number {
    return this.#take(4).readUInt32BE(0);
  }

  uint64(): number {
    return Number(this.#take(8).readBigUInt64BE(0));
  }

  bytes(): Buffer {
    return this.#take(this.uint32());
  }

  text(): string {
    return this.bytes().toString('latin1');
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw damaged(this.#host);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

const HAS_SIZE = 1;
const HAS_OWNER = 2;
const HAS_MODE = 4;
const HAS_TIMES = 8;
const HAS_MORE = 0x80000000;

function attributes(body: Reader): SftpAttributes {
  const flags = body.uint32();
  const sizeBytes = flags & HAS_SIZE ? body.uint64() : 0;
  const [uid, gid] = flags & HAS_OWNER ? [body.uint32(), body.uint32()] : [0, 0];
  const mode = flags & HAS_MODE ? body.uint32() : null;
  const [, mtimeSeconds] = flags & HAS_TIMES ? [body.uint32(), body.uint32()] : [0, 0];
  for (let left = (flags & HAS_MORE) === 0 ? 0 : body.uint32(); left > 0; left--) {
    body.bytes();
    body.bytes();
  }
  return { sizeBytes, mode, uid: uid as number, gid: gid as number, mtimeSeconds: mtimeSeconds as number };
}

function silent(host: Host): CoffreError {
  return new CoffreError('E_SSH_COMMAND', `${host.name} gives no answer by SFTP`, {
    hint: 'give the user a shell there, or ForceCommand internal-sftp',
  });
}

function connectionLost(host: Host): CoffreError {
  return new CoffreError('E_SSH_LOST', `${host.name}: the SFTP session is over`);
}

function damaged(host: Host): CoffreError {
  return new CoffreError('E_FILES_READ', `${host.name}: what it answers by SFTP makes no sense`);
}

function handle(reply: Reply): SftpHandle {
  return Buffer.from(reply.body.bytes()) as SftpHandle;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function text(value: BytePath | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value;
  return Buffer.concat([uint32(bytes.length), bytes]);
}
