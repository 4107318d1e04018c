// What is written down when a vault's disk was replaced by an empty one: nothing that it held is there any more.
import { markReleased } from '../billing/entries.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';

export interface LostWithDisk {
  readonly objects: number;
  readonly bytes: number;
  /** Snapshots that were there and are now in other vaults only: not good any more until a catch-up has brought them back. */
  readonly elsewhere: number;
  /** Snapshots that were nowhere else. */
  readonly lost: number;
}

/** Shops of which the catalog believes that this vault holds something, or a snapshot's copy; probes' `_coffre` among them. */
export async function shopsIn(catalog: Catalog, vault: string): Promise<string[]> {
  const rows = await catalog.db
    .selectFrom('objects')
    .select('shop')
    .where('vault', '=', vault)
    .where('state', 'in', ['stored', 'tombstone'])
    .union(
      catalog.db
        .selectFrom('snapshotVaults')
        .innerJoin('snapshots', 'snapshots.id', 'snapshotVaults.snapshotId')
        .select('snapshots.shop')
        .where('snapshotVaults.vault', '=', vault),
    )
    .execute();
  return rows.map((row) => row.shop).sort();
}

/**
 * Marks everything in `vault` as gone, in catalog, ledger and audit, in one transaction: die before its end and nothing was said,
 * so the next call says it. Call it while holding the locks of `shopsIn`. Saying it twice counts once. Should the old disk come
 * back after all, prune finds its objects again and meters them; its copies of snapshots stay forgotten.
 */
export async function forgetReplacedDisk(catalog: Catalog, clock: Clock, vault: string, who: string): Promise<LostWithDisk> {
  return await catalog.transaction(async (tx) => {
    const held = await tx
      .selectFrom('objects')
      .selectAll()
      .where('vault', '=', vault)
      .where('state', 'in', ['stored', 'tombstone'])
      .execute();
    for (const object of held) await markReleased(tx, clock, object, 'adjust', 'disk replaced');
    const copies = await tx
      .selectFrom('snapshotVaults as copy')
      .innerJoin('snapshots', 'snapshots.id', 'copy.snapshotId')
      .select((eb) =>
        eb
          .exists(
            eb
              .selectFrom('snapshotVaults as other')
              .select('other.vault')
              .whereRef('other.snapshotId', '=', 'copy.snapshotId')
              .where('other.vault', '!=', vault),
          )
          .as('isElsewhere'),
      )
      .where('copy.vault', '=', vault)
      .where('snapshots.state', '=', 'committed')
      .execute();
    await tx.deleteFrom('snapshotVaults').where('vault', '=', vault).execute();
    const elsewhere = copies.filter((copy) => Boolean(copy.isElsewhere)).length;
    const bytes = held.reduce((sum, object) => sum + object.sizeBytes, 0);
    const result = { objects: held.length, bytes, elsewhere, lost: copies.length - elsewhere };
    await tx
      .insertInto('audit')
      .values({
        at: clock.nowMs(),
        who,
        what: 'vault prepare',
        shop: null,
        detail: JSON.stringify({ vault, cause: 'disk replaced', ...result }),
      })
      .execute();
    return result;
  });
}
