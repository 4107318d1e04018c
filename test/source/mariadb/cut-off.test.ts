// A dump or a restore whose connections are cut, reset or killed at any moment ends with a clear error, and leaves no lock behind.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CoffreError } from '../../../src/errors.ts';
import { type FaultProxy, startFaultProxy } from '../../servers/fault-proxy.ts';
import { until } from '../../servers/rig.ts';
import { type Dumped, databaseConfig, dumpParts, makeTarget, restoreParts, type Where } from './dumped.ts';
import { checksums, type DatabaseServer, freshDatabase, startDatabaseServer } from './server.ts';

const PASSWORD = 'never-to-be-told';
const CODES = ['E_DB_READ', 'E_DB_CONNECT', 'E_DB_CHANGED', 'E_TARGET_WRITE', 'E_LOAD_MISMATCH'];
const sizes = { smallTable: 2000, segment: 20_000 };
let server: DatabaseServer;
let proxy: FaultProxy;
let through: Where;
let whole: Dumped;
let sums: string;

beforeAll(async () => {
  server = await startDatabaseServer(['--log-bin=binlog', '--server-id=1'], { own: true });
  await freshDatabase(server, 'cut');
  await server.sql(
    `SET GLOBAL innodb_flush_log_at_trx_commit=1; CREATE TABLE a (id int PRIMARY KEY, v varchar(200), KEY (v)); INSERT INTO a SELECT seq, REPEAT(MD5(seq), 2) FROM seq_1_to_3000; CREATE TABLE b LIKE a; INSERT INTO b SELECT * FROM a;
     CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1),(2); CREATE TABLE m (id int PRIMARY KEY, v varchar(99)) ENGINE=MyISAM; INSERT INTO m SELECT seq, MD5(seq) FROM seq_1_to_500; CREATE VIEW w AS SELECT id FROM a;
     CREATE USER 'cut'@'%' IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON *.* TO 'cut'@'%'; FLUSH TABLES; FLUSH ENGINE LOGS;`,
    'cut',
  );
  proxy = await startFaultProxy(server.rig?.port ?? 0);
  through = { socketPath: null, host: '127.0.0.1', port: proxy.port, user: 'cut', password: PASSWORD };
  whole = await dump(server.where);
  sums = await checksums(server, 'cut');
});
afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
});

const dump = (where: Where): Promise<Dumped> => dumpParts({ ...databaseConfig(where, 'cut'), threads: 3 }, { sizes });

/** Either all of it, or an error of the table that tells no password. */
async function allOrError<T>(work: Promise<T>): Promise<T | null> {
  const outcome = await work.catch((error: unknown) => error as Error);
  if (!(outcome instanceof Error)) return outcome;
  expect(outcome).toBeInstanceOf(CoffreError);
  expect(CODES, outcome.message).toContain((outcome as CoffreError).code);
  for (let each: unknown = outcome; each instanceof Error; each = each.cause)
    expect(`${each.message} ${each.stack}`).not.toContain(PASSWORD);
  return null;
}

