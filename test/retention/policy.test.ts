import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { decide, type PolicySnapshot } from '../../src/retention/policy.ts';

const DAY = 86_400_000;
const at = (text: string): number => Temporal.Instant.from(`2026-${text}Z`).epochMilliseconds;

function snapshot(id: string, completedAt: number, changes: Partial<PolicySnapshot> = {}): PolicySnapshot {
  return { id, source: 'files', completedAt, keepUntil: completedAt + 14 * DAY, complete: true, good: true, tombstone: false, ...changes };
}

/** The keep-list as a sysadmin reads it. */
function golden(snapshots: readonly PolicySnapshot[], nowMs: number): string[] {
  return decide(snapshots, nowMs).map((d) => {
    const until = d.until === null ? '' : ` (${Temporal.Instant.fromEpochMilliseconds(d.until).toString()})`;
    return `${d.keep ? 'keep' : 'drop'} ${d.snapshot}: ${d.reason}${until}`;
  });
}

test('14d window, daily - a snapshot on the edge is kept, one past it goes', () => {
  const now = at('03-16T02:40:00');
  const list = [
    snapshot('a', now - 14 * DAY - 1),
    snapshot('b', now - 14 * DAY),
    snapshot('c', now - 13 * DAY),
    snapshot('d', now - DAY),
    snapshot('db', now - 20 * DAY, { source: 'database' }),
  ];
  expect(golden(list, now)).toEqual([
    'keep d: newest good files snapshot',
    'keep c: in its window (2026-03-17T02:40:00Z)',
    'keep b: in its window (2026-03-16T02:40:00Z)',
    'drop a: its window has ended (2026-03-16T02:39:59.999Z)',
    'keep db: newest good database snapshot',
  ]);
});

test('no backup for two months - the newest good one stays, older ones go', () => {
  const now = at('05-16T00:00:00');
  expect(golden([snapshot('a', at('03-01T00:00:00')), snapshot('b', at('03-02T00:00:00'))], now)).toEqual([
    'keep b: newest good files snapshot',
    'drop a: its window has ended (2026-03-15T00:00:00Z)',
  ]);
});

test('only degraded ones since - they stay in their window and do not take the good one’s place', () => {
  const now = at('03-20T00:00:00');
  const list = [
    snapshot('good', at('03-01T00:00:00')),
    snapshot('degraded', at('03-02T00:00:00'), { good: false }),
    snapshot('incomplete', at('03-19T00:00:00'), { good: false, complete: false }),
  ];
  expect(golden(list, now)).toEqual([
    'keep incomplete: in its window (2026-04-02T00:00:00Z)',
    'drop degraded: its window has ended (2026-03-16T00:00:00Z)',
    'keep good: newest good files snapshot',
  ]);
});

test('never a good one - the newest complete one stays; never a complete one - the newest', () => {
  const now = at('06-01T00:00:00');
  const list = [
    snapshot('complete', at('03-01T00:00:00'), { good: false }),
    snapshot('partial', at('03-02T00:00:00'), { good: false, complete: false }),
    snapshot('old', at('03-01T00:00:00'), { source: 'database', good: false, complete: false }),
    snapshot('new', at('03-03T00:00:00'), { source: 'database', good: false, complete: false }),
  ];
  expect(golden(list, now)).toEqual([
    'keep new: no database snapshot is good or complete: newest one',
    'drop partial: its window has ended (2026-03-16T00:00:00Z)',
    'drop old: its window has ended (2026-03-15T00:00:00Z)',
    'keep complete: no files snapshot is good: newest complete one',
  ]);
});

test('taken for safety before a restore - takes no backup’s place, and stays beside the best of them while none is good', () => {
  const now = at('06-01T00:00:00');
  const safety = snapshot('safety', at('03-03T00:00:00'), { safety: true });
  expect(golden([snapshot('good', at('03-01T00:00:00')), safety], now)).toEqual([
    'drop safety: its window has ended (2026-03-17T00:00:00Z)',
    'keep good: newest good files snapshot',
  ]);
  expect(golden([snapshot('complete', at('03-01T00:00:00'), { good: false }), safety], now)).toEqual([
    'keep safety: newest good files snapshot, taken before a restore',
    'keep complete: no files snapshot is good: newest complete one',
  ]);
  expect(golden([{ ...safety, id: 'older', completedAt: safety.completedAt - DAY }, safety], now)).toEqual([
    'keep safety: newest good files snapshot, taken before a restore',
    'drop older: its window has ended (2026-03-17T00:00:00Z)',
  ]);
});

test('a removal that had begun - goes on, even in its window, and is nobody’s newest', () => {
  const now = at('03-03T00:00:00');
  expect(golden([snapshot('a', at('03-01T00:00:00')), snapshot('b', at('03-02T00:00:00'), { tombstone: true, good: false })], now)).toEqual(
    ['drop b: its removal had begun', 'keep a: newest good files snapshot'],
  );
});

test('any list - each source keeps its newest good one, nothing in its window goes, order does not matter', () => {
  const any = fc.array(
    fc.record({
      source: fc.constantFrom('files' as const, 'database' as const),
      age: fc.nat({ max: 30 }),
      complete: fc.boolean(),
      good: fc.boolean(),
      tombstone: fc.boolean(),
    }),
    { maxLength: 12 },
  );
  const now = at('06-01T00:00:00');
  fc.assert(
    fc.property(any, (rows) => {
      const list = rows.map((row, i) =>
        snapshot(`s${i}`, now - row.age * DAY, { ...row, good: row.good && row.complete && !row.tombstone }),
      );
      const decisions = decide(list, now);
      expect(decide([...list].reverse(), now)).toEqual(decisions);
      const kept = new Set(decisions.filter((d) => d.keep).map((d) => d.snapshot));
      for (const s of list) {
        if (!s.tombstone && s.keepUntil >= now) expect(kept).toContain(s.id);
        if (s.tombstone) expect(kept).not.toContain(s.id);
      }
      for (const source of ['files', 'database']) {
        const good = list.filter((s) => s.source === source && s.good);
        const newest = Math.max(...good.map((s) => s.completedAt));
        if (good.length > 0) expect(good.some((s) => s.completedAt === newest && kept.has(s.id))).toBe(true);
        const living = list.filter((s) => s.source === source && !s.tombstone);
        if (living.length > 0) expect(living.some((s) => kept.has(s.id))).toBe(true);
      }
    }),
  );
});
