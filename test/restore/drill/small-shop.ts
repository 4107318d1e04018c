// A PrestaShop of the smallest kind that a drill can look at: its core tables, some images that are there, some orders.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CORE_TABLES } from '../../../src/target/shop/checks.ts';
import type { Mariadb } from '../../servers/mariadb.ts';

export const IMAGES = 40;

const OWN: Readonly<Record<string, string>> = {
  configuration: 'id_configuration int primary key, id_shop int, id_shop_group int, name varchar(64), value text, key name (name)',
  image: 'id_image int primary key, id_product int, key id_product (id_product)',
  orders: 'id_order int primary key, date_add datetime',
  product: 'id_product int primary key, reference varchar(64), text mediumtext, key reference (reference)',
  shop_url: 'id_shop_url int primary key, id_shop int, domain varchar(150)',
};

export async function fillDatabase(mariadb: Mariadb, name: string): Promise<void> {
  const tables = CORE_TABLES.map((table) => `CREATE TABLE ps_${table} (${OWN[table] ?? 'id int primary key'}) ENGINE=InnoDB;`);
  const rows = (count: number, row: (id: number) => string): string => Array.from({ length: count }, (_, i) => `(${row(i + 1)})`).join(',');
  await mariadb.sql(
    [
      ...tables,
      `INSERT INTO ps_image VALUES ${rows(IMAGES, (id) => `${id}, ${id}`)};`,
      `INSERT INTO ps_product VALUES ${rows(200, (id) => `${id}, 'ref-${id}', REPEAT('text ${id} ', 400)`)};`,
      `INSERT INTO ps_orders VALUES ${rows(20, (id) => `${id}, NOW() - INTERVAL ${id} HOUR`)};`,
      "INSERT INTO ps_configuration VALUES (1, NULL, NULL, 'PS_VERSION_DB', '8.1.2'), (2, NULL, NULL, 'PS_TIMEZONE', 'UTC');",
      "INSERT INTO ps_shop_url VALUES (1, 1, 'www.dupont.example');",
    ].join('\n'),
    { database: name },
  );
}

export function makeTree(root: string): void {
  const write = (path: string, content: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  };
  write('config/defines.inc.php', "<?php define('_PS_MODE_DEV_', false);\n");
  write(
    'src/Core/Version.php',
    "<?php\nnamespace PrestaShop\\PrestaShop\\Core;\nfinal class Version\n{\n    public const VERSION = '8.1.2';\n}\n",
  );
  write('index.php', '<?php\n');
  for (let id = 1; id <= IMAGES; id++) write(imagePath(id), `image ${id} `.repeat(200));
}

const imagePath = (id: number): string => `img/p/${[...String(id)].join('/')}/${id}.jpg`;

export function loseImages(root: string, from: number, to: number): void {
  for (let id = from; id <= to; id++) rmSync(join(root, imagePath(id)));
}
