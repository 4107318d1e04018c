// The some 250 tables of a PrestaShop shop that hold little: their real names, with columns in the manner of their family.
import type { Random } from './random.ts';
import { ADJECTIVES, NOUNS, PROSE } from './words.ts';

/** Things with an id, a name and a few settings. `+l`: with a `_lang` table, `+s`: with a `_shop` table, `+g`: with a `_group` table. */
const ENTITIES = `
accessory admin_filter advice+l alias api_access attachment+l attribute+l+s attribute_group+l+s attribute_impact authorization_role
badge+l blockwishlist_statistics carrier+l+s+g carrier_tax_rules_group carrier_zone cart_rule+l+s+g cart_rule_carrier
cart_rule_combination cart_rule_country cart_rule_product_rule cart_rule_product_rule_group cart_rule_product_rule_value category_shop
cms+l+s cms_category+l+s cms_role+l condition condition_advice condition_badge configuration_kpi+l contact+l+s country+l+s cronjobs
currency_lang currency_shop customer_group customer_session customer_thread customer_message_sync_imap customization
customization_field+l customized_data date_range delivery emailsubscription emailalert_customer_oos employee_account employee_session
employee_shop eventbus_deleted_objects eventbus_incremental_sync eventbus_job eventbus_type_sync feature+l+s feature_flag
feature_product feature_value+l fb_category_match gender+l group+l+s group_reduction homeslider homeslider_slides+l hook hook_alias
hook_module hook_module_exceptions image_shop image_type import_match info+l+s lang_shop layered_category layered_filter
layered_filter_block layered_filter_shop layered_indexable_attribute_group layered_indexable_attribute_lang_value
layered_indexable_feature layered_indexable_feature_lang_value layered_product_attribute link_block+l+s linksmenutop+l mailalert_customer_oos
manufacturer+l+s memcached_servers message message_readed meta+l mondialrelay_carrier_method mondialrelay_selected_relay module+s+g
module_access module_carrier module_country module_currency module_history module_preference mutation newsletter operating_system
order_carrier order_cart_rule order_detail_tax order_invoice order_invoice_payment order_invoice_tax order_message+l
order_return order_return_detail order_return_state+l order_slip order_slip_detail order_state+l pack page page_type page_viewed
paypal_capture paypal_order paypal_vaulting product_attachment product_attribute_combination product_attribute_image
product_attribute_shop product_carrier product_comment_criterion+l product_comment_criterion_category
product_comment_criterion_product product_comment_report product_comment_usefulness product_country_tax product_download
product_group_reduction_cache product_sale product_supplier product_tag profile+l pscheckout_cart pscheckout_order
pscheckout_funding_source psgdpr_consent+l psgdpr_log psreassurance+l quick_access+l range_price range_weight referrer+s
referrer_cache request_sql required_field risk+l search_engine sekeyword shop_group smarty_cache smarty_last_flush
smarty_lazy_cache specific_price_priority specific_price_rule specific_price_rule_condition specific_price_rule_condition_group
state statssearch stock stock_mvt stock_mvt_reason+l store+l+s supplier+l+s supply_order supply_order_detail supply_order_history
supply_order_receipt_history supply_order_state+l tab+l tab_advice tab_module_preference tag tag_count tax+l tax_rule
tax_rules_group+s timezone translation warehouse warehouse_carrier warehouse_product_location warehouse_shop web_browser
webservice_account webservice_account_shop webservice_permission wishlist wishlist_email wishlist_product zone+s`;

export interface SmallTable {
  readonly name: string;
  readonly ddl: string;
  readonly columns: readonly string[];
  /** SQL literals of one row; `id` counts from 1. */
  row(random: Random, id: number): readonly string[];
}

