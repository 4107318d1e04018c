// Weeks of schedules in fast time, over both changes of the clocks, with a daemon that is killed at random and stays down for a while.
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import type { RunLog } from '../../src/backup/log.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import { dueSlots } from '../../src/schedule/due.ts';
import type { Job } from '../../src/schedule/jobs.ts';
import { markDeadRuns } from '../../src/schedule/orders.ts';
import { Scheduler } from '../../src/schedule/scheduler.ts';
import { catalogSlots, type SlotStore } from '../../src/schedule/slots.ts';
import { sourceOf } from '../../src/schedule/task.ts';
import { FakeClock } from '../fake-clock.ts';
import { Random } from '../shop/random.ts';
import { tempDir } from '../temp-dir.ts';
import { DAY, HOUR, job, MINUTE } from './rig.ts';

const STEP_MS = 5 * MINUTE;
const quiet = (): void => {};
const log: RunLog = { debug: quiet, info: quiet, warn: quiet, error: quiet };

const withJitter = (one: Job, minutes: number): Job => ({
  ...one,
  start: { jitterMs: minutes * MINUTE, windows: [], timezone: 'Europe/Paris' },
});

const JOBS: readonly Job[] = ['a', 'b', 'c'].flatMap((shop, i) => [
  withJitter(job('database', shop === 'c' ? '0 * * * *' : '30 2 * * *', shop), i),
  withJitter(job('files', '0 3 * * 0', shop), i * 2),
  withJitter(job('increments', '0 4 * * 1-6', shop), i * 2),
  job('prune', '30 6 * * *', shop),
]);

interface Done {
  readonly shop: string;
  readonly name: string;
  readonly dueMs: number;
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** One daemon from its start to its death: whatever it does after that comes to nothing, as with SIGKILL. */
class Life {
  readonly #catalog: Catalog;
  readonly #clock: FakeClock;
  readonly #random: Random;
  readonly #done: Done[];
  /** Writes until it dies, in the middle of whatever it does. */
  #left: number;
  #underWay = 0;
  dead = false;

  constructor(catalog: Catalog, clock: FakeClock, random: Random, done: Done[]) {
    this.#catalog = catalog;
    this.#clock = clock;
    this.#random = random;
    this.#done = done;
    this.#left = random.int(1, 60);
  }

  /** A write: killed just before it, or just after it. */
  async #write<T>(work: () => Promise<T>): Promise<T> {
    if (this.dead) return await new Promise(() => {});
    this.#underWay++;
    const isLast = --this.#left === 0;
    if (isLast) this.dead = true;
    let result: T | null = null;
    if (!isLast || this.#random.int(0, 1) === 0) result = await work().finally(() => this.#underWay--);
    else this.#underWay--;
    return isLast ? await new Promise(() => {}) : (result as T);
  }

  async #read<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++;
    return await work().finally(() => this.#underWay--);
  }

