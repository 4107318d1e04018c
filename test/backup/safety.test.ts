// What is taken for safety before a restore in place: marked from the first moment that it exists, in the catalog and in its manifest.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { manifestCopyPath } from '../../src/backup/state-files.ts';
import { getSnapshot } from '../../src/catalog/snapshots.ts';
import { makeWorld } from '../world/world.ts';
import { database, MB, never, setting } from './setting.ts';

test('a run for safety - its row and its signed manifest say so, without a second step; another run’s do not', async () => {
  await using world = await makeWorld({ vaults: ['nas'], database });
  const { deps, shop, close } = await setting(world, [{ name: 'part', bytes: MB, estimatedBytes: MB }]);
  try {
    const take = (purpose: 'safety' | undefined) =>
      backupSource(deps, { shop, source: 'database', full: false, purpose, signal: never }).then(({ id }) => id);
    const purposes = async (id: string) => [
      (await getSnapshot(deps.catalog, id)).purpose,
      JSON.parse(readFileSync(manifestCopyPath(deps.catalog.stateDir, shop.name, id, 'nas'), 'utf8')).manifest.purpose,
    ];
    expect(await purposes(await take('safety'))).toEqual(['safety', 'safety']);
    expect(await purposes(await take(undefined))).toEqual([null, undefined]);
  } finally {
    await close();
  }
}, 60_000);
