import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { idTimeMs, isId, newId } from '../../src/segment/id.ts';

function clockAt(timesMs: number[]): Clock {
  let next = 0;
  return { ...systemClock, nowMs: () => timesMs[Math.min(next++, timesMs.length - 1)] as number };
}

describe('id', () => {
  it('new ids are 26 lower-case Crockford characters that carry their time', () => {
    const before = systemClock.nowMs();
    const id = newId(systemClock);
    expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{26}$/);
    expect(isId(id)).toBe(true);
    expect(idTimeMs(id)).toBeGreaterThanOrEqual(before);
  });

  it('a known instant has the time part that the ULID specification gives it', () => {
    expect(newId(clockAt([1469918176385])).slice(0, 10)).toBe('01aryz6s41');
  });

  it('ids of one process sort as they were made, in one millisecond and when the clock is set back', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 48 - 2 }), { minLength: 2, maxLength: 50 }), (times) => {
        const clock = clockAt(times);
        const ids = times.map(() => newId(clock));
        expect([...ids].sort()).toEqual(ids);
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids.every(isId)).toBe(true);
      }),
    );
  });

  it('what is not an id is refused', () => {
    for (const text of [
      '',
      'x',
      '01ARYZ6S41TSV4RRFFQ69G5FAV',
      '81aryz6s41tsv4rrffq69g5fav',
      '01aryz6s41tsv4rrffq69g5fa',
      '01aryz6s41tsv4rrffq69g5fai',
      '../aryz6s41tsv4rrffq69g5fav',
      '01aryz6s41tsv4rrffq69g5fav\n',
    ]) {
      expect(isId(text), text).toBe(false);
    }
  });
});
