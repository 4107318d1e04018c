// The daemon's reading: rot is found, said, and stored anew from another vault.
import { expect, it } from 'vitest';
import { catchUpShop } from '../../src/backup/catch-up.ts';
import { backupSource } from '../../src/backup/run.ts';
import { readableObjects, readingLevels } from '../../src/catalog/reading.ts';
import { getSnapshot } from '../../src/catalog/snapshots.ts';
import { CoffreError } from '../../src/errors.ts';
import { isReadingDue, type ReadDueDeps, readDue, readShortfall } from '../../src/restore/read-due.ts';
import { flipped, objectsOf, StoredFile, type StoredRow } from '../acceptance/attack.ts';
import { database, MB, never, setting } from '../backup/setting.ts';
import { makeWorld } from '../world/world.ts';

const DAY = 86_400_000;
const pieces = [1, 2, 3].map((n) => ({ name: `part ${n}`, bytes: MB, estimatedBytes: MB }));

it('a part is read each day, oldest first, all of it within the period; what rotted is found, said, and mended by a catch-up', async () => {
  const vaults = ['nas', 'offsite'] as const;
  await using world = await makeWorld({ vaults, database });
  const { deps, shop, close } = await setting(world, pieces);
  try {
    const { catalog, clock, config } = deps;
    const { id } = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
    const read: ReadDueDeps = {
      ...{ catalog, clock },
      openVault: (name) =>
        deps.openVault(
          config.vaults.get(name) ??
            (() => {
              throw new Error(name);
            })(),
        ),
    };
    const request = { shop: 'dupont', vaults, withinMs: 4 * DAY, who: 'test', signal: never };
    expect(await isReadingDue(catalog, clock.nowMs(), request)).toBe(false);

    // stored three and a half days ago: a part of it now
    await catalog.db
      .updateTable('objects')
      .set((eb) => ({ createdAt: eb('createdAt', '-', 2 * DAY) }))
      .execute();
    expect(await isReadingDue(catalog, clock.nowMs(), request)).toBe(true);
    const part = await readDue(read, request);
    expect(readShortfall(part)).toBeNull();
    const [nas] = await readingLevels(catalog, 'dupont', clock.nowMs() - 4 * DAY);
    expect(nas?.readBytes).toBeGreaterThan(0);
    expect(nas?.readBytes).toBeLessThan(nas?.storedBytes ?? 0);
    expect(await isReadingDue(catalog, clock.nowMs(), request)).toBe(false);

    // nobody came for long: everything not yet read is overdue, and the next reading reads it, but for what rotted
    await catalog.db
      .updateTable('objects')
      .set((eb) => ({ createdAt: eb('createdAt', '-', 8 * DAY), readAt: null }))
      .execute();
    const overdue = (await readingLevels(catalog, 'dupont', clock.nowMs() - 4 * DAY)).map(
      (level) => level.overdueBytes === level.storedBytes,
    );
    expect(overdue).toEqual([true, true]);
    const segment = objectsOf(world, id, 'nas').find((row) => row.kind === 'segment') as StoredRow;
    const file = new StoredFile(world, segment);
    file.replace(flipped(file.content));
    const found = await readDue(read, request);
    expect(found.damaged).toEqual([expect.objectContaining({ vault: 'nas', key: segment.key, code: 'E_OBJECT_ALTERED' })]);
    expect(readShortfall(found)).toMatchObject({ code: 'E_OBJECT_ALTERED' });
    expect((await readingLevels(catalog, 'dupont', clock.nowMs() - 4 * DAY)).map(({ overdueBytes }) => overdueBytes)).toEqual([0, 0]);
    expect((await getSnapshot(catalog, id)).good).toBe(false);
    const said = await catalog.db.selectFrom('audit').select('detail').where('what', '=', 'verify').execute();
    expect(said.map(({ detail }) => detail).join()).toContain(segment.key);

    const { copied, left } = await catchUpShop({ ...deps, onProgress: () => {} }, { shop, signal: never });
    expect([copied.map(({ vault, mended }) => [vault, mended]), left]).toEqual([[['nas', 'E_OBJECT_ALTERED']], []]);
    expect((await getSnapshot(catalog, id)).good).toBe(true);
    expect(await readableObjects(catalog, 'nas', 'dupont')).toHaveLength((await readableObjects(catalog, 'offsite', 'dupont')).length);

    // a vault that is away costs the other nothing, and is said
    await catalog.db
      .updateTable('objects')
      .set((eb) => ({ createdAt: eb('createdAt', '-', 8 * DAY), readAt: null }))
      .execute();
    const away = await readDue(
      {
        ...read,
        openVault: (name) => (name === 'nas' ? Promise.reject(new CoffreError('E_VAULT_UNREACHABLE', 'away')) : read.openVault(name)),
      },
      request,
    );
    expect([away.objects > 0, away.errors.map(({ vault, code }) => [vault, code])]).toEqual([true, [['nas', 'E_VAULT_UNREACHABLE']]]);
  } finally {
    await close();
  }
}, 120_000);
