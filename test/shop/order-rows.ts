// Rows of what happens in a shop: customers, carts, orders, visits, and what modules note beside them.
import type { Random } from './random.ts';
import {
  ago,
  BCRYPT,
  connections,
  count,
  customers,
  guests,
  maker,
  moment,
  money,
  orders,
  productName,
  products,
  type RowMaker,
  reference,
  scaled,
  type Value,
} from './row-maker.ts';
import { CITIES, FIRST_NAMES, LAST_NAMES, NOUNS, PROSE, slug, USER_AGENTS } from './words.ts';

/** In an order in which foreign keys would be content. */
export const ORDER_ROWS: readonly RowMaker[] = [
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
