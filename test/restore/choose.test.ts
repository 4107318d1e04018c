import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import type { SnapshotWithCopies } from '../../src/catalog/snapshots.ts';
import { chooseSnapshot, demandSource, passedOver, restorable, safetyPassedOver } from '../../src/restore/choose.ts';
import { snapshotRow } from '../rows.ts';

const DAY = 86_400_000;

interface Shape {
  readonly complete?: number;
  /** Vaults with a copy; a name with `!` is damaged there. */
  readonly in?: readonly string[];
}

/** Taken at the end of `day`. */
function snapshot(day: number, { complete = 1, in: vaults = ['nas', 'offsite'] }: Shape = {}): SnapshotWithCopies {
  const copies = vaults.map((name) => ({
    ...{ snapshotId: `day ${day}`, vault: name.replace('!', ''), committedAt: 0, manifestObject: 1, indexObject: 2, verifiedAt: null },
    ...{ verifyError: name.includes('!') ? 'E_OBJECT_ALTERED' : null, lockMode: 'COMPLIANCE', retainUntil: 0 },
  }));
  const good = complete === 1 && ['nas', 'offsite'].every((name) => vaults.includes(name));
  return { ...(snapshotRow({ id: `day ${day}`, asOf: day * DAY, complete }) as SnapshotWithCopies), copies, good };
}

const choose = (snapshots: readonly SnapshotWithCopies[], from: string | null = null, at: number | null = null): string =>
  chooseSnapshot(snapshots, {
    shop: 'dupont',
    source: 'files',
    at: at === null ? null : Temporal.Instant.fromEpochMilliseconds(at * DAY),
    from,
    tell: (instant) => `<${instant}>`,
  }).id;

describe('the snapshot that a restore takes', () => {
  test('the newest', () => expect(choose([snapshot(1), snapshot(3), snapshot(2)])).toBe('day 3'));

  test('at a time - the newest that is not later', () => {
    expect(choose([snapshot(1), snapshot(3), snapshot(2)], null, 2)).toBe('day 2');
    expect(() => choose([snapshot(3)], null, 2)).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('at or before <1970-01-03T00:00:00Z>'),
        hint: 'the oldest is of <1970-01-04T00:00:00Z>',
      }),
    );
  });

  test('one vault has been away for days - the newest whole copy, not the last one that was everywhere', () => {
    expect(choose([snapshot(1), snapshot(7, { in: ['offsite'] }), snapshot(8, { in: ['offsite'] })])).toBe('day 8');
    expect(choose([snapshot(1), snapshot(8, { in: ['offsite'] })], 'nas')).toBe('day 1');
  });

  test('one copy is damaged - the other one serves; all are - an older snapshot does', () => {
    expect(choose([snapshot(1), snapshot(2, { in: ['nas!', 'offsite'] })])).toBe('day 2');
    expect(choose([snapshot(1), snapshot(2, { in: ['nas!', 'offsite!'] })])).toBe('day 1');
    expect(choose([snapshot(1), snapshot(2, { in: ['nas!', 'offsite'] })], 'nas')).toBe('day 1');
    expect(choose([snapshot(2, { in: ['nas!'] })])).toBe('day 2');
  });

  test('taken for safety before a restore in place - never as the newest, not told as passed over; alone it is better than nothing', () => {
    const safety = { ...snapshot(3), purpose: 'safety' as const };
    expect(choose([snapshot(1), safety, snapshot(2)])).toBe('day 2');
    expect(choose([snapshot(1), safety], null, 3)).toBe('day 1');
    expect(passedOver([snapshot(2), safety], snapshot(2), null)).toEqual([]);
    expect(choose([safety])).toBe('day 3');
  });

  test('what is newer and incomplete is passed over, and named', () => {
    const snapshots = [snapshot(1), snapshot(2, { complete: 0 }), snapshot(3, { complete: 0 })];
    expect(choose(snapshots)).toBe('day 1');
    expect(passedOver(snapshots, snapshots[0] as SnapshotWithCopies, null).map((it) => it.id)).toEqual(['day 3', 'day 2']);
    expect(choose([snapshot(2, { complete: 0 })])).toBe('day 2');
  });
});

test('restorable - the newest whole backup that some vault has undamaged, whether or not it is good', () => {
  const of = (...snapshots: SnapshotWithCopies[]) => restorable(snapshots, 'files')?.id ?? null;
  expect(of(snapshot(1), snapshot(2, { in: ['nas!', 'offsite'] }), snapshot(3, { in: ['nas!'] }), snapshot(4, { complete: 0 }))).toBe(
    'day 2',
  );
  expect(of({ ...snapshot(1), purpose: 'safety' }, snapshot(2, { in: ['nas!', 'offsite!'] }))).toBeNull();
});

test('newer ones that were taken for safety - not chosen, and counted up to the time asked for', () => {
  const safety = (day: number) => ({ ...snapshot(day), purpose: 'safety' as const });
  const all = [snapshot(1), snapshot(2), safety(3), safety(4)];
  expect(choose(all)).toBe('day 2');
  const newer = (at: number | null) =>
    safetyPassedOver(all, snapshot(2), at === null ? null : Temporal.Instant.fromEpochMilliseconds(at * DAY));
  expect([newer(null), newer(3), newer(2)]).toEqual([2, 1, 0]);
});

test('a snapshot and a source are named - they must agree', () => {
  expect(() => demandSource(snapshot(1), 'files')).not.toThrow();
  expect(() => demandSource(snapshot(1), undefined)).not.toThrow();
  expect(() => demandSource(snapshot(1), 'database')).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
});
