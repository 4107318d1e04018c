// Contracts: what is not said has its default, and what cannot be meant is named with its line.
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { contractC } from '../billing/contract.ts';
import { FILE, refusal } from './refusal.ts';

const withContract = (keys: string): string => `timezone: Europe/Paris
encryption: none
vaults: { offsite: { type: filesystem, path: /srv/coffre } }
plans: { standard: { retention: 14d } }
shops: { dupont: { plan: standard, vaults: [offsite], files: { root: /var/www/dupont } } }
contracts:
  csi-001: { vault: offsite, subscribedTB: 1, price: { perTBMonth: "23.00" }${keys} }
`;
const at = (message: string) => ({ code: 'E_CONFIG', message: `coffre.yaml:7: contracts.csi-001.${message}` });

test('the least that can be said - contract C, monthly, in arrears', () => {
  expect(parseConfig(withContract(''), FILE, {}).contracts.get('csi-001')).toEqual(contractC());
});

test.each([
  [', start: 2026-03-01, end: 2026-02-28', 'end is 2026-02-28, before its start 2026-03-01'],
  [', firstMonth: 6', 'firstMonth means nothing with period month'],
  [
    ', prices: [{ from: 2026-02-01, perTBMonth: "1" }, { from: 2026-01-01, perTBMonth: "2" }]',
    'prices[1].from is 2026-01-01, not later than 2026-02-01 before it',
  ],
  [', prices: [{ from: 2026-02-01, perTBMonth: "1", s0: 100 }]', 'prices[0].s0 means nothing without index'],
  [
    ', index: { s0: 1, anniversary: 2026-01-01, values: [{ date: 2026-01-01, value: 1 }, { date: 2026-01-01, value: 2 }] }',
    'index.values[1].date is 2026-01-01, not later than 2026-01-01 before it',
  ],
  [', taxPercent: 20', 'taxPercent is 20: a decimal number in quotes is expected, such as "23.00"'],
  [
    ', taxRates: [{ from: 2027-01-01, percent: "21" }, { from: 2027-01-01, percent: "22" }]',
    'taxRates[1].from is 2027-01-01, not later than 2027-01-01 before it',
  ],
  [', start: 2026-02-30', 'start is "2026-02-30": a date is expected, such as 2026-06-02'],
  [', rebill: fair', 'rebill is "fair": share, peak, flat or none is expected'],
  [
    ', index: { s0: 0.1234567, anniversary: 2026-01-01 }',
    'index.s0 is 0.1234567: a number above 0 is expected, with at most nine digits before the point and six after it',
  ],
  [
    ', prices: [{ from: 2026-02-01, perTBMonth: "1", s0: 0.0000005 }]',
    'prices[0].s0 is 0.0000005: a number above 0 is expected, with at most nine digits before the point and six after it',
  ],
])('%s - named', (keys, message) => {
  expect(refusal(withContract(keys))).toEqual(at(message));
});

test.each([
  ['one ends with its period, the next begins on the day after', 'end: 2026-03-31', 'start: 2026-04-01', null],
  ['one ends within its period, which is due whole', 'end: 2026-03-10', 'start: 2026-03-11', 'every shop'],
  ['both for ever', '', '', 'every shop'],
  ['both for ever, for other shops', 'shops: [dupont]', 'shops: [martin]', null],
  ['one for all of the vault', 'shops: [dupont]', '', 'dupont'],
  ['a year that begins in June', 'end: 2026-05-31, period: year, firstMonth: 6', 'start: 2026-06-01', null],
])('two contracts, %s - a warning where both bill the same', (_name, one, two, shops) => {
  const rest = 'vault: offsite, subscribedTB: 1, price: { perTBMonth: "23.00" }';
  const contracts = `contracts:\n  old: { ${rest}${one && `, ${one}`} }\n  new: { ${rest}${two && `, ${two}`} }\n`;
  const martin = 'martin: { plan: standard, vaults: [offsite], files: { root: /var/www/martin } }, dupont:';
  const text = withContract('').replace('contracts:\n', contracts).replace('dupont:', martin);
  const said = parseConfig(text, FILE, {}).warnings.filter((warning) => /contracts\.new bills what old/.test(warning));
  expect(said.map((warning) => /both cover (.*) in offsite/.exec(warning)?.[1])).toEqual(shops === null ? [] : [shops]);
});
