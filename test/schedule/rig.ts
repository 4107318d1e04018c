// A scheduler on a clock of the test's, over the real slots of a real catalog.
import { Temporal } from 'temporal-polyfill';
import { onTestFinished } from 'vitest';
import type { RunLog } from '../../src/backup/log.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { CoffreError, type ErrorCode } from '../../src/errors.ts';
import { parseSchedule } from '../../src/schedule/due.ts';
import type { NewRunEvent } from '../../src/schedule/feed.ts';
import type { Job, JobName } from '../../src/schedule/jobs.ts';
import { Scheduler } from '../../src/schedule/scheduler.ts';
import type { Hindrance, Limits, Order, RunBooks } from '../../src/schedule/scheduler-ports.ts';
import { catalogSlots, type SlotStore } from '../../src/schedule/slots.ts';
import type { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const job = (name: JobName, expression: string, shop = 'dupont'): Job => ({
  shop,
  name,
  schedule: parseSchedule(expression, 'Europe/Paris'),
});

export interface Started {
  readonly run: string;
  readonly shop: string;
  /** `order`: somebody asked for it. */
  readonly name: JobName | 'order';
  readonly due: string;
  readonly at: string;
  end(error?: unknown): void;
  readonly signal: AbortSignal;
}

/** A scheduler on a clock of the test's, whose work ends when the test says so (or at once). */
export function rig(options: {
  readonly clock: FakeClock;
  readonly jobs: readonly Job[];
  readonly slots: SlotStore;
  readonly concurrency?: number;
  /** false: the shop has nothing yet. */
  readonly hasSnapshot?: boolean;
  /** Work waits for `end`. */
  readonly manual?: boolean;
  /** With manual: the order to stop changes nothing. */
  readonly deaf?: boolean;
  readonly fail?: (started: Started) => ErrorCode | null;
  /** Whether a catch-up finds anything; false when left out. */
  readonly lacks?: () => boolean;
  readonly orders?: readonly Order[];
  readonly hindrance?: () => Hindrance;
  readonly limits?: Partial<Limits>;
  readonly books?: Partial<RunBooks>;
}) {
  const { clock, manual = false } = options;
  const started: Started[] = [];
  const published: NewRunEvent[] = [];
  const events: { event: string; job?: string }[] = [];
  const write = (fields: object): void => void events.push(fields as { event: string });
  const log: RunLog = { debug: write, info: write, warn: write, error: write };
  const stop = new AbortController();
  const scheduler = new Scheduler({
    clock,
    log,
    jobs: options.jobs,
    slots: options.slots,
    orders: options.orders ?? [],
    books: { close: async () => {}, hung: async () => {}, again: async (order) => order, ...options.books },
    limits: () => ({ concurrency: options.concurrency ?? 2, deadlineMs: 12 * HOUR, hungAfterMs: 15 * MINUTE, ...options.limits }),
    hindrance: async () => options.hindrance?.() ?? { shops: new Set(), restores: 0 },
    publish: (event) => published.push(event),
    hasSnapshot: async () => options.hasSnapshot ?? true,
    isNeeded: async () => options.lacks?.() ?? false,
    work: async ({ run, task, job: one, dueAt, signal }) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const entry: Started = {
        run,
        shop: task.shop,
        name: one?.name ?? 'order',
        due: dueAt?.toString() ?? '',
        at: clock.now().toString(),
        end: (error) => (error === undefined ? resolve() : reject(error)),
        signal,
      };
      started.push(entry);
      const code = options.fail?.(entry) ?? null;
      if (code !== null) throw new CoffreError(code, 'as the test wants it');
      if (!manual) resolve();
      if (!options.deaf) signal.addEventListener('abort', () => reject(signal.reason));
      await promise;
    },
  });
  const ended = scheduler.run(stop.signal);
  return {
    scheduler,
    started,
    published,
    events,
    ended,
    names: () => started.map((one) => `${one.shop} ${one.name} ${one.due}`),
    stop: () => stop.abort(),
  };
}

/**
 * Lets everything that is ready to run do so. The catalog answers within promises, and its commits wait for the disk: turns of the event loop in
 * which nothing is asked of the file system are enough, no time of the clock passes.
 */
export async function settle(): Promise<void> {
  for (let quiet = 0; quiet < 40; quiet++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (process.getActiveResourcesInfo().some((resource) => resource.startsWith('FSReq'))) quiet = 0;
  }
}

/** Moves time on in steps, as a real clock does. */
export async function pass(clock: FakeClock, ms: number, stepMs = 30 * MINUTE): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    clock.advance(Math.min(left, stepMs));
    await settle();
  }
}

export async function slotStore(): Promise<SlotStore> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  return catalogSlots(catalog, { nowMs: () => 0 });
}

export const instant = (text: string): Temporal.Instant => Temporal.Instant.from(text);
