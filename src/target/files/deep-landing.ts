// Lands members whose path is too long for tar's system calls: it gets short names for them, in directories that this process holds open.
import { closeSync, linkSync, mkdirSync, rmSync } from 'node:fs';
import { Anchored } from '../../host/anchored.ts';
import { type Complaint, feed, printable, startTar, type TarProcess } from '../../host/gnu-tar.ts';
import { TarMembers } from '../../host/tar-members.ts';
import { END_OF_ARCHIVE } from '../../host/ustar.ts';
import type { BytePath } from '../../source/source.ts';
import { complaintsOf, extractArguments, type Place, writeFailed } from './place.ts';

/** Directories that one tar is given, held open until it has ended. */
const MOST_HELD = 256;

/**
 * tar works in /proc/PID/fd, where the member `N/name` lies in the directory held as N. Hard links are made by this process, at the end: one of
 * their names may be short, and its content come from another tar. No step goes through a symbolic link.
 */
export class DeepLanding {
  readonly #place: Place;
  readonly #signal: AbortSignal;
  readonly #tree: Anchored;
  readonly #members: TarMembers;
  readonly #held = new Map<BytePath, number>();
  #links: { readonly path: BytePath; readonly carrier: BytePath }[] = [];
  #tar: TarProcess | null = null;

  /** `place` is of this machine. Throws E_TARGET_WRITE. */
  constructor(place: Place, signal: AbortSignal) {
    this.#place = place;
    this.#signal = signal;
    this.#tree = opened(place.directory);
    this.#members = new TarMembers({
      member: ({ type, path, linkPath }) => {
        if (type === 'hardlink') {
          this.#links.push({ path, carrier: linkPath });
          return 'drop';
        }
        const slash = path.lastIndexOf('/');
        return { path: `${this.#hold(slash < 0 ? '.' : path.slice(0, slash))}/${path.slice(slash + 1)}` };
      },
    });
  }

  /** Whole members or pieces of them, that were admitted; they may be overwritten once this resolves. Throws as `finish`. */
  async add(bytes: readonly Uint8Array[]): Promise<void> {
    for (const chunk of bytes) {
      // a piece may hold many members, each of which takes a descriptor
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        this.#signal.throwIfAborted();
        const piece = Buffer.from(chunk.buffer, chunk.byteOffset + at, Math.min(PIECE_BYTES, chunk.length - at));
        await this.#give(this.#members.push(piece));
      }
    }
  }

  /** All is on disk but the hard links. */
  async settle(): Promise<void> {
    const tar = this.#tar;
    if (tar === null) return;
    await feed(tar.stdin, [END_OF_ARCHIVE]);
    const { status, complaints } = await tar.ended;
    this.#signal.throwIfAborted();
    if (status !== 0)
      throw complaintsOf(
        this.#place.directory,
        status,
        complaints.map((complaint) => this.#inFull(complaint)),
      );
    this.#tar = null;
    this.#letGo();
  }

  /** After what the hard links lead to was written. Throws E_TARGET_WRITE, E_TARGET_SPACE, E_TOOL_MISSING, or the signal's reason. */
  async finish(): Promise<void> {
    await this.settle();
    for (const { path, carrier } of this.#links) this.#link(carrier, path);
    this.#links = [];
  }

  /** Nothing is written any more. Idempotent. */
  async close(): Promise<void> {
    this.#tar?.kill();
    await this.#tar?.ended.catch(() => {});
    this.#tar = null;
    this.#letGo();
    this.#tree.close();
  }

  async #give(members: readonly Buffer[]): Promise<void> {
    if (members.length === 0) return;
    if (this.#tar === null) {
      const place = { ...this.#place, directory: `/proc/${process.pid}/fd` };
      this.#tar = startTar(place.host, extractArguments(place, true), this.#signal);
      this.#tar.stdout.resume();
    }
    const { stdin } = this.#tar;
    for (const chunk of members) {
      // what the caller reuses must have left before it does; called too when tar is gone, which its end then tells
      if (!stdin.destroyed) await new Promise<void>((resolve) => stdin.write(chunk, () => resolve()));
    }
    if (this.#held.size >= MOST_HELD && this.#members.owedBytes === 0) await this.settle();
  }

  /** Only between two members of what tar was given: the map is whole as long as it works. */
  #hold(directory: BytePath): number {
    const known = this.#held.get(directory);
    if (known !== undefined) return known;
    try {
      makeDirectories(this.#tree, directory);
      const fd = this.#tree.hold(directory) as number;
      this.#held.set(directory, fd);
      return fd;
    } catch (cause) {
      throw writeFailed(printable(directory), cause);
    }
  }

  #link(carrier: BytePath, path: BytePath): void {
    try {
      const slash = path.lastIndexOf('/');
      if (slash > 0) makeDirectories(this.#tree, path.slice(0, slash));
      const name = this.#tree.at(path) as Buffer;
      rmSync(name, { force: true });
      const content = this.#tree.at(carrier);
      if (content === null) throw Object.assign(new Error('no directory'), { code: 'ENOENT' });
      linkSync(content, name);
    } catch (cause) {
      throw writeFailed(printable(path), cause);
    }
  }

  #inFull({ path, message }: Complaint): Complaint {
    const [, fd, name] = /^(\d+)\/(.*)$/s.exec(path ?? '') ?? [];
    for (const [directory, held] of this.#held) if (String(held) === fd) return { path: `${directory}/${name}`, message };
    return { path, message };
  }

  #letGo(): void {
    for (const fd of this.#held.values()) closeSync(fd);
    this.#held.clear();
  }
}

const PIECE_BYTES = 64 * 1024;

function opened(directory: string): Anchored {
  try {
    return new Anchored(directory);
  } catch (cause) {
    throw writeFailed(directory, cause);
  }
}

/** Those that are missing up to `directory`, closed to others until the tail sets their mode. Throws the file system's error. */
export function makeDirectories(tree: Anchored, directory: BytePath): void {
  if (tree.directory(directory) !== null) return;
  for (let slash = directory.indexOf('/'); slash !== -1; slash = directory.indexOf('/', slash + 1))
    makeOne(tree, directory.slice(0, slash));
  makeOne(tree, directory);
  if (tree.directory(directory) === null) throw Object.assign(new Error('no directory'), { code: 'ENOTDIR' });
}

function makeOne(tree: Anchored, directory: BytePath): void {
  if (tree.directory(directory) !== null) return;
  try {
    mkdirSync(tree.at(directory) as Buffer, { mode: 0o700 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
}
