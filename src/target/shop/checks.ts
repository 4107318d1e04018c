// Whether what was restored is a whole PrestaShop: its tables, version, products, newest order. Of any database: a running one, or a drill's scratch.
import { Temporal } from 'temporal-polyfill';
import type { Host } from '../../host/host.ts';
import { detectShop } from '../../source/shop/detect.ts';
import type { ShopCounts, ShopFinding, ShopTables } from '../shop.ts';
import { fine, red, unknown } from './findings.ts';
import { ask, globalSetting, presentTables, tableName, tableNames } from './tables.ts';

/** Without prefix: what every shop from 1.6 to 9 has, and cannot do without. */
export const CORE_TABLES: readonly string[] = [
  'address',
  'cart',
  'category',
  'category_lang',
  'configuration',
  'country',
  'currency',
  'customer',
  'employee',
  'hook',
  'image',
  'lang',
  'module',
  'order_detail',
  'order_state',
  'orders',
  'product',
  'product_lang',
  'product_shop',
  'shop',
  'shop_group',
  'shop_url',
  'stock_available',
];

/** Names in a message. */
const MOST_NAMED = 5;
/** Fewer products than this share of those before are not the same shop any more. */
const LEAST_SHARE_OF_PRODUCTS = 0.5;

/**
 * All of `expected` (names as the manifest has them, prefix and all) are there; null: those that every shop has. Throws E_DB_READ.
 */
export async function checkTables(tables: ShopTables, expected: readonly string[] | null): Promise<ShopFinding> {
  const there = await tableNames(tables);
  const names = new Set(there.map((name) => name.toLowerCase()));
  const wanted = expected ?? CORE_TABLES.map((name) => tables.prefix + name);
  const missing = wanted.filter((name) => !names.has(name.toLowerCase()));
  const figures = { tables: there.length, expected: wanted.length, missing: missing.length };
  if (missing.length === 0) return fine('tables', `${there.length} tables, all ${wanted.length} that are expected`, figures);
  const named = missing.slice(0, MOST_NAMED).join(', ') + (missing.length > MOST_NAMED ? ', …' : '');
  return red('tables', 'E_SHOP_TABLES', `${missing.length} of ${wanted.length} tables are missing: ${named}`, figures);
}

/** null: no PrestaShop's tables. Throws E_DB_READ. */
export async function countShop(tables: ShopTables): Promise<ShopCounts | null> {
  const there = await presentTables(tables, ['configuration', 'product', 'image', 'orders']);
  if (!there.has('configuration')) return null;
  const count = async (name: string): Promise<number> =>
    there.has(name) ? Number((await ask(tables, `ps_${name}`, `SELECT COUNT(*) FROM ${tableName(tables, name)}`))[0]?.[0] ?? 0) : 0;
  return {
    tables: (await tableNames(tables)).length,
    products: await count('product'),
    images: await count('image'),
    orders: await count('orders'),
  };
}

/** `before`: how many there were in the same shop, where that is known. Throws E_DB_READ. */
export async function checkProducts(tables: ShopTables, before: number | null): Promise<ShopFinding> {
  const there = await presentTables(tables, ['product']);
  if (!there.has('product')) return unknown('products', 'E_SHOP_PRODUCTS', 'there is no table of products');
  const products = Number((await ask(tables, 'ps_product', `SELECT COUNT(*) FROM ${tableName(tables, 'product')}`))[0]?.[0] ?? 0);
  const figures = { products, before };
  if (before === null ? products === 0 : products < before * LEAST_SHARE_OF_PRODUCTS) {
    return red('products', 'E_SHOP_PRODUCTS', `${products} products${before === null ? '' : `, ${before} before`}`, figures);
  }
  return fine('products', `${products} products${before === null ? '' : `, ${before} before`}`, figures);
}

export interface NewestOrder {
  /** The instant that the data is of: ages are counted from there. */
  readonly asOf: Temporal.Instant;
  /** Older than this is red; null: any age will do. */
  readonly oldest: Temporal.Duration | null;
  /** There must be one: the shop has sold before. */
  readonly expected: boolean;
}

