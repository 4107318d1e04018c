// Segments of a table stay the same where its rows did, and none is larger than it was said to be.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LARGE_PART_BYTES, SEGMENT_TARGET_BYTES } from '../../../src/source/source.ts';
import { type Dumped, databaseConfig, dumpParts, makeTarget, restoreParts } from './dumped.ts';
import { checksums, type DatabaseServer, freshDatabase, startDatabaseServer } from './server.ts';

let server: DatabaseServer;
const sizes = { smallTable: 0, segment: 64 * 1024 };
/** How the real limits relate. */
const LARGEST = (LARGE_PART_BYTES / SEGMENT_TARGET_BYTES) * sizes.segment;

beforeAll(async () => {
  server = await startDatabaseServer();
  await freshDatabase(server, 'chunks');
  await server.sql(
    `CREATE TABLE by_number (id int PRIMARY KEY, v varchar(200)); INSERT INTO by_number SELECT seq * 3, REPEAT(MD5(seq), 3) FROM seq_1_to_5000;
     CREATE TABLE by_pair (a int, b int, v varchar(200), PRIMARY KEY (a, b)); INSERT INTO by_pair SELECT seq DIV 100, seq, REPEAT(MD5(seq), 3) FROM seq_1_to_5000;
     CREATE TABLE by_text (k varchar(40) PRIMARY KEY, v varchar(200)); INSERT INTO by_text SELECT MD5(seq), REPEAT(MD5(seq), 3) FROM seq_1_to_5000;
     CREATE TABLE by_bytes (k binary(16) PRIMARY KEY, v varchar(200)); INSERT INTO by_bytes SELECT UNHEX(MD5(seq)), REPEAT(MD5(seq), 3) FROM seq_1_to_5000;
     CREATE TABLE skewed (shop int, id int, v varchar(200), PRIMARY KEY (shop, id)); INSERT INTO skewed SELECT 1, seq, REPEAT(MD5(seq), 3) FROM seq_1_to_5000; INSERT INTO skewed VALUES (1000000, 1, 'far');
     CREATE TABLE sparse (id bigint unsigned PRIMARY KEY, v varchar(200)); INSERT INTO sparse SELECT seq, REPEAT(MD5(seq), 3) FROM seq_1_to_3000; INSERT INTO sparse VALUES (18446744073709551615, 'last');
     CREATE TABLE no_key (v varchar(200)); INSERT INTO no_key SELECT REPEAT(MD5(seq), 3) FROM seq_1_to_5000;
     CREATE TABLE only_bytes (k binary(16) PRIMARY KEY, v varbinary(200)); INSERT INTO only_bytes SELECT UNHEX(MD5(seq)), REPEAT(MD5(seq), 3) FROM seq_1_to_5000;
     CREATE TABLE stale (id int PRIMARY KEY, v varchar(2000)) STATS_AUTO_RECALC=0; ANALYZE TABLE by_number, by_pair, by_text, by_bytes, skewed, sparse, no_key, only_bytes, stale;
     INSERT INTO stale SELECT seq, REPEAT(MD5(seq), 30) FROM seq_1_to_2000;`,
    'chunks',
  );
});
afterAll(() => server.stop());

const dump = (): Promise<Dumped> => dumpParts(databaseConfig(server.where, 'chunks'), { sizes });
const partsOf = (dumped: Dumped, table: string) => dumped.parts.filter((part) => part.outcome.load?.table === table);

test('every way of cutting: several segments, none beyond its limit, and the rows come back', async () => {
  const dumped = await dump();
  for (const part of dumped.parts) {
    if (part.phase === 'data' || part.phase === 'rows') expect(part.bytes.length, part.name).toBeLessThanOrEqual(LARGEST);
    expect(part.estimatedBytes, part.name).toBeLessThanOrEqual(LARGEST);
  }
  for (const table of ['by_number', 'by_pair', 'by_text', 'by_bytes', 'skewed', 'sparse', 'no_key', 'stale']) {
    expect(partsOf(dumped, table).length, table).toBeGreaterThan(2);
  }
  const target = makeTarget(server.where, 'chunks_copy', { overwrite: true });
  await restoreParts(target, dumped).finally(() => target.close());
  expect(await checksums(server, 'chunks_copy')).toBe(await checksums(server, 'chunks'));
});

test('a row changed, one added in the middle, one at the end: most segments stay the same', async () => {
  const before = await dump();
  await server.sql(
    ['by_number', 'by_text', 'by_bytes', 'by_pair']
      .map((table) => `UPDATE ${table} SET v='changed' LIMIT 1`)
      .concat(
        "INSERT INTO by_number VALUES (7000, 'new'), (1000000, 'new')",
        "INSERT INTO by_text VALUES ('7', 'new'), ('z', 'new')",
        "INSERT INTO by_bytes VALUES ('7', 'new')",
      )
      .join(';'),
    'chunks',
  );
  const after = await dump();
  for (const table of ['by_number', 'by_text', 'by_bytes', 'by_pair', 'skewed']) {
    const known = new Map(partsOf(before, table).map((part) => [part.name, part.bytes]));
    const parts = partsOf(after, table);
    const same = parts.filter((part) => known.get(part.name)?.equals(part.bytes));
    expect(same.length, table).toBeGreaterThanOrEqual(parts.length - 6);
    expect(same.length, table).toBeGreaterThan(0);
  }
});

test('a column renamed: no segment of the table passes for the one before', async () => {
  const before = await dump();
  await server.sql('ALTER TABLE by_text RENAME COLUMN v TO w', 'chunks');
  const after = await dump();
  const names = new Set(partsOf(before, 'by_text').map((part) => part.name));
  expect(partsOf(after, 'by_text').some((part) => names.has(part.name))).toBe(false);
});
