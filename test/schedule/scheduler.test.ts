import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { FakeClock } from '../fake-clock.ts';
import { DAY, HOUR, instant, job, MINUTE, pass, rig, settle, slotStore } from './rig.ts';

describe('first start', () => {
  test('a shop without any snapshot is backed up at once, its increments wait for their slot', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const jobs = [job('database', '30 2 * * *'), job('files', '0 3 * * 0'), job('increments', '0 4 * * 1-6')];
    const it = rig({ clock, jobs, slots: await slotStore(), hasSnapshot: false });
    await settle();
    expect(it.started.map((one) => one.name)).toEqual(['database', 'files']);
    it.stop();
    expect(await it.ended).toBe(true);
  });

  test('a shop with snapshots is scheduled from now', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const slots = await slotStore();
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots });
    await settle();
    expect(it.started).toEqual([]);
    await pass(clock, DAY);
    expect(it.names()).toEqual(['dupont database 2026-11-23T01:30:00Z']);
    it.stop();
    await it.ended;
  });

  test('prune waits for its slot, snapshots or not', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const it = rig({ clock, jobs: [job('prune', '30 6 * * *')], slots: await slotStore(), hasSnapshot: false });
    await settle();
    expect(it.started).toEqual([]);
    await pass(clock, DAY);
    expect(it.names()).toEqual(['dupont prune 2026-11-23T05:30:00Z']);
    it.stop();
    await it.ended;
  });
});

describe('catch-up', () => {
  test('five missed nights are made up for by one run, in the name of the last', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const slots = await slotStore();
    await slots.taken('dupont', 'database', instant('2026-11-17T01:30:00Z'));
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots });
    await settle();
    expect(it.names()).toEqual(['dupont database 2026-11-22T01:30:00Z']);
    expect(it.events.map((one) => one.event)).toContain('job.missed');
    expect((await slots.lastTaken('dupont', 'database'))?.toString()).toBe('2026-11-22T01:30:00Z');
    await pass(clock, DAY);
    expect(it.names().slice(1)).toEqual(['dupont database 2026-11-23T01:30:00Z']);
    it.stop();
    await it.ended;
  });

  test('a first slot missed while the daemon was down is made up for too', async () => {
    const slots = await slotStore();
    const before = rig({ clock: new FakeClock('2026-11-22T12:00:00Z'), jobs: [job('database', '30 2 * * *')], slots });
    await settle();
    before.stop();
    await before.ended;
    const after = rig({ clock: new FakeClock('2026-11-23T09:00:00Z'), jobs: [job('database', '30 2 * * *')], slots });
    await settle();
    expect(after.names()).toEqual(['dupont database 2026-11-23T01:30:00Z']);
    after.stop();
    await after.ended;
  });

  test('nothing was missed: nothing runs', async () => {
    const slots = await slotStore();
    await slots.taken('dupont', 'database', instant('2026-11-22T01:30:00Z'));
    const it = rig({ clock: new FakeClock('2026-11-22T12:00:00Z'), jobs: [job('database', '30 2 * * *')], slots });
    await settle();
    expect(it.started).toEqual([]);
    it.stop();
    await it.ended;
  });

  test('full archive and increment both missed: the full one serves for both', async () => {
    const slots = await slotStore();
    await slots.taken('dupont', 'files', instant('2026-11-15T02:00:00Z'));
    await slots.taken('dupont', 'increments', instant('2026-11-19T03:00:00Z'));
    const jobs = [job('files', '0 3 * * 0'), job('increments', '0 4 * * 1-6')];
    const it = rig({ clock: new FakeClock('2026-11-22T12:00:00Z'), jobs, slots });
    await settle();
    expect(it.names()).toEqual(['dupont files 2026-11-22T02:00:00Z']);
    expect((await slots.lastTaken('dupont', 'increments'))?.toString()).toBe('2026-11-21T03:00:00Z');
    it.stop();
    await it.ended;
  });
});