  /** Time stands still until what is being read or written is: a disk may be slow, and a minute of this test is some milliseconds. */
  async settled(): Promise<void> {
    do await turns(6);
    while (this.#underWay > 0);
    await turns(6);
  }

  async begin(): Promise<void> {
    const [catalog, clock, random] = [this.#catalog, this.#clock, this.#random];
    await markDeadRuns(catalog, clock);
    const real = catalogSlots(catalog, clock);
    const slots: SlotStore = {
      lastTaken: (shop, name) => this.#read(() => real.lastTaken(shop, name)),
      allTaken: () => this.#read(() => real.allTaken()),
      recover: () => this.#read(() => real.recover()),
      taken: (...args) => this.#write(() => real.taken(...args)),
      takenTogether: (list) => this.#write(() => real.takenTogether(list)),
      begin: (run) => this.#write(() => real.begin(run)),
      leave: (run) => this.#write(() => real.leave(run)),
    };
    const scheduler = new Scheduler({
      ...{ clock, log, jobs: JOBS, slots },
      books: { close: async () => {}, hung: async () => {}, again: async (order) => order },
      limits: () => ({ concurrency: 2, deadlineMs: 12 * HOUR, hungAfterMs: HOUR }),
      hasSnapshot: async () => true,
      isNeeded: async () => false,
      hindrance: async () => ({ shops: new Set(), restores: 0 }),
      work: async ({ run, task, job: one, dueAt, signal }) => {
        await this.#write(() => startRun(catalog, clock, { id: run, kind: task.kind, shop: task.shop, source: sourceOf(task) }));
        await clock.sleep(random.int(1, 20) * MINUTE, signal);
        await this.#write(async () => {
          await finishRun(catalog, clock, run, 'done');
          this.#done.push({ shop: task.shop, name: one?.name ?? '', dueMs: dueAt?.epochMilliseconds ?? 0 });
        });
      },
    });
    void scheduler.run(new AbortController().signal).catch(() => {});
    // it reads its slots first
    for (let looks = 0; scheduler.jobs < JOBS.length && !this.dead && looks < 10_000; looks++) await turns(1);
  }
}

test.each([
  ['spring, an hour is skipped', '2026-03-24T12:00:00Z', 'spring'],
  ['autumn, an hour comes twice', '2026-10-20T12:00:00Z', 'autumn'],
])(
  'a week in %s, the daemon killed at random: each slot is taken once, or made up for, and none twice',
  async (_title, from, seed) => {
    const clock = new FakeClock(from);
    const random = new Random(`week/${seed}`);
    const dir = await tempDir();
    const done: Done[] = [];
    const startMs = clock.nowMs();
    const downs: { readonly fromMs: number; readonly toMs: number }[] = [];
    let catalog = await openCatalog(dir);
    let life = new Life(catalog, clock, random, done);
    await life.begin();
    while (clock.nowMs() < startMs + 7 * DAY) {
      await life.settled();
      if (life.dead) {
        const fromMs = clock.nowMs() - STEP_MS;
        // its locks end with it
        await catalog.close();
        const downMs = STEP_MS * random.int(0, random.int(0, 3) === 0 ? 400 : 4);
        clock.advance(downMs);
        downs.push({ fromMs, toMs: clock.nowMs() + STEP_MS });
        catalog = await openCatalog(dir);
        life = new Life(catalog, clock, random, done);
        await life.begin();
      }
      clock.advance(STEP_MS);
    }
    // what is due by the end has time to end
    const endMs = clock.nowMs();
    for (let i = 0; i < 60 && !life.dead; i++) {
      await life.settled();
      clock.advance(STEP_MS);
    }
    await catalog.close();
    expect(downs.length).toBeGreaterThan(5);

    const keys = done.map(({ shop, name, dueMs }) => `${shop} ${name} ${dueMs}`);
    expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]);
    const lost: string[] = [];
    let onTime = 0;
    for (const { shop, name, schedule, start } of JOBS) {
      const instant = (ms: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(ms);
      // the last hours may lie in the death of the last daemon
      const slots = dueSlots(schedule, instant(startMs), instant(endMs - 2 * DAY)).map((slot) => slot.epochMilliseconds);
      const own = done.filter((one) => one.shop === shop && (one.name === name || (name === 'increments' && one.name === 'files')));
      for (const [at, slotMs] of slots.entries()) {
        if (own.some((one) => one.dueMs === slotMs)) {
          onTime++;
          continue;
        }
        const later = own.some((one) => one.dueMs > slotMs);
        const nextMs = (slots[at + 1] ?? slotMs + DAY) + (start?.jitterMs ?? 0) + HOUR;
        const wasDown = downs.some(({ fromMs, toMs }) => fromMs < nextMs && toMs > slotMs);
        if (!later || !wasDown) lost.push(`${shop} ${name} ${instant(slotMs)}: ${later ? 'made up for, but nothing was down' : 'never'}`);
      }
    }
    expect(lost).toEqual([]);
    expect(onTime).toBeGreaterThan(60);
  },
  120_000,
);
