// One day in a shop's life: orders come in, prices change, a module is installed, images and code come and go.
import { appendFileSync, chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { runSql, type ShopDatabaseOptions, type ShopServer } from './database.ts';
import { EXCLUDED_DIRECTORIES } from './files.ts';
import { orderDetailRow, orderRow } from './order-rows.ts';
import { Random } from './random.ts';
import type { Value } from './row-maker.ts';
import { ROW_MAKERS } from './rows.ts';
import { quote } from './small-tables.ts';
import { ADJECTIVES, NOUNS } from './words.ts';

export interface DatabaseDay {
  readonly orders: number;
  readonly products: number;
  readonly deletedCarts: number;
}

const columnsOf = (table: string): string => {
  const maker = ROW_MAKERS.find((candidate) => candidate.table === table);
  return (maker?.columns ?? []).map((column) => `\`${column}\``).join(',');
};
const literal = (value: Value): string => (value === null ? 'NULL' : typeof value === 'number' ? String(value) : quote(value));
const tuple = (row: readonly Value[]): string => `(${row.map(literal).join(',')})`;

/** Applies day number `day` (from 1) to a database that `createShopDatabase` made with the same options. Triggers fire. */
export async function mutateDatabase(server: ShopServer, options: ShopDatabaseOptions, day: number): Promise<DatabaseDay> {
  const random = new Random(`${options.seed}/day-${day}`);
  const asked = await runSql(
    server,
    'SELECT MAX(id_order) FROM ps_orders; SELECT MAX(id_order_detail) FROM ps_order_detail; SELECT COUNT(*) FROM ps_product;',
    options.name,
  );
  const [lastOrder = 0, lastDetail = 0, products = 0] = asked.trim().split('\n').map(Number);
  const orders = Math.max(5, Math.round(lastOrder / 200));
  const orderRows = Array.from({ length: orders }, (_, i) => tuple(orderRow(random, lastOrder + i + 1, options.databaseMB)));
  const detailRows = Array.from({ length: orders * 2 }, (_, i) =>
    tuple(orderDetailRow(random, lastDetail + i + 1, lastOrder + 1 + (i >> 1), options.databaseMB)),
  );
  const changed = Array.from({ length: Math.max(3, Math.round(products / 50)) }, () => random.int(1, products));
  const deletedCarts = random.int(3, 9);
  await runSql(
    server,
    [
      "SET NAMES utf8mb4; SET time_zone = '+00:00'; SET sql_mode = ''; START TRANSACTION;",
      `INSERT INTO ps_orders (${columnsOf('ps_orders')}) VALUES ${orderRows.join(',\n')};`,
      `INSERT INTO ps_order_detail (${columnsOf('ps_order_detail')}) VALUES ${detailRows.join(',\n')};`,
      ...changed.map(
        (id) =>
          `UPDATE ps_product SET price = price * 1.05, date_upd = '2026-06-02 09:00:00' WHERE id_product = ${id};
UPDATE ps_product_lang SET name = ${quote(`${random.pick(NOUNS)} ${random.pick(ADJECTIVES)} (jour ${day})`)} WHERE id_product = ${id} AND id_lang = 1;
UPDATE ps_stock_available SET quantity = quantity - ${random.int(1, 4)} WHERE id_product = ${id};`,
      ),
      `DELETE FROM ps_cart ORDER BY id_cart LIMIT ${deletedCarts};`,
      'COMMIT;',
      `DO NEXTVAL(ps_erp_export_seq);`,
      `CREATE TABLE ps_newmodule_day${day} (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, note varchar(64) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;`,
      `INSERT INTO ps_newmodule_day${day} (note) VALUES ('installé le jour ${day}');`,
      `ALTER TABLE ps_info ADD COLUMN day${day} int NULL;`,
    ].join('\n'),
    options.name,
  );
  return { orders, products: new Set(changed).size, deletedCarts };
}

export interface FilesDay {
  readonly changed: number;
  readonly added: number;
  readonly deleted: number;
}

/** Applies day number `day` to a tree that `createShopFiles` made. The large file stays as it is. */
export function mutateFiles(root: string, seed: string, day: number): FilesDay {
  const random = new Random(`${seed}/files-day-${day}`);
  const full = (path: string): Buffer => Buffer.from(`${root}/${path}`, 'latin1');
  const all = regularFiles(root);
  const code = all.filter((path) => /^(modules|classes|themes|src)\/.*\.(php|tpl|css|js)$/.test(path));
  const images = all.filter((path) => path.startsWith('img/p/'));
  const some = Math.max(4, Math.round(all.length / 150));

  const changed = new Set(Array.from({ length: some }, () => random.pick(code)));
  for (const path of changed) appendFileSync(full(path), `// day ${day}: ${random.hex(20)}\n`);
  const deleted = new Set(Array.from({ length: some }, () => random.pick(images)));
  for (const path of deleted) rmSync(full(path));

  let added = 0;
  const add = (path: string, content: Buffer | string): void => {
    mkdirSync(full(path.slice(0, path.lastIndexOf('/'))), { recursive: true });
    writeFileSync(full(path), content, { mode: 0o644 });
    added += 1;
  };
  for (let i = 0; i < some; i++) {
    const id = 900_000 + day * 1000 + i;
    add(`img/p/${[...String(id)].join('/')}/${id}.jpg`, random.bytes(random.int(2000, 60_000)));
  }
  add(`modules/newmodule${day}/newmodule${day}.php`, '<?php\nclass NewModule extends Module {}\n');
  add(`upload/commande-\xe9t\xe9-${day}.txt`, 'Latin-1\n');
  // same size, new content: only a time tells
  const same = code.find((path) => !changed.has(path));
  if (same) writeFileSync(full(same), Buffer.alloc(lstatSync(full(same)).size, 0x2a));
  // the same file under another name, another mode, a link to elsewhere
  renameSync(full('robots.txt'), full('robots-old.txt'));
  writeFileSync(full('robots.txt'), `User-agent: *\nDisallow: /day${day}\n`);
  chmodSync(full('config/config.inc.php'), 0o600 + (day % 2) * 0o40);
  rmSync(full('themes/current'));
  symlinkSync(day % 2 === 1 ? 'dupont' : 'classic', full('themes/current'));
  return { changed: changed.size + (same ? 3 : 2), added, deleted: deleted.size };
}

/** Paths of regular files below `root` (bytes as latin1), sorted, without what a backup leaves out. */
export function regularFiles(root: string): readonly string[] {
  const found: string[] = [];
  const walk = (directory: string): void => {
    if ((EXCLUDED_DIRECTORIES as readonly string[]).includes(directory)) return;
    const entries = readdirSync(Buffer.from(`${root}/${directory}`, 'latin1'), {
      withFileTypes: true,
      encoding: 'latin1' as BufferEncoding,
    });
    for (const entry of entries) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) found.push(path);
    }
  };
  walk('');
  return found.sort();
}