/** Nobody of ours is left on the server, and everybody may write and alter. */
async function nothingHeld(): Promise<void> {
  await until(
    'the server lets go of connections that are gone',
    15_000,
    async () => (await server.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='cut'")) === '0\n',
  );
  await server.sql(
    "SET lock_wait_timeout=5; UPDATE a SET v=v WHERE id=1; LOCK TABLES m WRITE; UNLOCK TABLES; ALTER TABLE small COMMENT='x'; BACKUP STAGE START; BACKUP STAGE END;",
    'cut',
  );
}

/** The rows of each table, however they are spread over parts: with a connection less they are cut elsewhere. */
function bytesOf(dumped: Dumped): Record<string, readonly string[]> {
  const rows: Record<string, string[]> = {};
  for (const { phase, name, bytes, outcome } of dumped.parts) {
    if (phase === 'pre') continue;
    const key = outcome.load?.table ?? (phase === 'data' ? 'data' : name);
    rows[key] = [...(rows[key] ?? []), ...bytes.toString('latin1').split('\n').filter(Boolean)].sort();
  }
  return rows;
}

/** Where to cut: at the start, through the handshake and the definitions, and all over the rows. */
const sweep = (total: number, steps: number): number[] => Array.from({ length: steps }, (_, at) => Math.floor(total * (at / steps) ** 2));

describe.each(['toClient', 'toServer'] as const)('a dump, cut in the direction %s', (direction) => {
  test('at moments from its first byte to its last: whole and right, or an error, and no lock stays', async () => {
    const before = proxy.bytes[direction];
    await dump(through);
    const total = proxy.bytes[direction] - before;
    let failed = 0;
    for (const [at, afterBytes] of sweep(total, 16).entries()) {
      proxy.set({ mode: 'cut', direction, afterBytes, how: at % 2 === 0 ? 'reset' : 'end', afterwards: at % 3 === 0 ? 'reset' : 'pass' });
      const dumped = await allOrError(dump(through));
      proxy.set({ mode: 'pass' });
      if (dumped) expect(bytesOf(dumped)).toEqual(bytesOf(whole));
      else failed++;
    }
    expect(failed).toBeGreaterThan(8);
    await nothingHeld();
    expect(bytesOf(await dump(through))).toEqual(bytesOf(whole));
  }, 120_000);
});

test('KILL and KILL QUERY of a connection of the dump at random: whole and right, or an error', async () => {
  let failed = 0;
  for (let round = 0; round < 12; round++) {
    const kill = async (): Promise<void> => {
      const ids = (await server.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER='cut'")).split('\n').filter(Boolean);
      const id = ids[Math.floor(Math.random() * ids.length)];
      if (id) await server.sql(`KILL ${round % 2 === 0 ? '' : 'QUERY '}${id}`).catch(() => {});
    };
    let parts = 0;
    const config = { ...databaseConfig(through, 'cut'), threads: 3 };
    const dumped = await allOrError(dumpParts(config, { sizes, onPart: () => (parts++ === round ? kill() : undefined) }));
    if (dumped) expect(bytesOf(dumped)).toEqual(bytesOf(whole));
    else failed++;
  }
  expect(failed).toBeGreaterThan(0);
  await nothingHeld();
});

test('a restore, cut at moments from its first byte to its last: right to the checksums, or an error; the next one is right', async () => {
  const restore = async (): Promise<true> => {
    await freshDatabase(server, 'cut_copy');
    const target = makeTarget(through, 'cut_copy');
    await restoreParts(target, whole).finally(() => target.close());
    return true;
  };
  const before = proxy.bytes.toServer;
  await restore();
  const total = proxy.bytes.toServer - before;
  let failed = 0;
  for (const [at, afterBytes] of sweep(total, 14).entries()) {
    proxy.set({ mode: 'cut', direction: 'toServer', afterBytes, how: at % 2 === 0 ? 'reset' : 'end' });
    const done = await allOrError(restore());
    proxy.set({ mode: 'pass' });
    if (done) expect(await checksums(server, 'cut_copy')).toBe(sums);
    else failed++;
  }
  expect(failed).toBeGreaterThan(8);
  await nothingHeld();
  await restore();
  expect(await checksums(server, 'cut_copy')).toBe(sums);
}, 120_000);

test('the server is killed in the middle of a dump and comes back: an error, and the next dump is whole', async () => {
  let crashed: Promise<void> | undefined;
  const config = { ...databaseConfig(through, 'cut'), threads: 3 };
  const dumped = await allOrError(
    dumpParts(config, {
      sizes,
      onPart: async (part) => {
        if (part.phase === 'pre') crashed = server.rig?.crash();
        await crashed;
      },
    }),
  );
  await crashed;
  expect(dumped).toBeNull();
  expect(bytesOf(await dump(through))).toEqual(bytesOf(whole));
}, 120_000);
