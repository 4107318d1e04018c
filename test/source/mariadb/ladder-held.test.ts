// What holds the server up makes a dump step down, in time; what it holds itself is named, measured and let go.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { openSnapshot, type Snapshot, type SnapshotOptions } from '../../../src/source/mariadb/snapshot.ts';
import { connect, type ServerAddress, type Session } from '../../../src/target/mariadb/session.ts';
import { type Mariadb, startMariadb } from '../../servers/mariadb.ts';
import { until } from '../../servers/rig.ts';

/** Between the end of the time limit and the next answer of a busy machine. */
const SLACK_MS = 500;
let server: Mariadb;
let root: ServerAddress;
const opened: Snapshot[] = [];
const sessions: Session[] = [];

beforeAll(async () => {
  server = await startMariadb({ args: ['--log-bin=binlog', '--server-id=1'] });
  root = { user: 'root', password: null, host: null, port: 0, socketPath: server.socketPath };
});
afterAll(() => server?.stop());
beforeEach(async () => {
  await server.sql(
    `DROP DATABASE IF EXISTS shop; CREATE DATABASE shop; USE shop;
     CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 1), (2, 2);
     CREATE TABLE b LIKE a; INSERT INTO b SELECT * FROM a;`,
  );
});
afterEach(async () => {
  for (const snapshot of opened.splice(0)) {
    await snapshot.lock?.release();
    for (const reader of snapshot.sessions) await reader.end();
  }
  for (const session of sessions.splice(0)) session.destroy();
});

async function session(): Promise<Session> {
  const made = await connect(root, { localInfile: false });
  sessions.push(made);
  await made.run('USE shop');
  return made;
}

async function snapshot(options: Partial<SnapshotOptions> = {}, address = root): Promise<Snapshot> {
  const made = await openSnapshot(address, 'shop', { clock: systemClock, excludeData: [], connections: 3, maxBlockMs: 3000, ...options });
  opened.push(made);
  return made;
}

/** A client of the shop: the longest that any of its commits took. */
async function shopClient(table = 'b'): Promise<{ slowestMs(): Promise<number> }> {
  const client = await session();
  let on = true;
  let slowest = 0;
  let count = 0;
  const running = (async () => {
    while (on) {
      const since = performance.now();
      await client.run(`UPDATE ${table} SET v=v+1 WHERE id=1`);
      slowest = Math.max(slowest, performance.now() - since);
      count++;
    }
  })();
  running.catch(() => {});
  await until('the client writes', 10_000, async () => count > 5);
  slowest = 0;
  return {
    async slowestMs() {
      on = false;
      await running;
      return slowest;
    },
  };
}

/** Resolves when a statement that begins like this runs. */
const runs = (statement: string): Promise<unknown> =>
  until(
    `${statement} runs`,
    10_000,
    async () => Number(await server.sql(`SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '${statement}%'`)) > 0,
  );

