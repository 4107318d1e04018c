// Which slots were taken: the catalog's memory from which a daemon that was down, or was killed, goes on.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { JobName } from './jobs.ts';
import { sourceOf, type TaskRequest } from './task.ts';

export interface SlotRun {
  readonly run: string;
  readonly task: TaskRequest;
  readonly job: JobName;
  readonly dueAt: Temporal.Instant;
}

/**
 * For each job the newest slot whose work is done. A slot that failed or was cut off is not in here, so a restart tries it again; one
 * whose run was done is, whenever the daemon was killed: the run itself says which slot it is for, until the slot is written down.
 */
export interface SlotStore {
  lastTaken(shop: string, job: JobName): Promise<Temporal.Instant | null>;
  /** All of them at once, by shop and job. */
  allTaken(): Promise<ReadonlyMap<string, Temporal.Instant>>;
  /** With the run that it was taken by, if any. */
  taken(shop: string, job: JobName, dueAt: Temporal.Instant, run?: string): Promise<void>;
  /** In one transaction. */
  takenTogether(slots: readonly { readonly shop: string; readonly job: JobName; readonly dueAt: Temporal.Instant }[]): Promise<void>;
  /** Writes a run down that is about to begin, and for which slot. */
  begin(run: SlotRun): Promise<void>;
  /** The run is over and its slot is not taken: what never began leaves no row behind. */
  leave(run: string): Promise<void>;
  /** What a killed daemon left: slots of runs that were done are taken, the others are not. Call it before `allTaken`. */
  recover(): Promise<void>;
}

export const slotKey = (shop: string, job: JobName): string => `${shop}\0${job}`;

const SCHEDULE = 'schedule';

/** Slots in the catalog's tables. */
export function catalogSlots(catalog: Catalog, clock: Pick<Clock, 'nowMs'>): SlotStore {
  const write = (tx: Catalog['db'], shop: string, job: string, lastDueAt: number): Promise<unknown> =>
    tx
      .insertInto('slots')
      .values({ shop, job, lastDueAt })
      .onConflict((conflict) => conflict.columns(['shop', 'job']).doUpdateSet({ lastDueAt }))
      .execute();
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
    async allTaken() {
      const rows = await catalog.db.selectFrom('slots').selectAll().execute();
      return new Map(
        rows.map(({ shop, job, lastDueAt }) => [slotKey(shop, job as JobName), Temporal.Instant.fromEpochMilliseconds(lastDueAt)]),
      );
    },
    async taken(shop, job, dueAt, run) {
      await catalog.transaction(async (tx) => {
        await write(tx, shop, job, dueAt.epochMilliseconds);
        if (run === undefined) return;
        await tx.deleteFrom('runs').where('id', '=', run).where('state', '=', 'queued').execute();
        await tx.updateTable('runs').set({ slot: null }).where('id', '=', run).execute();
      });
    },
    async takenTogether(slots) {
      await catalog.transaction(async (tx) => {
        for (const { shop, job, dueAt } of slots) await write(tx, shop, job, dueAt.epochMilliseconds);
      });
    },
    async begin({ run, task, job, dueAt }) {
      const slot = JSON.stringify({ job, due: dueAt.epochMilliseconds });
      await catalog.transaction((tx) =>
        tx
          .insertInto('runs')
          .values({
            ...{ id: run, kind: task.kind, shop: task.shop, source: sourceOf(task), state: 'queued', who: SCHEDULE, slot },
            startedAt: clock.nowMs(),
          })
          .execute(),
      );
    },
    async leave(run) {
      await catalog.transaction(async (tx) => {
        await tx.deleteFrom('runs').where('id', '=', run).where('state', '=', 'queued').execute();
        await tx.updateTable('runs').set({ slot: null }).where('id', '=', run).execute();
      });
    },
    async recover() {
      await catalog.transaction(async (tx) => {
        const rows = await tx
          .selectFrom('runs')
          .select(['id', 'shop', 'state', 'errorCode', 'slot'])
          .where('slot', 'is not', null)
          .orderBy('id')
          .execute();
        for (const { id, shop, state, errorCode, slot } of rows) {
          if (state === 'queued') {
            await tx.deleteFrom('runs').where('id', '=', id).execute();
            continue;
          }
          const { job, due } = JSON.parse(slot as string) as { job: string; due: number };
          // degraded: kept, and a catch-up brings it where it lacks
          if (state === 'done' || state === 'cancelled' || errorCode === 'E_DEGRADED') await write(tx, shop, job, due);
          await tx.updateTable('runs').set({ slot: null }).where('id', '=', id).execute();
        }
      });
    },
  };
}
