// Child of the billing benchmark: writes a ledger of a year with its chain, and what its peaks are. Arguments: state folder, rows, shops.
import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CHAIN_START, canonicalText } from '../../../src/billing/chain.ts';
import { catalogPath, openCatalog } from '../../../src/catalog/open.ts';

const [dir = '', ...numbers] = process.argv.slice(2);
const [wanted = 0, shops = 0] = numbers.map(Number);
const DAY = 86_400_000;
const FIRST = Date.UTC(2025, 0, 1);
const DAYS = 365;
/** Each day's objects go this many days later. */
const KEPT_DAYS = 14;
const rowsADay = Math.ceil(wanted / DAYS);
/** In the ledger's second half of each day as much goes as came; in the first days nothing does. */
const putsADay = Math.ceil(wanted / (2 * DAYS - KEPT_DAYS));

let seed = 20_250_101;
const random = (): number => {
  seed = (Math.imul(seed ^ (seed >>> 15), seed | 1) + 0x6d2b79f5) >>> 0;
  return ((seed ^ (seed >>> 14)) >>> 0) / 4_294_967_296;
};

await (await openCatalog(dir)).close();
const database = new DatabaseSync(catalogPath(dir));
const indexes = database
  .prepare(`select name, sql from sqlite_master where type = 'index' and tbl_name = 'ledger' and sql is not null`)
  .all();
for (const { name } of indexes) database.exec(`drop index "${name}"`);
database.exec('pragma journal_mode = off; pragma synchronous = off; begin');
const insert = database.prepare(
  'insert into ledger (at, vault, shop, key, versionId, event, bytes, cause, hash) values (?, ?, ?, ?, ?, ?, ?, null, ?)',
);

interface Stored {
  readonly shop: string;
  readonly key: string;
  readonly versionId: string;
  readonly bytes: number;
}

const kept: Stored[][] = [];
let head = CHAIN_START;
let rows = 0;
let sum = 0;
/** Highest sum of each month, and the first instant of it; months of UTC. */
const months = new Map<string, { peakBytes: number; at: number }>();
const note = (month: string, at: number): void => {
  const known = months.get(month);
  if (!known || sum > known.peakBytes) months.set(month, { peakBytes: sum, at });
};
const append = (at: number, { bytes, key, shop, versionId }: Stored, event: 'put' | 'release'): void => {
  const row = { at, vault: 'offsite', shop, key, versionId, event, bytes: event === 'put' ? bytes : -bytes, cause: null };
  head = hash('sha256', head + canonicalText(row));
  insert.run(at, row.vault, shop, key, versionId, event, row.bytes, head);
  rows++;
  sum += row.bytes;
};
for (let day = 0; day < DAYS && rows < wanted; day++) {
  const startMs = FIRST + day * DAY;
  const month = new Date(startMs).toISOString().slice(0, 7);
  if (!months.has(month)) note(month, startMs);
  const today: Stored[] = [];
  for (let i = 0; i < putsADay && rows < wanted; i++) {
    // every instant of its own: the highest sum is then after a row
    const at = startMs + 2 * 3_600_000 + Math.floor((i / putsADay) * 4 * 3_600_000) + (i % 3 === 0 ? 0 : 1);
    const shop = `shop${String(Math.floor(random() * shops)).padStart(4, '0')}`;
    const name = rows.toString(36).toUpperCase().padStart(26, '0');
    const one = {
      shop,
      key: `${shop}/segments/${name}.tar.zst.age`,
      versionId: name.toLowerCase(),
      bytes: 1_000_000 + Math.floor(random() * 30_000_000),
    };
    today.push(one);
    const last = i + 1 === putsADay || rows + 1 === wanted;
    append(last ? startMs + 6 * 3_600_000 : at - (at % 4) + 1, one, 'put');
    if (last) note(month, startMs + 6 * 3_600_000);
  }
  kept.push(today);
  if (day < KEPT_DAYS) continue;
  const gone = kept[day - KEPT_DAYS] as Stored[];
  kept[day - KEPT_DAYS] = [];
  for (const [i, one] of gone.entries()) {
    if (rows >= wanted) break;
    append(startMs + 6.5 * 3_600_000 + Math.floor((i / gone.length) * 900_000), one, 'release');
  }
}
database.exec('commit');
for (const { sql } of indexes) database.exec(String(sql));
database.close();
const year = [...months.values()].reduce((best, one) => (one.peakBytes > best.peakBytes ? one : best));
writeFileSync(join(dir, 'expected.json'), JSON.stringify({ rows, rowsADay, sum, months: [...months], year }));
