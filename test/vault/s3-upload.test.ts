// Part sizes: never more than 10,000 parts, never much memory.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planParts } from '../../src/vault/s3-upload.ts';

const MIB = 1024 * 1024;

describe('planParts', () => {
  it('any estimate up to 5 TB - fits 10,000 parts with room to spare, and parts are large enough for S3', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5e12 }), (estimatedBytes) => {
        const { partBytes, queue } = planParts(estimatedBytes);
        expect(partBytes * 10_000).toBeGreaterThanOrEqual(estimatedBytes * 1.08);
        expect(partBytes).toBeGreaterThanOrEqual(5 * MIB);
        expect(queue).toBeGreaterThanOrEqual(1);
      }),
    );
  });

  it('up to 150 GB - the parts in flight, the one that fills and its copy stay within 48 MiB', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 145e9 }), (estimatedBytes) => {
        const { partBytes, queue } = planParts(estimatedBytes);
        expect(partBytes * (queue + 2)).toBeLessThanOrEqual(48 * MIB);
      }),
    );
  });

  it.each([0, -1, Number.NaN])('an unknown length (%d) - has room for 160 GB', (estimatedBytes) => {
    const { partBytes, queue } = planParts(estimatedBytes);
    expect(partBytes * 10_000).toBeGreaterThan(160e9);
    expect(partBytes * (queue + 2)).toBeLessThanOrEqual(48 * MIB);
  });
});
