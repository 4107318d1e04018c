// Which slots were taken: the catalog's memory from which a daemon that was down catches up.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { JobName } from './jobs.ts';

/** For each job the newest slot whose work is done. A slot that failed or was cut off is not in here, so a restart tries it again. */
export interface SlotStore {
  lastTaken(shop: string, job: JobName): Promise<Temporal.Instant | null>;
  taken(shop: string, job: JobName, dueAt: Temporal.Instant): Promise<void>;
}

/** Slots in the catalog's table. */
export function catalogSlots(catalog: Catalog): SlotStore {
  return {
    async lastTaken(shop, job) {
      const row = await catalog.db
        .selectFrom('slots')
        .select('lastDueAt')
        .where('shop', '=', shop)
        .where('job', '=', job)
        .executeTakeFirst();
      return row === undefined ? null : Temporal.Instant.fromEpochMilliseconds(row.lastDueAt);
    },
    async taken(shop, job, dueAt) {
      const lastDueAt = dueAt.epochMilliseconds;
      await catalog.db
        .insertInto('slots')
        .values({ shop, job, lastDueAt })
        .onConflict((conflict) => conflict.columns(['shop', 'job']).doUpdateSet({ lastDueAt }))
        .execute();
    },
  };
}
