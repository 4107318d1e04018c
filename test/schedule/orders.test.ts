import { expect, test } from 'vitest';
import { CoffreError } from '../../src/errors.ts';
import type { Job } from '../../src/schedule/jobs.ts';
import type { Hindrance, Order } from '../../src/schedule/scheduler-ports.ts';
import { FakeClock } from '../fake-clock.ts';
import { DAY, HOUR, instant, job, MINUTE, pass, rig, settle, slotStore } from './rig.ts';

const order = (run: string, shop = 'dupont', kind: 'prune' | 'catch-up' = 'prune'): Order => ({ run, task: { kind, shop }, who: 'anna' });
const starts = (it: ReturnType<typeof rig>): string[] => it.started.map((one) => `${one.shop} ${one.name}`);
const NIGHTLY = '30 2 * * *';
const OFFICE = { fromMinute: 8 * 60, toMinute: 20 * 60, days: [1, 2, 3, 4, 5, 6, 7] };

test('what somebody asks for begins before everything that is scheduled, in the order in which it was asked for', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  const jobs = ['a', 'b', 'c', 'd'].map((shop) => job('database', NIGHTLY, shop));
  const it = rig({ clock, jobs, slots: await slotStore(), hasSnapshot: false, manual: true, concurrency: 1 });
  await settle();
  it.scheduler.order(order('r1', 'd'));
  it.scheduler.order(order('r2', 'e'));
  it.started[0]?.end();
  await settle();
  it.started[1]?.end();
  await settle();
  it.started[2]?.end();
  await settle();
  expect(starts(it)).toEqual(['a database', 'd order', 'e order', 'b database']);
  it.started[3]?.end();
  it.stop();
  await it.ended;
});

test('its shop is busy: it waits, others of other shops do not; then it goes before the shop’s next slot', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  const jobs = [job('database', NIGHTLY), job('files', '0 3 * * 0')];
  const it = rig({ clock, jobs, slots: await slotStore(), hasSnapshot: false, manual: true, concurrency: 2 });
  await settle();
  it.scheduler.order(order('r1'));
  it.scheduler.order(order('r2', 'martin'));
  await settle();
  expect(starts(it)).toEqual(['dupont database', 'martin order']);
  it.started[0]?.end();
  await settle();
  expect(starts(it)).toEqual(['dupont database', 'martin order', 'dupont order']);
  for (const one of it.started) one.end();
  await settle();
  for (const one of it.started) one.end();
  it.stop();
  await it.ended;
});

test('the shop is held by a command beside the daemon: tried again every 15 s, its row closed once', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  let busy = 3;
  const closed: (string | null)[] = [];
  const it = rig({
    ...{ clock, jobs: [], slots: await slotStore(), orders: [order('r1')] },
    fail: () => (busy-- > 0 ? 'E_BUSY' : null),
    books: { close: async (_run, error) => void closed.push(error?.code ?? null) },
  });
  await settle();
  await pass(clock, MINUTE, 5000);
  expect(it.started.map((one) => one.at.slice(14, 19))).toEqual(['00:00', '00:15', '00:30', '00:45']);
  expect(closed).toEqual([null]);
  expect(it.published.at(-1)).toMatchObject({ run: 'r1', type: 'ended', state: 'done' });
  it.stop();
  await it.ended;
});

test('an order that fails is not tried again by itself: whoever gave it is told', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  const it = rig({ clock, jobs: [], slots: await slotStore(), orders: [order('r1')], fail: () => 'E_VAULT_UNREACHABLE' });
  await settle();
  await pass(clock, 3 * HOUR);
  expect(it.started).toHaveLength(1);
  expect(it.published.at(-1)).toMatchObject({ type: 'ended', state: 'failed', error: { code: 'E_VAULT_UNREACHABLE' } });
  it.stop();
  await it.ended;
});