describe('the server is busy', () => {
  test('a long write to a table without transactions keeps BACKUP STAGE waiting: it gives up in time and nobody waits longer', async () => {
    await server.sql(
      'CREATE DATABASE IF NOT EXISTS other; CREATE OR REPLACE TABLE other.m (v int) ENGINE=MyISAM; INSERT INTO other.m VALUES (1);',
    );
    await server.sql('CREATE OR REPLACE TABLE other.n (id int PRIMARY KEY, v int) ENGINE=MyISAM; INSERT INTO other.n VALUES (1, 1);');
    const slow = await session();
    const long = slow.run('UPDATE other.m SET v=SLEEP(6)');
    await runs('UPDATE other.m');
    // This one waits behind the stage that waits: a writer to another table of the kind.
    const client = await shopClient('other.n');
    const since = performance.now();
    const made = await snapshot({ maxBlockMs: 1000 });
    expect(performance.now() - since).toBeLessThan(4000);
    expect(['lock-tables', 'single-transaction']).toContain(made.method);
    expect(made.steppedDown.join()).toMatch(/BACKUP STAGE: (not within 1000 ms|.*max_statement_time)/);
    expect(made.fellShort).toEqual(made.steppedDown);
    expect(made.blockedMs).toBeGreaterThan(900);
    expect(made.blockedMs).toBeLessThan(1000 + SLACK_MS);
    const slowest = await client.slowestMs();
    expect(slowest).toBeGreaterThan(500);
    expect(slowest).toBeLessThan(1000 + SLACK_MS);
    await long;
  });

  test.each([
    ['SELECT … FOR UPDATE in an open transaction', 'SELECT * FROM a WHERE id=2 FOR UPDATE'],
    ['rows written and not committed', 'UPDATE a SET v=3 WHERE id=2'],
  ])('%s: is in nobody’s way', async (_, statement) => {
    const other = await session();
    await other.run('START TRANSACTION');
    await other.run(statement);
    const client = await shopClient();
    const made = await snapshot({ maxBlockMs: 1000 });
    expect(made).toMatchObject({ method: 'backup-stage', blockedMs: expect.any(Number) });
    expect(await client.slowestMs()).toBeLessThan(1000);
    const [one] = await Promise.all(made.sessions.map((reader) => reader.text('SELECT v FROM a WHERE id=2')));
    expect(one).toBe('2');
  });

  test.each([
    ['a table being filled as it is made', 'CREATE TABLE c AS SELECT SLEEP(3) AS s'],
    ['an ALTER that waits for an open transaction', 'ALTER TABLE a ADD w int'],
  ])('a long query, and %s: in nobody’s way, or given up in time', async (_, ddl) => {
    const [reading, defining, transaction] = [await session(), await session(), await session()];
    const query = reading.text('SELECT SLEEP(2) FROM b LIMIT 1');
    await transaction.run('START TRANSACTION');
    await transaction.text('SELECT v FROM a');
    const defined = defining.run(ddl);
    await runs(ddl);
    const client = await shopClient();
    const since = performance.now();
    const made = await snapshot({ maxBlockMs: 1000 });
    expect(performance.now() - since).toBeLessThan(5000);
    expect(made.sessions).toHaveLength(3);
    expect(made.blockedMs).toBeLessThan(1000 + SLACK_MS);
    expect(await client.slowestMs()).toBeLessThan(1000 + SLACK_MS);
    await transaction.run('COMMIT');
    await Promise.all([query, defined]);
  });

  test('step 3: a transaction that wrote and does not end: never waited for, nobody queues, one connection serves', async () => {
    const address = await lesser('LOCK TABLES ON shop.*');
    const other = await session();
    await other.run('START TRANSACTION');
    await other.run('UPDATE a SET v=3 WHERE id=2');
    const client = await shopClient();
    const made = await snapshot({ maxBlockMs: 1000 }, address);
    expect(made).toMatchObject({ method: 'single-transaction', acrossTables: true });
    expect(made.sessions).toHaveLength(1);
    expect(made.steppedDown.join()).toContain('LOCK TABLES: Lock wait timeout');
    // what the account may not do is doctor's business
    expect(made.fellShort.at(-1)).toContain('LOCK TABLES: Lock wait timeout');
    expect(made.fellShort.join()).not.toContain('RELOAD');
    expect(await client.slowestMs()).toBeLessThan(SLACK_MS);
    // The shop's transaction was not made a victim.
    await other.run('UPDATE b SET v=3 WHERE id=2');
    await other.run('COMMIT');
  });

  test('commits may not be held up at all: no global lock is tried', async () => {
    const made = await snapshot({ maxBlockMs: 0 });
    expect(made).toMatchObject({ method: 'single-transaction', blockedMs: 0 });
  });

  test('another backup is in its stages: ours does not wait for it for ever', async () => {
    const other = await session();
    await other.run('BACKUP STAGE START');
    const made = await snapshot({ maxBlockMs: 1000 });
    expect(made.method).toBe('lock-tables');
    await other.run('BACKUP STAGE END');
  });
});

describe('tables without transactions', () => {
  beforeEach(() =>
    server.sql('CREATE TABLE shop.m (id int PRIMARY KEY, v int) ENGINE=MyISAM; INSERT INTO shop.m VALUES (1, 1);').then(() => {}),
  );

  test('are held until released, by BACKUP STAGE too', async () => {
    const made = await snapshot();
    expect(made).toMatchObject({ method: 'backup-stage', acrossTables: true, notCovered: [], lock: { tables: ['m'] } });
    let written = false;
    const client = await session();
    const write = client.run('INSERT INTO m VALUES (2, 2)').then(() => {
      written = true;
    });
    await runs('INSERT INTO m');
    for (const reader of made.sessions) expect(await reader.text('SELECT COUNT(*) FROM m')).toBe('1');
    expect(written).toBe(false);
    expect(await made.lock?.held()).toBe(true);
    await made.lock?.release();
    await write;
  });

  test('a writer without a pause: still locked in one moment with the snapshots, 20 times', async () => {
    const client = await session();
    let on = true;
    const writer = (async () => {
      for (let i = 1; on; i++) {
        await client.run(`UPDATE m SET v=${i} WHERE id=1`);
        await client.run(`UPDATE a SET v=${i} WHERE id=1`);
      }
    })();
    const methods = new Set<string>();
    for (let round = 0; round < 20; round++) {
      const made = await openSnapshot(root, 'shop', { clock: systemClock, excludeData: [], connections: 3, maxBlockMs: 3000 });
      methods.add(made.method);
      expect(made.notCovered).toEqual([]);
      for (const reader of made.sessions) {
        const [row] = await reader.texts('SELECT HIGH_PRIORITY m.v, a.v FROM m, a WHERE m.id=1 AND a.id=1');
        const [m, a] = (row ?? []).map(Number);
        expect([0, 1]).toContain((m ?? 0) - (a ?? 0));
      }
      await made.lock?.release();
      for (const reader of made.sessions) await reader.end();
    }
    on = false;
    await writer;
    expect([...methods]).toEqual(['backup-stage']);
  });

  test('in a statement that does not end: named as not covered, nobody else waits', async () => {
    const other = await session();
    const long = other.run('UPDATE m SET v=SLEEP(20)').catch(() => {});
    await runs('UPDATE m');
    const client = await shopClient();
    const made = await snapshot({ maxBlockMs: 1000 });
    expect(made).toMatchObject({ acrossTables: false, notCovered: ['m'], lock: null });
    expect(made.steppedDown.join()).toContain('tables without transactions');
    expect(made.fellShort.join()).toContain('tables without transactions: ');
    expect(await client.slowestMs()).toBeLessThan(1000 + SLACK_MS);
    await server.sql(`KILL QUERY ${other.threadId}`);
    await long;
  });

  test('only such tables, and none may be locked: nothing is consistent', async () => {
    await server.sql('DROP TABLE shop.a, shop.b');
    expect(await snapshot({}, await lesser())).toMatchObject({ method: 'none', acrossTables: false, notCovered: ['m'] });
  });

  test('left out with their rows: neither locked nor named', async () => {
    expect(await snapshot({ excludeData: ['m'] })).toMatchObject({ lock: null, notCovered: [], acrossTables: true });
  });

  test('the lock’s connection is killed: known at once to who asks', async () => {
    const made = await snapshot();
    await server
      .sql(
        "SELECT CONCAT('KILL ', ID, ';') FROM information_schema.PROCESSLIST WHERE COMMAND='Sleep' AND DB='shop' ORDER BY ID DESC LIMIT 1",
      )
      .then((kill) => server.sql(kill));
    expect(await made.lock?.held()).toBe(false);
    expect(made.lock?.lost()).toBe(true);
  });
});

