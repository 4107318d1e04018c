// Rows of the main tables, made one by one: what makes a shop's database large is its visits, orders and product texts.
import type { Random } from './random.ts';
import { ADJECTIVES, CITIES, FIRST_NAMES, LAST_NAMES, NOUNS, PROSE, slug, USER_AGENTS } from './words.ts';

/** A value of a column; null is NULL. Binary columns (`hex`) take hexadecimal text. */
export type Value = string | number | null;

export interface RowMaker {
  readonly table: string;
  readonly columns: readonly string[];
  /** Columns whose values are given in hexadecimal. */
  readonly hex?: readonly string[];
  /** How many rows a shop has that is `megabytes` of SQL large. */
  rows(megabytes: number): number;
  /** Row `n` of `rows`, from 1. `megabytes` tells how many others there are to refer to. */
  make(random: Random, n: number, megabytes: number): readonly Value[];
}

/** Rows for each megabyte of SQL, so that the whole comes out at about one megabyte. */
const PER_MB = {
  products: 32,
  images: 95,
  words: 70,
  indexed: 3000,
  customers: 130,
  carts: 410,
  orders: 210,
  details: 520,
  guests: 1050,
  connections: 1560,
} as const;

export const count = (what: keyof typeof PER_MB, megabytes: number): number => Math.max(12, Math.round(PER_MB[what] * megabytes));
const scaled = (perMegabyte: number) => (megabytes: number) => Math.max(6, Math.round(perMegabyte * megabytes));

/** Seconds between the shop's first visit and its last: two years, up to 2026-06-01. */
const LIFE_SECONDS = 2 * 365 * 86_400;
const OPENED_MS = 1_717_200_000_000;

/** An instant of the shop's life as DATETIME text; `share` 0 is its opening, 1 its last day. */
export function moment(share: number): string {
  const at = OPENED_MS + Math.floor(Math.max(0, Math.min(1, share)) * LIFE_SECONDS) * 1000;
  return isoText(at).slice(0, 19).replace('T', ' ');
}

