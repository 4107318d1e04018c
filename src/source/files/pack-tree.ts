// Packs ordinary files and symbolic links of a local tree into pax members, by synchronous steps: for a thread that nobody waits for.
import { createHash, hash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { paddedBytes } from '../../host/ustar.ts';
import type { FileEntry } from '../source.ts';
import { MOST_HEADER_BYTES, writeHeaders } from './pax-header.ts';

/** Files to pack, field by field: what crosses to a thread that way costs next to nothing. */
export interface TreeToPack {
  /** Absolute, no symbolic link in it. */
  readonly root: string;
  /** Relative, one character per byte (latin1), NUL between them. */
  readonly paths: string;
  /** 1 for a symbolic link, else 0. */
  readonly links: Uint8Array;
  readonly sizes: Float64Array;
  readonly modes: Uint32Array;
  readonly uids: Uint32Array;
  readonly gids: Uint32Array;
  readonly mtimesNs: BigInt64Array;
  readonly ctimesNs: BigInt64Array;
  readonly inodes: BigUint64Array;
  /** By number of the file: hex SHA-256 of contents that are stored already; a file with one of them is read and not packed. */
  readonly known: ReadonlyMap<number, readonly string[]>;
}

/** What lstat said of a file that was not, when it was read, what the scan had seen. */
export type SeenAnew = Pick<FileEntry, 'sizeBytes' | 'mode' | 'uid' | 'gid' | 'mtimeNs' | 'ctimeNs' | 'inode'>;

export interface TreePacked {
  /** By number of the file: hex SHA-256 of its content as packed; '' for what was not packed, and for symbolic links. */
  readonly hashes: readonly string[];
  /** Text of symbolic links, one character per byte. */
  readonly targets: ReadonlyMap<number, string>;
  readonly seenAnew: ReadonlyMap<number, SeenAnew>;
  /** Content that is stored already (in `hashes`): not packed. */
  readonly same: ReadonlySet<number>;
  /** Changed while read, twice. */
  readonly unstable: ReadonlySet<number>;
  /** Packed with zeros from where it could not be read: an error's code. */
  readonly damaged: ReadonlyMap<number, string>;
  /** Not packed: an error's code, or `became a …`. */
  readonly failed: ReadonlyMap<number, string>;
}

/** What is given out at once; the sealer makes a frame of it. */
const PIECE_BYTES = 2 * 1024 * 1024;
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Yields the members' bytes without an end marker; a piece is only valid until the next one is asked for. A file that is not what the scan
 * saw is packed as it is now. One that changes while it is read is packed again behind its first copy (the last one wins when
 * extracted), once. Never throws for a single file. `buffer`: PIECE_BYTES for it to work in.
 */
export function* pack(tree: TreeToPack, buffer: Buffer = Buffer.allocUnsafeSlow(PIECE_BYTES)): Generator<Uint8Array, TreePacked> {
  return yield* new TreePacker(tree, buffer).run();
}

interface Now {
  readonly isFile: boolean;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly inode: number;
}

class TreePacker {
  readonly #tree: TreeToPack;
  readonly #paths: readonly string[];
  readonly #root: string;
  readonly #buffer: Buffer;
  #used = 0;
  readonly #hashes: string[] = [];
  readonly #targets = new Map<number, string>();
  readonly #seenAnew = new Map<number, SeenAnew>();
  readonly #same = new Set<number>();
  readonly #unstable = new Set<number>();
  readonly #damaged = new Map<number, string>();
  readonly #failed = new Map<number, string>();

  constructor(tree: TreeToPack, buffer: Buffer) {
    this.#tree = tree;
    this.#buffer = buffer;
    this.#paths = tree.paths.split('\0');
    // the kernel's own spelling of what is right below /
    this.#root = tree.root === '/' ? '' : Buffer.from(tree.root).toString('latin1');
  }

  *run(): Generator<Uint8Array, TreePacked> {
    for (let i = 0; i < this.#tree.sizes.length; i++) {
      this.#hashes.push('');
      try {
        if (this.#tree.links[i] === 1) yield* this.#link(i);
        else yield* this.#file(i);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === undefined) throw error;
        this.#hashes[i] = '';
        this.#failed.set(i, code);
      }
    }
    yield* this.#flush();
    return {
      hashes: this.#hashes,
      targets: this.#targets,
      seenAnew: this.#seenAnew,
      same: this.#same,
      unstable: this.#unstable,
      damaged: this.#damaged,
      failed: this.#failed,
    };
  }

  *#link(i: number): Generator<Uint8Array> {
    const path = this.#absolute(i);
    const now = lstatSync(path, { bigint: true });
    if (!now.isSymbolicLink()) {
      this.#failed.set(i, `became ${kindOf(now)}`);
      return;
    }
    const { ctimesNs, mtimesNs, inodes } = this.#tree;
    // after the year 2262 an mtime does not fit there
    if (now.ctimeNs !== ctimesNs[i] || now.mtimeNs !== mtimesNs[i] || now.ino !== inodes[i]) this.#see(i, now);
    const target = readlinkSync(path, { encoding: 'latin1' });
    yield* this.#room(MOST_HEADER_BYTES + target.length);
    this.#header(i, 'symlink', target, 0);
    this.#targets.set(i, target);
  }

  *#file(i: number): Generator<Uint8Array> {
    let fd: number;
    try {
      fd = openSync(this.#absolute(i), FLAGS);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // O_NOFOLLOW at a symbolic link, O_NONBLOCK at a socket or a device without a driver
      this.#failed.set(i, code === 'ELOOP' ? 'became a symlink' : code === 'ENXIO' ? 'became a socket' : (code ?? String(error)));
      return;
    }
    try {
      // A directory on the way that was swapped for a symbolic link must not lead a reader with all rights out of the tree.
      const opened = pathOf(fd);
      if (opened !== `${this.#root}/${this.#paths[i]}`) {
        this.#failed.set(i, opened === null ? 'where it lies cannot be told: /proc is needed' : 'ENOENT');
        return;
      }
      let now = look(fd);
      if (!now.isFile) {
        this.#failed.set(i, `became ${kindOf(fstatSync(fd, { bigint: true }))}`);
        return;
      }
      const asScanned = this.#asScanned(i, now);
      if (!asScanned) this.#see(i, fstatSync(fd, { bigint: true }));
      // owner and mode were compared with what the scan saw
      const known = asScanned ? this.#tree.known.get(i) : undefined;
      if (known !== undefined && this.#isKnown(i, fd, now, known)) return;
      for (let copy = 0; ; copy++) {
        // the size that the index will say, should it have grown between two looks; then it differs from `now`, and counts as changed
        const whole = yield* this.#content(i, fd, this.#seenAnew.get(i)?.sizeBytes ?? now.sizeBytes);
        if (this.#damaged.has(i)) return;
        const after = look(fd);
        if (whole && unchanged(now, after)) return;
        if (copy === 1) {
          this.#unstable.add(i);
          return;
        }
        now = look(fd);
        this.#see(i, fstatSync(fd, { bigint: true }));
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Reads and hashes; true when this content is stored already and nothing changed meanwhile. */
  #isKnown(i: number, fd: number, now: Now, known: readonly string[]): boolean {
    const content = createHash('sha256');
    // the buffer's end, behind what waits in it
    const scratch = this.#buffer.length - this.#used >= 64 * 1024 ? this.#buffer.subarray(this.#used) : Buffer.allocUnsafeSlow(256 * 1024);
    let at = 0;
    while (at < now.sizeBytes) {
      const got = readSync(fd, scratch, 0, Math.min(scratch.length, now.sizeBytes - at), at);
      if (got === 0) return false;
      content.update(scratch.subarray(0, got));
      at += got;
    }
    const digest = content.digest('hex');
    if (!known.includes(digest) || !unchanged(now, look(fd))) return false;
    this.#hashes[i] = digest;
    this.#same.add(i);
    return true;
  }

  /** Packs `sizeBytes` of a file from its beginning; false: it was shorter, or could not be read to its end, and zeros were put in. */
  *#content(i: number, fd: number, sizeBytes: number): Generator<Uint8Array, boolean> {
    yield* this.#room(MOST_HEADER_BYTES + Math.min(paddedBytes(sizeBytes), PIECE_BYTES - MOST_HEADER_BYTES));
    this.#header(i, 'file', '', sizeBytes);
    const from = this.#used;
    const fits = PIECE_BYTES - from >= paddedBytes(sizeBytes);
    const running = fits ? null : createHash('sha256');
    let at = 0;
    let whole = true;
    while (at < sizeBytes) {
      if (this.#used === PIECE_BYTES) yield* this.#flush();
      const wanted = Math.min(PIECE_BYTES - this.#used, sizeBytes - at);
      let got = this.#read(i, fd, wanted, at);
      if (got === 0) {
        whole = false;
        this.#buffer.fill(0, this.#used, this.#used + wanted);
        got = wanted;
      }
      running?.update(this.#buffer.subarray(this.#used, this.#used + got));
      this.#used += got;
      at += got;
    }
    this.#hashes[i] = running?.digest('hex') ?? hash('sha256', this.#buffer.subarray(from, this.#used));
    const padding = paddedBytes(sizeBytes) - sizeBytes;
    if (this.#used + padding > PIECE_BYTES) yield* this.#flush();
    this.#buffer.fill(0, this.#used, this.#used + padding);
    this.#used += padding;
    return whole;
  }

  /** After its header nothing else may follow than as many bytes as that has promised: what cannot be read is as good as its end. */
  #read(i: number, fd: number, bytes: number, at: number): number {
    if (this.#damaged.has(i)) return 0;
    try {
      return readSync(fd, this.#buffer, this.#used, bytes, at);
    } catch (error) {
      this.#damaged.set(i, (error as NodeJS.ErrnoException).code ?? String(error));
      return 0;
    }
  }

  #header(i: number, type: 'file' | 'symlink', target: string, sizeBytes: number): void {
    const tree = this.#tree;
    const seen = this.#seenAnew.get(i);
    this.#used = writeHeaders(this.#buffer, this.#used, {
      type,
      path: this.#paths[i] as string,
      target,
      sizeBytes,
      mode: seen?.mode ?? (tree.modes[i] as number),
      uid: seen?.uid ?? (tree.uids[i] as number),
      gid: seen?.gid ?? (tree.gids[i] as number),
      mtimeNs: seen?.mtimeNs ?? (tree.mtimesNs[i] as bigint),
    });
  }

  #see(i: number, stats: BigIntStats): void {
    this.#seenAnew.set(i, {
      sizeBytes: stats.isFile() ? Number(stats.size) : 0,
      mode: Number(stats.mode) & 0o7777,
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      mtimeNs: stats.mtimeNs,
      ctimeNs: stats.ctimeNs,
      inode: stats.ino,
    });
  }

  /** As far as a double carries them: times to a quarter of a microsecond (the kernel's own clock of files is coarser), inodes to 2^53. */
  #asScanned(i: number, now: Now): boolean {
    const tree = this.#tree;
    return (
      now.sizeBytes === tree.sizes[i] &&
      now.inode === Number(tree.inodes[i]) &&
      Math.abs(now.mtimeMs - Number(tree.mtimesNs[i]) / 1e6) < 0.001 &&
      Math.abs(now.ctimeMs - Number(tree.ctimesNs[i]) / 1e6) < 0.001
    );
  }

  *#room(bytes: number): Generator<Uint8Array> {
    if (PIECE_BYTES - this.#used < bytes) yield* this.#flush();
  }

  *#flush(): Generator<Uint8Array> {
    if (this.#used > 0) yield this.#buffer.subarray(0, this.#used);
    this.#used = 0;
  }

  #absolute(i: number): Buffer {
    return Buffer.from(`${this.#root}/${this.#paths[i]}`, 'latin1');
  }
}

/** Where the kernel says that an open file lies; null when there is no /proc to ask. */
function pathOf(fd: number): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'latin1' });
  } catch {
    return null;
  }
}

function look(fd: number): Now {
  const stats = fstatSync(fd);
  return { isFile: stats.isFile(), sizeBytes: stats.size, mtimeMs: stats.mtimeMs, ctimeMs: stats.ctimeMs, inode: stats.ino };
}

function unchanged(before: Now, after: Now): boolean {
  return before.sizeBytes === after.sizeBytes && before.mtimeMs === after.mtimeMs && before.ctimeMs === after.ctimeMs;
}

function kindOf(stats: BigIntStats): string {
  if (stats.isSymbolicLink()) return 'a symlink';
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a fifo';
  if (stats.isFile()) return 'a file';
  return stats.isSocket() ? 'a socket' : 'a device';
}
