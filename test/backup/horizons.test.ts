import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { planHorizons, reuseMaxAgeMs } from '../../src/backup/horizons.ts';
import { parseConfig } from '../../src/config/load.ts';
import { horizonMarginMs } from '../../src/retention/margins.ts';
import { parseSchedule } from '../../src/schedule/due.ts';

const DAY_MS = 86_400_000;

describe('until when a reused segment is locked', () => {
  /** The slots of the skipped hour in spring and of the doubled one in autumn: the horizon must know the same next full as the scheduler. */
  for (const [season, completed] of [
    ['the night in which an hour is skipped', '2026-03-28T12:00:00Z'],
    ['the night in which an hour comes twice', '2026-10-25T00:50:00Z'],
    ['any other week', '2026-06-01T12:00:00Z'],
  ] as const) {
    test(`${season} - up to the full reading that the scheduler will run`, () => {
      const config = parseConfig(
        `encryption: none
timezone: Europe/Paris
limits: { reuseMaxAge: 20d }
vaults: { nas: { type: filesystem, path: /srv/coffre } }
plans: { standard: { retention: 14d, schedule: { files: "15,45 2 * * 0", increments: off } } }
shops: { dupont: { plan: standard, vaults: [nas], files: { root: /var/www/dupont } } }
`,
        '/etc/coffre/coffre.yaml',
        {},
      );
      const shop = config.shops.get('dupont');
      if (!shop) throw new Error('no shop');
      const completedAt = Temporal.Instant.from(completed);
      const nextFull = parseSchedule('15,45 2 * * 0', 'Europe/Paris').next(completedAt);
      const comfort = nextFull?.add({ milliseconds: 14 * DAY_MS + horizonMarginMs(14 * DAY_MS) });
      const need = planHorizons(config, shop, 'files', completedAt).reused(completedAt.epochMilliseconds);
      expect(need.extendTo.toString()).toBe(comfort?.toString());
    });
  }

  const config = (full: string, limits: string, retention = '14d') => {
    const parsed = parseConfig(
      `encryption: none
timezone: Europe/Paris
limits: ${limits}
vaults: { nas: { type: filesystem, path: /srv/coffre } }
plans: { standard: { retention: ${retention}, full: ${full}, schedule: { files: "0 3 * * 0", increments: "0 4 * * 1-6" } } }
shops: { dupont: { plan: standard, vaults: [nas], files: { root: /var/www/dupont } } }
`,
      '/etc/coffre/coffre.yaml',
      {},
    );
    const shop = parsed.shops.get('dupont');
    if (!shop) throw new Error('no shop');
    return { parsed, shop };
  };

  test('increments are planned - until the last one before the next full is over, so that fulls do not overlap', () => {
    const { parsed, shop } = config('fresh', '{}');
    // a Monday; the last increment before Sunday is on Saturday at 04:00 in Paris
    const monday = Temporal.Instant.from('2026-06-01T02:10:00Z');
    const over = Temporal.Instant.from('2026-06-06T03:00:00Z');
    const need = planHorizons(parsed, shop, 'files', monday).reused(monday.epochMilliseconds - DAY_MS);
    expect(need.extendTo.toString()).toBe(over.add({ milliseconds: 14 * DAY_MS + horizonMarginMs(14 * DAY_MS) }).toString());
  });

  test('a full archive whose increments are planned - locked at once as far as they will need; nothing else is', () => {
    const { parsed, shop } = config('fresh', '{}');
    const sunday = Temporal.Instant.from('2026-05-31T02:10:00Z');
    const own = (source: 'files' | 'database', full: boolean) => planHorizons(parsed, shop, source, sunday, null, full).own;
    const reused = planHorizons(parsed, shop, 'files', sunday).reused(sunday.epochMilliseconds);
    const window = sunday.add({ milliseconds: 14 * DAY_MS + horizonMarginMs(14 * DAY_MS) }).toString();
    expect(own('files', true).extendTo.toString()).toBe(reused.extendTo.toString());
    expect(own('files', true).atLeast.toString()).toBe(window);
    expect(own('files', false).extendTo.toString()).toBe(window);
    expect(own('database', true).extendTo.toString()).toBe(window);
    const short = config('fresh', '{}', '2d');
    const need = planHorizons(short.parsed, short.shop, 'files', sunday, null, true).own;
    expect(need.extendTo.toString()).toBe(need.atLeast.toString());
  });

  test('full: reread - equal content is kept for two months, as far as the ceiling allows; a number that is given counts', () => {
    const ageDays = (full: string, limits: string, source: 'files' | 'database' = 'files'): number => {
      const { parsed, shop } = config(full, limits);
      return reuseMaxAgeMs(parsed, shop, source) / DAY_MS;
    };
    expect(ageDays('fresh', '{}')).toBe(7);
    expect(ageDays('reread', '{}')).toBe(60);
    expect(ageDays('reread', '{}', 'database')).toBe(7);
    expect(ageDays('reread', '{ lockCeiling: 40d }')).toBe(24.5);
    expect(ageDays('reread', '{ reuseMaxAge: 9d }')).toBe(9);
  });
});
