// A folder that agrees with whatever our clock says: where weeks pass between two runs, prune would ask somebody whether that is so.
import type { Clock } from '../../src/clock.ts';
import type { FilesystemVault } from '../../src/vault/filesystem.ts';

export function agreeing(folder: FilesystemVault, clock: Clock): FilesystemVault {
  const ready = folder.serverTime.bind(folder);
  return Object.assign(folder, { serverTime: async () => (await ready()) ?? (clock.now() as unknown as null) });
}
