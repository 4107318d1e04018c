// How far two clocks surely are apart, given a date with whole seconds that was read somewhere in an interval.
import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, it } from 'vitest';
import { certainSkewMs } from '../../src/vault/clock-skew.ts';
import { ceilToSecond } from '../../src/vault/s3.ts';

const at = (epochMs: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(epochMs);

describe('certainSkewMs', () => {
  it('clocks that agree - never a skew, however long the answer took', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.nat(60_000), fc.nat(60_000), (before, toServer, back) => {
        const storeTime = Math.floor((before + toServer) / 1000) * 1000;
        expect(certainSkewMs(at(before), at(before + toServer + back), at(storeTime))).toBe(0);
      }),
    );
  });

  it('a store ahead or behind - that much, less what the answer’s way and the cut-off second hide', () => {
    expect(certainSkewMs(at(10_000), at(10_200), at(70_000))).toBe(59_800);
    expect(certainSkewMs(at(100_000), at(100_200), at(40_000))).toBe(-59_000);
  });
});

describe('ceilToSecond', () => {
  it('whole seconds stay, anything beyond goes up', () => {
    expect(ceilToSecond(at(5_000)).epochMilliseconds).toBe(5_000);
    expect(ceilToSecond(at(5_001)).epochMilliseconds).toBe(6_000);
    expect(ceilToSecond(Temporal.Instant.fromEpochNanoseconds(5_000_000_001n)).epochMilliseconds).toBe(6_000);
  });
});
