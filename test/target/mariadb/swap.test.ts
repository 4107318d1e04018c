// A restore over a database that is not empty: all of the new one, or exactly the old one.
import { createHash } from 'node:crypto';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../../servers/rig.ts';
import type { Dumped } from '../../source/mariadb/dumped.ts';
import { type DatabaseServer, freshDatabase, startDatabaseServer } from '../../source/mariadb/server.ts';
import { beginAnew, beside, dumpOf, failureOf, look, makeBoth, makeSwap, restoreInto } from './swap-setting.ts';

let server: DatabaseServer;
let dumped: Dumped;
let before: string;
let wanted: string;

beforeAll(async () => {
  server = await startDatabaseServer(['--event-scheduler=ON', '--log-bin=binlog', '--server-id=1']);
  ({ dumped, before, wanted } = await makeBoth(server));
}, 60_000);
afterAll(() => server.stop());
beforeEach(() => beginAnew(server));

const connect = async (database: string): Promise<mysql.Connection> => {
  const { socketPath, host, port, user, password } = server.where;
  const connection = await mysql.createConnection({
    user: user ?? 'root',
    database,
    ...(password === undefined ? {} : { password }),
    ...(socketPath === null ? { host: host ?? '127.0.0.1', port: port ?? 3306 } : { socketPath }),
  });
  onTestFinished(() => connection.end());
  return connection;
};

