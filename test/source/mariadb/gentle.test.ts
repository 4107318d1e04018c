import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { GentleLimits } from '../../../src/config/config.ts';
import { type Gentle, makeGentle } from '../../../src/source/mariadb/gentle.ts';
import { connect, type ServerAddress, type Session } from '../../../src/target/mariadb/session.ts';
import { FakeClock } from '../../fake-clock.ts';
import { until } from '../../servers/rig.ts';
import { busy, NO_LIMITS } from './busy.ts';
import { databaseConfig } from './dumped.ts';
import { type DatabaseServer, startDatabaseServer } from './server.ts';

let server: DatabaseServer;
let address: ServerAddress;
beforeAll(async () => {
  // of our own: on a server that others use, others' queries would count
  server = await startDatabaseServer([], { own: true });
  address = databaseConfig(server.where, 'test');
});
afterAll(() => server?.stop());

async function gentle(limits: Partial<GentleLimits>, own: readonly Session[] = []): Promise<Gentle> {
  const made = await makeGentle({
    limits: { ...NO_LIMITS, ...limits },
    address,
    clock: systemClock,
    ownThreads: () => own.map(({ threadId }) => threadId),
  });
  onTestFinished(() => made.close());
  return made;
}

const held = (one: Gentle): boolean => {
  const wait = one.spend(0, 0);
  wait?.catch(() => {});
  return wait !== null;
};

describe('no limit at all', () => {
  test('nobody waits, and no connection is made', async () => {
    const nowhere: ServerAddress = { user: 'nobody', password: null, host: null, port: 1, socketPath: '/nowhere' };
    const made = await makeGentle({ limits: NO_LIMITS, address: nowhere, clock: systemClock, ownThreads: () => [] });
    expect(made.spend(1e9, 1e12)).toBeNull();
    expect(made.heldMs).toBe(0);
    await made.close();
    await made.close();
  });
});

describe('running queries', () => {
  test('as many as are allowed - goes on; one more - waits until it ended', async () => {
    await busy(server, address, 2);
    const made = await gentle({ maxRunningQueries: 2 });
    expect(held(made)).toBe(false);
    const third = await busy(server, address, 1);
    await until('reading is held', 10_000, () => held(made));
    const wait = made.spend(10, 1000);
    await third.end();
    await wait;
    expect(held(made)).toBe(false);
    expect(made.heldMs).toBeGreaterThan(0);
  });

  test('our own do not count, and somebody else’s under the same user do', async () => {
    const own = await busy(server, address, 4);
    const made = await gentle({ maxRunningQueries: 1 }, own.sessions);
    expect(held(made)).toBe(false);
    await busy(server, address, 2);
    await until('reading is held', 10_000, () => held(made));
  });

  test('too many before the snapshot - spend(0, 0) waits', async () => {
    await busy(server, address, 3);
    const made = await gentle({ maxRunningQueries: 2 });
    expect(held(made)).toBe(true);
  });

  test('somebody waits to alter a table that is being read - reading goes on until it is let go', async () => {
    await server.sql('CREATE DATABASE busy; CREATE TABLE busy.orders (id INT) ENGINE=InnoDB; CREATE TABLE busy.other (id INT)');
    const reader = await connect(address, { localInfile: false });
    const alterer = await connect(address, { localInfile: false });
    onTestFinished(() => {
      reader.destroy();
      alterer.destroy();
    });
    await reader.run('START TRANSACTION');
    await reader.cells('SELECT * FROM busy.orders');
    const made = await makeGentle({
      limits: { ...NO_LIMITS, maxRunningQueries: 1 },
      address,
      clock: systemClock,
      ownThreads: () => [reader.threadId],
      tablesHeld: () => ['`busy`.`gone`', '`busy`.`other`', '`busy`.`orders`'],
    });
    onTestFinished(() => made.close());
    await busy(server, address, 2);
    await until('reading is held', 10_000, () => held(made));
    const altered = alterer.run('ALTER TABLE busy.orders ADD COLUMN more INT');
    await until('reading goes on', 10_000, () => !held(made));
    await reader.run('ROLLBACK');
    await altered;
    await until('reading is held again', 10_000, () => held(made));
  });

  test('its own connection is killed - it makes another and knows as before', async () => {
    const made = await gentle({ maxRunningQueries: 1 });
    const others = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID<>CONNECTION_ID() AND COMMAND='Sleep'";
    const watcher = (await server.sql(others)).trim();
    expect(watcher).toMatch(/^\d+$/);
    await server.sql(`KILL ${watcher}`);
    await until('it watches again', 10_000, async () => {
      const now = (await server.sql(others)).trim();
      return now !== watcher && /^\d+$/.test(now);
    });
    await until('reading goes on', 10_000, () => !held(made));
    await busy(server, address, 2);
    await until('reading is held', 10_000, () => held(made));
  });

  test('closed, or the reader’s signal aborts, while it waits - refused with the reason', async () => {
    await busy(server, address, 2);
    const made = await gentle({ maxRunningQueries: 1 });
    const controller = new AbortController();
    const aborted = made.spend(1, 1, controller.signal);
    const closed = made.spend(1, 1);
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await made.close();
    await expect(closed).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
    await expect(made.spend(1, 1)).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
  });

  test('a server that is not there - E_DB_CONNECT at once', async () => {
    const nowhere: ServerAddress = { ...address, socketPath: '/nowhere/at.sock' };
    const made = makeGentle({ limits: { ...NO_LIMITS, maxRunningQueries: 1 }, address: nowhere, clock: systemClock, ownThreads: () => [] });
    await expect(made).rejects.toMatchObject({ code: 'E_DB_CONNECT' });
  });
});

describe('rows and bytes a second', () => {
  test('above the rate - waits by the clock, and an abort or close ends it', async () => {
    const clock = new FakeClock();
    const made = await makeGentle({ limits: { ...NO_LIMITS, bytesPerSecond: 1000 }, address, clock, ownThreads: () => [] });
    expect(made.spend(1, 100)).toBeNull();
    const wait = made.spend(1, 1100);
    expect(wait).toBeInstanceOf(Promise);
    let through = false;
    wait?.then(() => {
      through = true;
    });
    clock.advance(999);
    await Promise.resolve();
    expect(through).toBe(false);
    clock.advance(1);
    await wait;
    const controller = new AbortController();
    const aborted = made.spend(1, 5000, controller.signal);
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    const closed = made.spend(1, 5000);
    await made.close();
    await expect(closed).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
  });
});
