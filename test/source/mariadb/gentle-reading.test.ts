import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { DatabaseConfig, GentleLimits } from '../../../src/config/config.ts';
import { DatabaseReading } from '../../../src/source/mariadb/database-reading.ts';
import { DEFAULT_SIZES } from '../../../src/source/mariadb/plan.ts';
import { ReadContext } from '../../../src/source/mariadb/reading.ts';
import { openSnapshot } from '../../../src/source/mariadb/snapshot.ts';
import { connect } from '../../../src/target/mariadb/session.ts';
import { until } from '../../servers/rig.ts';
import { busy, NO_LIMITS } from './busy.ts';
import { databaseConfig, dumpParts, makeTarget, restoreParts } from './dumped.ts';
import { checksums, type DatabaseServer, freshDatabase, startDatabaseServer } from './server.ts';

const CORE = ['address', 'cart', 'category', 'configuration', 'country', 'currency', 'customer', 'employee'].concat([
  'hook',
  'lang',
  'module',
  'order_detail',
  'orders',
  'product',
  'product_lang',
  'shop',
]);

let server: DatabaseServer;
beforeAll(async () => {
  // of our own: other people's queries would count
  server = await startDatabaseServer([], { own: true });
});
afterAll(() => server?.stop());
beforeEach(() => freshDatabase(server, 'shop'));

const config = (changes: Partial<DatabaseConfig> = {}, limits: Partial<GentleLimits> = {}): DatabaseConfig => ({
  ...databaseConfig(server.where, 'shop'),
  ...changes,
  gentle: { ...NO_LIMITS, ...limits },
});

const numbers = (table: string, rows: number, engine: string): string =>
  `CREATE TABLE ${table} (id INT PRIMARY KEY, text VARCHAR(100)) ENGINE=${engine};
   INSERT INTO ${table} SELECT seq, REPEAT('x', 90) FROM seq_1_to_${rows};`;

test('a shop whose ephemeral tables are left out - restored with them empty, all else whole, and the summary names each', async () => {
  const kept = [...CORE, 'page'].map((name) => `ps_${name}`);
  const left = ['ps_guest', 'ps_connections', 'ps_customer_session', 'ps_mod_log'];
  await server.sql([...kept, ...left].map((table) => numbers(table, 50, table === 'ps_guest' ? 'MyISAM' : 'InnoDB')).join('\n'), 'shop');
  const dumped = await dumpParts(config({ profile: 'prestashop-ephemeral', excludeData: ['ps_mod_*'] }));
  expect(dumped.summary.complete).toBe(true);
  expect(dumped.summary.warnings.map(({ kind, where }) => `${kind} ${where}`).sort()).toEqual(
    left.map((table) => `skipped ${table}`).sort(),
  );
  expect(dumped.summary.counts).toEqual({ tables: kept.length + left.length, rows: kept.length * 50 });
  expect(dumped.summary.consistency).toMatchObject({ acrossTables: true, notCovered: [] });
  await freshDatabase(server, 'back');
  await restoreParts(makeTarget(server.where, 'back'), dumped);
  for (const table of left) expect(await server.sql(`SELECT COUNT(*) FROM ${table}`, 'back'), table).toBe('0\n');
  await server.sql(left.map((table) => `TRUNCATE ${table};`).join(''), 'shop');
  expect(await checksums(server, 'back')).toBe(await checksums(server, 'shop'));
});

test('rows a second - the dump takes as long as they allow, and has every row', async () => {
  await server.sql(numbers('rows_here', 30_000, 'InnoDB'), 'shop');
  const since = systemClock.monotonicMs();
  const dumped = await dumpParts(config({}, { rowsPerSecond: 20_000 }), { sizes: { smallTable: 0, segment: 256 * 1024 } });
  expect(dumped.summary.counts.rows).toBe(30_000);
  // what the last look left over is not waited for
  expect(systemClock.monotonicMs() - since).toBeGreaterThan(800);
});

test('rows a second that make the reader wait at every place of a segment - no row is lost or read twice', async () => {
  await server.sql(numbers('rows_here', 20_000, 'InnoDB'), 'shop');
  for (const rowsPerSecond of [15_000, 25_000, 40_000]) {
    // short segments: the wait falls on many of their ends
    const dumped = await dumpParts(config({}, { rowsPerSecond }), { sizes: { smallTable: 0, segment: 32 * 1024 } });
    const ids = dumped.parts
      .filter(({ phase }) => phase === 'rows')
      .flatMap(({ bytes }) => [...bytes.toString('latin1').matchAll(/^(\d+)\t/gm)]);
    expect(ids.map(([, id]) => Number(id)).sort((a, b) => a - b)).toEqual(Array.from({ length: 20_000 }, (_, at) => at + 1));
  }
}, 30_000);

test('a busy server - the dump begins when it is quiet', async () => {
  await server.sql(numbers('orders', 100, 'InnoDB'), 'shop');
  const queries = await busy(server, config(), 4);
  let done = false;
  const dumping = dumpParts(config({}, { maxRunningQueries: 2 })).then((dumped) => {
    done = true;
    return dumped;
  });
  await systemClock.sleep(2500);
  expect(done).toBe(false);
  await queries.end();
  expect((await dumping).summary.counts.rows).toBe(100);
});

test('a server that becomes busy while a table is read, and an ALTER waits for that table - the dump reads on, and has every row', async () => {
  await server.sql(numbers('orders', 60_000, 'InnoDB'), 'shop');
  // slow enough to be met in the middle
  const dumping = dumpParts(config({ threads: 1 }, { maxRunningQueries: 2, rowsPerSecond: 20_000 }), {
    sizes: { smallTable: 0, segment: 256 * 1024 },
  });
  dumping.catch(() => {});
  const reading = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB='shop' AND INFO LIKE 'SELECT%orders%'";
  await until('the table is being read', 10_000, async () => Number(await server.sql(reading)) > 0);
  await busy(server, config(), 4);
  const alterer = await connect(config(), { localInfile: false });
  onTestFinished(() => alterer.destroy());
  // it waits for the table; were the dump to wait for the load, this would never end
  await alterer.run('ALTER TABLE shop.orders ADD COLUMN more INT, ALGORITHM=INPLACE');
  await expect(dumping.then(({ summary }) => summary.counts.rows)).resolves.toBe(60_000);
}, 60_000);

test('tables without transactions, on a busy server - read at once, for the site waits for their lock', async () => {
  await server.sql(numbers('visits', 60_000, 'MyISAM'), 'shop');
  const since = systemClock.monotonicMs();
  const dumped = await dumpParts(config({}, { rowsPerSecond: 1000 }), { sizes: { smallTable: 0, segment: 256 * 1024 } });
  expect(dumped.summary.counts.rows).toBe(60_000);
  expect(systemClock.monotonicMs() - since, 'a minute by the rate').toBeLessThan(30_000);
});

test.each([
  [59_999, []],
  [61_400, [{ kind: 'other', where: 'database', message: expect.stringMatching(/held for 61 s.*maxRunningQueries/) }]],
])('a reading that was held for %i ms in all: said when it is a minute', async (heldMs, warnings) => {
  const options = { clock: systemClock, excludeData: [], connections: 2, maxBlockMs: 3000 };
  const snapshot = await openSnapshot(config(), 'shop', options);
  const context = new ReadContext(snapshot.sessions, snapshot.server.maxAllowedPacket, DEFAULT_SIZES, null);
  const reading = new DatabaseReading(snapshot, context, [], { heldMs, close: async () => {} });
  expect(reading.summary().warnings).toEqual(warnings);
  await reading.close();
});
