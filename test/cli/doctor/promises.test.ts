import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { checkPromises } from '../../../src/cli/doctor/promises.ts';
import { parseConfig } from '../../../src/config/load.ts';

const clock = { now: () => Temporal.Instant.from('2026-06-05T12:00:00Z') };
const check = async (rto: string) => {
  const shops = parseConfig(
    [
      ...['encryption: none', 'timezone: Europe/Paris', 'vaults: { nas: { type: filesystem, path: /nas } }'],
      `plans: { p: { retention: 14d, rto: ${rto} } }`,
      'shops: { a: { plan: p, vaults: [nas], files: { root: /a } }, b: { plan: p, vaults: [nas], files: { root: /b } } }',
    ].join('\n'),
    '/etc/coffre.yaml',
    {},
  ).shops;
  return await checkPromises([...shops.values()], clock);
};

test('a plan in business hours - one line, with its hours and how many holidays there are', async () => {
  expect(await check('{ calendar: business, country: FR }')).toEqual([
    { name: 'plan p', ok: true, detail: 'counts mon, tue, wed, thu, fri 09:00 to 18:00, Europe/Paris; 11 holidays of FR in 2026' },
  ]);
  expect(
    await check(
      '{ calendar: business, country: FR, region: Alsace-Moselle, zone: UTC, hours: { from: "08:30", to: "24:00", days: [sat] } }',
    ),
  ).toEqual([{ name: 'plan p', ok: true, detail: 'counts sat 08:30 to 24:00, UTC; 13 holidays of FR, Alsace-Moselle in 2026' }]);
});

test('a part that nobody knows - red, with those that are known', async () => {
  expect(await check('{ calendar: business, country: CH, region: Savoie }')).toMatchObject([
    { name: 'plan p', ok: false, code: 'E_CONFIG', hint: expect.stringContaining('CH-VD') },
  ]);
});

test('round the clock - nothing to know', async () => expect(await check('{ calendar: 24x7 }')).toEqual([]));
