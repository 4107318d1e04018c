// Rows larger than a packet of memory: read in pieces into segments of their own, and they come back the same.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEFAULT_SIZES } from '../../../src/source/mariadb/plan.ts';
import { WIDE_ROW_BYTES } from '../../../src/source/mariadb/table-cursor.ts';
import { databaseConfig, dumpParts, makeTarget, restoreParts } from './dumped.ts';
import { checksums, type DatabaseServer, freshDatabase, startDatabaseServer } from './server.ts';

let server: DatabaseServer;

beforeAll(async () => {
  server = await startDatabaseServer();
  await freshDatabase(server, 'wide');
  // Lengths around the limit and around the pieces; characters of one to four bytes; the table named by a composite key.
  await server.sql(
    `CREATE TABLE w (k varchar(10) CHARACTER SET latin1, n int, b longblob, t longtext, j json, m mediumtext CHARACTER SET ucs2, PRIMARY KEY (k, n)) DEFAULT CHARSET=utf8mb4;
     INSERT INTO w VALUES
      ('é', 1, REPEAT(x'00FF0A095C27', ${Math.floor(WIDE_ROW_BYTES / 6) + 1}), 'short', '{"a":1}', 'é'),
      ('é', 2, REPEAT('x', ${WIDE_ROW_BYTES / 2}), REPEAT('é', 1), NULL, NULL),
      ('f', 1, NULL, REPEAT('😀\\t漢é\\\\', 2000000), CONCAT('["', REPEAT('ab', 3000000), '"]'), REPEAT('ж', 3000000)),
      ('f', 2, REPEAT(x'8081', 12000001), '', NULL, ''),
      ('f', 3, '', NULL, NULL, NULL);
     CREATE TABLE no_key (b longblob, t longtext); INSERT INTO no_key SELECT b, t FROM w;`,
    'wide',
  );
}, 120_000);
afterAll(() => server.stop());

test.each([
  { title: 'among small tables', sizes: DEFAULT_SIZES },
  { title: 'in a table of its own', sizes: { ...DEFAULT_SIZES, smallTable: 0 } },
])(
  'values of many megabytes $title: the same after a restore, each wide row in a segment whose size was known',
  async ({ sizes }) => {
    const dumped = await dumpParts(databaseConfig(server.where, 'wide'), { sizes });
    const rows = dumped.parts.filter((part) => /^rows\/w\/.*\/row-/.test(part.name));
    expect(rows).toHaveLength(4);
    for (const part of rows) {
      expect(part.estimatedBytes).toBeGreaterThan(part.bytes.length * 0.5);
      expect(part.estimatedBytes).toBeLessThan(part.bytes.length * 1.5);
    }
    const target = makeTarget(server.where, 'wide_copy', { overwrite: true });
    await restoreParts(target, dumped).finally(() => target.close());
    expect(await checksums(server, 'wide_copy')).toBe(await checksums(server, 'wide'));
  },
  120_000,
);
