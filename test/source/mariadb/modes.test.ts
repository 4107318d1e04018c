// Whatever defaults a server gives its sessions, dump and load set their own: the copy is the same, and so are the segments.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEFAULT_SIZES } from '../../../src/source/mariadb/plan.ts';
import { type Dumped, databaseConfig, dumpParts, makeTarget, restoreParts } from './dumped.ts';
import { checksums, type DatabaseServer, dumpText, freshDatabase, startDatabaseServer } from './server.ts';

let server: DatabaseServer;
let calm: Dumped;
let text: string;
let sums: string;
const dump = (): Promise<Dumped> => dumpParts(databaseConfig(server.where, 'everything'), { sizes: { ...DEFAULT_SIZES, smallTable: 200 } });

beforeAll(async () => {
  const fixed = [
    '--lower-case-table-names=1',
    '--default-time-zone=-03:30',
    '--character-set-server=latin1',
    '--collation-server=latin1_german1_ci',
  ];
  server = await startDatabaseServer(fixed, { own: true, env: { TZ: 'Europe/Paris' } });
  await freshDatabase(server, 'everything', 'CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci');
  await server.sql(readFileSync(new URL('everything.sql', import.meta.url)), 'everything');
  [text, sums] = [await dumpText(server, 'everything'), await checksums(server, 'everything')];
  calm = await dump();
});
afterAll(() => server?.stop());

/** Global values that new sessions inherit; the client program that sets them back does not mind them. */
const DEFAULTS: Readonly<Record<string, readonly string[]>> = {
  'sql_mode: quotes and escapes': [
    "sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE,REAL_AS_FLOAT,NO_UNSIGNED_SUBTRACTION'",
  ],
  'sql_mode: strictness and dates': [
    "sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION,TIME_ROUND_FRACTIONAL'",
    'innodb_strict_mode=1',
    'foreign_key_checks=1',
    'unique_checks=1',
    'check_constraint_checks=1',
  ],
  'sql_mode: Oracle': ["sql_mode='ORACLE,EMPTY_STRING_IS_NULL,SIMULTANEOUS_ASSIGNMENT'"],
  'character sets, time zone, week and number formats': [
    'character_set_client=latin2',
    'character_set_results=latin2',
    'character_set_connection=greek',
    "time_zone='SYSTEM'",
    'div_precision_increment=0',
    'group_concat_max_len=4',
    'max_sort_length=8',
    "lc_time_names='fr_FR'",
    "lc_messages='fr_FR'",
    "old_mode='ZERO_DATE_TIME_CAST,NO_PROGRESS_INFO'",
  ],
  'limits on what a query may return': [
    'sql_select_limit=1',
    'max_join_size=2',
    'sql_big_selects=0',
    'sql_safe_updates=1',
    'max_statement_time=30',
  ],
  'sql_auto_is_null, quoting of SHOW CREATE, default engine': [
    'sql_auto_is_null=1',
    'sql_quote_show_create=0',
    "default_storage_engine='MyISAM'",
    'explicit_defaults_for_timestamp=0',
  ],
  'transactions: no autocommit, other isolation, chained ends': ['autocommit=0', "tx_isolation='SERIALIZABLE'", "completion_type='CHAIN'"],
  'transactions: read only for whom nothing else is said': ['tx_read_only=1'],
  'history: as of a day before any of it': ["system_versioning_asof='2001-01-01'"],
};

test.each(Object.entries(DEFAULTS))('%s - the dump has the same bytes, the copy is the same', async (_, settings) => {
  const back = settings.map((setting) => `GLOBAL ${setting.slice(0, setting.indexOf('='))}=DEFAULT`).join(', ');
  await freshDatabase(server, 'copy');
  await server.sql(`SET ${settings.map((setting) => `GLOBAL ${setting}`).join(', ')}`);
  try {
    const dumped = await dump();
    expect(dumped.parts.map((part) => part.name)).toEqual(calm.parts.map((part) => part.name));
    for (const [at, part] of dumped.parts.entries()) {
      if (part.phase !== 'post') expect(part.bytes.toString('latin1'), part.name).toBe(calm.parts[at]?.bytes.toString('latin1'));
    }
    const target = makeTarget(server.where, 'copy');
    await restoreParts(target, dumped).finally(() => target.close());
  } finally {
    await server.sql(`SET SESSION sql_mode='', SESSION tx_read_only=0, SESSION autocommit=1; SET ${back}`);
  }
  expect(await dumpText(server, 'copy')).toBe(text);
  expect(await checksums(server, 'copy')).toBe(sums);
});

test('lower_case_table_names, which decides what a name means, is recorded', () => {
  expect(calm.summary.server).toMatchObject({ lowerCaseTableNames: '1' });
});