test('nothing writes: the binary log position is the server’s own', async () => {
  for (const connections of [1, 3]) {
    const made = await snapshot({ connections });
    const [file, position] = (await server.sql('SHOW MASTER STATUS')).trim().split('\t');
    const gtid = (await server.sql('SELECT @@gtid_binlog_pos')).trim();
    expect(made.binlog).toEqual({ file, position: Number(position), gtid });
  }
});

test('one connection is wanted: nothing is held still for it', async () => {
  expect(await snapshot({ connections: 1 })).toMatchObject({ method: 'single-transaction', blockedMs: 0, acrossTables: true });
});

test('the account may have few connections: as many as it gets', async () => {
  const address = await lesser('RELOAD ON *.*');
  await server.sql("GRANT USAGE ON *.* TO 'dump'@'%' WITH MAX_USER_CONNECTIONS 4");
  const made = await snapshot({ connections: 4 }, address);
  expect(made.sessions.length).toBeGreaterThanOrEqual(1);
  expect(made.acrossTables).toBe(true);
  await server.sql("GRANT USAGE ON *.* TO 'dump'@'%' WITH MAX_USER_CONNECTIONS 0");
});

test('definitions change without a pause while it is opened: E_DB_CHANGED, or all that was there at one moment', async () => {
  const client = await session();
  let on = true;
  const migration = (async () => {
    for (let i = 1; on; i++) {
      await client.run(`CREATE TABLE n${i} (id int PRIMARY KEY, v int)`);
      await client.run(`INSERT INTO n${i} VALUES (1, ${i})`);
      await client.run(`DROP TABLE IF EXISTS n${i - 1}`);
    }
  })();
  for (let round = 0; round < 5; round++) {
    const made = await snapshot().catch((error) => {
      expect(error).toMatchObject({ code: 'E_DB_CHANGED', retry: 'backoff' });
      return null;
    });
    if (made) expect(made.schema.tables.filter(({ name }) => name.startsWith('n')).length).toBeLessThanOrEqual(2);
  }
  on = false;
  await migration;
  expect((await snapshot()).method).toBe('backup-stage');
});

test('interrupted while the stage waits: its reason comes out and nothing stays on the server', async () => {
  await server.sql(
    'CREATE DATABASE IF NOT EXISTS other; CREATE OR REPLACE TABLE other.m (v int) ENGINE=MyISAM; INSERT INTO other.m VALUES (1);',
  );
  const slow = await session();
  const long = slow.run('UPDATE other.m SET v=SLEEP(4)');
  await runs('UPDATE other.m');
  const controller = new AbortController();
  const reason = new Error('enough');
  const work = snapshot({ signal: controller.signal, maxBlockMs: 30_000 });
  work.catch(() => {});
  await runs('BACKUP STAGE BLOCK');
  controller.abort(reason);
  await expect(work).rejects.toBe(reason);
  await until(
    'nothing of ours is left',
    5000,
    async () => (await server.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'BACKUP STAGE%'")).trim() === '0',
  );
  await long;
});

/** A user with what no dump goes without, and these rights. */
async function lesser(...grants: readonly string[]): Promise<ServerAddress> {
  await server.sql(
    [
      "DROP USER IF EXISTS 'dump'@'%'",
      "CREATE USER 'dump'@'%' IDENTIFIED BY 'se-cr3t'",
      "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO 'dump'@'%'",
      "GRANT SELECT ON mysql.proc TO 'dump'@'%'",
      ...grants.map((grant) => `GRANT ${grant} TO 'dump'@'%'`),
    ].join(';\n'),
  );
  return { ...root, user: 'dump', password: { read: () => 'se-cr3t', from: 'the test' } };
}
