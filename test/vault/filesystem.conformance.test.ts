// Every vault's suite against a folder.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { describeVault, type VaultBench } from './conformance.ts';

async function filesystemBench(): Promise<VaultBench> {
  const path = await mkdtemp(join(tmpdir(), 'coffre-vault-'));
  const config = { name: 'nas', type: 'filesystem', path, media: 'disk', site: null, offsite: false } as const;
  const vault = new FilesystemVault(config, systemClock);
  await vault.initialise();
  return {
    vault,
    smallPages: vault,
    async heldBytes() {
      let sum = 0;
      for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
        const at = join(entry.parentPath, entry.name);
        const isOurOwn = at.startsWith(join(path, '.locks')) || entry.name === '.coffre-vault';
        if (entry.isFile() && !isOurOwn) sum += (await stat(at)).size;
      }
      return sum;
    },
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

describeVault('file system', filesystemBench, { keepsVersions: false, partBytes: 8 * 1024 * 1024 });
