// The shop of the database benchmark: five big tables, three hundred small ones, the same rows in every run.
import type { Mariadb } from '../../servers/mariadb.ts';
import { createShopDatabase } from '../../shop/database.ts';
import { Random } from '../../shop/random.ts';
import { maker, productName, type RowMaker } from '../../shop/row-maker.ts';
import { ROW_MAKERS } from '../../shop/rows.ts';
import { slug } from '../../shop/words.ts';

export const SEED = 'bench-database';
/** Rows at full size: about 1 GB of InnoDB, 700 MB of SQL. */
export const BIG_TABLES = {
  ps_product_lang: 120_000,
  ps_search_index: 2_000_000,
  ps_connections: 1_500_000,
  ps_order_detail: 700_000,
  ps_orders: 350_000,
} as const;
export type BigTable = keyof typeof BIG_TABLES;
/** Size of all the others together, as SQL. */
const SMALL_MB = 6;
const LANGUAGES = 6;

export interface BenchShop {
  readonly tables: number;
  readonly rows: number;
  /** Data and index pages, as the server counts them. */
  readonly innodbBytes: number;
}

/** Makes database `name`; `scale` 1 is full size. */
export async function createBenchShop(server: Mariadb, name: string, scale: number): Promise<BenchShop> {
  const instead = Object.entries(BIG_TABLES).map(([table, rows]) => bigMaker(table as BigTable, Math.max(100, Math.round(rows * scale))));
  const made = await createShopDatabase(server, { name, seed: SEED, databaseMB: SMALL_MB, instead });
  // an all-InnoDB shop: every peer then promises the same consistency
  await server.sql('ALTER TABLE ps_advsearch_index ENGINE=InnoDB', { database: name });
  const tables = (
    await server.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND engine = 'InnoDB'", {
      database: name,
    })
  )
    .trim()
    .split('\n');
  await server.sql(`ANALYZE TABLE ${tables.map((table) => `\`${table}\``).join(',')}`, { database: name });
  const bytes = await server.sql(
    "SELECT SUM(file_size) FROM information_schema.innodb_sys_tablespaces WHERE name LIKE CONCAT(DATABASE(), '/%')",
    { database: name },
  );
  return { tables: made.tables, rows: made.rows, innodbBytes: Number(bytes) };
}

/**
 * Changes one row in a hundred of each big table. `recent`: the newest ones, as a day in the shop does. `scattered`: every hundredth,
 * as a mass update in the back office does. Returns how many.
 */
export async function changeRows(server: Mariadb, name: string, which: 'recent' | 'scattered'): Promise<number> {
  const columns: Record<BigTable, readonly [id: string, set: string]> = {
    ps_product_lang: ['id_product', "meta_title = CONCAT('* ', LEFT(meta_title, 100))"],
    ps_search_index: ['id_word', 'weight = weight + 1'],
    ps_connections: ['id_connections', 'id_page = id_page + 1'],
    ps_order_detail: ['id_order_detail', 'tax_rate = tax_rate + 1'],
    ps_orders: ['id_order', 'current_state = current_state + 1'],
  };
  let changed = 0;
  for (const [table, [id, set]] of Object.entries(columns)) {
    const where =
      which === 'recent' ? `${id} > (SELECT at FROM (SELECT MAX(${id}) * 0.99 AS at FROM ${table}) AS newest)` : `${id} % 100 = 7`;
    changed += Number(await server.sql(`UPDATE ${table} SET ${set} WHERE ${where}; SELECT ROW_COUNT();`, { database: name }));
  }
  return changed;
}

function bigMaker(table: BigTable, rows: number): RowMaker {
  switch (table) {
    case 'ps_product_lang':
      return productLang(rows);
    case 'ps_search_index':
      return searchIndex(rows);
    case 'ps_connections':
    case 'ps_order_detail':
    case 'ps_orders':
      return enlarged(table, rows);
  }
}

/** The shop generator's own rows, as many as asked for. */
function enlarged(table: string, rows: number): RowMaker {
  const model = ROW_MAKERS.find((one) => one.table === table);
  if (!model) throw new Error(`the shop generator has no ${table}`);
  const megabytes = rows / (model.rows(1000) / 1000);
  return { ...model, rows: () => rows, make: (random, n) => model.make(random, n, megabytes) };
}

/** Narrow, in the order of its key: each word with some products, more or less apart. */
function searchIndex(rows: number): RowMaker {
  const perWord = 100;
  const step = 200;
  return maker(
    'ps_search_index',
    'id_product id_word weight',
    () => rows,
    (r, n) => [((n - 1) % perWord) * step + r.int(1, step), 1 + Math.floor((n - 1) / perWord), r.int(1, 60)],
  );
}

/** Wide: descriptions of one to four kilobytes in six languages. */
function productLang(rows: number): RowMaker {
  const prose = Array.from({ length: LANGUAGES }, (_, language) => makeProse(language));
  return maker(
    'ps_product_lang',
    'id_product id_shop id_lang description description_short link_rewrite meta_description meta_title name available_now delivery_in_stock',
    () => rows,
    (r, n) => {
      const write = prose[(n - 1) % LANGUAGES] as Prose;
      const name = productName(r);
      let description = `<h2 class="page-product-heading">${name}</h2>\n`;
      for (let left = r.int(2, 6); left > 0; left--) description += `<p>${write(r, r.int(30, 90))}</p>\n`;
      description += '<ul class="product-features">\n';
      for (let left = r.int(2, 6); left > 0; left--) description += `  <li>${write(r, r.int(4, 12))}</li>\n`;
      return [
        1 + Math.floor((n - 1) / LANGUAGES),
        1,
        1 + ((n - 1) % LANGUAGES),
        `${description}</ul>`,
        `<p>${write(r, r.int(12, 30))}</p>`,
        slug(name),
        write(r, 14),
        name,
        name,
        r.oneIn(3) ? null : 'En stock',
        r.oneIn(2) ? '' : 'Livré sous 48 h',
      ];
    },
  );
}

type Prose = (random: Random, words: number) => string;

/** Text of a made-up language: eight thousand words, the frequent ones short, used as often as Zipf's law has it. It compresses as prose does. */
function makeProse(language: number): Prose {
  const random = new Random(`${SEED}/language-${language}`);
  const onsets = ['b', 'c', 'd', 'f', 'g', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'ch', 'br', 'tr', 'pl', 'qu', 'st', 'ç'];
  const vowels = ['a', 'e', 'i', 'o', 'u', 'é', 'è', 'ou', 'ai', 'eu', 'an', 'on', 'ü', 'ä'];
  const codas = ['', '', '', 's', 'r', 'n', 't', 'x'];
  const words: string[] = [];
  for (let rank = 0; rank < 8000; rank++) {
    let word = '';
    for (let left = rank < 60 ? 1 : rank < 1000 ? random.int(1, 3) : random.int(2, 4); left > 0; left--) {
      word += random.pick(onsets) + random.pick(vowels) + random.pick(codas);
    }
    words.push(word);
  }
  // 65,536 places, each word on as many as its share
  const places: string[] = [];
  const total = words.reduce((sum, _, rank) => sum + 1 / (rank + 3), 0);
  let share = 0;
  for (const [rank, word] of words.entries()) {
    share += 1 / (rank + 3) / total;
    while (places.length < share * 65_536 - 0.5) places.push(word);
  }
  while (places.length < 65_536) places.push(words[0] as string);
  return (r, count) => {
    let text = '';
    for (let left = count; left > 0; left -= 2) {
      const drawn = r.uint32();
      text += `${places[drawn & 0xffff]} ${places[drawn >>> 16]}${left > 2 ? (drawn % 11 === 0 ? ', ' : ' ') : '.'}`;
    }
    return text;
  };
}
