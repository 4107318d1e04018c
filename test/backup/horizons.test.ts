import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { planHorizons } from '../../src/backup/horizons.ts';
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
plans: { standard: { retention: 14d, schedule: { files: "15,45 2 * * 0" } } }
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
});
