import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ReadableObject } from '../../src/catalog/reading.ts';
import { dueToRead, isAnyDue, oldestShare, pieceOf } from '../../src/restore/read-share.ts';

const DAY = 86_400_000;
const object = (id: number, sizeBytes: number, storedAt: number, readAt: number | null = null): ReadableObject => ({
  ...{ id, vault: 'nas', key: `k${id}`, versionId: 'v', kind: 'segment', refId: null, sizeBytes, sha256: '' },
  ...{ knownAt: readAt ?? storedAt, readAt },
});

test('looked at every six hours - whatever is stored, nothing is ever overdue, and a day reads little more than its part', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 40 }), (bytes, withinDays, spreadDays) => {
      const withinMs = withinDays * DAY;
      let nowMs = 0;
      let objects = bytes.map((size, id) => object(id, size, -Math.min(withinMs - 1, ((id * spreadDays * DAY) / bytes.length) | 0)));
      const total = bytes.reduce((a, b) => a + b, 0);
      const largest = Math.max(...bytes);
      for (let hour = 0; hour < 24 * withinDays * 2; hour += 6) {
        nowMs = hour * 3_600_000;
        const ordered = objects.toSorted((a, b) => a.knownAt - b.knownAt || a.id - b.id);
        // red in status from here on
        expect((ordered[0] as ReadableObject).knownAt).toBeGreaterThanOrEqual(nowMs - withinMs);
        const due = new Set(dueToRead(ordered, nowMs, withinMs).map(({ id }) => id));
        objects = objects.map((it) => (due.has(it.id) ? object(it.id, it.sizeBytes, 0, nowMs) : it));
        if (spreadDays === 0 && withinDays >= 14 && hour < 24 * (withinDays - 3)) {
          const read = ordered.filter(({ id }) => due.has(id)).reduce((sum, it) => sum + it.sizeBytes, 0);
          expect(read).toBeLessThanOrEqual((total / withinDays) * 1.25 + largest);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('the figures alone say the same as the list: whether anything is due', () => {
  const one = fc.record({
    size: fc.integer({ min: 0, max: 100 }),
    stored: fc.integer({ min: -40, max: 1 }),
    read: fc.option(fc.integer({ min: -40, max: 1 })),
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 12 }), fc.integer({ min: 1, max: 30 }), (rows, withinDays) => {
      const [nowMs, withinMs] = [0, withinDays * DAY];
      const objects = rows
        .map(({ size, stored, read }, id) => object(id, size, stored * DAY, read === null ? null : read * DAY))
        .sort((a, b) => a.knownAt - b.knownAt || a.id - b.id);
      const sum = (of: readonly ReadableObject[]): number => of.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
      const summary = {
        totalBytes: sum(objects),
        readBytes: sum(objects.filter(({ readAt }) => readAt !== null && readAt > nowMs - pieceOf(withinMs) && readAt <= nowMs)),
        oldestKnownAt: objects[0]?.knownAt ?? null,
      };
      expect(isAnyDue(summary, nowMs, withinMs)).toBe(dueToRead(objects, nowMs, withinMs).length > 0);
    }),
    { numRuns: 2000 },
  );
});

test('what is dated in the future, by a clock that was wrong, does not count as read', () => {
  const wrong = [object(1, 10, 0, 400 * DAY)];
  expect(dueToRead(wrong, 10 * DAY, 14 * DAY).map(({ id }) => id)).toEqual([1]);
});

test('a share of all bytes - the oldest first, one object at least, all of them at a hundred', () => {
  const objects = [object(1, 10, 1), object(2, 80, 2), object(3, 10, 3)];
  const ids = (percent: number) => oldestShare(objects, percent).map(({ id }) => id);
  expect([ids(1), ids(10), ids(11), ids(90), ids(91), ids(100)]).toEqual([[1], [1], [1, 2], [1, 2], [1, 2, 3], [1, 2, 3]]);
  expect(oldestShare([], 50)).toEqual([]);
});
