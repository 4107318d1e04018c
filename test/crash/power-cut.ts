// What a power cut may take that a kill leaves: contents and names of files that were written and not yet synced. The recorder keeps the
// list while a process runs; the loss is done to its folders afterwards. The catalog's own files are left: a commit that
// has returned is there after any cut (catalog-power-cut.test.ts).
import { existsSync, linkSync, mkdirSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Random } from './random.ts';

/** A change of a folder that its sync has not made lasting. Paths are absolute. */
type Entry =
  | { readonly type: 'made'; readonly path: string }
  | { readonly type: 'renamed'; readonly path: string; readonly from: string /** What it replaced. */; readonly saved: string | null }
  | { readonly type: 'removed'; readonly path: string; readonly saved: string };

export interface Unsynced {
  /** Files whose contents may be gone. */
  readonly contents: readonly string[];
  /** In the order in which they were done. */
  readonly entries: readonly Entry[];
}

/** Unwrapped: taken before anything is instrumented. */
const [link, makeFolder, isThere] = [linkSync, mkdirSync, existsSync];

export class UnsyncedFiles {
  readonly #graves: string;
  readonly #contents = new Set<string>();
  #entries: Entry[] = [];
  #lastGrave = 0;

  /** `graves`: a folder on the same file system for what is removed. */
  constructor(graves: string) {
    this.#graves = graves;
    makeFolder(graves, { recursive: true });
  }

  wrote(path: string): void {
    this.#contents.add(path);
  }

  made(path: string): void {
    if (!isCatalogs(path)) this.#entries.push({ type: 'made', path });
  }

  /** Before it is done: keeps what goes. Null when there is nothing. */
  save(path: string): string | null {
    if (!isThere(path)) return null;
    const saved = join(this.#graves, String(++this.#lastGrave));
    try {
      link(path, saved);
    } catch {
      return null;
    }
    return saved;
  }

  renamed(from: string, path: string, saved: string | null): void {
    if (this.#contents.delete(from)) this.#contents.add(path);
    if (!isCatalogs(path)) this.#entries.push({ type: 'renamed', path, from, saved });
  }

  removed(path: string, saved: string | null): void {
    this.#contents.delete(path);
    if (saved !== null && !isCatalogs(path)) this.#entries.push({ type: 'removed', path, saved });
  }

  /** A file, or a folder: then what was done in it lasts. */
  synced(path: string): void {
    this.#contents.delete(path);
    this.#entries = this.#entries.filter((entry) => dirname(entry.path) !== path);
  }

  left(): Unsynced {
    return { contents: [...this.#contents], entries: this.#entries };
  }
}

function isCatalogs(path: string): boolean {
  return /\/state\/(\.rebuild\/)?(catalog\.db|locks)/.test(path);
}

/** Takes some of it away, by chance; gives what went, in words. */
export function cutPower({ contents, entries }: Unsynced, random: Random): string[] {
  const lost: string[] = [];
  for (const path of contents) {
    if (random(2) === 0 || !existsSync(path) || !statSync(path).isFile()) continue;
    const { size } = statSync(path);
    truncateSync(path, random(2) === 0 ? 0 : random(size + 1));
    lost.push(`contents of ${path}`);
  }
  // the last first, as if each had not been done
  for (const entry of entries.toReversed()) {
    if (random(2) === 0) continue;
    const { type, path } = entry;
    if (type === 'made') rmSync(path, { recursive: true, force: true });
    else if (type === 'removed') {
      if (existsSync(path) || !existsSync(dirname(path))) continue;
      renameSync(entry.saved, path);
    } else {
      if (!existsSync(path) || existsSync(entry.from)) continue;
      renameSync(path, entry.from);
      if (entry.saved !== null) renameSync(entry.saved, path);
    }
    lost.push(`${type} ${path}`);
  }
  return lost;
}
