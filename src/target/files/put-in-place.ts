// Moves what was extracted beside a tree into it, one rename a file, and removes what a snapshot does not have.
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  type Dirent,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { openBelow } from '../../host/anchored.ts';
import type { BytePath } from '../../source/source.ts';

/** Directories by a name that stays theirs whatever happens to their path: `/proc/self/fd/N`. */
export type Held = string;

/** Where what is in the way goes: an empty folder on the same file system, removed at the end. */
export class Aside {
  readonly #folder: Held;

  constructor(folder: Held) {
    this.#folder = folder;
  }

  /** Out of the way, but not gone: a directory cannot be replaced by one rename. */
  take(directory: Held, name: BytePath): void {
    const there = below(directory, name);
    // Its entry `..` changes, which takes the right to write into it; only root needs none.
    if (process.geteuid?.() !== 0) makeWritable(directory, name);
    try {
      renameSync(there, below(this.#folder, randomBytes(12).toString('hex')));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EXDEV') throw cause;
      removeHere(directory, name);
    }
  }

  /** A name in the folder. */
  room(): string {
    return `${this.#folder}/${randomBytes(12).toString('hex')}`;
  }
}

/**
 * Everything below `from` goes to the same path below `to`; directories are made where they are missing, closed to others until they get
 * their own mode, and whatever stands in the way of either kind goes aside. A file is replaced by one rename: who has the path sees
 * the old one or the new one. Into another file system, mounted somewhere below `to`, `copy` brings it first, and the rename is there.
 * `except`: names at the top that stay. Throws the file system's error; done again, it goes on.
 */
export async function putInPlace(from: Held, to: Held, aside: Aside, copy: Copy, except: ReadonlySet<BytePath> = new Set()): Promise<void> {
  for (const { name, directory } of list(from)) {
    if (except.has(name)) continue;
    if (directory) {
      const fromFd = openBelow(from, name);
      // nobody else writes beside the tree: gone can only be what was never there
      if (fromFd === null) continue;
      const toFd = enter(to, name, aside);
      try {
        await putInPlace(`/proc/self/fd/${fromFd}`, `/proc/self/fd/${toFd}`, aside, copy);
      } finally {
        closeSync(fromFd);
        closeSync(toFd);
      }
    } else {
      if (lstatSync(below(to, name), { throwIfNoEntry: false })?.isDirectory()) aside.take(to, name);
      try {
        renameSync(below(from, name), below(to, name));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EXDEV') throw cause;
        await copyInPlace(from, to, name, aside, copy);
      }
    }
  }
}

/** Copies one file with all that belongs to it; both names are plain ASCII. */
export type Copy = (from: string, to: string) => Promise<void>;

async function copyInPlace(from: Held, to: Held, name: BytePath, aside: Aside, copy: Copy): Promise<void> {
  const plain = aside.room();
  // beside its place, in the file system that it is for; what a kill leaves of it is of no value
  const there = `${to}/.coffre-restore-${randomBytes(6).toString('hex')}`;
  renameSync(below(from, name), plain);
  try {
    await copy(plain, there);
    renameSync(there, below(to, name));
  } catch (error) {
    rmSync(there, { force: true });
    throw error;
  }
  unlinkSync(plain);
}

/** What cannot go aside, because it is in another file system than what was extracted: out of the way under another name, then gone. */
function removeHere(directory: Held, name: BytePath): void {
  const hidden = `.coffre-restore-${randomBytes(6).toString('hex')}`;
  renameSync(below(directory, name), below(directory, hidden));
  const fd = openBelow(directory, hidden);
  if (fd === null) {
    unlinkSync(below(directory, hidden));
    return;
  }
  try {
    removeOthers(`/proc/self/fd/${fd}`, { belongs: () => false, stays: () => 'no', dry: false });
  } finally {
    closeSync(fd);
  }
  rmdirSync(below(directory, hidden));
}

/** Opens the directory `name`, made if need be. The caller closes it. */
export function enter(parent: Held, name: BytePath, aside: Aside): number {
  let fd = openBelow(parent, name);
  if (fd === null) {
    if (lstatSync(below(parent, name), { throwIfNoEntry: false })) aside.take(parent, name);
    mkdirSync(below(parent, name), { mode: 0o700 });
    fd = openBelow(parent, name);
    if (fd === null) throw Object.assign(new Error('ENOTDIR: replaced at once by somebody else'), { code: 'ENOTDIR' });
  } else if (process.geteuid?.() !== 0) {
    makeWritable(parent, name);
  }
  return fd;
}

/** What stays although the snapshot does not have it: with everything below it, only itself, or not at all. */
export type Stays = (path: BytePath, isDirectory: boolean) => 'whole' | 'itself' | 'no';

export interface Removal {
  /** Paths of the snapshot, directories included. */
  readonly belongs: (path: BytePath) => boolean;
  readonly stays: Stays;
  /** Nothing is removed, only counted. */
  readonly dry: boolean;
  /** Before the first removal from a directory, which changes its time and, for others than root, its mode. */
  readonly onChange?: (path: BytePath) => void;
}

/** Removes what is at `path`, where anything is, by an ordinary removal as long as that goes so deep. Throws the file system's error. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') throw cause;
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      removeOthers(`/proc/self/fd/${fd}`, { belongs: () => false, stays: () => 'no', dry: false });
    } finally {
      closeSync(fd);
    }
    rmdirSync(path);
  }
}

/** Removes what belongs to nobody from the tree `directory`, and returns how many files and directories. Mount points stay. */
export function removeOthers(directory: Held, removal: Removal): number {
  return sweep(directory, '.', lstatSync(`${directory}/.`).dev, removal).removed;
}

function sweep(directory: Held, at: BytePath, device: number, removal: Removal): { removed: number; emptied: boolean } {
  const prefix = at === '.' ? '' : `${at}/`;
  let removed = 0;
  let emptied = true;
  let told = false;
  const change = (work: () => void): void => {
    removed += 1;
    if (removal.dry) return;
    if (!told) {
      removal.onChange?.(at);
      if (process.geteuid?.() !== 0) chmodSync(`${directory}/.`, 0o700);
    }
    told = true;
    work();
  };
  for (const { name, directory: isDirectory } of list(directory)) {
    const path = prefix + name;
    const stays = removal.stays(path, isDirectory);
    if (stays === 'whole') {
      emptied = false;
      continue;
    }
    const belongs = stays === 'itself' || removal.belongs(path);
    if (belongs) emptied = false;
    if (!isDirectory) {
      if (belongs) continue;
      change(() => unlinkSync(below(directory, name)));
      continue;
    }
    const fd = openBelow(directory, name);
    if (fd === null) {
      emptied = false;
      continue;
    }
    try {
      const held = `/proc/self/fd/${fd}`;
      if (lstatSync(`${held}/.`).dev !== device) {
        emptied = false;
        continue;
      }
      const inside = sweep(held, path, device, removal);
      removed += inside.removed;
      if (belongs) continue;
      if (!inside.emptied) {
        emptied = false;
        continue;
      }
      change(() => rmdirSync(below(directory, name)));
    } finally {
      closeSync(fd);
    }
  }
  return { removed, emptied };
}

function list(directory: Held): { name: BytePath; directory: boolean }[] {
  // through a buffer, because a name may be any bytes
  const entries = readdirSync(`${directory}/.`, { encoding: 'buffer', withFileTypes: true }) as unknown as Dirent<Buffer>[];
  return entries.map((entry) => ({ name: entry.name.toString('latin1'), directory: entry.isDirectory() }));
}

/** For its owner, who is not root: the snapshot's own mode comes back at the end. */
function makeWritable(parent: Held, name: BytePath): void {
  let fd: number;
  try {
    fd = openSync(below(parent, name), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch {
    // no directory, or one that cannot be read: what is tried next says why
    return;
  }
  try {
    chmodSync(`/proc/self/fd/${fd}`, 0o700);
  } catch {
    // somebody else's: likewise
  } finally {
    closeSync(fd);
  }
}

/** Makes the directories above `path` and returns a name for it. */
export function makeAbove(tree: Held, path: BytePath): { readonly name: Buffer; close(): void } {
  const components = path.split('/');
  const last = components.pop() as string;
  let fd: number | null = null;
  for (const component of components) {
    const above: Held = fd === null ? tree : `/proc/self/fd/${fd}`;
    let next = openBelow(above, component);
    if (next === null) {
      mkdirSync(below(above, component), { mode: 0o700 });
      next = openBelow(above, component) as number;
    }
    if (fd !== null) closeSync(fd);
    fd = next;
  }
  const held = fd;
  return { name: below(held === null ? tree : `/proc/self/fd/${held}`, last), close: () => held !== null && closeSync(held) };
}

const below = (directory: Held, name: BytePath): Buffer => Buffer.from(`${directory}/${name}`, 'latin1');
