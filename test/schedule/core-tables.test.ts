// Tables without which no PrestaShop is opened: missed in what looks like one, under any prefix.
import { expect, test } from 'vitest';
import { lackingTables } from '../../src/schedule/core-tables.ts';
import { CORE_TABLES } from '../../src/target/shop/checks.ts';

const shop = (prefix: string, without: readonly string[]) =>
  new Set([...CORE_TABLES.filter((name) => !without.includes(name)).map((name) => prefix + name), `${prefix}more_configuration`]);

test('a PrestaShop, whatever its prefix - what it lacks is named with that prefix', () => {
  expect(lackingTables(shop('ps_', []))).toEqual([]);
  expect(lackingTables(shop('b2_', ['order_state', 'hook']))).toEqual(['b2_hook', 'b2_order_state']);
  expect(lackingTables(shop('', ['lang']))).toEqual(['lang']);
});

test('a database of something else - lacks nothing', () => {
  expect(lackingTables(new Set(['wp_posts', 'wp_options']))).toEqual([]);
  expect(lackingTables(new Set(['app_configuration', 'app_product', 'app_orders']))).toEqual([]);
  expect(lackingTables(new Set())).toEqual([]);
});
