// The row of one version of an object, by what a vault calls it.
import type { Kysely } from 'kysely';
import type { ObjectRow } from './snapshots.ts';
import type { Tables } from './tables.ts';

/** Whatever its state is; of a version there is one row at most (index objectsVersion). */
export async function versionRow(
  db: Kysely<Tables>,
  { vault, key, versionId }: { readonly vault: string; readonly key: string; readonly versionId: string },
): Promise<ObjectRow | undefined> {
  return await db
    .selectFrom('objects')
    .selectAll()
    .where('vault', '=', vault)
    .where('key', '=', key)
    .where('versionId', '=', versionId)
    .executeTakeFirst();
}
