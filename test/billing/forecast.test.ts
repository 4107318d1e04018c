import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { expect, onTestFinished, test } from 'vitest';
import { curveOf, quotaReached, reached, trend } from '../../src/billing/forecast.ts';
import { type ForecastShop, forecastRequest, readForecast } from '../../src/billing/read-forecast.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { tempDir } from '../temp-dir.ts';
import { contractC } from './contract.ts';
import { store } from './stored.ts';

const DAY = 86_400_000;

test('any plan - the curve is what adding up everything at each instant gives', () => {
  const change = fc.record({ at: fc.nat(50), bytes: fc.integer({ min: 1, max: 100 }) });
  const coming = fc.record({ at: fc.nat(50), bytes: fc.integer({ min: 1, max: 100 }), goesAt: fc.integer({ min: 51, max: 120 }) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), fc.array(coming, { maxLength: 8 }), (going, plan) => {
      const start = going.reduce((sum, { bytes }) => sum + bytes, 0) + 10;
      const curve = curveOf(0, 60, start, going, plan);
      const levelAt = (at: number): number =>
        start -
        going.filter((one) => one.at <= at).reduce((sum, { bytes }) => sum + bytes, 0) +
        plan.filter((one) => one.at <= at).reduce((sum, { bytes }) => sum + bytes, 0) -
        plan.filter((one) => one.goesAt <= at).reduce((sum, { bytes }) => sum + bytes, 0);
      for (const { at, bytes } of curve.points) expect(bytes).toBe(levelAt(at));
      expect(curve.endBytes).toBe(levelAt(59));
      // a backup counts before what goes at the same instant, so that no peak is missed
      expect(curve.peakBytes).toBeGreaterThanOrEqual(Math.max(...curve.points.map(({ bytes }) => bytes)));
      expect(reached(curve, curve.peakBytes)).toBeNull();
    }),
  );
});

test.each([
  ['nothing measured', [], null],
  [
    'three, however they grow - their mean',
    [
      [0, 10],
      [1, 20],
      [2, 30],
    ],
    20,
  ],
  [
    'four that grow - their line',
    [
      [0, 10],
      [1, 20],
      [2, 30],
      [3, 40],
    ],
    80,
  ],
  [
    'four that shrink - never below nothing',
    [
      [0, 40],
      [1, 30],
      [2, 20],
      [3, 10],
    ],
    0,
  ],
  [
    'one that jumped - not beyond twice the largest',
    [
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 100],
    ],
    200,
  ],
] as const)('trend: %s', (_name, measured, at10) => {
  expect(trend(measured.map(([at, bytes]) => ({ at, bytes })))?.(at10 === 80 ? 7 : 10) ?? null).toBe(at10);
});

test('quota - over, reached within the time, not reached', () => {
  expect([
    quotaReached(0, 100, 11, 1, 10),
    quotaReached(0, 100, 5, 0.1, 10),
    quotaReached(0, 40, 5, 0.1, 10),
    quotaReached(0, 40, 5, 0, 10),
  ]).toEqual([0, 51, null, null]);
});

test('daily backups of a growing shop - the step is foreseen with its day, and the quota', async () => {
  await using catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const now = Date.UTC(2026, 2, 11, 12);
  const TB = 1_000_000_000_000;
  for (let day = 10; day > 0; day--) {
    const atMs = Date.UTC(2026, 2, 11 - day, 2, 30);
    const bytes = 0.04 * TB + (10 - day) * 0.001 * TB;
    await store(catalog, {
      id: `s${day}`,
      source: 'database',
      full: true,
      atMs,
      keptMs: 14 * DAY,
      lockedMs: 14 * DAY + 3_600_000,
      segments: [{ bytes, content: `${day}` }],
    });
  }
  const schedule = { database: '30 2 * * *', files: null, increments: null, server: null };
  const shop: ForecastShop = {
    name: 'dupont',
    vaults: ['offsite'],
    retentionMs: 14 * DAY,
    quotaBytes: 0.11 * TB,
    schedule,
    sources: ['database'],
  };
  const common = { vault: 'offsite', shops: null, timezone: 'UTC', firstMonth: 1, subscribedTB: 0.5, stepTB: 0.1 };
  const contract = { ...common, name: 'csi', period: 'month' as const };
  const quarterly = { ...common, name: 'csi-q', period: 'quarter' as const, firstMonth: 2 };
  const forecast = await readForecast(catalog, { nowMs: now, timezone: 'UTC', contracts: [contract, quarterly], shops: [shop] });
  const [one, other] = forecast.contracts;
  expect(one?.levelBytes).toBe(0.445 * TB);
  // 50 GB on the 12th make 495, 51 on the 13th pass the subscribed 500
  expect(one?.nextStep).toEqual({ bytes: 0.5 * TB, reachedAt: '2026-03-13T02:30:00Z' });
  // on the 31st at 02:30 there are fifteen, of 56 to 70 GB: the oldest goes four hours later
  expect(one?.billedTB).toEqual({ soFar: '0.5', forecast: '1' });
  expect(one?.peak).toEqual({ bytes: 0.945 * TB, at: '2026-03-31T02:30:00Z' });
  expect(forecast.notices.map(({ id }) => id)).toEqual([
    'step csi 2026-03 500000000000',
    'step csi-q 2026-02 500000000000',
    'quota dupont 2026-03 110000000000',
  ]);
  // a quarter from February on: its peak, and what is billed for it, come on its last days
  expect(other).toMatchObject({ until: '2026-05-01T00:00:00Z', peakSoFar: one?.peakSoFar, nextStep: one?.nextStep });
  expect(other?.peak.at).toBe('2026-04-30T02:30:00Z');
  expect(other?.days.length).toBe(50);
  expect(forecast.quotas[0]).toMatchObject({ usedBytes: 0.098 * TB, state: 'near' });
  expect(forecast.quotas[0]?.reachedAt?.slice(0, 10)).toBe('2026-03-17');

  // months after the last backup there is no trend any more, and as much data as ever
  const later = await readForecast(catalog, { nowMs: now + 60 * DAY, timezone: 'UTC', contracts: [], shops: [shop] });
  expect(later.quotas[0]).toMatchObject({ usedBytes: 0.098 * TB, endBytes: 0.098 * TB, state: 'within', reachedAt: null });
});

test('a contract that ended - is in a forecast to the end of its last period, which is due whole, in its zone', () => {
  const asked = (now: string, other: Parameters<typeof contractC>[0]) => {
    const { epochMilliseconds } = Temporal.Instant.from(now);
    const contracts = new Map([['csi-001', contractC(other)]]);
    return forecastRequest({ contracts, shops: new Map(), timezone: 'UTC' }, epochMilliseconds).contracts.map(({ name }) => name);
  };
  const ended = { end: '2026-03-10' };
  expect([asked('2026-03-31T21:59:59Z', ended), asked('2026-03-31T22:00:00Z', ended)]).toEqual([['csi-001'], []]);
  expect(asked('2026-02-27T12:00:00Z', { start: '2026-03-01' })).toEqual([]);
});