describe('the whole database', () => {
  test('over one with everything in it: what the snapshot holds and nothing else, no trace beside', async () => {
    const target = makeSwap(server.where, 'shop');
    await restoreInto(target, dumped);
    expect(await look(server, 'shop')).toBe(wanted);
    expect(await beside(server, 'shop')).toBe('NULL');
    expect(target.landing).toEqual({ overwrote: true, keptOld: null, resumedTables: 0 });
    // the default of a numbered column asks the sequence of this database
    await server.sql('INSERT INTO numbered (x) VALUES (9)', 'shop');
    expect(await server.sql('SELECT MAX(id) FROM numbered WHERE x=9', 'shop')).toBe('102\n');
    // foreign keys hold within it
    await expect(server.sql('INSERT INTO child VALUES (9, 999)', 'shop')).rejects.toThrow('1452');
    await server.sql('DELETE FROM parent WHERE id=2', 'shop');
    expect(await server.sql('SELECT COUNT(*) FROM child', 'shop')).toBe('2\n');
  });

  test('again over what it made itself: the same', async () => {
    await restoreInto(makeSwap(server.where, 'shop'), dumped);
    await restoreInto(makeSwap(server.where, 'shop'), dumped);
    expect(await look(server, 'shop')).toBe(wanted);
  });

  test('--keep-old: the old tables stay beside under the name it says, and hold back nothing', async () => {
    const target = makeSwap(server.where, 'shop', { keepOld: true });
    await restoreInto(target, dumped);
    expect(target.landing.keptOld).toBe('shop_coffre_old');
    expect(await beside(server, 'shop')).toBe('shop_coffre_old');
    expect(await server.sql('SELECT GROUP_CONCAT(v ORDER BY id) FROM parent', 'shop_coffre_old')).toBe('old,old\n');
    expect(await server.sql('SELECT COUNT(*) FROM only_old', 'shop_coffre_old')).toBe('1\n');
    expect(await server.sql("SHOW TABLES LIKE 'coffre%'", 'shop_coffre_old')).toBe('');
    // the name is taken now: the next one is refused before it touches anything
    const error = await failureOf(restoreInto(makeSwap(server.where, 'shop'), dumped));
    expect(error).toMatchObject({ code: 'E_TARGET_NOT_EMPTY', hint: expect.stringContaining('DROP DATABASE `shop_coffre_old`') });
    expect(await look(server, 'shop')).toBe(wanted);
  });

  test('without overwrite: E_TARGET_NOT_EMPTY, nothing made', async () => {
    const error = await failureOf(restoreInto(makeSwap(server.where, 'shop', { overwrite: false }), dumped));
    expect(error.code).toBe('E_TARGET_NOT_EMPTY');
    expect(await beside(server, 'shop')).toBe('NULL');
    expect(await look(server, 'shop')).toBe(before);
  });

  test('into an empty database, or none: no swap, nothing overwritten', async () => {
    for (const sql of ['DROP DATABASE shop; CREATE DATABASE shop', 'DROP DATABASE shop']) {
      await server.sql(sql);
      const target = makeSwap(server.where, 'shop');
      await restoreInto(target, dumped);
      expect(await look(server, 'shop')).toBe(wanted);
      expect(target.landing.overwrote).toBe(false);
    }
  });

  test('databases of these names that are not ours: refused and left alone', async () => {
    for (const name of ['shop_coffre_new', 'shop_coffre_old']) {
      await server.sql(`CREATE DATABASE ${name}; CREATE TABLE ${name}.mine (a int)`);
      const error = await failureOf(restoreInto(makeSwap(server.where, 'shop'), dumped));
      expect(error).toMatchObject({ code: 'E_TARGET_NOT_EMPTY', message: expect.stringContaining(name) });
      expect(await beside(server, 'shop')).toBe(name);
      await server.sql(`DROP DATABASE ${name}`);
    }
    expect(await look(server, 'shop')).toBe(before);
  });

  test('another restore that got in between and was killed in the middle of its swap: its journal is left to the repair', async () => {
    const lock = `coffre/${createHash('sha256').update('shop').digest('hex').slice(0, 40)}`;
    const [first, other] = [await connect('shop'), await connect('shop')];
    const lockWaits = async (count: number): Promise<void> =>
      until(`${count} wait for the lock`, 10_000, async () => {
        const waiting = await server.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE='User lock'");
        return Number(waiting) === count;
      });
    await first.query(`SELECT GET_LOCK('${lock}', 10)`);
    const restore = failureOf(restoreInto(makeSwap(server.where, 'shop'), dumped));
    await lockWaits(1);
    // behind the look for something to repair, before the preparation
    const between = other.query(`SELECT GET_LOCK('${lock}', 10)`);
    await lockWaits(2);
    await first.query(`DO RELEASE_LOCK('${lock}')`);
    await between;
    await other.query('CREATE DATABASE shop_coffre_old');
    await other.query(
      `CREATE TABLE shop_coffre_old.coffre_swap (document INT NOT NULL, piece INT NOT NULL, what VARCHAR(16) NOT NULL, body MEDIUMBLOB NOT NULL,
       PRIMARY KEY (document, piece)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='coffre: a restore beside this database’s namesake'`,
    );
    await other.query("INSERT INTO shop_coffre_old.coffre_swap VALUES (1,0,'step','loading'),(2,0,'plan','{}'),(3,0,'step','swapping')");
    await other.query(`DO RELEASE_LOCK('${lock}')`);
    expect(await restore).toMatchObject({ code: 'E_BUSY' });
    expect(await server.sql('SELECT body FROM shop_coffre_old.coffre_swap ORDER BY document')).toBe('loading\n{}\nswapping\n');
    expect(await look(server, 'shop')).toBe(before);
  });

  test('a name of 64 characters: cut, with a hash of the whole', async () => {
    const long = 'n'.repeat(64);
    await freshDatabase(server, long);
    await server.sql('CREATE TABLE t (a int)', long);
    const target = makeSwap(server.where, long, { keepOld: true });
    await restoreInto(target, dumped);
    expect(target.landing.keptOld).toMatch(/^n+_[0-9a-f]{8}_coffre_old$/);
    expect(target.landing.keptOld).toHaveLength(64);
    await server.sql(`DROP DATABASE ${long}; DROP DATABASE ${target.landing.keptOld}`);
  });
});

