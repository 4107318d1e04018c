// A file that is written once, front to back, compressed or not, and can be taken back to an earlier place; what is in it can be read again.
import { constants as fsConstants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { CoffreError } from '../errors.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Plaintext of one frame. Frames one after the other are one zstd file. */
const FRAME_BYTES = 4 * 1024 * 1024;
/** Compressed at once, written in order. */
const FRAMES_IN_FLIGHT = 3;
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 } };

export interface Mark {
  readonly frames: number;
  readonly fileBytes: number;
  readonly plainBytes: number;
}

export class FrameFile {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #compressed: boolean;
  /** Nobody else's name is taken away: the file at `path` is still ours. */
  readonly #inode: bigint;
  /** Length of each frame in the file. */
  readonly #frames: number[] = [];
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #queue: Promise<Buffer>[] = [];
  #fileBytes = 0;
  #plainBytes = 0;

  private constructor(path: string, file: FileHandle, inode: bigint, compressed: boolean) {
    this.path = path;
    this.#file = file;
    this.#inode = inode;
    this.#compressed = compressed;
  }

  /** Of mode 0600; one that a killed process left under that name is removed. Throws E_TARGET_WRITE, E_TARGET_SPACE. */
  static async create(path: string, compressed: boolean): Promise<FrameFile> {
    try {
      await unlink(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = fsConstants;
      const file = await open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      return new FrameFile(path, file, (await file.stat({ bigint: true })).ino, compressed);
    } catch (error) {
      throw writeFailure(path, error);
    }
  }

  /** What was written so far, uncompressed. */
  get plainBytes(): number {
    return this.#plainBytes;
  }

  get fileBytes(): number {
    return this.#fileBytes;
  }

  /** Takes a copy. Throws E_TARGET_SPACE, E_TARGET_WRITE, perhaps of what was written before. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#plainBytes += bytes.length;
    let at = 0;
    while (at < bytes.length) {
      const take = Math.min(FRAME_BYTES - this.#gatheredBytes, bytes.length - at);
      this.#gathered.push(Buffer.from(bytes.subarray(at, at + take)));
      this.#gatheredBytes += take;
      at += take;
      if (this.#gatheredBytes === FRAME_BYTES) await this.#endFrame();
    }
  }

  /** A place to come back to: everything before it is in the file. */
  async mark(): Promise<Mark> {
    await this.#endFrame();
    await this.#drain(0);
    return { frames: this.#frames.length, fileBytes: this.#fileBytes, plainBytes: this.#plainBytes };
  }

  /** What was written since is gone. */
  async takeBack({ frames, fileBytes, plainBytes }: Mark): Promise<void> {
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const under = this.#queue.splice(0);
    await Promise.allSettled(under);
    try {
      await this.#file.truncate(fileBytes);
    } catch (error) {
      throw writeFailure(this.path, error);
    }
    this.#frames.length = frames;
    this.#fileBytes = fileBytes;
    this.#plainBytes = plainBytes;
  }

  /** Everything from the beginning, uncompressed, a frame at a time. Only after `mark`, and nothing is written meanwhile. */
  async *read(): AsyncGenerator<Buffer> {
    let at = 0;
    for (const length of this.#frames) {
      const frame = Buffer.allocUnsafe(length);
      const { bytesRead } = await this.#file.read(frame, 0, length, at);
      if (bytesRead !== length) throw new CoffreError('E_TARGET_WRITE', `${this.path} is shorter than what was written to it`);
      at += length;
      yield this.#compressed ? await decompress(frame) : frame;
    }
  }

  /** Everything is on the disk. Throws E_TARGET_WRITE when another process has put its own file in its place. */
  async sync(): Promise<void> {
    await this.mark();
    try {
      await this.#file.sync();
    } catch (error) {
      throw writeFailure(this.path, error);
    }
    if (!(await this.#isOurs())) throw new CoffreError('E_TARGET_WRITE', `${this.path}: another process writes the same file`);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#queue.splice(0));
    await this.#file.close();
  }

  /** Closes it and removes its name. */
  async discard(): Promise<void> {
    if (await this.#isOurs().catch(() => false)) await unlink(this.path).catch(() => {});
    await this.close();
  }

  async #isOurs(): Promise<boolean> {
    const there = await open(this.path, fsConstants.O_RDONLY | fsConstants.O_NOFOLLOW);
    try {
      return (await there.stat({ bigint: true })).ino === this.#inode;
    } finally {
      await there.close();
    }
  }

  async #endFrame(): Promise<void> {
    if (this.#gatheredBytes === 0) return;
    const whole = Buffer.concat(this.#gathered, this.#gatheredBytes);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const frame = this.#compressed ? compress(whole, ZSTD) : Promise.resolve(whole);
    // seen when its turn has come
    frame.catch(() => {});
    this.#queue.push(frame);
    await this.#drain(FRAMES_IN_FLIGHT - 1);
  }

  async #drain(leave: number): Promise<void> {
    while (this.#queue.length > leave) {
      const frame = (await this.#queue[0]) as Buffer;
      try {
        for (let at = 0; at < frame.length; ) {
          at += (await this.#file.write(frame, at, frame.length - at, this.#fileBytes + at)).bytesWritten;
        }
      } catch (error) {
        throw writeFailure(this.path, error);
      }
      this.#queue.shift();
      this.#frames.push(frame.length);
      this.#fileBytes += frame.length;
    }
  }
}

/** A file that cannot be written, as the error that says so. */
export function writeFailure(path: string, error: unknown): CoffreError {
  if (error instanceof CoffreError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new CoffreError('E_TARGET_SPACE', `${path}: no space is left`, { cause: error });
  const folder = dirname(path);
  const hint =
    code === 'ENOENT' || code === 'ENOTDIR'
      ? `there is no folder ${folder}: mkdir -p ${folder}, or name another`
      : code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
        ? `${folder} has to be a folder that whoever runs this may write into`
        : null;
  return new CoffreError('E_TARGET_WRITE', `${path} cannot be written: ${code ?? 'unknown'}`, { cause: error, ...(hint && { hint }) });
}
