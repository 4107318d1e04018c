// Names paths below an open directory without ever following a symbolic link: what openat(2) is for, which Node does not have.
import { closeSync, constants, openSync } from 'node:fs';
import type { BytePath } from './gnu-tar.ts';

/** Linux, the same on every architecture that Node runs on; Node does not name it. Needs no right to read the directory. */
const O_PATH = 0x200000;
const A_DIRECTORY = O_PATH | constants.O_DIRECTORY;
/** Directories held open at once: those on the way to where the work is. */
const MOST_OPEN = 128;

/**
 * A directory, and those below it that were used last, each held open. `/proc/self/fd/N/name` leads the kernel to `name` in that very
 * directory, whatever was renamed or linked into its place since; each step down refuses what is no real directory. So neither a symbolic
 * link that lies in the tree, nor one put there at this moment, leads a system call out of it. Paths may be longer than PATH_MAX.
 */
export class Anchored {
  readonly #root: number;
  readonly #open = new Map<BytePath, number>();

  /** `directory` itself may be a symbolic link: its name comes from the user. Throws the file system's error. */
  constructor(directory: string | Buffer) {
    this.#root = openSync(directory, A_DIRECTORY);
  }

  /** A name of the directory `path` for system calls of this process, as long as this is open and no 128 others were used since. Null: there is no real directory. */
  directory(path: BytePath): string | null {
    const fd = this.#descend(path);
    return fd === null ? null : `/proc/self/fd/${fd}`;
  }

  /** A name of `path`, which need not exist; the same holds. Null: nothing can be there, its parent is no real directory. */
  at(path: BytePath): Buffer | null {
    if (path === '.') return Buffer.from(`/proc/self/fd/${this.#root}/.`);
    const slash = path.lastIndexOf('/');
    const fd = this.#descend(slash < 0 ? '.' : path.slice(0, slash));
    return fd === null ? null : Buffer.from(`/proc/self/fd/${fd}/${path.slice(slash + 1)}`, 'latin1');
  }

  /** A descriptor of its own for the directory `path`, which the caller closes. */
  hold(path: BytePath): number | null {
    const name = this.directory(path);
    return name === null ? null : openSync(name, A_DIRECTORY);
  }

  close(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
    closeSync(this.#root);
  }

  #descend(path: BytePath): number | null {
    if (path === '.') return this.#root;
    const known = this.#open.get(path);
    if (known !== undefined) {
      // used last, so closed last
      this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    // from the nearest one above that is open: without recursion, a path may have thousands of components
    let end = path.lastIndexOf('/');
    while (end > 0 && !this.#open.has(path.slice(0, end))) end = path.lastIndexOf('/', end - 1);
    let fd = end > 0 ? (this.#descend(path.slice(0, end)) as number) : this.#root;
    while (end < path.length) {
      const from = end + 1;
      const slash = path.indexOf('/', from);
      end = slash < 0 ? path.length : slash;
      const next = openBelow(`/proc/self/fd/${fd}`, path.slice(from, end));
      if (next === null) return null;
      fd = next;
      this.#open.set(path.slice(0, end), fd);
      if (this.#open.size > MOST_OPEN) {
        const [oldest, oldestFd] = this.#open.entries().next().value as [BytePath, number];
        this.#open.delete(oldest);
        closeSync(oldestFd);
      }
    }
    return fd;
  }
}

/** Opens the real directory `name` in `directory`; null when there is none. The caller closes it. */
export function openBelow(directory: string, name: BytePath): number | null {
  try {
    return openSync(Buffer.from(`${directory}/${name}`, 'latin1'), A_DIRECTORY | constants.O_NOFOLLOW);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return null;
    throw cause;
  }
}
