// Both kinds of vault for the tests of ledger and prune, each with an independent count of what it holds.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type Clock, systemClock } from '../../src/clock.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import type { VaultBench } from '../vault/conformance.ts';
import { s3Bench } from '../vault/s3-bench.ts';

export type Bench = Omit<VaultBench, 'smallPages'>;

/** Bytes of objects and unfinished writes under a filesystem vault's folder. */
export async function folderBytes(path: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
    const at = join(entry.parentPath, entry.name);
    const isOurOwn = at.startsWith(join(path, '.locks')) || entry.name === '.coffre-vault';
    if (entry.isFile() && !isOurOwn) sum += (await stat(at)).size;
  }
  return sum;
}

export async function filesystemVault(name: string, path: string, clock: Clock): Promise<FilesystemVault> {
  const vault = new FilesystemVault({ name, type: 'filesystem', path, media: 'disk', site: null, offsite: false }, clock);
  await vault.initialise();
  return vault;
}

async function filesystemBench(): Promise<Bench> {
  const path = await mkdtemp(join(tmpdir(), 'coffre-vault-'));
  const vault = await filesystemVault('nas', path, systemClock);
  return {
    vault,
    heldBytes: () => folderBytes(path),
    async leaveUnfinished(key, bytes) {
      const folder = join(path, dirname(key));
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, `.tmp-${randomBytes(8).toString('hex')}-${basename(key)}`), bytes);
    },
    async release() {
      await vault.close();
      await rm(path, { recursive: true });
    },
  };
}

export const BENCHES: readonly { readonly type: string; readonly make: () => Promise<Bench> }[] = [
  { type: 'filesystem', make: filesystemBench },
  { type: 'S3', make: () => s3Bench() },
];