describe('the changes of the clocks, Europe/Paris', () => {
  test('30 2 * * * runs exactly once in the night of 2026-03-29, at the end of the skipped hour', async () => {
    const clock = new FakeClock('2026-03-28T12:00:00Z');
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots: await slotStore() });
    await settle();
    await pass(clock, DAY, 15 * MINUTE);
    expect(it.started.map((one) => one.at)).toEqual(['2026-03-29T01:00:00Z']);
    it.stop();
    await it.ended;
  });

  test('30 2 * * * runs exactly once in the night of 2026-10-25', async () => {
    const clock = new FakeClock('2026-10-24T12:00:00Z');
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots: await slotStore() });
    await settle();
    await pass(clock, DAY, 15 * MINUTE);
    expect(it.started.map((one) => one.at)).toEqual(['2026-10-25T00:30:00Z']);
    it.stop();
    await it.ended;
  });
});

describe('a wall clock that jumps', () => {
  test('an hour back after a run: the slot is not taken twice', async () => {
    const clock = new FakeClock('2026-11-22T01:00:00Z');
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots: await slotStore() });
    await settle();
    await pass(clock, HOUR);
    clock.setWall('2026-11-22T01:00:00Z');
    await pass(clock, 3 * HOUR);
    expect(it.started).toHaveLength(1);
    it.stop();
    await it.ended;
  });

  test('forward over a slot, as after a suspended night: it runs within a minute', async () => {
    const clock = new FakeClock('2026-11-21T22:00:00Z');
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots: await slotStore() });
    await settle();
    clock.setWall('2026-11-22T08:00:00Z');
    clock.advance(MINUTE);
    await settle();
    expect(it.names()).toEqual(['dupont database 2026-11-22T01:30:00Z']);
    it.stop();
    await it.ended;
  });

  test('a slot written down years ahead by a wrong clock does not stop the backups', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const slots = await slotStore();
    await slots.taken('dupont', 'database', instant('2031-01-01T01:30:00Z'));
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots });
    await settle();
    expect(it.events.map((one) => one.event)).toContain('job.clock');
    await pass(clock, DAY);
    expect(it.names()).toEqual(['dupont database 2026-11-23T01:30:00Z']);
    it.stop();
    await it.ended;
  });
});

describe('many jobs', () => {
  test('never more at once than allowed, never two for one shop', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const jobs = ['a', 'b', 'c'].flatMap((shop) => [job('database', '30 2 * * *', shop), job('files', '0 3 * * 0', shop)]);
    const it = rig({ clock, jobs, slots: await slotStore(), hasSnapshot: false, manual: true, concurrency: 2 });
    await settle();
    expect(it.started.map((one) => `${one.shop} ${one.name}`)).toEqual(['a database', 'b database']);
    it.started[0]?.end();
    await settle();
    expect(it.started.slice(2).map((one) => `${one.shop} ${one.name}`)).toEqual(['c database']);
    it.started[1]?.end();
    await settle();
    expect(it.started.slice(3).map((one) => `${one.shop} ${one.name}`)).toEqual(['a files']);
    for (const one of it.started) one.end();
    await settle();
    for (const one of it.started) one.end();
    await settle();
    for (const one of it.started) one.end();
    it.stop();
    expect(await it.ended).toBe(true);
    expect(it.started).toHaveLength(6);
  });

  test('a slot that comes while its own run is still under way runs afterwards, once', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const slots = await slotStore();
    const it = rig({ clock, jobs: [job('database', '0 * * * *')], slots, manual: true });
    await settle();
    await pass(clock, 4 * HOUR);
    expect(it.names()).toEqual(['dupont database 2026-11-22T13:00:00Z']);
    it.started[0]?.end();
    await settle();
    expect(it.names()).toEqual(['dupont database 2026-11-22T13:00:00Z', 'dupont database 2026-11-22T16:00:00Z']);
    it.started[1]?.end();
    it.stop();
    await it.ended;
  });
});

