// The segments of a database load with nothing but the mariadb client, in manifest order, as FORMAT.md says.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LOAD_SESSION } from '../../../src/target/mariadb/load-statement.ts';
import { databaseConfig, dumpParts } from './dumped.ts';
import { checksums, type DatabaseServer, dumpText, freshDatabase, startDatabaseServer } from './server.ts';

let server: DatabaseServer;

beforeAll(async () => {
  // Other defaults than ours: what a segment needs it has to set.
  server = await startDatabaseServer([
    '--sql-mode=STRICT_TRANS_TABLES,NO_ZERO_DATE',
    '--default-time-zone=+02:00',
    '--character-set-server=latin1',
    '--collation-server=latin1_german1_ci',
  ]);
  await freshDatabase(server, 'everything', 'CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci');
  await server.sql(readFileSync(new URL('everything.sql', import.meta.url)), 'everything');
  await freshDatabase(server, 'by_hand', 'CHARACTER SET latin1');
});
afterAll(() => server.stop());

test('mariadb alone: .sql on its input, .tsv through LOAD DATA with the statement of the manifest', async () => {
  const dumped = await dumpParts(databaseConfig(server.where, 'everything'), { sizes: { smallTable: 200, segment: 2000 } });
  expect(dumped.parts.some((part) => part.kind === 'tsv')).toBe(true);
  for (const part of dumped.parts) {
    const { load } = part.outcome;
    if (!load) {
      await server.client('mariadb', ['--binary-mode', '--comments', 'by_hand'], part.bytes);
      continue;
    }
    const arguments_ = ['--local-infile=1', `--init-command=${LOAD_SESSION}`, '-vv', 'by_hand', '-e', load.statement];
    const said = (await server.client('mariadb', arguments_, part.bytes)).toString();
    expect(said).toContain(`Records: ${load.rows}  Deleted: 0  Skipped: 0  Warnings: 0`);
  }
  expect(await dumpText(server, 'by_hand')).toBe(await dumpText(server, 'everything'));
  expect(await checksums(server, 'by_hand')).toBe(await checksums(server, 'everything'));
});
