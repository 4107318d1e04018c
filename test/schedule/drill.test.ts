// When drills are begun, when they make room, and what a status says of them.
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import type { DrillRow } from '../../src/catalog/drills.ts';
import { DIED, type RunRow } from '../../src/catalog/runs.ts';
import type { ShopConfig } from '../../src/config/config.ts';
import { DrillVerdict } from '../../src/restore/drill/verdict.ts';
import type { Alarm } from '../../src/schedule/alarm.ts';
import type { Job } from '../../src/schedule/jobs.ts';
import { checkDrills, type DrillsRead } from '../../src/schedule/status-drill.ts';
import { FakeClock } from '../fake-clock.ts';
import { DAY, HOUR, instant, job, MINUTE, pass, rig, settle, slotStore } from './rig.ts';

const PARIS = 'Europe/Paris';
const START = '2026-03-02T07:30:00Z';

async function setting(jobs: readonly Job[], options: Partial<Parameters<typeof rig>[0]> = {}) {
  const clock = new FakeClock(START);
  const slots = await slotStore();
  const it = rig({ clock, jobs, slots, manual: true, concurrency: 1, ...options });
  await settle();
  const finish = async (): Promise<void> => {
    it.stop();
    await pass(clock, 2 * MINUTE, 10_000);
    await it.ended;
  };
  return { ...it, clock, slots, finish };
}

describe('scheduled drills', () => {
  test('one that is due inside a maintenance window - begins when it ends', async () => {
    const window = { fromMinute: 540, toMinute: 720, days: [1, 2, 3, 4, 5, 6, 7] };
    const it = await setting([{ ...job('drill', '0 10 * * *'), start: { jitterMs: 0, windows: [window], timezone: PARIS } }]);
    await pass(it.clock, 3 * HOUR);
    expect(it.started).toEqual([]);
    await pass(it.clock, HOUR);
    expect(it.started.map(({ name, at }) => [name, at])).toEqual([['drill', '2026-03-02T11:00:00Z']]);
    it.started[0]?.end();
    await it.finish();
  });

  test('a backup that is due - ends it, and it begins anew after that, for the same slot', async () => {
    const it = await setting([job('drill', '0 9 * * *'), job('database', '30 9 * * *', 'martin')]);
    await pass(it.clock, 45 * MINUTE, 5 * MINUTE);
    expect(it.started.map(({ name }) => name)).toEqual(['drill']);
    await pass(it.clock, 30 * MINUTE, 5 * MINUTE);
    expect(it.started[0]?.signal.aborted).toBe(true);
    expect(it.started.map(({ name }) => name)).toEqual(['drill', 'database']);
    it.started[1]?.end();
    await pass(it.clock, 5 * MINUTE, MINUTE);
    expect(it.started.map(({ name, due }) => [name, due])).toEqual([
      ['drill', '2026-03-02T08:00:00Z'],
      ['database', '2026-03-02T08:30:00Z'],
      ['drill', '2026-03-02T08:00:00Z'],
    ]);
    it.started[2]?.end();
    await settle();
    expect(await it.slots.lastTaken('dupont', 'drill')).toEqual(instant('2026-03-02T08:00:00Z'));
    await it.finish();
  });

  test('a restore under way on this machine - none begins beside it', async () => {
    const restoring = { restores: 1 };
    const it = await setting([job('drill', '0 9 * * *')], { concurrency: 2, hindrance: () => ({ shops: new Set(), ...restoring }) });
    await pass(it.clock, 2 * HOUR);
    expect(it.started).toEqual([]);
    restoring.restores = 0;
    await pass(it.clock, 2 * MINUTE, MINUTE);
    expect(it.started).toHaveLength(1);
    it.started[0]?.end();
    await it.finish();
  });

  test('a restore that is asked for - every drill makes room for it', async () => {
    const it = await setting([job('drill', '0 9 * * *')], { concurrency: 3 });
    await pass(it.clock, HOUR);
    it.scheduler.order({ run: 'r', task: { kind: 'restore', shop: 'martin', request: 'q' }, who: 'test' });
    await settle();
    expect(it.started[0]?.signal.aborted).toBe(true);
    expect(it.started.map(({ name }) => name)).toEqual(['drill', 'order']);
    it.started[1]?.end();
    await pass(it.clock, 2 * MINUTE, MINUTE);
    expect(it.started.map(({ name }) => name)).toEqual(['drill', 'order', 'drill']);
    it.started[2]?.end();
    await it.finish();
  });

  test('one that found something - was done, whatever its code: its slot is taken', async () => {
    const it = await setting([job('drill', '0 9 * * *'), job('drill', '0 9 * * *', 'martin')], { concurrency: 2 });
    await pass(it.clock, HOUR);
    const of = (shop: string) => it.started.filter((one) => one.shop === shop);
    // one at a time, for they share one scratch space
    expect(it.started).toHaveLength(1);
    of('dupont')[0]?.end(new DrillVerdict('E_OBJECT_ALTERED', 'as the test wants it'));
    await settle();
    of('martin')[0]?.end(new DrillVerdict('E_RESTORE_UNIT', 'a verdict, whatever its code'));
    await settle();
    expect(await it.slots.lastTaken('dupont', 'drill')).toEqual(instant('2026-03-02T08:00:00Z'));
    expect(await it.slots.lastTaken('martin', 'drill')).toEqual(instant('2026-03-02T08:00:00Z'));
    expect(it.events.filter(({ event }) => event === 'drill.failed')).toHaveLength(2);
    await it.finish();
  });

  test('missed while nothing ran - one makes up for all of them', async () => {
    const clock = new FakeClock(START);
    const slots = await slotStore();
    await slots.taken('dupont', 'drill', instant('2026-02-20T08:00:00Z'));
    const it = rig({ clock, jobs: [job('drill', '0 9 * * *')], slots });
    await settle();
    expect(it.names()).toEqual(['dupont drill 2026-03-01T08:00:00Z']);
    it.stop();
    await it.ended;
  });
});