describe('a restore that fails leaves the old data exactly as it was', () => {
  test('a row that is not the manifest’s', async () => {
    const alter = (part: Dumped['parts'][number]) =>
      part.phase === 'data'
        ? { ...part, bytes: Buffer.from(part.bytes.toString('latin1').replace(/INSERT INTO `child`[^;]*;/, ''), 'latin1') }
        : part;
    const error = await failureOf(restoreInto(makeSwap(server.where, 'shop'), dumped, { alter }));
    expect(error.code).toBe('E_LOAD_MISMATCH');
    expect(await look(server, 'shop')).toBe(before);
    // what it left is taken up or cleared away by the next one
    await restoreInto(makeSwap(server.where, 'shop'), dumped);
    expect(await look(server, 'shop')).toBe(wanted);
    expect(await beside(server, 'shop')).toBe('NULL');
  });

  test('programs that the server refuses, after the tables were swapped: put back', async () => {
    const alter = (part: Dumped['parts'][number]) =>
      part.phase === 'post'
        ? { ...part, bytes: Buffer.concat([part.bytes, Buffer.from('\nCREATE VIEW bad AS SELECT nothing FROM nowhere;\n')]) }
        : part;
    const steps: string[] = [];
    const afterStep = async (step: string) => void steps.push(step);
    const error = await failureOf(restoreInto(makeSwap(server.where, 'shop', { afterStep }), dumped, { alter }));
    expect(error).toMatchObject({ code: 'E_TARGET_WRITE', message: expect.stringContaining('CREATE VIEW bad') });
    expect(steps).toContain('rename back');
    expect(await look(server, 'shop')).toBe(before);
    await restoreInto(makeSwap(server.where, 'shop'), dumped);
    expect(await look(server, 'shop')).toBe(wanted);
  });

  test('a transaction that holds a table: bounded waiting, then put back; afterwards the same restore loads nothing again', async () => {
    const reader = await connect('shop');
    await reader.query('START TRANSACTION');
    await reader.query('SELECT * FROM parts');
    const started = performance.now();
    const patience = { seconds: 1, attempts: 3 };
    const error = await failureOf(restoreInto(makeSwap(server.where, 'shop', { patience }), dumped));
    expect(error).toMatchObject({
      code: 'E_TARGET_WRITE',
      message: expect.stringContaining('in use'),
      hint: expect.stringContaining('PROCESSLIST'),
    });
    expect(performance.now() - started).toBeLessThan(30_000);
    await reader.query('ROLLBACK');
    expect(await look(server, 'shop')).toBe(before);
    const again = makeSwap(server.where, 'shop');
    await restoreInto(again, dumped);
    expect(again.landing.resumedTables).toBeGreaterThan(5);
    expect(await look(server, 'shop')).toBe(wanted);
  });

  test('a query that ends in time: waited for', async () => {
    const reader = await connect('shop');
    const slow = reader.query('SELECT SLEEP(2) FROM parts LIMIT 1');
    await restoreInto(makeSwap(server.where, 'shop', { patience: { seconds: 1, attempts: 10 } }), dumped);
    await slow;
    expect(await look(server, 'shop')).toBe(wanted);
  });

  test('an abort while rows load', async () => {
    const alter = (part: Dumped['parts'][number]) => {
      if (part.phase === 'data') throw new Error('stopped');
      return part;
    };
    await failureOf(restoreInto(makeSwap(server.where, 'shop'), dumped, { alter }));
    expect(await look(server, 'shop')).toBe(before);
  });
});

describe('rights', () => {
  const grant = async (sql: string) => {
    await server.sql(
      `DROP USER IF EXISTS 'back'@'%'; CREATE USER 'back'@'%' IDENTIFIED BY 'pw'; GRANT ALL PRIVILEGES ON \`shop\`.* TO 'back'@'%'; ${sql}`,
    );
    return { ...server.where, user: 'back', password: 'pw' };
  };

  test('no right to make databases beside: E_DB_PRIVILEGE with the statements; run, they are enough', async () => {
    const where = await grant(
      "SET GLOBAL log_bin_trust_function_creators=1; GRANT SET USER ON *.* TO 'back'@'%'; GRANT SELECT ON mysql.proc TO 'back'@'%';",
    );
    const error = await failureOf(restoreInto(makeSwap(where, 'shop'), dumped));
    expect(error.code).toBe('E_DB_PRIVILEGE');
    expect(error.hint).toContain(
      'GRANT ALL PRIVILEGES ON `shop\\_coffre\\_new`.* TO `back`@`%`; GRANT ALL PRIVILEGES ON `shop\\_coffre\\_old`.* TO `back`@`%`;',
    );
    expect(await beside(server, 'shop')).toBe('NULL');
    expect(await look(server, 'shop')).toBe(before);
    await server.sql(error.hint.slice(error.hint.indexOf('GRANT')));
    await restoreInto(makeSwap(where, 'shop'), dumped);
    expect(await look(server, 'shop')).toBe(wanted);
  });

  test('an account that lacks several - told of all of them at once; run, they are enough', async () => {
    const where = await grant('');
    const error = await failureOf(makeSwap(where, 'shop', { held: true }).probe(null));
    expect(error).toMatchObject({
      code: 'E_DB_PRIVILEGE',
      hint: expect.stringContaining('coffre\\_old`.* TO `back`@`%`; GRANT SET USER ON *.*'),
    });
    await server.sql(error.hint.slice(error.hint.indexOf('GRANT')));
    await makeSwap(where, 'shop', { held: true }).probe(null);
    expect(await beside(server, 'shop')).toBe('NULL');
  });

  test('old programs whose definer could not be given back: refused before anything is loaded, with the statement', async () => {
    const where = await grant(
      "GRANT ALL PRIVILEGES ON `shop\\_coffre\\_new`.* TO 'back'@'%'; GRANT ALL PRIVILEGES ON `shop\\_coffre\\_old`.* TO 'back'@'%';",
    );
    const error = await failureOf(restoreInto(makeSwap(where, 'shop'), dumped));
    expect(error).toMatchObject({ code: 'E_DB_PRIVILEGE', hint: expect.stringContaining('GRANT SET USER ON *.* TO `back`@`%`') });
    expect(await beside(server, 'shop')).toBe('NULL');
    expect(await look(server, 'shop')).toBe(before);
  });
});