test('cancelled while it waits - it never begins; while it runs - stopped; scheduled - its slot is taken', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  const slots = await slotStore();
  const it = rig({ clock, jobs: [job('database', NIGHTLY)], slots, hasSnapshot: false, manual: true, concurrency: 1 });
  await settle();
  it.scheduler.order(order('r1', 'martin'));
  it.scheduler.order(order('r2', 'durand'));
  expect(it.scheduler.cancel('r1', 'anna')).toBe('queued');
  expect(it.scheduler.cancel(it.started[0]?.run ?? '', 'anna')).toBe('running');
  await settle();
  expect(starts(it)).toEqual(['dupont database', 'durand order']);
  expect(it.started[0]?.signal.reason).toMatchObject({ code: 'E_CANCELLED' });
  expect((await slots.lastTaken('dupont', 'database'))?.toString()).toBe('2026-11-22T12:00:00Z');
  expect(it.scheduler.cancel('r2', 'anna')).toBe('running');
  await settle();
  expect(it.published.filter(({ type }) => type === 'ended').map(({ state }) => state)).toEqual(['cancelled', 'cancelled', 'cancelled']);
  expect(it.scheduler.cancel('r9', 'anna')).toBeNull();
  it.stop();
  expect(await it.ended).toBe(true);
});

test('a catch-up that somebody asked for gives way too, and goes on under another number', async () => {
  const clock = new FakeClock('2026-11-22T01:00:00Z');
  const it = rig({
    ...{ clock, jobs: [job('database', NIGHTLY)], slots: await slotStore(), manual: true, concurrency: 1 },
    orders: [order('r1', 'dupont', 'catch-up')],
    books: { again: async (before) => ({ ...before, run: 'r2' }) },
  });
  await settle();
  await pass(clock, 40 * MINUTE, MINUTE);
  expect(starts(it)).toEqual(['dupont order', 'dupont database']);
  it.started[1]?.end();
  await settle();
  expect(it.started.map((one) => one.run)).toEqual(['r1', expect.any(String), 'r2']);
  it.started[2]?.end();
  it.stop();
  await it.ended;
});

test('a paused shop: its backups wait, its prune does not; resumed, one backup makes up for all nights', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  let paused: Hindrance = { shops: new Set(['dupont']), restores: 0 };
  const it = rig({
    ...{ clock, jobs: [job('database', NIGHTLY), job('prune', '30 6 * * *'), job('database', NIGHTLY, 'martin')] },
    ...{ slots: await slotStore(), hindrance: () => paused },
  });
  await settle();
  await pass(clock, 3 * DAY);
  expect(starts(it).filter((name) => name === 'dupont database')).toEqual([]);
  expect(starts(it).filter((name) => name === 'dupont prune')).toHaveLength(3);
  expect(starts(it).filter((name) => name === 'martin database')).toHaveLength(3);
  paused = { shops: new Set(), restores: 0 };
  it.scheduler.look();
  await settle();
  expect(it.names().filter((name) => name.startsWith('dupont database'))).toEqual(['dupont database 2026-11-25T01:30:00Z']);
  it.stop();
  await it.ended;
});

test('inside a maintenance window no backup begins; at its end one does, for all slots inside; what somebody asks for begins', async () => {
  const clock = new FakeClock('2026-11-22T23:00:00Z');
  const start = { jitterMs: 0, windows: [OFFICE], timezone: 'Europe/Paris' };
  const hourly: Job = { ...job('database', '0 * * * *'), start };
  const it = rig({ clock, jobs: [hourly], slots: await slotStore() });
  await settle();
  await pass(clock, DAY, 10 * MINUTE);
  const hours = it.started.map((one) => one.at.slice(11, 16));
  expect(hours).toEqual(['00:00', '01:00', '02:00', '03:00', '04:00', '05:00', '06:00', '19:00', '20:00', '21:00', '22:00', '23:00']);
  it.stop();
  await it.ended;
});

