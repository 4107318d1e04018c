// A database dumped and loaded again is the same database, for every type, object and way of cutting rows into segments.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_SIZES } from '../../../src/source/mariadb/plan.ts';
import { createShopDatabase } from '../../shop/database.ts';
import { type Dumped, databaseConfig, dumpParts, makeTarget, restoreParts } from './dumped.ts';
import { checksums, type DatabaseServer, dumpText, freshDatabase, startDatabaseServer } from './server.ts';

let server: DatabaseServer;

beforeAll(async () => {
  server = await startDatabaseServer(['--log-bin=binlog', '--server-id=1']);
  await freshDatabase(server, 'everything', "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci COMMENT 'é ''quoted'''");
  await server.sql(readFileSync(new URL('everything.sql', import.meta.url)), 'everything');
});
afterAll(() => server.stop());

async function restoreAndCompare(from: string, dumped: Dumped): Promise<void> {
  const target = makeTarget(server.where, 'copy', { overwrite: true });
  try {
    await restoreParts(target, dumped);
    const tables = Object.fromEntries(
      dumped.parts
        .flatMap((part) => part.outcome.entries.flatMap((entry) => ('rows' in entry ? Object.keys(entry.rows) : [])))
        .map((table) => [table, 0]),
    );
    for (const part of dumped.parts) {
      for (const entry of part.outcome.entries) {
        if ('rows' in entry) for (const [table, rows] of Object.entries(entry.rows)) tables[table] = (tables[table] ?? 0) + rows;
      }
    }
    const counted = await target.countRows(Object.keys(tables));
    expect(Object.fromEntries(counted.map(({ table, rows }) => [table, rows]))).toEqual(tables);
  } finally {
    await target.close();
  }
  expect(await dumpText(server, 'copy')).toBe(await dumpText(server, from));
  expect(await checksums(server, 'copy')).toBe(await checksums(server, from));
}

describe('every column type and program of MariaDB 10.11', () => {
  const ways = [
    { title: 'small tables together', sizes: DEFAULT_SIZES },
    { title: 'each table as a file of rows', sizes: { ...DEFAULT_SIZES, smallTable: 0 } },
    { title: 'files of rows cut after every row or two', sizes: { smallTable: 0, segment: 20 } },
    { title: 'small tables cut into many segments', sizes: { smallTable: 1e9, segment: 200 } },
  ];
  test.each(ways)('$title: the copy has the same dump text and checksums', async ({ sizes }) => {
    const dumped = await dumpParts(databaseConfig(server.where, 'everything'), { sizes });
    await restoreAndCompare('everything', dumped);
    expect(new Set(dumped.parts.map((part) => part.name)).size).toBe(dumped.parts.length);
    expect(dumped.summary).toMatchObject({ complete: true, warnings: [] });
  });

  test('local_infile off: rows go in as INSERTs and are the same', async () => {
    const dumped = await dumpParts(databaseConfig(server.where, 'everything'), { sizes: { ...DEFAULT_SIZES, smallTable: 0 } });
    await server.sql('SET GLOBAL local_infile=0');
    try {
      await restoreAndCompare('everything', dumped);
    } finally {
      await server.sql('SET GLOBAL local_infile=1');
    }
  });

  test('dumped twice without a change: every part has the same name and the same bytes', async () => {
    const sizes = { smallTable: 100, segment: 1000 };
    const first = await dumpParts(databaseConfig(server.where, 'everything'), { sizes });
    const second = await dumpParts(databaseConfig(server.where, 'everything'), { sizes });
    // several connections read: which part is ready first is not the same each time
    const known = new Map(first.parts.map((part) => [part.name, part.bytes]));
    expect(second.parts.map((part) => part.name).sort()).toEqual([...known.keys()].sort());
    for (const part of second.parts) expect(known.get(part.name)?.equals(part.bytes), part.name).toBe(true);
  });

  test('server defaults that change how SQL is read: the copy is the same', async () => {
    const defaults =
      "sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,STRICT_ALL_TABLES', time_zone='-03:30', character_set_server=latin1, foreign_key_checks=1";
    const before = await server.sql(
      "SELECT CONCAT('SET GLOBAL sql_mode=''', @@GLOBAL.sql_mode, ''', time_zone=''', @@GLOBAL.time_zone, ''', character_set_server=', @@GLOBAL.character_set_server, ', collation_server=', @@GLOBAL.collation_server)",
    );
    await server.sql(`SET GLOBAL ${defaults.replaceAll(', ', ', GLOBAL ')}`);
    try {
      const dumped = await dumpParts(databaseConfig(server.where, 'everything'), { sizes: { ...DEFAULT_SIZES, smallTable: 200 } });
      const target = makeTarget(server.where, 'copy', { overwrite: true });
      await restoreParts(target, dumped).finally(() => target.close());
    } finally {
      await server.sql(before);
    }
    expect(await dumpText(server, 'copy')).toBe(await dumpText(server, 'everything'));
    expect(await checksums(server, 'copy')).toBe(await checksums(server, 'everything'));
  });
});

test('a shop of 300 tables: the copy has the same dump text and checksums', async ({ skip }) => {
  const { socketPath } = server.where;
  if (socketPath === null) return skip('the shop is made through a socket');
  await server.sql('DROP DATABASE IF EXISTS shop');
  const shop = await createShopDatabase({ socketPath, rootUser: 'root' }, { name: 'shop', seed: 'round trip', databaseMB: 20 });
  const dumped = await dumpParts(databaseConfig(server.where, 'shop'));
  expect(dumped.summary.counts).toEqual({ tables: shop.tables, rows: shop.rows });
  await restoreAndCompare('shop', dumped);
}, 240_000);
