import { expect, test } from 'vitest';
import { lockNeed } from '../../src/restore/lock-need.ts';
import { lockNeeds } from '../../src/retention/lock-needs.ts';
import { decide, PLAIN_RULES, type PolicyRules, type PolicySnapshot } from '../../src/retention/policy.ts';

const DAY = 86_400_000;
const NOW = 1_800_000_000_000;

type State = 'good' | 'no lock' | 'damaged' | 'degraded';

/** Completed so many days ago, with a window of ten. */
function snapshot(id: string, days: number, state: State = 'good', changes: Partial<PolicySnapshot> = {}): PolicySnapshot {
  const completedAt = NOW - days * DAY;
  return {
    ...{ id, source: 'files', completedAt, keepUntil: completedAt + 10 * DAY, complete: true, tombstone: false },
    ...{ good: state === 'good', isWhole: state === 'good' || state === 'no lock', isEverywhere: state !== 'degraded', ...changes },
  };
}

const held = (id: string): PolicyRules => ({ ...PLAIN_RULES, holds: { shop: null, snapshots: new Map([[id, 'litige']]) } });

test.each<[string, PolicySnapshot[], number | null, string[], PolicyRules?]>([
  ['in its window - to the end of it', [snapshot('old', 3)], NOW + 7 * DAY, []],
  ['past it, with a newer good one - none', [snapshot('new', 2), snapshot('old', 12)], null, ['new']],
  ['the newer one lost its lock alone - none: that one is to blame', [snapshot('new', 2, 'no lock'), snapshot('old', 12)], null, ['new']],
  ['both past it, the newer one without its lock - none', [snapshot('new', 11, 'no lock'), snapshot('old', 12)], null, ['new']],
  ['past it, the newer one is damaged - at least now', [snapshot('new', 2, 'damaged'), snapshot('old', 12)], NOW, ['new']],
  ['past it, the newer one is not everywhere yet - at least now', [snapshot('new', 2, 'degraded'), snapshot('old', 12)], NOW, ['new']],
  ['the newest of all, past it, said to have no lock - at least now, again', [snapshot('old', 12, 'no lock')], NOW, []],
  ['the newest of all, past it and not everywhere - none', [snapshot('old', 12, 'degraded')], null, []],
  ['past it and held - at least now', [snapshot('new', 2), snapshot('old', 12)], NOW, ['new'], held('old')],
  ['its removal has begun - none', [snapshot('old', 12, 'good', { tombstone: true })], null, []],
  [
    'the shop has closed - the promise of its own day alone',
    [snapshot('old', 12)],
    null,
    [],
    { ...PLAIN_RULES, life: { state: 'closing', since: NOW - 5 * DAY, endsAt: NOW - DAY } },
  ],
])('%s', (_, snapshots, untilMs, others, rules = PLAIN_RULES) => {
  expect(lockNeed('old', snapshots, rules, NOW)).toEqual({ untilMs, others: new Set(others) });
});

test('none is good - what lost nothing but its lock stays and is locked again, before a newer one that is damaged', () => {
  const snapshots = [snapshot('damaged', 12, 'damaged'), snapshot('unlocked', 13, 'no lock'), snapshot('older', 14, 'no lock')];
  expect(decide(snapshots, NOW).map(({ keep, snapshot: id }) => [id, keep])).toEqual([
    ['damaged', false],
    ['unlocked', true],
    ['older', false],
  ]);
  expect(lockNeeds(snapshots, NOW, { ...PLAIN_RULES, retentionMs: 10 * DAY }).map((need) => need.snapshot)).toEqual(['unlocked']);
});
