// The generated shop: the same seed gives the same shop, of about the size asked for, with everything that makes backups fail.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { createShopDatabase, type ShopServer } from './database.ts';
import { createShopFiles } from './files.ts';
import { mutateDatabase, mutateFiles, regularFiles } from './mutate.ts';
import { Random } from './random.ts';

describe('random', () => {
  test('the first values of a seed never change: shops in reports stay reproducible', () => {
    const random = new Random('dupont');
    expect([random.uint32(), random.uint32(), random.uint32()]).toMatchInlineSnapshot(`
      [
        2042111046,
        3288819681,
        444802065,
      ]
    `);
  });

  test('bytes and single values are one stream', () => {
    const [left, right] = [new Random('x'), new Random('x')];
    const words = left.bytes(16);
    expect([0, 4, 8, 12].map((at) => words.readUInt32LE(at))).toEqual(Array.from({ length: 4 }, () => right.uint32()));
    expect(left.uint32()).toBe(right.uint32());
  });
});

describe('database', () => {
  let server: Mariadb & ShopServer;
  beforeAll(async () => {
    server = await startMariadb();
  }, 90_000);
  afterAll(() => server.stop());

  const dump = (name: string): Promise<Buffer> =>
    server.client('mariadb-dump', ['--skip-dump-date', '--routines', '--triggers', '--events', name]);

  test('equal seeds give equal dumps, after a day of changes too', async () => {
    const options = { seed: 'equal', databaseMB: 2 };
    const dumps: Buffer[][] = [];
    for (let round = 0; round < 2; round++) {
      const shop = await createShopDatabase(server, { ...options, name: 'dupont' });
      expect(shop.tables).toBe(300);
      const before = await dump('dupont');
      await mutateDatabase(server, shop, 1);
      dumps.push([before, await dump('dupont')]);
      await server.sql('DROP DATABASE dupont;');
    }
    const [first, second] = dumps;
    expect(first?.[0]?.equals(second?.[0] ?? Buffer.alloc(0))).toBe(true);
    expect(first?.[1]?.equals(second?.[1] ?? Buffer.alloc(0))).toBe(true);
    expect(first?.[0]?.equals(first?.[1] ?? Buffer.alloc(0))).toBe(false);
  }, 60_000);

  test('a dump is about as large as was asked for, and holds what modules leave behind', async () => {
    await createShopDatabase(server, { name: 'sized', seed: 's', databaseMB: 10 });
    const text = await dump('sized');
    expect(text.length).toBeGreaterThan(8e6);
    expect(text.length).toBeLessThan(12e6);
    for (const word of [
      'ENGINE=MyISAM',
      'CREATE SEQUENCE',
      'TRIGGER',
      'EVENT',
      'PROCEDURE',
      'FUNCTION',
      'VIEW',
      'FULLTEXT',
      'GENERATED ALWAYS',
      ' float',
      'FOREIGN KEY',
    ]) {
      expect(text.includes(word), word).toBe(true);
    }
    await server.sql('DROP DATABASE sized;');
  }, 60_000);
});

describe('files', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'coffre-shop-test-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  /** Names, kinds, modes, owners, times and link texts of a tree, then its contents, as one hash each; by tools that are not ours. */
  const facts = (root: string): string =>
    execFileSync(
      'sh',
      [
        '-c',
        "find . -printf '%P\\0%y\\0%m\\0%U\\0%G\\0%T@\\0%s\\0%l\\0%n\\0\\n' | LC_ALL=C sort -z | sha256sum; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum",
      ],
      { cwd: root, encoding: 'utf8' },
    );

  test('equal seeds give equal trees, of about the size asked for', () => {
    const options = { seed: 'tree', files: 900, megabytes: 12, largeFileMB: 3 };
    const made = ['a', 'b'].map((name) => createShopFiles(path.join(dir, name), options));
    expect(facts(path.join(dir, 'a'))).toBe(facts(path.join(dir, 'b')));
    expect(made[0]?.files).toBe(900);
    expect(Math.abs((made[0]?.bytes ?? 0) - 12e6)).toBeLessThan(2e6);
    expect(regularFiles(path.join(dir, 'a')).length).toBeGreaterThan(850);
    const sparse = statSync(path.join(dir, 'a/download/disk-image.raw'));
    expect(sparse.size).toBe(24 * 1024 * 1024);
    expect(sparse.blocks * 512).toBeLessThan(1024 * 1024);
  });

  test('a day changes, adds and deletes files and leaves the large one alone', () => {
    const root = path.join(dir, 'day');
    const { largeFile } = createShopFiles(root, { seed: 'day', files: 600, megabytes: 8, largeFileMB: 2 });
    const [before, large] = [regularFiles(root), statSync(path.join(root, largeFile ?? '')).mtimeMs];
    const day = mutateFiles(root, 'day', 1);
    const after = regularFiles(root);
    expect(after.length).toBe(before.length + day.added - day.deleted + 1);
    expect(before.filter((name) => !after.includes(name)).length).toBe(day.deleted);
    expect(statSync(path.join(root, largeFile ?? '')).mtimeMs).toBe(large);
    expect(() => mutateFiles(root, 'day', 2)).not.toThrow();
  });
});