/** When the newest order came in, by the shop's own time zone. Throws E_DB_READ. */
export async function checkNewestOrder(tables: ShopTables, { asOf, oldest, expected }: NewestOrder): Promise<ShopFinding> {
  const there = await presentTables(tables, ['orders', 'configuration']);
  if (!there.has('orders')) return unknown('orders', 'E_SHOP_ORDERS', 'there is no table of orders');
  const [[count, newest] = [null, null]] = await ask(
    tables,
    'ps_orders',
    `SELECT COUNT(*), MAX(date_add) FROM ${tableName(tables, 'orders')}`,
  );
  const zone = there.has('configuration') ? await globalSetting(tables, 'PS_TIMEZONE') : null;
  const at = newest === null || newest === undefined ? null : instantOf(newest, zone);
  const orders = Number(count ?? 0);
  if (at === null) {
    const figures = { orders, newest: null, ageMs: null };
    return expected || orders > 0
      ? red('orders', 'E_SHOP_ORDERS', orders === 0 ? 'no order, though there were some' : 'no order has a date', figures)
      : fine('orders', 'no order yet', figures);
  }
  const ageMs = Math.max(0, asOf.epochMilliseconds - at.epochMilliseconds);
  const figures = { orders, newest: at.toString(), ageMs };
  const text = `${orders} orders, the newest ${Math.round(ageMs / 3_600_000)} h before`;
  const limitMs = oldest?.total({ unit: 'milliseconds' }) ?? null;
  return limitMs !== null && ageMs > limitMs
    ? red('orders', 'E_SHOP_ORDERS', `${text}: older than ${Math.round(limitMs / 3_600_000)} h`, figures)
    : fine('orders', text, figures);
}

/** A DATETIME is the shop's wall clock; PrestaShop sets MySQL's session to it. null: `0000-00-00`, or no date. */
function instantOf(text: string, zone: string | null): Temporal.Instant | null {
  try {
    const local = Temporal.PlainDateTime.from(text.replace(' ', 'T'));
    try {
      return local.toZonedDateTime(zone ?? 'UTC').toInstant();
    } catch {
      return local.toZonedDateTime('UTC').toInstant();
    }
  } catch {
    return null;
  }
}

export interface VersionOf {
  /** null: no tree, or nothing of it. */
  readonly tree: { readonly host: Host; readonly root: string } | null;
  readonly tables: ShopTables | null;
  /** As the snapshot's manifest has it (`8.1.2`); null: not known. */
  readonly expected: string | null;
}

/** Files, database and manifest agree on what version it is. Throws E_DB_READ, E_CONFIG, E_SSH_…. */
export async function checkVersion({ tree, tables, expected }: VersionOf): Promise<ShopFinding> {
  const ofTree =
    tree === null ? null : ((await detectShop(tree.host, { root: tree.root, profile: 'prestashop' })).application?.version ?? null);
  const hasSettings = tables !== null && (await presentTables(tables, ['configuration'])).has('configuration');
  const ofDatabase = tables !== null && hasSettings ? shown(await globalSetting(tables, 'PS_VERSION_DB')) : null;
  const figures = { files: ofTree, database: ofDatabase, expected };
  const said = [ofTree, ofDatabase, expected].filter((version) => version !== null);
  const text = [
    tree === null ? null : `files ${ofTree ?? 'of an unknown version'}`,
    tables === null ? null : `database ${ofDatabase ?? 'of an unknown version'}`,
    expected === null ? null : `expected ${expected}`,
  ]
    .filter((part) => part !== null)
    .join(', ');
  if ((tree !== null && ofTree === null) || (tables !== null && ofDatabase === null))
    return { ...unknown('version', 'E_SHOP_VERSION', text), figures };
  if (said.length === 0) return unknown('version', 'E_SHOP_VERSION', 'nothing says which version it is');
  return new Set(said.map(generation)).size > 1 ? red('version', 'E_SHOP_VERSION', text, figures) : fine('version', text, figures);
}

/** Versions of one generation share their tables: `8.1` of 8.1.2, `1.7.8` of 1.7.8.9. */
function generation(version: string): string {
  const parts = version.split('.');
  return parts.slice(0, parts[0] === '1' ? 3 : 2).join('.');
}

/** Only what looks like a version goes onto screens. */
function shown(value: string | null): string | null {
  return value !== null && /^[\w.+-]{1,32}$/.test(value) ? value : null;
}
