// Walks a filesystem vault in the order a store lists keys: by the bytes of the whole key.
import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from './filesystem-errors.ts';
import { nameOfTemporary } from './vault-path.ts';

export interface WalkedFile {
  /** Names from the root, joined by slashes, the last one as it is on disk. */
  readonly path: string;
  /** For the temporary file of an unfinished write, the key it was for; null for an object. */
  readonly temporaryOf: string | null;
  readonly stats: BigIntStats;
}

/** Every file system call goes through this, so that a share that hangs ends in a deadline. */
export type Bounded = <T>(work: () => Promise<T>) => Promise<T>;

const BATCH = 64;

/**
 * Regular files below `root` whose key begins with `prefix`. Names with a leading dot are coffre's own and left out,
 * except temporary files; so are `lost+found`, links and devices (what replaced an object is noticed when it is read).
 */
export async function* walk(root: string, prefix: string, bounded: Bounded, folder = ''): AsyncGenerator<WalkedFile> {
  const entries = await bounded(async () => {
    try {
      return await readdir(join(root, folder), { withFileTypes: true });
    } catch (error) {
      // Removed while we walk, or a prefix below which nothing was ever written.
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return [];
      throw error;
    }
  });
  const rows = entries
    .map((entry) => {
      const temporaryName = entry.isFile() ? nameOfTemporary(entry.name) : null;
      const key = folder + (temporaryName ?? entry.name);
      // A folder sorts as the common beginning of the keys in it, which includes the slash.
      return { entry, path: folder + entry.name, key, temporaryName, sortKey: entry.isDirectory() ? `${key}/` : key };
    })
    .filter(({ entry, temporaryName }) => temporaryName !== null || !entry.name.startsWith('.'))
    .filter(({ entry, sortKey }) =>
      entry.isDirectory() ? sortKey.startsWith(prefix) || prefix.startsWith(sortKey) : sortKey.startsWith(prefix),
    )
    .filter(({ path, entry }) => entry.isFile() || (entry.isDirectory() && path !== 'lost+found'))
    .sort((a, b) => Buffer.compare(Buffer.from(a.sortKey), Buffer.from(b.sortKey)));
  for (let start = 0; start < rows.length; start += BATCH) {
    const batch = rows.slice(start, start + BATCH);
    const stats = await bounded(() =>
      Promise.all(batch.map(({ entry, path }) => (entry.isFile() ? lstat(join(root, path), { bigint: true }).catch(ignoreMissing) : null))),
    );
    for (const [index, row] of batch.entries()) {
      const stat = stats[index];
      if (row.entry.isDirectory()) yield* walk(root, prefix, bounded, row.sortKey);
      else if (stat) yield { path: row.path, temporaryOf: row.temporaryName === null ? null : row.key, stats: stat };
    }
  }
}

function ignoreMissing(error: unknown): null {
  if (errnoOf(error) === 'ENOENT') return null;
  throw error;
}
