// A target takes an empty database, makes one where it may, empties one when told so, and says what stands in its way.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CoffreError } from '../../../src/errors.ts';
import type { MariadbTarget } from '../../../src/target/mariadb/database.ts';
import { incoming, makeTarget, type Where } from '../../source/mariadb/dumped.ts';
import { type DatabaseServer, freshDatabase, startDatabaseServer } from '../../source/mariadb/server.ts';

let server: DatabaseServer;
const never = new AbortController().signal;

beforeAll(async () => {
  server = await startDatabaseServer(['--log-bin=binlog', '--server-id=1']);
});
afterAll(() => server.stop());

async function using<T>(target: MariadbTarget, work: (target: MariadbTarget) => Promise<T>): Promise<T> {
  return work(target).finally(() => target.close());
}
const sqlPart = (text: string, phase: 'pre' | 'data' | 'post') => incoming({ name: 'segment', phase, bytes: Buffer.from(text) }, 7);
const asUser = async (grants: string): Promise<Where> => {
  await server.sql(`DROP USER IF EXISTS 'back'@'%'; CREATE USER 'back'@'%' IDENTIFIED BY 'pw'; ${grants}`);
  return { ...server.where, user: 'back', password: 'pw' };
};

describe('prepare', () => {
  test('a database that does not exist is made', async () => {
    await server.sql('DROP DATABASE IF EXISTS made');
    await using(makeTarget(server.where, 'made'), (target) => target.prepare());
    expect(await server.sql("SHOW DATABASES LIKE 'made'")).toBe('made\n');
  });

  test('a database that does not exist and may not be made: E_DB_PRIVILEGE with the statements', async () => {
    const where = await asUser('');
    const prepare = () => using(makeTarget(where, 'not_made'), (target) => target.prepare());
    const error = (await prepare().catch((cause: unknown) => cause)) as CoffreError;
    expect(error).toMatchObject({ code: 'E_DB_PRIVILEGE', hint: expect.stringContaining('ON `not\\_made`.* TO `back`@`%`;') });
    await server.sql(error.hint.replace(/^.*?: /, ''));
    await prepare();
  });

  const contents = [
    ['a table', 'CREATE TABLE t (a int)'],
    ['a view', 'CREATE VIEW v AS SELECT 1'],
    ['a sequence', 'CREATE SEQUENCE s'],
    ['a function', 'CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1'],
    ['a package', 'SET sql_mode=ORACLE;\nDELIMITER //\nCREATE PACKAGE p AS FUNCTION f RETURN int; END//\nDELIMITER ;\n'],
    ['an event', "CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01' DO SELECT 1"],
  ] as const;
  test.each(contents)('%s in it: E_TARGET_NOT_EMPTY, and with overwrite it is dropped', async (_, sql) => {
    await freshDatabase(server, 'full');
    await server.sql(sql, 'full');
    await expect(using(makeTarget(server.where, 'full'), (target) => target.prepare())).rejects.toMatchObject({
      code: 'E_TARGET_NOT_EMPTY',
    });
    await using(makeTarget(server.where, 'full', { overwrite: true }), (target) => target.prepare());
    await using(makeTarget(server.where, 'full'), (target) => target.prepare());
  });

  test('tables that refer to each other, views and triggers: overwrite drops them all', async () => {
    await freshDatabase(server, 'full');
    await server.sql(
      `CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int, FOREIGN KEY (a) REFERENCES a (id));
       ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id); CREATE VIEW v AS SELECT * FROM a; CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @x=1;`,
      'full',
    );
    await using(makeTarget(server.where, 'full', { overwrite: true }), (target) => target.prepare());
    expect(await server.sql("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='full'")).toBe('0\n');
  });

  test('wrong password: E_DB_AUTH; no server: E_DB_CONNECT', async () => {
    const where = await asUser('');
    await expect(using(makeTarget({ ...where, password: 'wrong' }, 'x'), (target) => target.prepare())).rejects.toMatchObject({
      code: 'E_DB_AUTH',
    });
    await expect(using(makeTarget({ socketPath: '/nowhere.sock' }, 'x'), (target) => target.prepare())).rejects.toMatchObject({
      code: 'E_DB_CONNECT',
    });
  });
});

