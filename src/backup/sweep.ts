// What runs that came to nothing, and snapshots that are gone, left on this machine.
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Catalog } from '../catalog/open.ts';
import { syncFolder } from '../segment/key-file.ts';
import { catchUpPath, copyFolders, runDir } from './state-files.ts';

/** Removes the working folders of runs that nobody takes up any more: adopted ones, and those whose provisional locks have ended. */
export async function sweepRunDirs(catalog: Catalog, beforeMs: number, adopted: readonly string[]): Promise<void> {
  const ids = await readdir(join(catalog.stateDir, 'runs')).catch(() => []);
  for (const id of ids) {
    const run = await catalog.db.selectFrom('runs').select(['state', 'startedAt']).where('id', '=', id).executeTakeFirst();
    if (run?.state === 'running') continue;
    if (run && run.startedAt >= beforeMs && run.state !== 'done' && !adopted.includes(id)) continue;
    await rm(runDir(catalog.stateDir, id), { recursive: true, force: true });
  }
}

/** Removes our copies of indexes and manifests whose snapshot never came to be. Call it while holding the shop's lock. */
export async function sweepCopies(catalog: Catalog, shop: string): Promise<void> {
  const rows = await catalog.db.selectFrom('snapshots').select('id').where('shop', '=', shop).where('state', '!=', 'removed').execute();
  const known = new Set(rows.map((row) => row.id));
  for (const folder of copyFolders(catalog.stateDir, shop)) {
    for (const name of await readdir(folder).catch(() => [])) {
      if (!known.has(name.split('.')[0] as string)) await rm(join(folder, name), { force: true });
    }
  }
}

/**
 * Of a shop that has ended, after which neither backup nor catch-up sweeps: what its runs left, and copies of what is gone. They name its
 * files. Durable. Call it while holding the shop's lock.
 */
export async function sweepEnded(catalog: Catalog, shop: string): Promise<void> {
  await sweepCopies(catalog, shop);
  const { stateDir } = catalog;
  for (const id of await readdir(join(stateDir, 'runs')).catch(() => [])) {
    const run = await catalog.db.selectFrom('runs').select(['shop', 'state']).where('id', '=', id).executeTakeFirst();
    if (run?.shop === shop && run.state !== 'running') await rm(runDir(stateDir, id), { recursive: true, force: true });
  }
  const onTheirWay = dirname(catchUpPath(stateDir, 'x'));
  for (const name of await readdir(onTheirWay).catch(() => [])) {
    const id = name.split('.')[0] as string;
    const snapshot = await catalog.db.selectFrom('snapshots').select(['shop', 'state']).where('id', '=', id).executeTakeFirst();
    if (snapshot?.shop === shop && snapshot.state !== 'committed') await rm(join(onTheirWay, name), { force: true });
  }
  for (const folder of [...copyFolders(stateDir, shop), join(stateDir, 'runs'), onTheirWay]) await syncIfThere(folder);
}

/** Makes what was removed from these folders stay away after a power cut; one that was never made held nothing. */
export async function syncIfThere(folder: string): Promise<void> {
  await syncFolder(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}