/** Makes an SQL text literal. */
export function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&').replace(/\n/g, '\\n').replace(/\0/g, '\\0')}'`;
}

const ENGINE = 'ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci';
const DAY = (random: Random): string =>
  `'202${random.int(3, 5)}-${String(random.int(1, 12)).padStart(2, '0')}-${String(random.int(1, 28)).padStart(2, '0')} 10:00:00'`;

function entity(name: string): SmallTable {
  const id = `id_${name}`;
  return {
    name: `ps_${name}`,
    ddl: `CREATE TABLE ps_${name} (
  \`${id}\` int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_parent int(10) unsigned NOT NULL DEFAULT 0,
  name varchar(128) NOT NULL,
  value decimal(20,6) DEFAULT NULL,
  settings text DEFAULT NULL,
  position int(10) unsigned NOT NULL DEFAULT 0,
  active tinyint(1) unsigned NOT NULL DEFAULT 1,
  date_add datetime NOT NULL,
  PRIMARY KEY (\`${id}\`),
  KEY parent (id_parent,position),
  KEY name (name(32))
) ${ENGINE};`,
    columns: [id, 'id_parent', 'name', 'value', 'settings', 'position', 'active', 'date_add'],
    row: (random, n) => [
      String(n),
      String(random.int(0, 9)),
      quote(`${random.pick(NOUNS)} ${random.pick(ADJECTIVES)} ${n}`),
      random.oneIn(3) ? 'NULL' : (random.int(0, 99_999_999) / 1e6).toFixed(6),
      random.oneIn(4) ? 'NULL' : quote(JSON.stringify({ label: random.words(PROSE, 6), n })),
      String(n),
      String(random.int(0, 1)),
      DAY(random),
    ],
  };
}

/** Names and texts in each language. */
function langOf(name: string): SmallTable {
  const id = `id_${name}`;
  return {
    name: `ps_${name}_lang`,
    ddl: `CREATE TABLE ps_${name}_lang (
  \`${id}\` int(10) unsigned NOT NULL,
  id_lang int(10) unsigned NOT NULL,
  name varchar(128) NOT NULL,
  description text DEFAULT NULL,
  PRIMARY KEY (\`${id}\`,id_lang),
  KEY id_lang (id_lang)
) ${ENGINE};`,
    columns: [id, 'id_lang', 'name', 'description'],
    row: (random, n) => [
      String(Math.ceil(n / 2)),
      String(2 - (n % 2)),
      quote(`${random.pick(NOUNS)} ${random.pick(ADJECTIVES)}`),
      random.oneIn(3) ? 'NULL' : quote(`<p>${random.words(PROSE, 20)}.</p>\n`),
    ],
  };
}

/** Which shop, or customer group, an entity belongs to. */
function joinOf(name: string, other: 'shop' | 'group'): SmallTable {
  const id = `id_${name}`;
  return {
    name: `ps_${name}_${other}`,
    ddl: `CREATE TABLE ps_${name}_${other} (
  \`${id}\` int(10) unsigned NOT NULL,
  id_${other}_of int(11) unsigned NOT NULL DEFAULT 1,
  PRIMARY KEY (\`${id}\`,id_${other}_of),
  KEY id_${other} (id_${other}_of)
) ${ENGINE};`,
    columns: [id, `id_${other}_of`],
    row: (_random, n) => [String(n), '1'],
  };
}

/** All of them, in a fixed order, without those whose name `taken` holds already (the main tables). */
export function smallTables(taken: ReadonlySet<string>): readonly SmallTable[] {
  const tables = new Map<string, SmallTable>();
  for (const word of ENTITIES.trim().split(/\s+/)) {
    const [name = '', ...flags] = word.split('+');
    const family = [entity(name)];
    if (flags.includes('l')) family.push(langOf(name));
    if (flags.includes('s')) family.push(joinOf(name, 'shop'));
    if (flags.includes('g')) family.push(joinOf(name, 'group'));
    for (const table of family) if (!taken.has(table.name) && !tables.has(table.name)) tables.set(table.name, table);
  }
  return [...tables.values()];
}
