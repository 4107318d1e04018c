// The ordinary files of a part: handed to a thread as one request, its answer turned into index entries and warnings.
import { printable } from '../../host/gnu-tar.ts';
import type { BytePath, FileEntry, ThreadWork, Warning } from '../source.ts';
import { placeOf, type Stored } from './older-entries.ts';
import type { TreePacked, TreeToPack } from './pack-tree.ts';
import type { Found } from './walk.ts';

export interface PlainOutcome {
  /** Paths that are dealt with, stored or not. */
  readonly done: ReadonlySet<BytePath>;
  readonly entries: ReadonlyMap<BytePath, FileEntry>;
}

export class PlainFiles implements ThreadWork {
  readonly module = new URL('./pack-tree.ts', import.meta.url).href;
  readonly input: TreeToPack;
  readonly #files: readonly Found[];
  readonly #known: ReadonlyMap<number, readonly Stored[]>;
  readonly #racyFromNs: bigint;
  #packed: TreePacked | null = null;

  /** `known`: by number of the file, contents that are stored already and may be its. */
  constructor(root: string, files: readonly Found[], known: ReadonlyMap<number, readonly Stored[]>, racyFromNs: bigint) {
    this.#files = files;
    this.#known = known;
    this.#racyFromNs = racyFromNs;
    this.input = {
      root,
      paths: files.map((found) => found.path).join('\0'),
      links: Uint8Array.from(files, (found) => (found.type === 'symlink' ? 1 : 0)),
      sizes: Float64Array.from(files, (found) => found.sizeBytes),
      modes: Uint32Array.from(files, (found) => found.mode),
      uids: Uint32Array.from(files, (found) => found.uid),
      gids: Uint32Array.from(files, (found) => found.gid),
      mtimesNs: BigInt64Array.from(files, (found) => found.mtimeNs),
      ctimesNs: BigInt64Array.from(files, (found) => found.ctimeNs),
      inodes: BigUint64Array.from(files, (found) => found.inode),
      known: new Map([...known].map(([i, stored]) => [i, stored.map((one) => one.sha256)])),
    };
  }

  done(result: unknown): void {
    this.#packed = result as TreePacked;
  }

  /** After `done`. Adds to `warnings`. */
  outcome(warnings: Warning[]): PlainOutcome {
    const packed = this.#packed as TreePacked;
    const entries = new Map<BytePath, FileEntry>();
    for (const [i, found] of this.#files.entries()) {
      const failure = packed.failed.get(i);
      if (failure !== undefined) {
        warnings.push(failed(found.path, failure));
        continue;
      }
      const damage = packed.damaged.get(i);
      if (damage !== undefined)
        warnings.push({ kind: 'unreadable', where: printable(found.path), message: `zeros in place of what cannot be read: ${damage}` });
      if (packed.unstable.has(i)) warnings.push({ kind: 'changed', where: printable(found.path), message: 'file changed as we read it' });
      entries.set(found.path, this.#entry(i, found, packed));
    }
    return { done: new Set(this.#files.map((found) => found.path)), entries };
  }

  #entry(i: number, found: Found, packed: TreePacked): FileEntry {
    const seenAnew = packed.seenAnew.get(i);
    const now = seenAnew ?? found;
    const sha256 = packed.hashes[i] as string;
    const target = packed.targets.get(i);
    return {
      type: found.type,
      path: found.path,
      sizeBytes: now.sizeBytes,
      mode: now.mode,
      uid: now.uid,
      gid: now.gid,
      mtimeNs: now.mtimeNs,
      // What changed since the scan may have got attributes after these were asked about: the next reading asks again.
      ctimeNs: seenAnew !== undefined || now.ctimeNs >= this.#racyFromNs ? 0n : now.ctimeNs,
      inode: now.inode,
      ...(target === undefined ? {} : { target }),
      ...(sha256 === '' ? {} : { sha256 }),
      ...(packed.same.has(i) ? this.#place(i, found.path, now.mtimeNs, sha256) : {}),
      ...(packed.unstable.has(i) || packed.damaged.has(i) ? { unstable: true as const } : {}),
    };
  }

  /** Where the content of a file lies that was not packed. */
  #place(i: number, path: BytePath, mtimeNs: bigint, sha256: string): Pick<FileEntry, 'segment' | 'member'> {
    return placeOf(this.#known.get(i)?.find((one) => one.sha256 === sha256) as Stored, path, mtimeNs);
  }
}

/** What is gone was removed by the shop; what became something else is packed as that by the next run; the rest could not be read. */
function failed(path: BytePath, failure: string): Warning {
  const where = printable(path);
  if (failure === 'ENOENT' || failure === 'ENOTDIR') return { kind: 'vanished', where, message: 'gone before it was read' };
  if (failure.startsWith('became ')) return { kind: 'changed', where, message: `${failure} after the scan` };
  return { kind: 'unreadable', where, message: failure };
}
