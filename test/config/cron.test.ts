import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { toDate } from '../../src/clock.ts';
import { makeCron } from '../../src/config/cron.ts';

const at = (text: string): Date => toDate(Temporal.Instant.from(text));
const next = (expression: string, after: string): string | undefined =>
  makeCron(expression, 'Europe/Paris').nextRun(at(after))?.toISOString();
const previous = (expression: string, before: string): string | undefined =>
  makeCron(expression, 'Europe/Paris').previousRuns(1, at(before))[0]?.toISOString();

describe('the hour that is skipped, Europe/Paris 2026-03-29 02:00 to 03:00', () => {
  for (const expression of ['30 2 * * 0', '15,45 2 * * 0', '0-30 2 * * 0']) {
    test(`${expression} - due once, at the end of the gap, whether asked before or after it`, () => {
      expect(next(expression, '2026-03-28T12:00:00Z')).toBe('2026-03-29T01:00:00.000Z');
      expect(previous(expression, '2026-03-29T12:00:00Z')).toBe('2026-03-29T01:00:00.000Z');
    });
  }
});

describe('the hour that comes twice, Europe/Paris 2026-10-25 03:00 to 02:00', () => {
  test('15,45 2 * * 0 - due the first time only, whether asked before or after it', () => {
    expect(next('15,45 2 * * 0', '2026-10-25T00:15:00Z')).toBe('2026-10-25T00:45:00.000Z');
    expect(next('15,45 2 * * 0', '2026-10-25T00:45:00Z')).toBe('2026-11-01T01:15:00.000Z');
    expect(previous('15,45 2 * * 0', '2026-10-25T12:00:00Z')).toBe('2026-10-25T00:45:00.000Z');
  });
});

test('six fields, or none - refused', () => {
  for (const expression of ['0 30 2 * * *', '', '61 * * * *']) expect(() => makeCron(expression, 'UTC')).toThrow();
});

test('crons are made here and nowhere else in the product: who asks and who runs go by the same rules', () => {
  const source = resolve(import.meta.dirname, '../../src');
  const makers = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => /new Cron\(/.test(readFileSync(join(source, file), 'utf8')));
  expect(makers).toEqual(['config/cron.ts']);
});
