// Which vaults lack which snapshots, and why: what a degraded run and a catch-up that failed write down.
import type { Selectable } from 'kysely';
import type { CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import type { GapsTable } from './tables/snapshots.ts';

export type GapRow = Selectable<GapsTable>;

/** Writes down that `vault` does not have this snapshot. Said again it counts the tries. Forgotten as soon as the copy is recorded. */
export async function recordGap(
  catalog: Catalog,
  gap: { snapshotId: string; vault: string; error: CoffreError; atMs: number },
): Promise<void> {
  const { snapshotId, vault, error, atMs } = gap;
  const said = { code: error.code, message: error.message, at: atMs };
  await catalog.transaction((tx) =>
    tx
      .insertInto('gaps')
      .values({ snapshotId, vault, ...said, failures: 1 })
      .onConflict((conflict) =>
        conflict.columns(['snapshotId', 'vault']).doUpdateSet((eb) => ({ ...said, failures: eb('gaps.failures', '+', 1) })),
      )
      .execute(),
  );
}

/** Of the snapshots that a shop, or all of them, still have. */
export async function gapsOf(catalog: Catalog, shop?: string): Promise<GapRow[]> {
  const query = catalog.db
    .selectFrom('gaps')
    .innerJoin('snapshots', 'snapshots.id', 'gaps.snapshotId')
    .selectAll('gaps')
    .where('snapshots.state', '=', 'committed');
  return await (shop === undefined ? query : query.where('snapshots.shop', '=', shop)).execute();
}
