// `coffre restore --to-database` over a database that holds something: what is said before, and what is said after.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkDatabaseOptions, describeOverwritingText, overwriting } from '../../../src/cli/restore/database.ts';
import { type Mariadb, startMariadb } from '../../servers/mariadb.ts';
import { makeWorld, type World } from '../../world/world.ts';

describe('what would be overwritten', () => {
  const contents = {
    database: 'dupont',
    tables: [
      { table: 'a', rows: 10, bytes: 1000 },
      { table: 'b', rows: 5, bytes: 500 },
    ],
    views: 1,
    routines: 0,
    triggers: 1,
    events: 0,
  };
  const cases = [
    ['all of it', contents, { table: [], overwrite: true }, { allowed: true, tables: 2, rows: 15, bytes: 1500, programs: 2 }],
    ['all of it, not allowed', contents, { table: [] }, { allowed: false, tables: 2 }],
    ['one table', contents, { table: ['b'], overwrite: true }, { allowed: true, tables: 1, rows: 5, bytes: 500, programs: 0 }],
    ['one table, not allowed', contents, { table: ['b'] }, { allowed: false, tables: 1 }],
    ['a table that is not there', contents, { table: ['c'] }, { allowed: true, tables: 0, rows: 0 }],
    ['views alone', { ...contents, tables: [] }, { table: [] }, { allowed: false, tables: 0, programs: 2 }],
    ['no such database', null, { table: [] }, { exists: false, allowed: true, tables: 0 }],
  ] as const;
  test.each(cases)('%s', (_, present, options, expected) => {
    const said = overwriting(present, options);
    expect(said).toMatchObject(expected);
    const text = describeOverwritingText(said);
    expect(text.includes('refused')).toBe(!said.allowed);
  });

  test.each([
    [{ table: ['a'] }, '--table'],
    [{ table: [], overwrite: true }, '--overwrite'],
    [{ table: [], definers: 'strip' }, '--definers'],
    [{ table: [], toDatabase: 'mysql://x@y/z', keepOld: true }, '--keep-old'],
  ])('%j has nothing to act on: E_USAGE', (options, says) => {
    expect(() => checkDatabaseOptions(options)).toThrow(
      expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining(says) }),
    );
  });
});

describe('with a shop', () => {
  let server: Mariadb;
  let world: World;
  let url: string;
  const look = async (): Promise<string> =>
    server.sql('SELECT GROUP_CONCAT(v ORDER BY id) FROM dupont.t; SELECT GROUP_CONCAT(id) FROM dupont.u; SHOW TRIGGERS FROM dupont');

  beforeAll(async () => {
    server = await startMariadb({ args: ['--local-infile=1'] });
    await server.sql(
      `CREATE DATABASE dupont; USE dupont; CREATE TABLE t (id int PRIMARY KEY, v varchar(9)); INSERT INTO t VALUES (1,'then'),(2,'then');
       CREATE TABLE u (id int PRIMARY KEY, tid int, FOREIGN KEY (tid) REFERENCES t (id)); INSERT INTO u VALUES (1,1);
       CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @x=1; CREATE VIEW vv AS SELECT * FROM t;`,
    );
    world = await makeWorld({ vaults: ['nas'], database: { socketPath: server.socketPath, user: 'root', name: 'dupont' } });
    await world.ok(['backup', 'dupont']);
    url = `mysql://root@localhost/dupont?socketPath=${server.socketPath}`;
    await server.sql("UPDATE dupont.t SET v='now'; INSERT INTO dupont.u VALUES (2,2); CREATE TABLE dupont.later (a int)");
  }, 120_000);
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  test('a dry run says tables, rows, bytes, and that it would be refused; the restore is', async () => {
    const { json } = await world.ok(['restore', 'dupont', '--to-database', url, '--dry-run']);
    expect(json.overwrites).toMatchObject({ database: 'dupont', allowed: false, tables: 3, programs: 2 });
    expect(json.overwrites.bytes).toBeGreaterThan(0);
    const before = await look();
    const refused = await world.coffre(['restore', 'dupont', '--to-database', url]);
    expect(refused.json.error).toMatchObject({ code: 'E_TARGET_NOT_EMPTY', hint: expect.stringContaining('--overwrite') });
    expect(await look()).toBe(before);
  });

  test('a rule for definers that is none: E_USAGE before anything', async () => {
    const said = await world.coffre(['restore', 'dupont', '--to-database', url, '--overwrite', '--definers', 'nobody']);
    expect(said).toMatchObject({ status: 2, json: { error: { code: 'E_USAGE' } } });
  });

  test('--table: that table is as it was, the others as they are', async () => {
    const { json } = await world.ok(['restore', 'dupont', '--to-database', url, '--table', 't', '--overwrite']);
    expect(json.restored[0]).toMatchObject({ overwrote: true, chosen: ['t'], tables: 1, keptOld: null, resumed: 0, warnings: [] });
    expect(await look()).toMatch(/^then,then\n1,2\ntr\t/);
  });

  test('--overwrite --keep-old: the snapshot and nothing else, the old beside', async () => {
    await server.sql("UPDATE dupont.t SET v='now'");
    const { json } = await world.ok(['restore', 'dupont', '--to-database', url, '--overwrite', '--keep-old', '--definers', 'strip']);
    expect(json.restored[0]).toMatchObject({ overwrote: true, chosen: null, keptOld: 'dupont_coffre_old', verified: true });
    expect(await look()).toMatch(/^then,then\n1\ntr\t/);
    expect(await server.sql('SHOW TABLES FROM dupont')).toBe('t\nu\nvv\n');
    expect(await server.sql('SELECT DISTINCT v FROM dupont_coffre_old.t')).toBe('now\n');
  });
});
