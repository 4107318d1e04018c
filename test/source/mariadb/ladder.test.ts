// Every step of the ladder is reached by what the user may do, and on each all sessions see one state while writers commit.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { openSnapshot, type Snapshot, type SnapshotOptions } from '../../../src/source/mariadb/snapshot.ts';
import { connect, type ServerAddress, type Session } from '../../../src/target/mariadb/session.ts';
import { type Mariadb, startMariadb } from '../../servers/mariadb.ts';
import { until } from '../../servers/rig.ts';

const PASSWORD = 'se-cr3t';
const LEAST = 'SELECT, SHOW VIEW, TRIGGER, EVENT';
let logged: Mariadb;
let plain: Mariadb;
const opened: Snapshot[] = [];
const sessions: Session[] = [];

beforeAll(async () => {
  [logged, plain] = await Promise.all([startMariadb({ args: ['--log-bin=binlog', '--server-id=1'] }), startMariadb()]);
  for (const server of [logged, plain]) {
    await server.createDatabase('shop');
    await server.sql(
      `CREATE TABLE a (id int PRIMARY KEY, v bigint NOT NULL); CREATE TABLE b LIKE a; CREATE TABLE log (id int AUTO_INCREMENT PRIMARY KEY, v int);
       INSERT INTO a SELECT seq, 1000 FROM seq_1_to_20; INSERT INTO b SELECT * FROM a;`,
      { database: 'shop' },
    );
  }
});
afterAll(() => Promise.all([logged?.stop(), plain?.stop()]));
afterEach(async () => {
  for (const snapshot of opened.splice(0)) await give(snapshot);
  for (const session of sessions.splice(0)) session.destroy();
});

async function give(snapshot: Snapshot): Promise<void> {
  await snapshot.lock?.release();
  for (const session of snapshot.sessions) await session.end();
}

/** A user with these rights beyond those without which a dump is refused. */
async function user(server: Mariadb, ...grants: readonly string[]): Promise<ServerAddress> {
  await server.sql(
    [
      "DROP USER IF EXISTS 'dump'@'%'",
      `CREATE USER 'dump'@'%' IDENTIFIED BY '${PASSWORD}'`,
      `GRANT ${LEAST} ON shop.* TO 'dump'@'%'`,
      "GRANT SELECT ON mysql.proc TO 'dump'@'%'",
      ...grants.map((grant) => `GRANT ${grant} TO 'dump'@'%'`),
    ].join(';\n'),
  );
  return { user: 'dump', password: { read: () => PASSWORD, from: 'the test' }, host: null, port: 0, socketPath: server.socketPath };
}

const root = (server: Mariadb): ServerAddress => ({ user: 'root', password: null, host: null, port: 0, socketPath: server.socketPath });

async function session(server: Mariadb): Promise<Session> {
  const made = await connect(root(server), { localInfile: false });
  sessions.push(made);
  await made.run('USE shop');
  return made;
}

async function snapshot(address: ServerAddress, options: Partial<SnapshotOptions> = {}): Promise<Snapshot> {
  const made = await openSnapshot(address, 'shop', { clock: systemClock, excludeData: [], connections: 4, maxBlockMs: 3000, ...options });
  opened.push(made);
  return made;
}

const RELOAD = 'RELOAD ON *.*';
const LOCK = 'LOCK TABLES ON shop.*';
const MONITOR = 'BINLOG MONITOR ON *.*';

const steps: readonly [string, () => Mariadb, readonly string[], Snapshot['method'], number][] = [
  ['RELOAD', () => plain, [RELOAD], 'backup-stage', 4],
  ['RELOAD and a binary log', () => logged, [RELOAD], 'backup-stage', 4],
  ['no RELOAD, a binary log that may be asked', () => logged, [MONITOR, LOCK], 'lock-tables', 4],
  ['no RELOAD, no binary log', () => plain, [MONITOR, LOCK], 'lock-tables', 4],
  ['none of them', () => plain, [], 'single-transaction', 1],
];

describe.each(steps)('%s', (_, server, grants, method, connections) => {
  test(`${method} with ${connections} sessions, all in one state while writers commit`, async () => {
    const address = await user(server(), ...grants);
    const writers = await startWriters(server());
    const methods: string[] = [];
    try {
      for (let round = 0; round < 25; round++) {
        const made = await openSnapshot(address, 'shop', { clock: systemClock, excludeData: [], connections: 4, maxBlockMs: 3000 });
        methods.push(made.method);
        const states = await Promise.all(made.sessions.map(stateOf));
        expect(new Set(states).size, [made.method, JSON.stringify(made.binlog), ...made.steppedDown, ...states].join('\n')).toBe(1);
        expect(states[0]).toMatch(/^40000\|/);
        expect(made).toMatchObject({ acrossTables: true, notCovered: [], lock: null });
        if (method === 'backup-stage') expect(made.blockedMs).toBeGreaterThan(0);
        await give(made);
      }
    } finally {
      await writers.stop();
    }
    expect(writers.written()).toBeGreaterThan(0);
    // Against writers that never pause a step may come to nothing now and then, and the next one serves.
    expect(methods).toContain(method);
    const quiet = await snapshot(address);
    expect(quiet).toMatchObject({ method, blockedMs: expect.any(Number) });
    expect(quiet.sessions).toHaveLength(connections);
    expect(quiet.blockedMs).toBeLessThan(1000);
    if (method === 'backup-stage' || method === 'lock-tables') expect(quiet.blockedMs).toBeGreaterThan(0);
    else expect(quiet.blockedMs).toBe(0);
  });
});

/** The sum that transfers keep, and everything there is, in one line. */
async function stateOf(reader: Session): Promise<string> {
  const sum = await reader.text('SELECT (SELECT SUM(v) FROM a) + (SELECT SUM(v) FROM b)');
  const all = await reader.texts(
    'SELECT MD5(GROUP_CONCAT(id, ":", v ORDER BY id)) FROM a UNION ALL SELECT MD5(GROUP_CONCAT(id, ":", v ORDER BY id)) FROM b',
  );
  const log = await reader.texts('SELECT COUNT(*), MAX(id), SUM(v) FROM log');
  return `${sum}|${all.join()}|${log.join()}`;
}

interface Writers {
  written(): number;
  stop(): Promise<void>;
}

/** Transfers between the two tables, and notes of them in a third, by three clients without a pause. */
async function startWriters(server: Mariadb): Promise<Writers> {
  let on = true;
  let count = 0;
  const clients = await Promise.all([1, 2, 3].map(() => session(server)));
  const write = async (client: Session): Promise<void> => {
    while (on) {
      const [one, other, sum] = [20, 20, 9].map((limit) => 1 + Math.floor(Math.random() * limit));
      try {
        await client.run('START TRANSACTION');
        await client.run(`UPDATE a SET v=v-${sum} WHERE id=${one}`);
        await client.run(`UPDATE b SET v=v+${sum} WHERE id=${other}`);
        await client.run(`INSERT INTO log (v) VALUES (${sum})`);
        await client.run('COMMIT');
        count++;
      } catch (error) {
        if (client.lost) throw error;
        await client.run('ROLLBACK');
      }
    }
  };
  const running = Promise.all(clients.map(write));
  await until('the writers write', 10_000, async () => count > 10);
  return {
    written: () => count,
    async stop() {
      on = false;
      await running;
    },
  };
}
