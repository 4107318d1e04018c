// What runs that came to nothing left on this machine.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Catalog } from '../catalog/open.ts';
import { copyFolders, runDir } from './state-files.ts';

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
