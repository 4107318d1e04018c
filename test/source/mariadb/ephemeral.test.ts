import { describe, expect, test } from 'vitest';
import { resolveExcluded } from '../../../src/source/mariadb/ephemeral.ts';
import { prestashopPrefixes } from '../../../src/source/prestashop-tables.ts';

const CORE = ['address', 'cart', 'category', 'configuration', 'country', 'currency', 'customer', 'employee'].concat(
  ['hook', 'lang', 'module', 'order_detail', 'orders', 'product', 'product_lang', 'shop'],
  ['category_product', 'cart_product', 'customer_group', 'product_shop', 'lang_shop', 'module_shop', 'order_cart_rule'],
);
const EPHEMERAL = ['connections', 'connections_page', 'connections_source', 'guest', 'log', 'mail', 'page_viewed'].concat([
  'pagenotfound',
  'smarty_cache',
  'smarty_lazy_cache',
  'statssearch',
  'customer_session',
  'employee_session',
]);
const KEPT = ['page', 'page_type', 'page_url', 'smarty_last_flush', 'mailalert', 'log_archive', 'guest_book', 'my_log'];

const shop = (prefix: string): string[] => [...CORE, ...EPHEMERAL, ...KEPT].map((name) => prefix + name);
const ephemeral = (prefix: string): string[] => EPHEMERAL.map((name) => prefix + name);
const profile = { profile: 'prestashop-ephemeral', excludeData: [] } as const;

describe('the PrestaShop profile', () => {
  for (const prefix of ['ps_', 'ps17_', 'boutique_', '']) {
    test(`prefix ${JSON.stringify(prefix)} - its ephemeral tables and nothing else`, () => {
      const { tables, warnings } = resolveExcluded(profile, shop(prefix));
      expect([...tables].sort()).toEqual(ephemeral(prefix).sort());
      expect(warnings).toHaveLength(EPHEMERAL.length);
      expect(warnings[0]).toEqual({
        kind: 'skipped',
        where: `${prefix}connections`,
        message: 'its rows are left out by the configuration (profile prestashop-ephemeral)',
      });
    });
  }

  test('two shops in one database, one prefix the beginning of the other - both', () => {
    const names = [...shop('ps_'), ...shop('ps_b_')];
    expect(prestashopPrefixes(names)).toEqual(['ps_', 'ps_b_']);
    expect([...resolveExcluded(profile, names).tables].sort()).toEqual([...ephemeral('ps_'), ...ephemeral('ps_b_')].sort());
  });

  test('another application beside the shop - its tables are not touched, whatever they are called', () => {
    const other = [
      'wp_users',
      'wp_log',
      'wp_mail',
      'wp_guest',
      'log',
      'mail',
      'guest',
      'app_session',
      'wp_product',
      'wp_orders',
      'wp_cart',
    ];
    const { tables } = resolveExcluded(profile, [...shop('ps_'), ...other]);
    expect([...tables].sort()).toEqual(ephemeral('ps_').sort());
  });

  test('a table that is nothing but the suffix - kept', () => {
    expect(resolveExcluded(profile, [...shop('ps_'), 'ps__session']).tables).not.toContain('ps__session');
  });

  test('a few core tables renamed by a module - still a shop', () => {
    const names = shop('ps_').filter((name) => !['ps_hook', 'ps_country', 'ps_cart'].includes(name));
    expect(prestashopPrefixes(names)).toEqual(['ps_']);
  });

  test('no shop at all - leaves out nothing, and says so', () => {
    const names = ['wp_log', 'wp_users', 'log', 'product', 'orders'];
    expect(resolveExcluded(profile, names)).toEqual({
      tables: [],
      warnings: [
        {
          kind: 'other',
          where: 'profile prestashop-ephemeral',
          message: 'no tables of a PrestaShop were found, so the profile leaves out nothing',
        },
      ],
    });
  });

  test('not asked for - nothing is left out', () => {
    expect(resolveExcluded({ profile: 'none', excludeData: [] }, shop('ps_'))).toEqual({ tables: [], warnings: [] });
  });
});

describe('excludeData', () => {
  const names = ['ps_log', 'ps_a_log', 'ps_logs', 'xps_log', 'ps.log', 'ps_LOG', 'a*', 'ab', 'día_1'];
  const excluded = (...excludeData: string[]) => resolveExcluded({ profile: 'none', excludeData }, names);

  test('a name - that table alone, as it is written', () => {
    expect(excluded('ps_log').tables).toEqual(['ps_log']);
    expect(excluded('ps.log').tables).toEqual(['ps.log']);
  });

  test('patterns - * for any characters, ? for one', () => {
    expect(excluded('ps_*log').tables).toEqual(['ps_log', 'ps_a_log']);
    expect(excluded('ps?log').tables).toEqual(['ps_log', 'ps.log']);
    expect(excluded('d?a_*').tables).toEqual(['día_1']);
    expect(excluded('*').tables).toEqual(names);
  });

  test('each table once, in the database’s order, with the reason in the warning', () => {
    const { tables, warnings } = excluded('ab', 'ps_logs', 'ps_log*');
    expect(tables).toEqual(['ps_log', 'ps_logs', 'ab']);
    expect(warnings.map(({ where, message }) => [where, message.replace(/^.*\((.*)\)$/, '$1')])).toEqual([
      ['ps_log', 'excludeData ps_log*'],
      ['ps_logs', 'excludeData ps_log*'],
      ['ab', 'excludeData'],
    ]);
  });

  test('a name that no table has - a warning, because its rows are not left out', () => {
    expect(excluded('ps_logg')).toEqual({
      tables: [],
      warnings: [{ kind: 'other', where: 'excludeData ps_logg', message: 'no table has this name' }],
    });
  });
});