/** ISO 8601 text of epoch milliseconds without the Date class: days since 1970 to a civil date (Howard Hinnant's algorithm). */
function isoText(epochMs: number): string {
  const days = Math.floor(epochMs / 86_400_000);
  const z = days + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const seconds = Math.floor((epochMs - days * 86_400_000) / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${year}-${two(month)}-${two(day)}T${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

const money = (random: Random, high: number): string => (random.int(100, high * 100) / 100).toFixed(6);
const productName = (random: Random): string => `${random.pick(NOUNS)} ${random.pick(ADJECTIVES)} ${random.pick(ADJECTIVES)}`;
const reference = (n: number): string => {
  let text = '';
  for (let rest = n * 7919 + 11; text.length < 9; rest = Math.floor(rest / 26) + 31 * n) text += String.fromCharCode(65 + (rest % 26));
  return text;
};
const ago = (n: number, all: number): string => moment(n / (all + 1));
const BCRYPT = '$2y$10$';

type Make = RowMaker['make'];
const maker = (table: string, columns: string, rows: RowMaker['rows'], make: Make, hex?: readonly string[]): RowMaker => ({
  table,
  columns: columns.split(' '),
  rows,
  make,
  ...(hex ? { hex } : {}),
});

const products = (mb: number): number => count('products', mb);
const orders = (mb: number): number => count('orders', mb);
const customers = (mb: number): number => count('customers', mb);
const guests = (mb: number): number => count('guests', mb);
const connections = (mb: number): number => count('connections', mb);

/** Row makers in an order in which foreign keys would be content. */
export const ROW_MAKERS: readonly RowMaker[] = [
  maker(
    'ps_shop',
    'id_shop id_shop_group name id_category theme_name',
    () => 1,
    () => [1, 1, 'Maison Dupont', 2, 'classic'],
  ),
  maker(
    'ps_shop_url',
    'id_shop_url id_shop domain domain_ssl physical_uri virtual_uri main active',
    () => 1,
    () => [1, 1, 'dupont.example', 'dupont.example', '/', '', 1, 1],
  ),
  maker(
    'ps_lang',
    'id_lang name active iso_code language_code locale date_format_lite date_format_full is_rtl',
    () => 2,
    (_r, n) =>
      n === 1
        ? [1, 'Français (French)', 1, 'fr', 'fr-fr', 'fr-FR', 'd/m/Y', 'd/m/Y H:i:s', 0]
        : [2, 'English (English)', 1, 'en', 'en-us', 'en-US', 'm/d/Y', 'm/d/Y H:i:s', 0],
  ),
  maker(
    'ps_currency',
    'id_currency name iso_code numeric_iso_code precision conversion_rate active',
    () => 2,
    (_r, n) => (n === 1 ? [1, 'euro', 'EUR', '978', 2, '1.000000', 1] : [2, 'franc suisse', 'CHF', '756', 2, '0.945600', 1]),
  ),
  maker(
    'ps_employee',
    'id_employee id_profile id_lang lastname firstname email passwd last_passwd_gen active last_connection_date',
    () => 8,
    (r, n) => [
      n,
      n === 1 ? 1 : 4,
      1,
      r.pick(LAST_NAMES),
      r.pick(FIRST_NAMES),
      `employe${n}@dupont.example`,
      BCRYPT + r.hex(53),
      moment(0.1),
      1,
      moment(0.99).slice(0, 10),
    ],
  ),
  maker(
    'ps_configuration',
    'id_configuration id_shop name value date_add date_upd',
    () => 900,
    (r, n) => [
      n,
      n % 40 === 0 ? 1 : null,
      ['PS_SHOP_ENABLE', 'PS_SHOP_DOMAIN', 'PS_SHOP_DOMAIN_SSL', 'PS_SHOP_NAME', 'PS_SSL_ENABLED', 'PS_VERSION_DB'][n - 1] ??
        `MODULE_${slug(r.pick(NOUNS)).toUpperCase().replaceAll('-', '_')}_${n}`,
      ['1', 'dupont.example', 'dupont.example', 'Maison Dupont', '1', '8.1.7'][n - 1] ??
        (n % 9 === 0 ? null : n % 7 === 0 ? JSON.stringify({ texte: r.words(PROSE, 12), clé: n }) : String(r.int(0, 99_999))),
      moment(0),
      moment(n / 900),
    ],
  ),
  maker(
    'ps_category',
    'id_category id_parent level_depth nleft nright active date_add date_upd position is_root_category',
    () => 120,
    (_r, n) => [n, n <= 2 ? n - 1 : 2 + (n % 9), n <= 2 ? n - 1 : 2, n * 2, n * 2 + 1, 1, moment(0), moment(0.2), n, n === 2 ? 1 : 0],
  ),
  maker(
    'ps_category_lang',
    'id_category id_shop id_lang name description link_rewrite meta_title meta_description',
    () => 240,
    (r, n) => {
      const name = `${r.pick(NOUNS)} ${r.pick(ADJECTIVES)}`;
      return [Math.ceil(n / 2), 1, 2 - (n % 2), name, `<p>${r.words(PROSE, 30)}.</p>`, slug(name), null, r.words(PROSE, 15)];
    },
  ),
  maker(
    'ps_category_product',
    'id_category id_product position',
    (mb) => products(mb) * 2,
    (_r, n) => [n % 2 === 0 ? 2 : 3 + (n % 117), Math.ceil(n / 2), n],
  ),
  maker(
    'ps_product',
    'id_product id_supplier id_manufacturer id_category_default id_tax_rules_group on_sale ean13 quantity price wholesale_price reference width height depth weight active available_date condition date_add date_upd product_type',
    products,
    (r, n, mb) => [
      n,
      r.oneIn(3) ? null : r.int(1, 9),
      r.int(1, 30),
      r.int(3, 119),
      1,
      r.oneIn(9) ? 1 : 0,
      `3${String(r.uint32()).padStart(12, '0')}`,
      r.int(0, 400),
      money(r, 900),
      money(r, 400),
      `REF-${n}`,
      money(r, 90),
      money(r, 90),
      money(r, 90),
      (r.int(1, 40_000) / 1000).toFixed(6),
      r.oneIn(12) ? 0 : 1,
      r.oneIn(5) ? null : moment(0.5).slice(0, 10),
      r.oneIn(30) ? 'refurbished' : 'new',
      ago(n, products(mb)),
      moment(0.9),
      r.oneIn(4) ? 'combinations' : 'standard',
    ],
  ),
  maker(
    'ps_product_shop',
    'id_product id_shop id_category_default id_tax_rules_group price wholesale_price active date_add date_upd',
    products,
    (r, n, mb) => [n, 1, r.int(3, 119), 1, money(r, 900), money(r, 400), 1, ago(n, products(mb)), moment(0.9)],
  ),
  maker(
    'ps_product_lang',
    'id_product id_shop id_lang description description_short link_rewrite meta_description meta_title name available_now delivery_in_stock',
    (mb) => products(mb) * 2,
    (r, n) => {
      const name = productName(r);
      const lines = Array.from({ length: r.int(3, 12) }, () => `  <li>${r.words(PROSE, r.int(5, 14))}</li>`).join('\n');
      return [
        Math.ceil(n / 2),
        1,
        2 - (n % 2),
        `<h2 class="t">${name} — l’élégance 😀</h2>\r\n<ul>\n${lines}\n</ul>\n<p style='x'>${r.words(PROSE, r.int(20, 90))}\t«${r.hex(12)}»\\</p>`,
        `<p>${r.words(PROSE, 15)}</p>`,
        slug(name),
        r.words(PROSE, 14),
        name,
        name,
        r.oneIn(3) ? null : 'En stock',
        r.oneIn(2) ? '' : 'Livré sous 48 h',
      ];
    },
  ),
  maker('ps_product_attribute', 'id_product_attribute id_product reference price weight default_on available_date', products, (r, n) => [
    n,
    Math.ceil(n / 3),
    `REF-${Math.ceil(n / 3)}-${n % 3}`,
    money(r, 30),
    '0.250000',
    n % 3 === 1 ? 1 : null,
    null,
  ]),
  maker(
    'ps_stock_available',
    'id_stock_available id_product id_product_attribute id_shop id_shop_group quantity physical_quantity reserved_quantity out_of_stock',
    (mb) => products(mb) * 2,
    (r, n) => [n, Math.ceil(n / 2), n % 2 === 0 ? n : 0, 1, 0, r.int(-5, 300), r.int(0, 300), r.int(0, 5), 2],
  ),
  maker(
    'ps_image',
    'id_image id_product position cover',
    (mb) => count('images', mb),
    (_r, n) => [n, Math.ceil(n / 3), ((n - 1) % 3) + 1, n % 3 === 1 ? 1 : null],
  ),
  maker(
    'ps_image_lang',
    'id_image id_lang legend',
    (mb) => count('images', mb) * 2,
    (r, n) => [Math.ceil(n / 2), 2 - (n % 2), productName(r)],
  ),
  maker(
    'ps_specific_price',
    'id_specific_price id_product id_group price from_quantity reduction reduction_type from to',
    scaled(4),
    (r, n) => [n, n, 0, '-1.000000', 1, (r.int(1, 60) / 100).toFixed(6), 'percentage', '0000-00-00 00:00:00', moment(1)],
  ),
  maker(
    'ps_search_word',
    'id_word id_shop id_lang word',
    (mb) => count('words', mb),
    (r, n) => [n, 1, 2 - (n % 2), `${r.pick(NOUNS).slice(0, 18)}${n.toString(36)}`],
  ),
  maker(
    'ps_search_index',
    'id_product id_word weight',
    (mb) => count('indexed', mb),
    (r, n, mb) => {
      // every pair once: the word follows from n, the product walks
      const words = count('words', mb);
      return [1 + Math.floor((n - 1) / words), 1 + ((n - 1) % words), r.int(1, 60)];
    },
  ),
  maker(
    'ps_customer',
    'id_customer id_gender id_default_group id_lang firstname lastname email passwd last_passwd_gen birthday newsletter secure_key note active date_add date_upd',
    customers,
    (r, n, mb) => {
      const at = ago(n, customers(mb));
      return [
        n,
        r.int(0, 2),
        3,
        r.int(1, 2),
        r.pick(FIRST_NAMES),
        r.pick(LAST_NAMES),
        `client${n}@${slug(r.pick(CITIES))}.example`,
        BCRYPT + r.hex(53),
        at,
        r.oneIn(3) ? null : `19${r.int(40, 99)}-0${r.int(1, 9)}-${r.int(10, 28)}`,
        r.int(0, 1),
        r.hex(32),
        r.oneIn(20) ? `appelé, rappeler « lundi »\n${r.hex(6)}` : '',
        1,
        at,
        at,
      ];
    },
  ),
  maker(
    'ps_address',
    'id_address id_country id_customer alias company lastname firstname address1 address2 postcode city phone date_add date_upd',
    (mb) => Math.round(customers(mb) * 1.25),
    (r, n, mb) => {
      const at = ago(n, customers(mb) * 1.25);
      return [
        n,
        r.pick([8, 8, 8, 19, 3]),
        1 + (n % customers(mb)),
        'Mon adresse',
        r.oneIn(9) ? `${r.pick(LAST_NAMES)} & Cie` : null,
        r.pick(LAST_NAMES),
        r.pick(FIRST_NAMES),
        `${r.int(1, 220)} rue de l’Église`,
        r.oneIn(5) ? `Bât. ${r.int(1, 9)}` : '',
        String(r.int(10_000, 98_999)),
        r.pick(CITIES),
        `0${r.int(600_000_000, 799_999_999)}`,
        at,
        at,
      ];
    },
  ),
  maker(
    'ps_cart',
    'id_cart id_carrier delivery_option id_lang id_address_delivery id_currency id_customer id_guest secure_key checkout_session_data date_add date_upd',
    (mb) => count('carts', mb),
    (r, n, mb) => {
      const at = ago(n, count('carts', mb));
      const address = r.int(1, customers(mb));
      return [
        n,
        r.int(1, 6),
        JSON.stringify({ [address]: `${r.int(1, 6)},` }),
        1,
        address,
        1,
        address,
        r.int(1, guests(mb)),
        r.hex(32),
        r.oneIn(4) ? JSON.stringify({ 'checkout-personal-information-step': { step_is_reachable: true, step_is_complete: true } }) : null,
        at,
        at,
      ];
    },
  ),
  maker(
    'ps_cart_product',
    'id_cart id_product id_product_attribute quantity date_add',
    (mb) => count('carts', mb) * 2,
    (r, n, mb) => [
      Math.ceil(n / 2),
      2 * r.int(0, Math.floor(products(mb) / 2) - 1) + 1 + (n % 2),
      0,
      r.int(1, 4),
      ago(n, count('carts', mb) * 2),
    ],
  ),
  maker(
    'ps_orders',
    'id_order reference id_carrier id_lang id_customer id_cart id_currency id_address_delivery current_state secure_key payment module gift_message total_discounts total_paid total_paid_tax_incl total_paid_tax_excl total_products total_shipping invoice_number invoice_date delivery_date valid date_add date_upd',
    orders,
    orderRow,
  ),
  maker(
    'ps_order_detail',
    'id_order_detail id_order product_id product_attribute_id product_name product_quantity product_price reduction_percent product_ean13 product_reference product_weight tax_rate download_deadline total_price_tax_incl total_price_tax_excl unit_price_tax_incl unit_price_tax_excl',
    (mb) => count('details', mb),
    (r, n, mb) => orderDetailRow(r, n, Math.ceil((n * orders(mb)) / count('details', mb)), mb),
  ),
  maker(
    'ps_order_history',
    'id_order_history id_employee id_order id_order_state date_add',
    (mb) => orders(mb) * 3,
    (r, n, mb) => [n, r.int(0, 8), Math.ceil(n / 3), [2, 3, 4][n % 3] ?? 5, ago(n, orders(mb) * 3)],
  ),
  maker(
    'ps_order_payment',
    'id_order_payment order_reference id_currency amount payment_method transaction_id date_add',
    orders,
    (r, n, mb) => [n, reference(n), 1, money(r, 900), 'Carte bancaire', `pi_${r.hex(24)}`, ago(n, orders(mb))],
  ),
  maker(
    'ps_guest',
    'id_guest id_operating_system id_web_browser id_customer javascript screen_resolution_x screen_resolution_y accept_language',
    guests,
    (r, n, mb) => [
      n,
      r.int(1, 9),
      r.int(1, 12),
      r.oneIn(5) ? r.int(1, customers(mb)) : 0,
      1,
      r.pick([390, 1440, 1920]),
      r.pick([844, 900, 1080]),
      r.pick(['fr', 'en', 'de', '']),
    ],
  ),
  maker('ps_connections', 'id_connections id_guest id_page ip_address date_add http_referer', connections, (r, n, mb) => [
    n,
    r.int(1, guests(mb)),
    r.int(1, 200),
    r.uint32(),
    ago(n, connections(mb)),
    r.oneIn(3) ? `https://www.google.com/search?q=${r.hex(10)}` : '',
  ]),
  maker(
    'ps_connections_source',
    'id_connections_source id_connections http_referer request_uri keywords date_add',
    (mb) => Math.round(connections(mb) / 2),
    (r, n, mb) => [
      n,
      n * 2,
      `https://${slug(r.pick(CITIES))}.example/`,
      `dupont.example/fr/${r.int(1, products(mb))}-${slug(productName(r))}.html`,
      r.oneIn(2) ? '' : r.pick(NOUNS),
      ago(n, connections(mb) / 2),
    ],
  ),
  maker('ps_connections_page', 'id_connections id_page time_start time_end', connections, (r, n, mb) => [
    n,
    r.int(1, 200),
    ago(n, connections(mb)),
    r.oneIn(2) ? null : ago(n + 1, connections(mb)),
  ]),
  maker('ps_pagenotfound', 'id_pagenotfound request_uri http_referer date_add', scaled(130), (r, n, mb) => [
    n,
    `/wp-login.php?x=${r.hex(16)}`,
    r.oneIn(2) ? '' : `https://${r.hex(8)}.example/`,
    ago(n, scaled(130)(mb)),
  ]),
  maker('ps_log', 'id_log severity error_code message object_type object_id id_employee date_add date_upd', scaled(270), (r, n, mb) => {
    const at = ago(n, scaled(270)(mb));
    return [
      n,
      r.int(1, 3),
      0,
      `Connexion au back-office depuis ${r.int(1, 254)}.${r.int(0, 255)}.${r.int(0, 255)}.7 : ${r.words(PROSE, 5)}`,
      r.oneIn(2) ? null : 'Product',
      r.int(1, 500),
      r.int(0, 8),
      at,
      at,
    ];
  }),
  maker('ps_mail', 'id_mail recipient template subject id_lang date_add', scaled(180), (r, n, mb) => [
    n,
    `client${r.int(1, customers(mb))}@${slug(r.pick(CITIES))}.example`,
    r.pick(['order_conf', 'payment', 'shipped']),
    `[Maison Dupont] Votre commande n°${n}`,
    1,
    ago(n, scaled(180)(mb)),
  ]),
  maker(
    'ps_customer_message',
    'id_customer_message id_customer_thread id_employee message ip_address user_agent date_add private',
    scaled(27),
    (r, n, mb) => [
      n,
      Math.ceil(n / 2),
      r.oneIn(2) ? 0 : r.int(1, 8),
      `Bonjour,\n\n${r.words(PROSE, r.int(20, 120))}.\n\n${r.pick(FIRST_NAMES)}`,
      String(r.int(1, 2 ** 31)),
      r.pick(USER_AGENTS).slice(0, 128),
      ago(n, scaled(27)(mb)),
      r.int(0, 1),
    ],
  ),
  maker('ps_layered_price_index', 'id_product id_currency id_shop price_min price_max id_country', products, (r, n) => [
    n,
    1,
    1,
    money(r, 400),
    money(r, 900),
    8,
  ]),
  maker(
    'ps_product_comment',
    'id_product_comment id_product id_customer title content customer_name grade helpfulness validate date_add',
    scaled(18),
    (r, n, mb) => [
      n,
      r.int(1, products(mb)),
      r.int(1, customers(mb)),
      r.words(PROSE, 3),
      r.words(PROSE, r.int(10, 60)),
      r.pick(FIRST_NAMES),
      r.int(1, 50) / 10,
      r.oneIn(4) ? null : 1 / r.int(3, 97),
      1,
      ago(n, scaled(18)(mb)),
    ],
  ),
  maker(
    'ps_colissimo_order',
    'id_colissimo_order id_order service weight_kg',
    (mb) => Math.round(orders(mb) / 4),
    (r, n) => [n, n * 4, r.pick(['DOM', 'DOS', 'HD']), r.int(1, 30_000) / 1000],
  ),
  maker(
    'ps_colissimo_label',
    'id_colissimo_label id_colissimo_order shipping_number label_format label flags date_add',
    (mb) => Math.round(orders(mb) / 20),
    (r, n) => [
      n,
      n,
      `6A${r.int(10_000_000, 99_999_999)}`,
      'pdf',
      r.oneIn(6) ? null : `255044462d312e340a${r.bytes(r.int(300, 1500)).toString('hex')}`,
      r.int(0, 63).toString(16).padStart(2, '0'),
      `${moment(0.7)}.${r.int(100, 999)}`,
    ],
    ['label', 'flags'],
  ),
  maker(
    'ps_advsearch_index',
    'id_product id_lang content',
    (mb) => products(mb) * 2,
    (r, n) => [Math.ceil(n / 2), 2 - (n % 2), `${productName(r)} ${r.words(PROSE, 40)}`],
  ),
  maker(
    'ps_loyalty_point',
    'id_customer points updated',
    (mb) => Math.round(customers(mb) / 2),
    (r, n) => [n * 2, r.int(-40, 4000), `${moment(0.8)}.${r.int(100_000, 999_999)}`],
  ),
  maker('ps_erp_export_queue', 'payload sent date_add', scaled(60), (r, n, mb) => [
    JSON.stringify({ commande: n, ville: r.pick(['Besançon', 'Nîmes']) }),
    r.int(0, 1),
    ago(n, scaled(60)(mb)),
  ]),
  maker(
    'ps_webhook_inbox',
    'id body received',
    scaled(20),
    (r, n) => [
      n.toString(16).padStart(8, '0') + r.hex(24),
      r.bytes(r.int(20, 200)).toString('hex'),
      `${moment(0.9)}.${r.int(100_000, 999_999)}`,
    ],
    ['id', 'body'],
  ),
];

/** One order; `n` is its id. */
export function orderRow(r: Random, n: number, mb: number): readonly Value[] {
  const at = ago(n, orders(mb));
  const paid = money(r, 900);
  const customer = r.int(1, customers(mb));
  return [
    n,
    reference(n),
    r.int(1, 6),
    1,
    customer,
    Math.min(n * 2, count('carts', mb)),
    1,
    customer,
    r.int(2, 6),
    r.hex(32),
    r.pick(['Carte bancaire', 'Virement', 'PayPal']),
    r.pick(['ps_checkout', 'ps_wirepayment', 'paypal']),
    r.oneIn(15) ? `Joyeux Noël ! 🎁\n${r.pick(FIRST_NAMES)}` : null,
    '0.000000',
    paid,
    paid,
    money(r, 700),
    money(r, 600),
    '4.900000',
    n,
    at,
    r.oneIn(3) ? null : at,
    1,
    at,
    at,
  ];
}

/** One line of order `order`. */
export function orderDetailRow(r: Random, n: number, order: number, mb: number): readonly Value[] {
  const price = money(r, 300);
  return [
    n,
    order,
    r.int(1, products(mb)),
    0,
    productName(r),
    r.int(1, 4),
    price,
    '0.00',
    r.oneIn(4) ? null : `3${String(r.uint32()).padStart(12, '0')}`,
    `REF-${r.int(1, products(mb))}`,
    '0.500000',
    '20.000',
    null,
    money(r, 300),
    price,
    money(r, 300),
    price,
  ];
}
