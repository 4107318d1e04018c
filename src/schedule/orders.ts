// Orders as the catalog keeps them: read back after a restart, those that were cut off taken up by others.
import { sql } from 'kysely';
import type { RunLog } from '../backup/log.ts';
import type { Catalog } from '../catalog/open.ts';
import { abandonedRuns, closeQueued, queuedRuns, queueRun } from '../catalog/run-queue.ts';
import { markInterrupted, type RunRow } from '../catalog/runs.ts';
import { acquireLock } from '../catalog/state-lock.ts';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import type { Order } from './scheduler-ports.ts';
import { sourceOf, type TaskRequest } from './task.ts';
import { taskSchema } from './task-schema.ts';

/** What was cut off longer ago than this is nobody's wish any more. */
const TAKEN_UP_WITHIN_MS = 7 * 86_400_000;
/** An order that takes the daemon down with it is not begun for ever. */
const MOST_TRIES = 4;
/** A shop that is half restored is not left so because its daemon was started anew some times. */
const MOST_RESTORE_TRIES = 20;

/** Writes an order down; `takesUp`: the run that it goes on with. */
export async function writeOrder(
  catalog: Catalog,
  clock: Clock,
  order: { readonly task: TaskRequest; readonly who: string; readonly takesUp?: string },
): Promise<Order> {
  const { task, who, takesUp } = order;
  const run = newId(clock);
  const row = { id: run, kind: task.kind, shop: task.shop, source: sourceOf(task), who, task };
  await queueRun(catalog, clock, takesUp === undefined ? row : { ...row, takesUp });
  return { run, task, who };
}

/** Says of every run whose process is gone that it was interrupted, so that nobody is shown one that runs for ever. */
export async function markDeadRuns(catalog: Catalog, clock: Clock): Promise<void> {
  const rows = await catalog.db.selectFrom('runs').select('shop').distinct().where(sql<boolean>`"state" = 'running'`).execute();
  for (const row of rows) {
    // a command beside us is at it, and sees to it
    using lock = await acquireLock(catalog.stateDir, `shop-${row.shop}`);
    if (lock) await markInterrupted(catalog, clock, row.shop);
  }
}

/** Orders that wait, and new ones for those that were cut off, oldest first; restores that had begun before all others. */
export async function recoverOrders(catalog: Catalog, clock: Clock, log: RunLog): Promise<Order[]> {
  const orders: Order[] = [];
  // a shop that is half restored is open to no other restore, which must not come first
  const begun: Order[] = [];
  for (const row of await queuedRuns(catalog)) {
    const order = readOrder(row);
    if (order) (order.task.kind === 'restore' && row.takesUp !== null ? begun : orders).push(order);
    else await closeQueued(catalog, clock, row.id, new CoffreError('E_INTERNAL', `run ${row.id} asks for what this version does not know`));
  }
  for (const row of await abandonedRuns(catalog, clock.nowMs() - TAKEN_UP_WITHIN_MS)) {
    const before = readOrder(row);
    if (!before || (await tries(catalog, row)) >= triesOf(before.task)) continue;
    const order = await writeOrder(catalog, clock, { ...before, takesUp: row.id });
    log.info({ event: 'order.takenUp', run: order.run, shop: row.shop, kind: row.kind, who: order.who }, `goes on with ${row.id}`);
    (order.task.kind === 'restore' ? begun : orders).push(order);
  }
  return [...begun, ...orders];
}

function readOrder({ id, task, who }: RunRow): Order | null {
  try {
    const parsed = taskSchema.safeParse(JSON.parse(task ?? 'null'));
    return parsed.success ? { run: id, task: parsed.data, who: who ?? 'coffre' } : null;
  } catch (error) {
    throw asCoffreError(error, 'E_CATALOG', `run ${id}: its task`);
  }
}

const triesOf = ({ kind }: TaskRequest): number => (kind === 'restore' ? MOST_RESTORE_TRIES : MOST_TRIES);

async function tries(catalog: Catalog, row: RunRow): Promise<number> {
  let count = 1;
  for (let before = row.takesUp; before !== null && count < MOST_RESTORE_TRIES; count++) {
    const found = await catalog.db.selectFrom('runs').select('takesUp').where('id', '=', before).executeTakeFirst();
    before = found?.takesUp ?? null;
  }
  return count;
}
