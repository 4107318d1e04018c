// The end of a removal: rows of what no vault holds any more.
import type { Catalog } from '../catalog/open.ts';
import { keepsPins } from '../catalog/runs.ts';
import { unpinRun } from '../catalog/segments.ts';

/** Deletes the copy rows of tombstoned snapshots whose manifest's key holds nothing of ours in that vault any more; returns them. */
export async function dropReleasedCopies(catalog: Catalog, shop: string): Promise<{ snapshotId: string; vault: string }[]> {
  return await catalog.transaction(async (tx) => {
    const copies = await tx
      .selectFrom('snapshotVaults')
      .innerJoin('snapshots', 'snapshots.id', 'snapshotVaults.snapshotId')
      .innerJoin('objects as manifest', 'manifest.id', 'snapshotVaults.manifestObject')
      .select(['snapshotVaults.snapshotId', 'snapshotVaults.vault'])
      .where('snapshots.shop', '=', shop)
      .where('snapshots.state', '=', 'tombstone')
      .where((eb) =>
        eb.not(
          eb.exists(
            eb
              .selectFrom('objects')
              .select('objects.id')
              .whereRef('objects.vault', '=', 'snapshotVaults.vault')
              .whereRef('objects.key', '=', 'manifest.key')
              .where('objects.kind', 'not in', ['foreign', 'upload'])
              .where('objects.state', 'in', ['intent', 'stored', 'tombstone']),
          ),
        ),
      )
      .execute();
    for (const copy of copies) {
      await tx.deleteFrom('snapshotVaults').where('snapshotId', '=', copy.snapshotId).where('vault', '=', copy.vault).execute();
    }
    return copies;
  });
}

/** Snapshots whose removal has begun. */
export async function tombstones(catalog: Catalog, shop: string): Promise<string[]> {
  const rows = await catalog.db.selectFrom('snapshots').select('id').where('shop', '=', shop).where('state', '=', 'tombstone').execute();
  return rows.map((row) => row.id);
}

/** Tombstoned snapshots of which no vault holds a manifest or an index. */
export async function removableSnapshots(catalog: Catalog, shop: string): Promise<string[]> {
  const rows = await catalog.db
    .selectFrom('snapshots')
    .select('snapshots.id')
    .where('snapshots.shop', '=', shop)
    .where('snapshots.state', '=', 'tombstone')
    .where((eb) =>
      eb.not(
        eb.exists(
          eb.selectFrom('snapshotVaults').select('snapshotVaults.vault').whereRef('snapshotVaults.snapshotId', '=', 'snapshots.id'),
        ),
      ),
    )
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('objects')
            .select('objects.id')
            .whereRef('objects.refId', '=', 'snapshots.id')
            .where('objects.kind', 'in', ['manifest', 'index'])
            .where('objects.state', 'in', ['intent', 'stored', 'tombstone']),
        ),
      ),
    )
    .execute();
  return rows.map((row) => row.id);
}

/** Drops the pins of runs that are over, once no vault holds a manifest of theirs that no snapshot row stands for. */
export async function dropDeadPins(catalog: Catalog, shop: string): Promise<void> {
  await catalog.transaction(async (tx) => {
    const pinning = await tx
      .selectFrom('pins')
      .innerJoin('runs', 'runs.id', 'pins.runId')
      .select('runs.id')
      .distinct()
      .where('runs.shop', '=', shop)
      .where('runs.state', '!=', 'running')
      .execute();
    for (const run of pinning) if (!(await keepsPins(tx, run.id))) await unpinRun(tx, run.id);
  });
}

/** Deletes the rows of segments that no snapshot, pin or vault knows. Call it while holding the shop's lock. */
export async function forgetSegments(catalog: Catalog, shop: string): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx
      .deleteFrom('segments')
      .where('shop', '=', shop)
      // one look for each segment: the list of what all shops' snapshots use is long
      .where(({ eb, selectFrom, exists, not }) =>
        eb.and([
          not(exists(selectFrom('snapshotSegments').select('segmentId').whereRef('segmentId', '=', 'segments.id'))),
          not(exists(selectFrom('pins').select('segmentId').whereRef('segmentId', '=', 'segments.id'))),
        ]),
      )
      .where((eb) =>
        eb.not(
          eb.exists(
            eb
              .selectFrom('objects')
              .select('objects.id')
              .whereRef('objects.refId', '=', 'segments.id')
              .where('objects.state', 'in', ['intent', 'stored', 'tombstone']),
          ),
        ),
      )
      .execute();
  });
}