test('jitter: the slot begins later, always by as much, and is remembered as the slot that it is', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  const slots = await slotStore();
  const start = { jitterMs: 7 * MINUTE, windows: [], timezone: 'Europe/Paris' };
  const it = rig({ clock, jobs: [{ ...job('database', NIGHTLY), start }], slots });
  await settle();
  await pass(clock, 2 * DAY, MINUTE);
  expect(it.started.map((one) => one.at)).toEqual(['2026-11-23T01:37:00Z', '2026-11-24T01:37:00Z']);
  expect((await slots.lastTaken('dupont', 'database'))?.toString()).toBe('2026-11-24T01:30:00Z');
  it.stop();
  await it.ended;
}, 30_000);

test('a restore takes one of the places, and its own shop is not backed up meanwhile', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  let now: Hindrance = { shops: new Set(['a']), restores: 1 };
  const jobs = ['a', 'b', 'c'].map((shop) => job('database', NIGHTLY, shop));
  const it = rig({ clock, jobs, slots: await slotStore(), hasSnapshot: false, manual: true, concurrency: 2, hindrance: () => now });
  await settle();
  expect(starts(it)).toEqual(['b database']);
  now = { shops: new Set(), restores: 0 };
  it.scheduler.look();
  await settle();
  expect(starts(it)).toEqual(['b database', 'a database']);
  for (const one of it.started) one.end();
  it.stop();
  await it.ended;
});

test('a run that passes its deadline is told to stop; one that does not obey is hung: said, written down, its shop left alone, its place given on', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  const hung: string[] = [];
  const it = rig({
    ...{ clock, jobs: ['a', 'b'].map((shop) => job('database', NIGHTLY, shop)), slots: await slotStore(), hasSnapshot: false },
    ...{ manual: true, deaf: true, concurrency: 1, limits: { deadlineMs: 2 * HOUR, hungAfterMs: 15 * MINUTE } },
    books: { hung: async (run) => void hung.push(run) },
  });
  await settle();
  expect(starts(it)).toEqual(['a database']);
  await pass(clock, 2 * HOUR + MINUTE);
  expect(it.started[0]?.signal.reason).toMatchObject({ code: 'E_DEADLINE' });
  expect(it.scheduler.running).toMatchObject([{ shop: 'a', hung: false }]);
  await pass(clock, 20 * MINUTE);
  expect(it.events.filter((one) => one.event === 'run.hung')).toMatchObject([{ shop: 'a', code: 'E_RUN_HUNG' }]);
  expect(hung).toEqual([it.started[0]?.run]);
  expect(starts(it)).toEqual(['a database', 'b database']);
  it.started[1]?.end();
  it.scheduler.order(order('r1', 'a'));
  await pass(clock, DAY);
  // next night: b's slot came, a's own waits, and so does whatever is asked of it
  expect(starts(it)).toEqual(['a database', 'b database', 'b database']);
  it.started[0]?.end(new CoffreError('E_INTERRUPTED', 'at last'));
  it.started[2]?.end();
  await settle();
  expect(starts(it).slice(3, 4)).toEqual(['a order']);
  it.started[3]?.end();
  await settle();
  for (const one of it.started) one.end();
  it.stop();
  await pass(clock, MINUTE);
  await it.ended;
}, 30_000);

test('a daemon that stops leaves orders in the catalog, begins none, and interrupts those under way', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  const it = rig({ clock, jobs: [], slots: await slotStore(), orders: [order('r1'), order('r2', 'martin')], manual: true, concurrency: 1 });
  await settle();
  it.stop();
  await settle();
  clock.advance(5000);
  expect(await it.ended).toBe(true);
  expect(it.started).toHaveLength(1);
  expect(it.published.at(-1)).toMatchObject({ run: 'r1', type: 'ended', state: 'interrupted' });
  expect(it.scheduler.queued).toBe(1);
});

