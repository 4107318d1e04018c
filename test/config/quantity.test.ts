// Durations, sizes and rates: each unit, what is refused, and that what is printed is read back.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration, parseRate, parseSize, printDuration } from '../../src/config/quantity.ts';

describe('durations', () => {
  it.each([
    ['14d', 14 * 86_400_000],
    ['4h', 14_400_000],
    ['90m', 5_400_000],
    ['20s', 20_000],
    ['250ms', 250],
    ['2w', 14 * 86_400_000],
    ['1h30m', 5_400_000],
    ['1w1d1h1m1s1ms', 604_800_000 + 86_400_000 + 3_600_000 + 60_000 + 1000 + 1],
    ['0s', 0],
  ])('%s - read in milliseconds', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it.each(['', '14', '14 d', '1.5h', '-1d', '30m1h', '1d1d', '14D', '14days', 'd', '99999999999999999999d', '٣d'])(
    '%j - refused',
    (text) => {
      expect(parseDuration(text)).toBeNull();
    },
  );

  it('any whole number of milliseconds - printed and read back unchanged', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 * 86_400_000 }), (durationMs) => {
        expect(parseDuration(printDuration(durationMs))).toBe(durationMs);
      }),
    );
  });

  it('any text - a duration or null, never an exception or a fraction', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9wdhms .-]{0,12}$/)), (text) => {
        const parsed = parseDuration(text);
        expect(parsed === null || (Number.isSafeInteger(parsed) && parsed >= 0)).toBe(true);
      }),
    );
  });
});

describe('sizes', () => {
  it.each([
    ['20GB', 20e9],
    ['32MiB', 32 * 2 ** 20],
    ['512MB', 512e6],
    ['1.5TB', 1.5e12],
    ['800KiB', 800 * 1024],
    ['10kB', 10_000],
    ['10 KB', 10_000],
    ['7B', 7],
    ['1TiB', 2 ** 40],
    ['2GiB', 2 ** 31],
  ])('%s - read in bytes', (text, expected) => {
    expect(parseSize(text)).toBe(expected);
  });

  it.each(['', '20', '20G', 'GB', '-1GB', '1e3GB', '20GBit', '20gb', '99999999TB'])('%j - refused', (text) => {
    expect(parseSize(text)).toBeNull();
  });
});

describe('rates', () => {
  it.each([
    ['50MB/s', 50e6],
    ['800KiB/s', 819_200],
    ['1 GB/s', 1e9],
  ])('%s - read in bytes a second', (text, expected) => {
    expect(parseRate(text)).toBe(expected);
  });

  it.each(['50MB', '50MB/h', '50', '/s'])('%j - refused', (text) => {
    expect(parseRate(text)).toBeNull();
  });
});
