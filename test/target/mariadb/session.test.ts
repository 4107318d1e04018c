// A session hands over every row of a query, whatever else was asked on the same connection before or meanwhile.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, type ServerAddress, type Session } from '../../../src/target/mariadb/session.ts';
import { type Mariadb, startMariadb } from '../../servers/mariadb.ts';
import { until } from '../../servers/rig.ts';

const ROWS = 20_000;
let server: Mariadb;
let address: ServerAddress;
let session: Session;

beforeAll(async () => {
  server = await startMariadb();
  address = { user: 'root', password: null, host: null, port: 0, socketPath: server.socketPath };
  session = await connect(address, { localInfile: false });
});
afterAll(async () => {
  await session?.end();
  await server?.stop();
});

/** Reads all rows; at the first one holds them back and calls `meanwhile`. */
async function read(meanwhile: () => void = () => {}): Promise<number> {
  let rows = 0;
  const flow = session.flow(`SELECT seq, REPEAT('x', 100) FROM mysql.seq_1_to_${ROWS}`, () => {
    if (++rows !== 1) return;
    flow.pause();
    meanwhile();
    setImmediate(() => flow.resume());
  });
  await flow.ended;
  return rows;
}

describe('rows of a query', () => {
  test('asked for while an earlier answer is still to come: all of them', async () => {
    const asked = session.run('DO SLEEP(0.1)');
    expect(await read()).toBe(ROWS);
    await asked;
  });

  test('a sign of life asked for while they are read: all of them, and of the query that follows at once', async () => {
    let alive: Promise<unknown> = Promise.resolve();
    expect(
      await read(() => {
        alive = session.run('DO 0');
      }),
    ).toBe(ROWS);
    expect(await read()).toBe(ROWS);
    await alive;
    expect(await session.text('SELECT 7')).toBe('7');
  });

  test('a query that fails while an earlier answer is to come: its own error, and the session goes on', async () => {
    const asked = session.text('SELECT 1 + SLEEP(0.1)');
    await expect(session.flow('SELECT nothing', () => {}).ended).rejects.toMatchObject({ errno: 1054 });
    expect(await asked).toBe('1');
    expect(await read()).toBe(ROWS);
  });

  test('the connection is dropped while an earlier answer is to come: an error, no end without rows', async () => {
    const other = await connect(address, { localInfile: false });
    const asked = other.run('DO SLEEP(5)').catch((error: unknown) => error);
    const { ended } = other.flow('SELECT 1', () => {});
    other.destroy();
    await expect(ended).rejects.toMatchObject({ fatal: true });
    expect(await asked).toMatchObject({ fatal: true });
  });
});

test('dropped while rows are held back: the server ends the query at once', async () => {
  const other = await connect(address, { localInfile: false });
  let rows = 0;
  const flow = other.flow("SELECT REPEAT('x', 1000) FROM mysql.seq_1_to_5000000", () => {
    if (++rows === 1) flow.pause();
  });
  const running = (): Promise<string | null> =>
    session.text(`SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID=${other.threadId}`);
  await until('a row is there', 10_000, async () => rows > 0);
  expect(await running()).toBe('1');
  other.destroy();
  await expect(flow.ended).rejects.toMatchObject({ fatal: true });
  await until('the server has let go', 10_000, async () => (await running()) === '0');
});