test('definers stripped and mapped', async () => {
  await server.sql("CREATE USER IF NOT EXISTS 'sh`op'@'10.%'; GRANT ALL PRIVILEGES ON `shop`.* TO 'sh`op'@'10.%'");
  const definers = async (): Promise<string> =>
    (
      await server.sql(
        `SELECT DISTINCT DEFINER FROM (SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='shop' UNION SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA='shop'
         UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='shop' UNION SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA='shop') d ORDER BY 1`,
      )
    ).trim();
  await restoreInto(makeSwap(server.where, 'shop', { definers: { kind: 'map', to: { user: 'sh`op', host: '10.%' } } }), dumped);
  expect(await definers()).toBe('sh`op@10.%');
  await restoreInto(makeSwap(server.where, 'shop', { definers: { kind: 'strip' } }), dumped);
  expect(await definers()).toBe('root@localhost');
  await restoreInto(makeSwap(server.where, 'shop'), dumped);
  expect(await definers()).toBe('gone@nowhere\nroot@localhost');
});

test('readers in a loop while tables swap: all old or all new, never an absent table', async () => {
  await server.sql('CREATE DATABASE IF NOT EXISTS watching; CREATE OR REPLACE VIEW watching.children AS SELECT id FROM shop.child');
  const old = await dumpOf(server, 'shop');
  const readers = await Promise.all(Array.from({ length: 4 }, () => connect('shop')));
  const seen = new Set<string>();
  const errors: string[] = [];
  let reading = true;
  const loops = readers.map(async (reader) => {
    while (reading) {
      try {
        const [rows] = await reader.query(
          'SELECT (SELECT COUNT(*) FROM parent) AS p, (SELECT COUNT(*) FROM child) AS c, (SELECT COUNT(*) FROM watching.children) AS v',
        );
        seen.add(JSON.stringify(rows));
      } catch (error) {
        errors.push((error as Error).message);
      }
    }
  });
  for (const next of [dumped, old, dumped, old]) await restoreInto(makeSwap(server.where, 'shop'), next);
  reading = false;
  await Promise.all(loops);
  expect(errors).toEqual([]);
  expect([...seen].sort()).toEqual(['[{"p":2,"c":2,"v":2}]', '[{"p":3,"c":3,"v":3}]']);
});

test('a shop of 300 tables with foreign keys: swapped in one statement', async () => {
  const tables = Array.from(
    { length: 300 },
    (_, at) =>
      `CREATE TABLE t${at} (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES t${Math.floor(at / 2)} (id)); INSERT INTO t${at} VALUES (1, NULL);`,
  );
  await freshDatabase(server, 'shop');
  await server.sql(tables.join('\n'), 'shop');
  await server.sql('CREATE TRIGGER tr BEFORE INSERT ON t7 FOR EACH ROW SET @x=1', 'shop');
  const many = await dumpOf(server, 'shop');
  const whole = await look(server, 'shop');
  await server.sql('UPDATE t5 SET id=2; DROP TABLE t299; CREATE TABLE t300 (a int)', 'shop');
  await restoreInto(makeSwap(server.where, 'shop'), many);
  expect(await look(server, 'shop')).toBe(whole);
}, 120_000);