describe('failures', () => {
  test('what may pass by itself is tried again after 1, 5, 15 and 60 minutes, until the next slot takes over', async () => {
    const clock = new FakeClock('2026-11-22T01:29:00Z');
    const slots = await slotStore();
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots, fail: () => 'E_VAULT_UNREACHABLE' });
    await settle();
    await pass(clock, 3 * HOUR, MINUTE);
    expect(it.started.map((one) => one.at.slice(11, 16))).toEqual(['01:30', '01:31', '01:36', '01:51', '02:51', '03:51']);
    expect((await slots.lastTaken('dupont', 'database'))?.toString()).toBe('2026-11-22T01:29:00Z');
    it.stop();
    await it.ended;
  }, 30_000);

  test('a second try that succeeds ends it', async () => {
    const clock = new FakeClock('2026-11-22T01:29:00Z');
    const slots = await slotStore();
    let failures = 1;
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots, fail: () => (failures-- > 0 ? 'E_BUSY' : null) });
    await settle();
    await pass(clock, 30 * MINUTE, MINUTE);
    expect(it.started).toHaveLength(2);
    expect((await slots.lastTaken('dupont', 'database'))?.toString()).toBe('2026-11-22T01:30:00Z');
    it.stop();
    await it.ended;
  });

  test('what a person must repair waits for the next slot, and is tried at the next start', async () => {
    const clock = new FakeClock('2026-11-22T01:29:00Z');
    const slots = await slotStore();
    const jobs = [job('database', '30 2 * * *')];
    const it = rig({ clock, jobs, slots, fail: () => 'E_VAULT_AUTH' });
    await settle();
    await pass(clock, 5 * HOUR);
    expect(it.started).toHaveLength(1);
    it.stop();
    await it.ended;
    const again = rig({ clock, jobs, slots });
    await settle();
    expect(again.names()).toEqual(['dupont database 2026-11-22T01:30:00Z']);
    again.stop();
    await again.ended;
  });

  test('a snapshot that is kept and not good is tried again twice, not all day', async () => {
    const clock = new FakeClock('2026-11-22T01:20:00Z');
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots: await slotStore(), fail: () => 'E_INCOMPLETE' });
    await settle();
    await pass(clock, 20 * HOUR, 10 * MINUTE);
    expect(it.started.map((one) => one.at.slice(11, 16))).toEqual(['01:30', '02:30', '06:30']);
    it.stop();
    await it.ended;
  });

  test('one shop that fails does not keep the others from their slots', async () => {
    const clock = new FakeClock('2026-11-22T01:29:00Z');
    const jobs = [job('database', '30 2 * * *', 'a'), job('database', '30 2 * * *', 'b')];
    const it = rig({ clock, jobs, slots: await slotStore(), concurrency: 1, fail: (one) => (one.shop === 'a' ? 'E_INTERNAL' : null) });
    await settle();
    await pass(clock, HOUR);
    expect(it.started.map((one) => one.shop)).toEqual(['a', 'b']);
    it.stop();
    await it.ended;
  });
});

