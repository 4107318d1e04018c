// What is known of a PrestaShop's tables by their names alone: which make a shop, and which hold rows that it can do without.

/** Tables of every PrestaShop since 1.5, by name without prefix: where most of them are, there is a shop. */
const PRESTASHOP_CORE: readonly string[] = [
  'address',
  'cart',
  'category',
  'configuration',
  'country',
  'currency',
  'customer',
  'employee',
  'hook',
  'lang',
  'module',
  'order_detail',
  'orders',
  'product',
  'product_lang',
  'shop',
];
/** So many of them make a shop: a table that a module renamed or dropped does not hide it, a few names alike do not make one. */
const PRESTASHOP_QUORUM = 12;

/** Visitors' traces, logs and caches; facts: carts refer to guests. `*_session` is matched as a pattern. */
const PRESTASHOP_EPHEMERAL: readonly string[] = [
  'connections',
  'connections_page',
  'connections_source',
  'guest',
  'log',
  'mail',
  'page_viewed',
  'pagenotfound',
  'smarty_cache',
  'smarty_lazy_cache',
  'statssearch',
];
const PRESTASHOP_EPHEMERAL_SUFFIX = '_session';

/** The table prefixes (`ps_`) of every PrestaShop in a database, shortest first: several shops can share one. */
export function prestashopPrefixes(tableNames: readonly string[], quorum = PRESTASHOP_QUORUM): string[] {
  const found = new Map<string, number>();
  for (const core of PRESTASHOP_CORE) {
    for (const name of tableNames) {
      if (!name.endsWith(core)) continue;
      const prefix = name.slice(0, name.length - core.length);
      found.set(prefix, (found.get(prefix) ?? 0) + 1);
    }
  }
  return [...found]
    .filter(([, count]) => count >= quorum)
    .map(([prefix]) => prefix)
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
}

/** Whether the profile prestashop-ephemeral leaves out the rows of this table of the shop with this prefix. */
export function isEphemeral(table: string, prefix: string): boolean {
  if (!table.startsWith(prefix)) return false;
  const name = table.slice(prefix.length);
  return PRESTASHOP_EPHEMERAL.includes(name) || (name.endsWith(PRESTASHOP_EPHEMERAL_SUFFIX) && name !== PRESTASHOP_EPHEMERAL_SUFFIX);
}
