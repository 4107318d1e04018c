// Rows of what a shop is and sells: configuration, categories, products, prices, the search index.
import { ago, BCRYPT, count, maker, moment, money, productName, products, type RowMaker, scaled } from './row-maker.ts';
import { ADJECTIVES, FIRST_NAMES, LAST_NAMES, NOUNS, PROSE, slug } from './words.ts';

export const CATALOGUE_ROWS: readonly RowMaker[] = [
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
];
