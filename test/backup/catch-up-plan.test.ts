import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { planCatchUp, reasonOf } from '../../src/backup/catch-up-plan.ts';
import { copyLock } from '../../src/backup/copy-lock.ts';
import { isGood, type SnapshotWithCopies } from '../../src/catalog/snapshots.ts';
import { PLAIN_RULES, type PolicyRules } from '../../src/retention/policy.ts';
import { snapshotRow } from '../rows.ts';

const DAY = 86_400_000;
const NOW = 100 * DAY;

/** A snapshot of so many days ago with a window of 14 days; `in` its vaults, those with a trailing ! damaged. */
function snapshot(id: string, daysAgo: number, inVaults: readonly string[], rest: Partial<SnapshotWithCopies> = {}): SnapshotWithCopies {
  const completedAt = NOW - daysAgo * DAY;
  const row = snapshotRow({ id, completedAt, asOf: completedAt, keepUntil: completedAt + 14 * DAY }) as SnapshotWithCopies;
  const copies = inVaults.map((name) => ({
    ...{ snapshotId: id, vault: name.replace('!', ''), committedAt: completedAt, manifestObject: 1, indexObject: 2, verifiedAt: null },
    verifyError: name.endsWith('!') ? 'E_OBJECT_ALTERED' : null,
    ...{ lockMode: 'COMPLIANCE', retainUntil: completedAt + 14 * DAY },
  }));
  return { ...row, ...rest, copies, good: isGood({ ...row, ...rest }, copies) };
}

const plan = (snapshots: readonly SnapshotWithCopies[], vaults = ['nas', 'offsite'], rules: PolicyRules = PLAIN_RULES) => {
  const { gaps, passed } = planCatchUp({ snapshots, vaults, rules, nowMs: NOW });
  return {
    gaps: gaps.map((gap) => `${gap.snapshot.id} ${gap.vault}${gap.damage === null ? '' : ` ${gap.damage}`}`),
    passed: passed.map((it) => `${it.snapshot} ${it.vault}`),
  };
};

describe('what is to be copied', () => {
  test('newest first, in their windows; what is past its window is left to prune', () => {
    const all = [
      snapshot('a', 20, ['nas']),
      snapshot('b', 14, ['nas']),
      snapshot('c', 2, ['offsite']),
      snapshot('d', 1, ['nas', 'offsite']),
    ];
    expect(plan(all)).toEqual({ gaps: ['c nas', 'b offsite'], passed: ['a offsite'] });
  });

  test('the newest of a source although its window has ended - it is kept, so it is copied', () => {
    expect(plan([snapshot('a', 30, ['nas']), snapshot('b', 25, ['nas'])])).toEqual({ gaps: ['b offsite'], passed: ['a offsite'] });
  });

  test('a vault that the shop got later - everything in its window; one that it has no more - nothing', () => {
    const all = [snapshot('a', 3, ['nas', 'offsite']), snapshot('b', 1, ['nas', 'offsite'])];
    expect(plan(all, ['nas', 'offsite', 'third']).gaps).toEqual(['b third', 'a third']);
    expect(plan([snapshot('a', 1, ['nas'])], ['nas']).gaps).toEqual([]);
    // moved from one vault to another: the old one serves as long as it is declared
    expect(plan([snapshot('a', 1, ['nas'])], ['third']).gaps).toEqual(['a third']);
  });

  test('a damaged copy - stored anew where another vault has it; in the only vault nothing can be done', () => {
    expect(plan([snapshot('a', 1, ['nas', 'offsite!'])]).gaps).toEqual(['a offsite E_OBJECT_ALTERED']);
    expect(plan([snapshot('a', 1, ['nas!', 'offsite!'])]).gaps).toEqual(['a nas E_OBJECT_ALTERED', 'a offsite E_OBJECT_ALTERED']);
    expect(plan([snapshot('a', 1, ['nas!'])], ['nas']).gaps).toEqual([]);
    const dropped = snapshot('a', 1, ['nas', 'offsite']);
    const copies = dropped.copies.map((copy) => ({ ...copy, verifyError: copy.vault === 'nas' ? 'E_LOCK_DROPPED' : null }));
    expect(plan([{ ...dropped, copies }]).gaps, 'no copy mends a store that drops locks').toEqual([]);
  });

  test('held, closing, erased - as prune decides', () => {
    const all = [snapshot('a', 30, ['nas']), snapshot('b', 1, ['nas'])];
    const held = { ...PLAIN_RULES, holds: { shop: null, snapshots: new Map([['a', 'a lawsuit']]) } };
    expect(plan(all, undefined, held).gaps).toEqual(['b offsite', 'a offsite']);
    const erased = { ...PLAIN_RULES, life: { state: 'erased', since: 1, endsAt: null } as const };
    expect(plan(all, undefined, erased).gaps).toEqual([]);
    expect(plan([snapshot('a', 1, ['nas'], { state: 'tombstone' })]).gaps).toEqual([]);
  });

  test('the reason is the newest word on that vault', () => {
    const gap = (vault: string, at: number) => ({ snapshotId: 'a', vault, code: 'E_VAULT_IO', message: String(at), at, failures: 1 });
    expect(reasonOf([gap('nas', 1), gap('nas', 3), gap('nas', 2), gap('offsite', 4)], 'nas')?.message).toBe('3');
    expect(reasonOf([], 'nas')).toBeNull();
  });
});

describe('the lock of a copy', () => {
  const rules = { now: Temporal.Instant.fromEpochMilliseconds(NOW), ceilingMs: 90 * DAY, retentionMs: 14 * DAY, endsAt: null };
  const ends = (daysAgo: number, changes: Partial<typeof rules> | { endsAt: number } = {}) => {
    const { atLeast, extendTo } = copyLock({ ...rules, ...changes }, snapshot('a', daysAgo, []));
    return [atLeast, extendTo].map((end) => end.epochMilliseconds - NOW);
  };

  test('in its window - what was promised, and the ten minutes that stand for it', () => {
    expect(ends(4)).toEqual([10 * DAY + 600_000, 10 * DAY + 600_000]);
  });

  test('kept beyond its window - two days at least, moved to four, as the newest good one is', () => {
    expect(ends(20)).toEqual([2 * DAY, 4 * DAY]);
  });

  test('a shop that closes - no longer than that; a ceiling below the need - E_LOCK_CEILING and not a shorter lock', () => {
    expect(ends(4, { endsAt: NOW + 3 * DAY })).toEqual([3 * DAY, 3 * DAY]);
    expect(() => ends(4, { ceilingMs: 5 * DAY })).toThrow(/limits.lockCeiling/);
  });
});
