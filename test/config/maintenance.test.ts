import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { coverTheWeek, parseTimeOfDay } from '../../src/config/maintenance.ts';

const ALL = [1, 2, 3, 4, 5, 6, 7];
const config = (plan: string, whole = '[]') => `
encryption: none
maintenance: ${whole}
vaults: { nas: { type: filesystem, path: /srv/coffre } }
plans: { p: { retention: 14d, maintenance: ${plan} } }
shops: { dupont: { plan: p, vaults: [nas], files: { root: /srv/dupont } } }
`;
const read = (plan: string, whole?: string) => parseConfig(config(plan, whole), '/etc/coffre.yaml', {}).plans.get('p')?.maintenance;
const refused = (plan: string, whole?: string): string => {
  try {
    read(plan, whole);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

test.each([
  ['00:00', 0],
  ['8:05', 485],
  ['24:00', 1440],
  ['24:01', null],
  ['12:60', null],
  ['noon', null],
])('time of day %s is minute %s', (text, minute) => {
  expect(parseTimeOfDay(text)).toBe(minute);
});

test('a plan has its own windows and those of the whole configuration; without days they are of every day', () => {
  expect(read('[{ from: "22:00", to: "06:00", days: [sat, sun] }]', '[{ from: "08:00", to: "20:00" }]')).toEqual([
    { fromMinute: 480, toMinute: 1200, days: ALL },
    { fromMinute: 1320, toMinute: 360, days: [6, 7] },
  ]);
});

test('refused - what is no time, no day, no time between, and windows that leave no time', () => {
  // YAML reads 08:00 without quotes as text, but 8 as a number
  expect(refused('[{ from: 8, to: "20:00" }]')).toContain('a time of day is expected');
  expect(refused('[{ from: "08:00", to: "20:00", days: [monday] }]')).toContain('mon, tue');
  expect(refused('[{ from: "08:00", to: "08:00" }]')).toContain('two times of the day');
  expect(refused('[{ from: "20:00", to: "08:00" }]', '[{ from: "08:00", to: "20:00" }]')).toContain('leaves no time');
});

test('windows of the whole configuration that leave no time - its own key is named, with its line, once', () => {
  const said = refused('[]', '[{ from: "08:00", to: "20:00" }, { from: "20:00", to: "08:00" }]');
  expect(said).toMatch(/coffre\.yaml:\d+: maintenance leaves no time/);
  expect(said).not.toContain('plans.');
});

test('all minutes but one are covered: there is time', () => {
  expect(coverTheWeek([{ fromMinute: 1, toMinute: 1440, days: ALL }])).toBe(false);
  expect(
    coverTheWeek([
      { fromMinute: 1, toMinute: 1440, days: ALL },
      { fromMinute: 1439, toMinute: 1, days: ALL },
    ]),
  ).toBe(true);
});