test('a configuration is taken anew: new jobs come, others go, what is under way goes on; a changed schedule counts from now', async () => {
  const clock = new FakeClock('2026-11-22T12:00:00Z');
  const slots = await slotStore();
  const it = rig({ clock, jobs: [job('database', NIGHTLY, 'a'), job('database', '0 * * * *', 'b')], slots, manual: true });
  await settle();
  await pass(clock, HOUR);
  expect(starts(it)).toEqual(['b database']);
  // a's backup moves to an hour that has passed today; b goes; c comes
  await it.scheduler.replaceJobs([job('database', '0 3 * * *', 'a'), job('database', NIGHTLY, 'c')]);
  await settle();
  expect(starts(it)).toEqual(['b database']);
  it.started[0]?.end();
  await settle();
  expect((await slots.lastTaken('b', 'database'))?.toString()).toBe('2026-11-22T13:00:00Z');
  expect((await slots.lastTaken('a', 'database'))?.toString()).toBe('2026-11-22T13:00:00Z');
  await pass(clock, 14 * HOUR);
  expect(it.names().slice(1)).toEqual(['c database 2026-11-23T01:30:00Z', 'a database 2026-11-23T02:00:00Z']);
  for (const one of it.started) one.end();
  it.stop();
  await it.ended;
});

test('a wall clock that is set back by a day does not put a second try off by a day', async () => {
  const clock = new FakeClock('2026-11-22T01:29:00Z');
  let failures = 1;
  const slots = await slotStore();
  const it = rig({ clock, jobs: [job('database', NIGHTLY)], slots, fail: () => (failures-- > 0 ? 'E_VAULT_UNREACHABLE' : null) });
  await settle();
  await pass(clock, MINUTE, MINUTE);
  expect(it.started).toHaveLength(1);
  clock.setWall('2026-11-21T01:30:00Z');
  await pass(clock, 2 * MINUTE, MINUTE);
  expect(it.started).toHaveLength(2);
  expect(await slots.lastTaken('dupont', 'database')).toEqual(instant('2026-11-22T01:30:00Z'));
  // and the nights of the clock as it is now are backed up
  await pass(clock, 2 * DAY);
  expect(it.started.length).toBeGreaterThan(2);
  it.stop();
  await it.ended;
});

test('the state’s disk is full, or its catalog is damaged: tried again within minutes; a damaged catalog ends the scheduler, which says so', async () => {
  const clock = new FakeClock('2026-11-22T01:29:00Z');
  let left = 2;
  const it = rig({ clock, jobs: [job('database', NIGHTLY)], slots: await slotStore(), fail: () => (left-- > 0 ? 'E_STATE_SPACE' : null) });
  await settle();
  await pass(clock, 30 * MINUTE, MINUTE);
  expect(it.started.map((one) => one.at.slice(11, 16))).toEqual(['01:30', '01:31', '01:36']);
  it.stop();
  await it.ended;
  const other = rig({ clock, jobs: [job('database', '0 3 * * *')], slots: await slotStore(), fail: () => 'E_CATALOG' });
  other.ended.catch(() => {});
  await settle();
  await pass(clock, HOUR, MINUTE);
  await expect(other.ended).rejects.toMatchObject({ code: 'E_CATALOG' });
});

test('a store that is dead for an hour: every shop is backed up by itself once it is back', async () => {
  const clock = new FakeClock('2026-11-22T01:00:00Z');
  const jobs = Array.from({ length: 20 }, (_, i) => job('database', NIGHTLY, `shop-${i}`));
  const back = instant('2026-11-22T02:30:00Z').epochMilliseconds;
  const it = rig({ clock, jobs, slots: await slotStore(), fail: () => (clock.nowMs() < back ? 'E_VAULT_UNREACHABLE' : null) });
  await settle();
  await pass(clock, 4 * HOUR, 5 * MINUTE);
  const done = it.events.filter((one) => one.event === 'job.done').length;
  expect(done).toBe(20);
  it.stop();
  await it.ended;
});
