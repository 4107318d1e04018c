// What the lock probe found in each place that is a vault, and the objects it left behind until their locks end.
import type { Selectable } from 'kysely';
import type { Clock } from '../clock.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import type { ProbeStep } from '../vault/vault.ts';
import { IS_LIVE } from './live-objects.ts';
import type { Catalog } from './open.ts';
import type { ObjectRow } from './snapshots.ts';
import type { ProbesTable } from './tables/objects.ts';

export interface Probe extends Omit<Selectable<ProbesTable>, 'steps'> {
  readonly steps: readonly ProbeStep[];
}

export async function recordProbe(
  catalog: Catalog,
  clock: Clock,
  /** Its name, and its place as `vaultPlace` writes it. */
  vault: { readonly name: string; readonly place: string },
  outcome: ProbesTable['outcome'],
  steps: readonly ProbeStep[],
): Promise<void> {
  await catalog.transaction((tx) =>
    tx
      .insertInto('probes')
      .values({ vault: vault.name, place: vault.place, at: clock.nowMs(), outcome, steps: JSON.stringify(steps) })
      .execute(),
  );
}

/** The last one of this place (`vaultPlace`), null when it was never probed: then nothing in it counts as locked. */
export async function lastProbe(catalog: Catalog, place: string): Promise<Probe | null> {
  const row = await catalog.db
    .selectFrom('probes')
    .selectAll()
    .where('place', '=', place)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row ? { ...row, steps: JSON.parse(row.steps) as ProbeStep[] } : null;
}

/** Probe objects that are still there, oldest first. */
export async function pendingProbeObjects(catalog: Catalog, vault: string): Promise<ObjectRow[]> {
  return await catalog.db
    .selectFrom('objects')
    .selectAll()
    .where('vault', '=', vault)
    .where('shop', '=', DAEMON_SHOP)
    .where('kind', '=', 'probe')
    .where(IS_LIVE)
    .orderBy('id')
    .execute();
}