describe('SQL segments', () => {
  const prepared = async (work: (target: MariadbTarget) => Promise<void>): Promise<void> => {
    await freshDatabase(server, 'sql');
    await using(makeTarget(server.where, 'sql'), async (target) => {
      await target.prepare();
      await work(target);
    });
  };

  test('a statement that fails: E_TARGET_WRITE names it without its values; rows of the segment are gone', async () => {
    await prepared(async (target) => {
      await target.loadSql(sqlPart('CREATE TABLE t (a int PRIMARY KEY)', 'pre'), never);
      const bad = "START TRANSACTION; INSERT INTO `t` (`a`) VALUES (1),(2); INSERT INTO `t` (`a`) VALUES (3),('secret'); COMMIT;";
      const error = await target.loadSql(sqlPart(`SET sql_mode='STRICT_ALL_TABLES'; ${bad}`, 'data'), never).then(
        () => null,
        (each: CoffreError) => each,
      );
      expect(error?.code).toBe('E_TARGET_WRITE');
      expect(error?.message).toContain('INSERT INTO `t`');
      expect(await server.sql('SELECT COUNT(*) FROM t', 'sql')).toBe('0\n');
    });
  });

  test('text that ends with an error: no row of it stays although its COMMIT was read', async () => {
    await prepared(async (target) => {
      await target.loadSql(sqlPart('CREATE TABLE t (a int PRIMARY KEY)', 'pre'), never);
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('START TRANSACTION; INSERT INTO `t` (`a`) VALUES (1); COMMIT;\n');
        throw new CoffreError('E_OBJECT_ALTERED', 'not what the manifest says');
      }
      const segment = { id: 'x', phase: 'data', plaintext: broken(), unverified: true } as const;
      await expect(target.loadSql(segment, never)).rejects.toMatchObject({ code: 'E_OBJECT_ALTERED' });
      expect(await server.sql('SELECT COUNT(*) FROM t', 'sql')).toBe('0\n');
      async function* brokenDefinitions(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('CREATE TABLE u (a int);\n');
        throw new CoffreError('E_OBJECT_ALTERED', 'not what the manifest says');
      }
      const definitions = { id: 'x', phase: 'pre', plaintext: brokenDefinitions(), unverified: true } as const;
      await expect(target.loadSql(definitions, never)).rejects.toMatchObject({ code: 'E_OBJECT_ALTERED' });
      expect(await server.sql('SHOW TABLES', 'sql')).toBe('t\n');
    });
  });

  test('nothing of a restore is written to the binary log', async () => {
    await prepared(async (target) => {
      const before = await server.sql('SELECT @@gtid_binlog_pos');
      await target.loadSql(sqlPart('CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1);', 'pre'), never);
      expect(await server.sql('SELECT @@gtid_binlog_pos')).toBe(before);
    });
  });

  test('a user who may not set a definer: made with the user’s own, and a warning says so', async () => {
    await freshDatabase(server, 'sql');
    const where = await asUser("GRANT ALL PRIVILEGES ON `sql`.* TO 'back'@'%'; SET GLOBAL log_bin_trust_function_creators=1;");
    const warnings: string[] = [];
    await using(makeTarget(where, 'sql', { onWarning: (message) => warnings.push(message) }), async (target) => {
      await target.prepare();
      const text = [
        'CREATE OR REPLACE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS select 1 AS `a`;',
        'DELIMITER ;;\nCREATE DEFINER=`o``dd`@`%` FUNCTION `f`() RETURNS int(11)\n    DETERMINISTIC\nRETURN 1;;\nDELIMITER ;\n',
      ].join('\n');
      await target.loadSql(sqlPart(text, 'post'), never);
    });
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('`root`@`localhost`');
    expect(await server.sql("SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA='sql'")).toBe('back@%\n');
  });
});

describe('a restore that was interrupted', () => {
  test('with a finished table and one with history to come: history counts as the rows that it is', async () => {
    await freshDatabase(server, 'again');
    const scope = { snapshot: 'one', tables: null };
    const pre = 'CREATE TABLE `done` (a int PRIMARY KEY); CREATE TABLE `kept` (id int PRIMARY KEY, x int) WITH SYSTEM VERSIONING;';
    await using(makeTarget(server.where, 'again'), async (target) => {
      expect(await target.prepare(scope)).toEqual([]);
      await target.markIncomplete();
      await target.loadSql(sqlPart(pre, 'pre'), never);
      await target.finishTables([{ table: 'done', rows: 0 }], never);
    });
    // the second try was killed too, just when it had cleared away what was not finished
    await server.sql('DROP TABLE kept', 'again');
    await using(makeTarget(server.where, 'again'), async (target) => {
      expect(await target.prepare(scope)).toEqual([{ table: 'done', rows: 0 }]);
      await target.markIncomplete();
      await target.loadSql(sqlPart(pre, 'pre'), never, { only: null, except: new Set(['done']) });
      await server.sql('SET timestamp=1700000000; INSERT INTO kept VALUES (1,1); SET timestamp=1700000001; UPDATE kept SET x=2', 'again');
      await target.finishTables([{ table: 'kept', rows: 2 }], never);
      await target.markComplete();
    });
  });
});