const NOW = Temporal.Instant.from('2026-11-19T12:00:00Z').epochMilliseconds;
const NEVER: DrillsRead = { last: [], lastRun: null, takenUpTo: null, firstSnapshotAt: NOW - 30 * DAY };

const drill = (vault: string, at: number, more: Partial<DrillRow> = {}): DrillRow => ({
  ...{ id: at, drill: `d${at}`, shop: 'dupont', vault, startedAt: at, endedAt: at + HOUR, outcome: 'passed', code: null, said: null },
  ...{ restoreMs: HOUR, targetMs: 4 * HOUR, snapshots: [] },
  ...more,
});
const failed = (vault: string, at: number, code: string): DrillRow => drill(vault, at, { outcome: 'failed', code, said: 'as it was said' });

/** Mondays at nine, unless it says otherwise. */
function status(drills: Partial<DrillsRead>, expression: string | null = '0 9 * * 1') {
  const red: Alarm[] = [];
  const notes: string[] = [];
  const plan = { name: 'plan', maintenance: [], schedule: { drill: expression } };
  const shop = { name: 'dupont', vaults: ['nas', 'offsite'], plan } as unknown as ShopConfig;
  const told = checkDrills({ nowMs: NOW, timezone: PARIS, jitterMs: 0, shop, drills: { ...NEVER, ...drills } }, red, notes);
  return {
    ...told,
    red: red.map(({ kind, vault, code, detail }) => [kind, vault, code, detail]),
    texts: red.map(({ text }) => text),
    notes,
  };
}

describe('the status of drills', () => {
  test('nothing scheduled and none made - nothing is said', () => {
    expect(status({}, null)).toEqual({ vaults: [], dueSince: null, red: [], texts: [], notes: [] });
  });

  test('one since it was due - green, and a note of when', () => {
    const { red, notes } = status({ last: [drill('nas', NOW - 3 * DAY)] });
    expect([red, notes]).toEqual([[], [expect.stringContaining('from vault nas, passed')]]);
  });

  test('none since it was due - red; not within the day after, nor for a schedule or a shop that is new', () => {
    const missed = [['drill', null, null, 'missed']];
    expect(status({}).red).toEqual(missed);
    expect(status({ last: [drill('nas', NOW - 10 * DAY)] }).red).toEqual(missed);
    expect(status({}).dueSince).toBe('2026-11-16T09:00:00+01:00');
    expect(status({ last: [drill('nas', NOW - 6 * DAY)] }, '0 9 * * 4').red).toEqual([]);
    expect(status({ takenUpTo: NOW - DAY }).red).toEqual([]);
    expect(status({ firstSnapshotAt: NOW - DAY }).red).toEqual([]);
    expect(status({ firstSnapshotAt: null }).red).toEqual([]);
  });

  test('a vault from which it failed - red until that vault was drilled again, whatever the others say', () => {
    const { red, vaults } = status({ last: [drill('nas', NOW - DAY), failed('offsite', NOW - 2 * DAY, 'E_OBJECT_MISSING')] });
    expect(red).toEqual([['drill', 'offsite', 'E_OBJECT_MISSING', null]]);
    expect(vaults.map(({ vault, passed, code }) => [vault, passed, code])).toEqual([
      ['nas', true, null],
      ['offsite', false, 'E_OBJECT_MISSING'],
    ]);
    expect(status({ last: [failed('gone', NOW - DAY, 'E_OBJECT_MISSING')] }, null).red).toEqual([]);
  });

  test('one that came to nothing - red with its code, until another was made; one that was told to stop - not', () => {
    const run = (more: Partial<RunRow>) =>
      ({
        id: 'r',
        kind: 'drill',
        state: 'failed',
        startedAt: NOW,
        endedAt: NOW,
        errorCode: 'E_DRILL_SPACE',
        errorMessage: 'm',
        ...more,
      }) as RunRow;
    const last = [drill('nas', NOW - DAY)];
    expect(status({ last, lastRun: run({}) }).red).toEqual([['drill', null, 'E_DRILL_SPACE', null]]);
    expect(status({ last, lastRun: run({ state: 'interrupted', errorMessage: DIED }) }).red).toHaveLength(1);
    expect(status({ last, lastRun: run({ state: 'interrupted', errorMessage: 'it gives way to what is due' }) }).red).toEqual([]);
    const ofItself = failed('nas', NOW - HOUR, 'E_DRILL_SLOW');
    expect(status({ last: [ofItself], lastRun: run({ id: ofItself.drill }) }).red).toEqual([['drill', 'nas', 'E_DRILL_SLOW', null]]);
  });
});
