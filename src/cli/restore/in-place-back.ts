// What `--rollback` does, in words: of a restore in place that is open, and of the last one that ended.
import type { Catalog } from '../../catalog/open.ts';
import { isBackup, listSnapshots, type SnapshotWithCopies } from '../../catalog/snapshots.ts';
import type { ShopConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { OpenRestore, SafetySnapshots } from '../../restore/in-place.ts';
import type { SourceKind } from '../../source/source.ts';

/** What `--rollback` does of an open restore, in words. */
export function wayBack({ order, safety, swapped }: Pick<OpenRestore, 'order' | 'safety' | 'swapped'>): string {
  if (!swapped) return 'remove what was loaded beside, and open the shop as it was';
  const database = order.database ? ['put the old tables back'] : [];
  const files = order.files
    ? [
        safety?.files
          ? `restore what differs of the files from the safety snapshot ${safety.files}`
          : 'fail where a file was replaced already, for no safety snapshot of them was taken',
      ]
    : [];
  return `${[...database, ...files].join(', ')}, and open the shop`;
}

/** The last restore in place that ended is gone back from by a restore of its safety snapshots. */
export async function rollBackDone(catalog: Catalog, shop: ShopConfig): Promise<never> {
  const rows = await catalog.db
    .selectFrom('runs')
    .select('detail')
    .where('shop', '=', shop.name)
    .where('kind', '=', 'restore')
    .where('state', '=', 'done')
    .orderBy('endedAt', 'desc')
    .execute();
  const told = rows.map(({ detail }) => safetyIn(detail)).find((one) => one !== null);
  // a restore whose command was killed at its very end left no word of them, and them
  const safety = told ?? newestSafety(await listSnapshots(catalog, shop.name));
  if (safety.files === null && safety.database === null) {
    throw new CoffreError('E_NOT_FOUND', `${shop.name}: no restore in place is open, and none that ended left a safety snapshot`, {
      hint: `coffre snapshots ${shop.name} lists what can be restored`,
    });
  }
  const ids = [safety.files, safety.database].flatMap((id) => id ?? []);
  throw new CoffreError(
    'E_NOT_FOUND',
    `${shop.name}: no restore in place is open; the last one ended, and its safety snapshots are ${ids.join(' and ')}`,
    {
      hint: ids.map((id) => `coffre restore ${shop.name} --in-place --snapshot ${id}`).join('; then '),
    },
  );
}

/** Of each source. Pure; `snapshots` newest first. */
export function newestSafety(snapshots: readonly Pick<SnapshotWithCopies, 'id' | 'purpose' | 'source'>[]): SafetySnapshots {
  const of = (source: SourceKind): string | null => snapshots.find((one) => one.source === source && !isBackup(one))?.id ?? null;
  return { database: of('database'), files: of('files') };
}

function safetyIn(detail: string | null): SafetySnapshots | null {
  const { inPlace } = JSON.parse(detail ?? '{}') as { readonly inPlace?: { readonly safety?: SafetySnapshots | null } };
  return inPlace?.safety ?? null;
}
