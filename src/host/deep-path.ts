// Paths that are longer than one argument of a system call may be: which they are, and where they are parted.
import type { BytePath } from './gnu-tar.ts';

/** PATH_MAX, the NUL at the end left out. */
const LONGEST_ARGUMENT_BYTES = 4095;
/** What is listed below a root: names, lists and index lines of such a tree are held in memory, and it is as deep as somebody likes. */
export const LONGEST_PATH_BYTES = 16 * 1024;
/** Below it a path is not parted, given that its root is short. */
const PART_BYTES = 2048;

/** Whether the path below a root, whose own is `rootBytes` long, is too long for one argument. */
export function isDeep(rootBytes: number, path: BytePath): boolean {
  return rootBytes + 1 + path.length > LONGEST_ARGUMENT_BYTES;
}

/**
 * Parts a path in two that each do for an argument, or the first one after some steps: a directory, the same for most paths near by, and the
 * rest below it. `.` as the directory: it is short enough as it is.
 */
export function part(path: BytePath): { readonly directory: BytePath; readonly rest: BytePath } {
  const cut = path.length < PART_BYTES ? -1 : path.lastIndexOf('/', path.length - (path.length % PART_BYTES));
  return cut <= 0 ? { directory: '.', rest: path } : { directory: path.slice(0, cut), rest: path.slice(cut + 1) };
}

/** The way to a directory in steps that each do for an argument; none to `.`. */
export function stepsTo(directory: BytePath): readonly BytePath[] {
  const steps: BytePath[] = [];
  let from = 0;
  while (directory !== '.' && from < directory.length) {
    const slash = directory.length - from <= PART_BYTES ? -1 : directory.lastIndexOf('/', from + PART_BYTES);
    const end = slash <= from ? directory.length : slash;
    steps.push(directory.slice(from, end));
    from = end + 1;
  }
  return steps;
}
