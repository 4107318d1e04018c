// What a shop is opened to: never what coffre itself wrote when it closed it.
import { expect, test } from 'vitest';
import { CHECK_ADDRESS } from '../../../src/target/shop/guard-page.ts';
import { bearsOurMark, isSameSwitch, openedTo } from '../../../src/target/shop/switch.ts';
import type { SwitchRow, SwitchState } from '../../../src/target/shop.ts';

const all = (name: SwitchRow['name'], value: string | null): SwitchRow => ({ name, groupId: null, shopId: null, value });
const of = (enabled: string, address: string | null): SwitchState => ({
  rows: [all('PS_SHOP_ENABLE', enabled), all('PS_MAINTENANCE_IP', address), all('PS_MAINTENANCE_ALLOW_ADMINS', enabled)],
});
const ours = of('0', CHECK_ADDRESS);

test('a switch that its owner set, open or closed - is what the shop is opened to', () => {
  for (const state of [of('1', ''), of('0', '203.0.113.7'), of('0', null), null, { rows: [] }]) {
    expect(bearsOurMark(state)).toBe(false);
    expect(openedTo(state, [of('1', 'other')])).toBe(state);
  }
});

test('one that coffre closed - gives way to the first other that is not coffre’s; where all are, or none is known, the shop is open', () => {
  expect(bearsOurMark(ours)).toBe(true);
  expect(openedTo(ours, [null, ours, of('0', '203.0.113.7'), of('1', '')])).toEqual(of('0', '203.0.113.7'));
  expect(openedTo(ours, [ours, null])).toEqual(of('1', ''));
  const ofShop = { rows: [...(ours?.rows ?? []), { name: 'PS_SHOP_ENABLE', groupId: 1, shopId: 2, value: '0' }] } as SwitchState;
  expect(
    openedTo(ofShop, [])
      ?.rows.filter(({ name }) => name === 'PS_SHOP_ENABLE')
      .map(({ value }) => value),
  ).toEqual(['1', '1']);
});

test('two readings are the same - by rows and values, in whatever order; none at all is another', () => {
  const { rows } = of('1', '') as { rows: SwitchRow[] };
  expect(isSameSwitch({ rows }, { rows: [...rows].reverse() })).toBe(true);
  expect(isSameSwitch({ rows }, of('1', null))).toBe(false);
  expect(isSameSwitch({ rows }, { rows: rows.slice(1) })).toBe(false);
  expect(isSameSwitch(null, null)).toBe(true);
  expect(isSameSwitch(null, { rows: [] })).toBe(false);
});