describe('catch-up of what a vault lacks', () => {
  const DATABASE = job('database', '30 2 * * *');
  const CATCH_UP = job('catch-up', '*/10 * * * *');

  test('nothing lacks - it never starts, and leaves no trace in the log', async () => {
    const clock = new FakeClock();
    const it = rig({ clock, jobs: [CATCH_UP], slots: await slotStore() });
    await settle();
    await pass(clock, 3 * HOUR, 10 * MINUTE);
    expect(it.started).toEqual([]);
    expect(it.events).toEqual([]);
    it.stop();
    await it.ended;
  });

  test('a degraded snapshot - not taken once more, also not after a restart; a catch-up comes at once, then after 1, 5, 15, 60 minutes, hourly', async () => {
    const clock = new FakeClock('2026-03-02T01:00:00Z');
    const slots = await slotStore();
    let lacks = false;
    const options = {
      ...{ clock, jobs: [DATABASE, CATCH_UP], slots, lacks: () => lacks },
      fail: (): ErrorCode => {
        lacks = true;
        return 'E_DEGRADED';
      },
    };
    const it = rig(options);
    await settle();
    await pass(clock, 5 * HOUR, MINUTE);
    expect(it.started.map((one) => `${one.name} ${one.at.slice(11, 16)}`)).toEqual([
      'database 01:30',
      ...['01:30', '01:31', '01:36', '01:51', '02:51', '03:51', '04:51', '05:51'].map((at) => `catch-up ${at}`),
    ]);
    it.stop();
    await it.ended;
    const again = rig(options);
    await settle();
    expect(again.started.map((one) => one.name)).toEqual(['catch-up']);
    again.stop();
    await again.ended;
  });

  test('a backup that is due does not wait for it - neither its own shop’s nor, without a free place, another’s; it goes on afterwards', async () => {
    for (const shop of ['dupont', 'martin']) {
      const clock = new FakeClock('2026-03-02T01:00:00Z');
      const jobs = [job('database', '30 2 * * *', shop), CATCH_UP];
      const it = rig({ clock, jobs, slots: await slotStore(), concurrency: 1, lacks: () => true, manual: true });
      await settle();
      expect(it.started.map((one) => one.name)).toEqual(['catch-up']);
      await pass(clock, 40 * MINUTE, MINUTE);
      expect(it.started.map((one) => one.name)).toEqual(['catch-up', 'database']);
      expect(it.started[0]?.signal.aborted).toBe(true);
      expect(it.events.map((one) => one.event)).toContain('job.gaveWay');
      it.started[1]?.end();
      await settle();
      expect(it.started.map((one) => one.name)).toEqual(['catch-up', 'database', 'catch-up']);
      it.started[2]?.end();
      it.stop();
      await it.ended;
    }
  });
});

describe('stopping', () => {
  test('a run that ends within the grace time is recorded', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const slots = await slotStore();
    const it = rig({ clock, jobs: [job('database', '30 2 * * *')], slots, hasSnapshot: false, manual: true });
    await settle();
    it.stop();
    await settle();
    expect(it.started[0]?.signal.aborted).toBe(false);
    it.started[0]?.end();
    expect(await it.ended).toBe(true);
    expect((await slots.lastTaken('dupont', 'database'))?.toString()).toBe('2026-11-22T12:00:00Z');
  });

  test('a run that lasts longer is interrupted, not recorded, and taken up at the next start', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const slots = await slotStore();
    await slots.taken('dupont', 'database', instant('2026-11-21T01:30:00Z'));
    const jobs = [job('database', '30 2 * * *')];
    const it = rig({ clock, jobs, slots, manual: true });
    await settle();
    it.stop();
    await settle();
    clock.advance(5_000);
    expect(await it.ended).toBe(true);
    expect(it.started[0]?.signal.reason).toMatchObject({ code: 'E_INTERRUPTED' });
    expect((await slots.lastTaken('dupont', 'database'))?.toString()).toBe('2026-11-21T01:30:00Z');
    const again = rig({ clock, jobs, slots });
    await settle();
    expect(again.names()).toEqual(['dupont database 2026-11-22T01:30:00Z']);
    again.stop();
    await again.ended;
  });

  test('nothing new is started', async () => {
    const clock = new FakeClock('2026-11-22T12:00:00Z');
    const jobs = [job('database', '30 2 * * *', 'a'), job('database', '30 2 * * *', 'b')];
    const it = rig({ clock, jobs, slots: await slotStore(), hasSnapshot: false, manual: true, concurrency: 1 });
    await settle();
    it.stop();
    await settle();
    it.started[0]?.end();
    expect(await it.ended).toBe(true);
    expect(it.started).toHaveLength(1);
  });
});
