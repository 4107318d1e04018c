// Keeps extraction inside the target: what an archive may name, and what it may not lead through.
import { CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { BytePath } from '../../source/source.ts';
import type { Admission } from '../target.ts';

/**
 * Remembers, over all segments of a restore, which paths are symbolic links and which serve as directories: no path may be both,
 * whatever the order in which parallel extractions meet them. The target was empty at the start, so nothing else can
 * lead out of it.
 */
export class MemberGuard {
  readonly #links = new Set<BytePath>();
  readonly #directories = new Set<BytePath>();

  /** Throws E_FORMAT. */
  admit(member: Admission): void {
    checkPath(member.path);
    if (member.type === 'hardlink') {
      checkPath(member.linkPath);
      this.#useDirectories(member.linkPath);
    }
    this.#useDirectories(member.path);
    if (member.type === 'directory') this.#useDirectory(member.path, member.path);
    const leadsElsewhere = member.type === 'symlink' || (member.type === 'hardlink' && this.#links.has(member.linkPath));
    if (!leadsElsewhere) return;
    if (member.path === '.' || this.#directories.has(member.path)) throw refused(member.path, 'is a symbolic link and a directory');
    this.#links.add(member.path);
  }

  #useDirectories(path: BytePath): void {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const directory = path.slice(0, slash);
      // What is known as a directory had its parents looked at too.
      if (this.#directories.has(directory)) return;
      this.#useDirectory(directory, path);
    }
  }

  #useDirectory(directory: BytePath, path: BytePath): void {
    if (this.#links.has(directory)) throw refused(path, 'leads through a symbolic link');
    this.#directories.add(directory);
  }
}

/**
 * Of plain files in one directory the first alone: all that is asked of them together is where that directory leads. For threads, whose
 * questions cross to another one. Throws E_FORMAT for what `admit` would refuse by the name alone.
 */
export function oneOfEachDirectory(members: readonly Admission[]): readonly Admission[] {
  const asked = new Set<BytePath>();
  return members.filter(({ type, path }) => {
    if (type !== 'file') return true;
    checkPath(path);
    const directory = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (asked.has(directory)) return false;
    asked.add(directory);
    return true;
  });
}

function checkPath(path: BytePath): void {
  if (path === '.') return;
  if (path === '' || path.startsWith('/') || path.includes('\0')) throw refused(path, 'is no relative path');
  for (const component of path.split('/')) {
    if (component === '' || component === '.' || component === '..') throw refused(path, 'is no plain path below the root');
  }
}

function refused(path: BytePath, why: string): CoffreError {
  return new CoffreError('E_FORMAT', `tar: member ${printable(path)} ${why}`, {
    hint: 'coffre writes no such archive: the segment was made by someone else',
  });
}
