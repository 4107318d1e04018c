// Restores that are asked for, in the scheduler: before everything, without a place and a deadline, and never two for one shop.
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../fake-clock.ts';
import { DAY, HOUR, job, pass, rig, settle, slotStore } from './rig.ts';

const restore = (shop: string, request: string) => ({
  run: `run-${request}`,
  task: { kind: 'restore', shop, request } as const,
  who: 'marie',
});
const backup = (shop: string) => ({
  run: `backup-${shop}`,
  task: { kind: 'backup', shop, source: 'files', full: false } as const,
  who: 'marc',
});
const exported = (shop: string) => ({ run: `export-${shop}`, task: { kind: 'export', shop, at: null } as const, who: 'token:owner' });

describe('a restore that is asked for', () => {
  test('a backup of its shop is under way - it gives way, and is taken up after the restore', async () => {
    const clock = new FakeClock('2026-03-02T00:30:00Z');
    const it = rig({ clock, jobs: [job('files', '0 2 * * *')], slots: await slotStore(), manual: true });
    await settle();
    await pass(clock, HOUR);
    expect(it.started.map(({ name }) => name)).toEqual(['files']);
    it.scheduler.order(restore('dupont', 'r1'));
    await settle();
    expect(it.started[0]?.signal.aborted).toBe(true);
    await pass(clock, 60_000, 10_000);
    expect(it.started.map(({ run }) => run).slice(1)).toEqual(['run-r1']);
    expect(it.scheduler.hasRestore('r1')).toBe(true);
    // it lasts for days: nothing tells it to stop, and nothing of its shop begins
    await pass(clock, 2 * DAY);
    expect(it.started[1]?.signal.aborted).toBe(false);
    expect(it.started).toHaveLength(2);
    it.started[1]?.end();
    await pass(clock, 10 * 60_000, 60_000);
    expect(it.started.map(({ name }) => name)).toEqual(['files', 'order', 'files']);
    expect(it.scheduler.hasRestore('r1')).toBe(false);
    for (const one of it.started) one.end();
    await settle();
    it.stop();
    await it.ended;
  });

  test('every place is taken - it begins all the same; others wait for a place', async () => {
    const clock = new FakeClock('2026-03-02T00:30:00Z');
    const it = rig({ clock, jobs: [], slots: await slotStore(), manual: true, concurrency: 1 });
    await settle();
    it.scheduler.order(backup('martin'));
    await settle();
    it.scheduler.order(backup('zoe'));
    it.scheduler.order(restore('dupont', 'r1'));
    await settle();
    expect(it.started.map(({ run }) => run)).toEqual(['backup-martin', 'run-r1']);
    it.started[1]?.end();
    await settle();
    // it took no place, so its end gives none
    expect(it.started).toHaveLength(2);
    it.started[0]?.end();
    await settle();
    expect(it.started.map(({ run }) => run)).toEqual(['backup-martin', 'run-r1', 'backup-zoe']);
    for (const one of it.started) one.end();
    await settle();
    it.stop();
    await it.ended;
  });

  test('exports of its shop and of another are under way - they stop, wait as long as anything is restored, and begin anew', async () => {
    const clock = new FakeClock('2026-03-02T00:30:00Z');
    let byCommand = 0;
    const it = rig({
      ...{ clock, jobs: [], slots: await slotStore(), manual: true, orders: [exported('dupont'), exported('martin')] },
      hindrance: () => ({ shops: new Set(), restores: byCommand }),
    });
    await settle();
    expect(it.started.map(({ run }) => run)).toEqual(['export-dupont', 'export-martin']);
    it.scheduler.order(restore('dupont', 'r1'));
    await settle();
    expect(it.started.map(({ run, signal }) => [run, signal.aborted])).toEqual([
      ...[
        ['export-dupont', true],
        ['export-martin', true],
      ],
      ['run-r1', false],
    ]);
    await pass(clock, HOUR);
    // a command of root's restores, too
    byCommand = 1;
    it.started[2]?.end();
    await pass(clock, HOUR);
    expect(it.started).toHaveLength(3);
    byCommand = 0;
    await pass(clock, 2 * 60_000, 60_000);
    expect(it.started.map(({ run }) => run).slice(3)).toEqual(['export-dupont', 'export-martin']);
    for (const one of it.started) one.end();
    await settle();
    it.stop();
    await it.ended;
  });

  test('two of one shop - one after the other, in the order in which they were asked for, before a backup that waited for longer', async () => {
    const clock = new FakeClock('2026-03-02T00:30:00Z');
    const it = rig({
      clock,
      jobs: [],
      slots: await slotStore(),
      manual: true,
      orders: [backup('dupont'), restore('dupont', 'r1'), restore('dupont', 'r2')],
    });
    await settle();
    expect(it.started.map(({ run }) => run)).toEqual(['run-r1']);
    it.started[0]?.end();
    await settle();
    expect(it.started.map(({ run }) => run)).toEqual(['run-r1', 'run-r2']);
    it.started[1]?.end();
    await settle();
    expect(it.started.map(({ run }) => run)).toEqual(['run-r1', 'run-r2', 'backup-dupont']);
    for (const one of it.started) one.end();
    await settle();
    it.stop();
    await it.ended;
  });
});
