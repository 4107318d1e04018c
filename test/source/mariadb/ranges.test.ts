// A table that is most of a database is read in ranges of its key, by several connections, and every row comes once.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { alignedRanges } from '../../../src/source/mariadb/ranges.ts';
import { databaseConfig, dumpParts, makeTarget, restoreParts } from './dumped.ts';
import { checksums, type DatabaseServer, freshDatabase, startDatabaseServer } from './server.ts';

let server: DatabaseServer;
beforeAll(async () => {
  server = await startDatabaseServer();
});
afterAll(() => server?.stop());

const key = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n });

test('any smallest and largest key: the ranges follow one another, cover all and are neither few nor many', () => {
  fc.assert(
    fc.property(key, key, fc.integer({ min: 1, max: 16 }), (one, other, pieces) => {
      const [min, max] = one < other ? [one, other] : [other, one];
      const ranges = alignedRanges(min, max, pieces);
      expect(ranges[0]?.low).toBeNull();
      expect(ranges.at(-1)?.below).toBeNull();
      for (const [index, range] of ranges.entries()) {
        const next = ranges[index + 1];
        if (next) expect(next.low).toBe(range.below);
        if (range.below !== null) {
          expect(BigInt(range.below)).toBeGreaterThan(min);
          expect(BigInt(range.below)).toBeLessThanOrEqual(max);
        }
      }
      if (max - min >= BigInt(pieces)) expect(ranges.length).toBeGreaterThanOrEqual(pieces);
      expect(ranges.length).toBeLessThanOrEqual(2 * pieces + 1);
    }),
  );
});

test('the table grows by a third: the bounds that there were stay', () => {
  const before = alignedRanges(1n, 100_000n, 4).flatMap(({ low }) => low ?? []);
  const after = alignedRanges(1n, 130_000n, 4).flatMap(({ low }) => low ?? []);
  expect(before.length).toBeGreaterThan(2);
  expect(after).toEqual(expect.arrayContaining(before));
});

test('tables of every kind of whole number, negative, huge and with errors of an ENUM: read in ranges, they come back', async () => {
  await freshDatabase(server, 'ranges');
  await server.sql(
    `CREATE TABLE negative (id bigint PRIMARY KEY, v varchar(200)); INSERT INTO negative SELECT CAST(seq AS SIGNED) * 7 - 20000, REPEAT(MD5(seq), 3) FROM seq_1_to_6000;
     CREATE TABLE huge (id bigint unsigned, part int, e enum('a','b') NOT NULL, v varchar(200), PRIMARY KEY (id, part));
     SET SESSION sql_mode='';
     INSERT INTO huge SELECT 18446744073709551615 - seq, seq % 3, IF(seq % 1000 = 0, 'other', 'a'), REPEAT(MD5(seq), 3) FROM seq_1_to_9000;
     ANALYZE TABLE negative, huge;`,
    'ranges',
  );
  for (const table of ['negative', 'huge']) {
    const others = table === 'negative' ? ['huge'] : ['negative'];
    const config = { ...databaseConfig(server.where, 'ranges', others), threads: 3 };
    const dumped = await dumpParts(config, { sizes: { smallTable: 0, segment: 32 * 1024 } });
    const names = dumped.parts.map((part) => part.name).filter((name) => name.startsWith('rows/'));
    expect(names.filter((name) => name.includes('/from-')).length, names.join()).toBeGreaterThan(1);
    expect(new Set(names).size).toBe(names.length);
    if (table === 'huge') expect(dumped.parts.filter((part) => part.name.endsWith('enum-errors')).length).toBeGreaterThan(1);
    const target = makeTarget(server.where, 'ranges_copy', { overwrite: true });
    await restoreParts(target, dumped).finally(() => target.close());
    const sums = async (database: string): Promise<string> => (await checksums(server, database)).replaceAll(database, '');
    const lineOf = (text: string): string | undefined => text.split('\n').find((line) => line.includes(table));
    expect(lineOf(await sums('ranges_copy'))).toBe(lineOf(await sums('ranges')));
    expect(lineOf(await sums('ranges'))).toBeDefined();
  }
});
