// mkdir -p that always ends: Node's own goes round for ever where a file system answers ENOENT although the parent exists (/proc).
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes `path` (absolute) and what is missing above it, each with `mode`; what exists is left as it is.
 * Throws the file system's own error, ENOTDIR when something else is in the way.
 */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' || at === dirname(at)) throw error;
      return null;
    });
    if (found?.isDirectory()) break;
    if (found) throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${at}'`), { code: 'ENOTDIR' });
    missing.unshift(at);
  }
  for (const folder of missing) {
    await mkdir(folder, { mode }).catch((error: NodeJS.ErrnoException) => {
      // somebody else made it meanwhile
      if (error.code !== 'EEXIST') throw error;
    });
    await syncFolder(dirname(folder));
  }
}

/** What is made here holds what must last: a power cut must not take the whole of it. Where the parent cannot be synced, so be it. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => null);
  await folder?.sync().catch(() => {});
  await folder?.close();
}
