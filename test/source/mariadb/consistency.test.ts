// Everything of a dump is of one moment, whatever the shop does meanwhile; what cannot be, stops it or is named.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { DatabaseSource } from '../../../src/source/mariadb/database.ts';
import type { Part, Reading } from '../../../src/source/source.ts';
import { until } from '../../servers/rig.ts';
import { type Dumped, databaseConfig, dumpParts } from './dumped.ts';
import { type DatabaseServer, freshDatabase, startDatabaseServer } from './server.ts';

let server: DatabaseServer;
const never = new AbortController().signal;

beforeAll(async () => {
  server = await startDatabaseServer(['--log-bin=binlog', '--server-id=1']);
});
afterAll(() => server.stop());
beforeEach(async () => {
  await freshDatabase(server, 'live');
  await server.sql(
    `CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int); CREATE TABLE c (v int);
     INSERT INTO a VALUES (1, 10); INSERT INTO b VALUES (1, 20); INSERT INTO c VALUES (30);`,
    'live',
  );
});

async function text(part: Part): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of part.read(never)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function opened(work: (reading: Reading) => Promise<void>): Promise<void> {
  const sizes = { smallTable: 0, segment: 1e6 };
  const source = new DatabaseSource(databaseConfig(server.where, 'live'), { clock: systemClock, sizes });
  const reading = await source.open({ signal: never, previous: [], scratchDir: '/nowhere' });
  await work(reading).finally(() => reading.close());
}

const textOf = (dumped: Dumped, table: string): string | undefined =>
  dumped.parts.find((part) => part.outcome.load?.table === table)?.bytes.toString();

test('rows changed after the snapshot was opened are not in it, and its binlog position is before them', async () => {
  await opened(async (reading) => {
    await server.sql('UPDATE a SET v=11; INSERT INTO b VALUES (2, 21); DELETE FROM c;', 'live');
    const rows: Record<string, string> = {};
    for await (const item of reading.items()) {
      if (item.type !== 'part') continue;
      const content = await text(item);
      const { load } = item.outcome();
      if (load) rows[load.table] = content;
    }
    expect(rows).toEqual({ a: '1\t10\n', b: '1\t20\n', c: '30\n' });
    const { consistency } = reading.summary();
    expect(consistency).toMatchObject({ method: 'backup-stage', acrossTables: true, notCovered: [] });
    const { file, position } = consistency?.binlog ?? { file: '', position: 0 };
    const after = await server.sql(`SHOW BINLOG EVENTS IN '${file}' FROM ${position}`);
    expect(after).toContain('INSERT INTO b VALUES (2, 21)');
    expect(after).not.toContain('INSERT INTO a VALUES (1, 10)');
  });
});

test('a table altered, dropped or emptied after the snapshot: E_DB_CHANGED', async () => {
  for (const ddl of [
    'ALTER TABLE a ADD w int DEFAULT 7',
    'ALTER TABLE a DROP v, ADD v int DEFAULT 7',
    'ALTER TABLE a MODIFY v bigint',
    'ALTER TABLE a ADD KEY (v)',
    'TRUNCATE TABLE a',
    'DROP TABLE a',
    'DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY, v int)',
  ]) {
    await opened(async (reading) => {
      await server.sql(ddl, 'live');
      const read = async (): Promise<void> => {
        for await (const item of reading.items()) if (item.type === 'part') await text(item);
      };
      await expect(read()).rejects.toMatchObject({ code: 'E_DB_CHANGED', retry: 'backoff' });
    });
    await server.sql('DROP TABLE IF EXISTS a; CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 10);', 'live');
  }
});

test('an ALTER of a table that was read already does not wait for the dump', async () => {
  await opened(async (reading) => {
    for await (const item of reading.items()) {
      if (item.type !== 'part') continue;
      await text(item);
      if (item.phase === 'rows' && item.outcome().load?.table === 'a') {
        await server.sql('SET lock_wait_timeout=5; ALTER TABLE a ADD w int DEFAULT 7;', 'live');
      }
    }
  });
});

test('a MyISAM table: locked from before the snapshot until it was read, and then let go', async () => {
  await server.sql('CREATE TABLE m (id int PRIMARY KEY) ENGINE=MyISAM; INSERT INTO m VALUES (1);', 'live');
  await opened(async (reading) => {
    const write = server.sql('INSERT INTO m VALUES (2);', 'live');
    let written = false;
    write.then(() => {
      written = true;
    });
    for await (const item of reading.items()) {
      if (item.type !== 'part') continue;
      const content = await text(item);
      if (item.phase === 'pre') expect(written).toBe(false);
      const { load } = item.outcome();
      if (load?.table === 'm') expect(content).toBe('1\n');
      if (load?.table === 'a') await write;
    }
    const { consistency } = reading.summary();
    expect(consistency).toMatchObject({ method: 'backup-stage', acrossTables: true, notCovered: [] });
    expect(consistency?.blockedMs).toBeGreaterThan(0);
  });
});

test('a MyISAM table that the shop waits to change: our reading does not wait behind the shop, which waits for our lock', async () => {
  await server.sql('CREATE TABLE m (id int PRIMARY KEY, v int) ENGINE=MyISAM; INSERT INTO m VALUES (1, 1);', 'live');
  await opened(async (reading) => {
    const write = server.sql('UPDATE m SET v=2;', 'live');
    await until('the shop waits', 10_000, async () =>
      (await server.sql("SELECT STATE FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE m%'")).startsWith('Waiting'),
    );
    for await (const item of reading.items()) {
      if (item.type !== 'part') continue;
      const content = await text(item);
      if (item.outcome().load?.table === 'm') expect(content).toBe('1\t1\n');
    }
    await write;
  });
});

test('closed in the middle: no lock, no transaction stays on the server', async () => {
  await server.sql('CREATE TABLE m (id int PRIMARY KEY) ENGINE=MyISAM;', 'live');
  await opened(async (reading) => {
    for await (const item of reading.items()) if (item.type === 'part') break;
  });
  await server.sql('SET lock_wait_timeout=5; INSERT INTO m VALUES (2); ALTER TABLE a ADD w int;', 'live');
});

test('the consumer aborts: its reason comes out and the connection is given up', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  await opened(async (reading) => {
    const read = async (): Promise<void> => {
      for await (const item of reading.items()) {
        if (item.type !== 'part') continue;
        if (item.phase === 'rows') controller.abort(reason);
        for await (const _ of item.read(controller.signal)) {
        }
      }
    };
    await expect(read()).rejects.toBe(reason);
  });
});

test('the server goes away in the middle: E_DB_READ, to be tried again', async () => {
  await opened(async (reading) => {
    const read = async (): Promise<void> => {
      for await (const item of reading.items()) {
        if (item.type !== 'part') continue;
        if (item.phase === 'rows') {
          const ids = await server.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE DB='live' AND ID<>CONNECTION_ID()");
          for (const id of ids.trim().split('\n')) await server.sql(`KILL ${id}`);
        }
        await text(item);
      }
    };
    await expect(read()).rejects.toMatchObject({ code: 'E_DB_READ', retry: 'backoff' });
  });
});

test('tables whose rows are left out keep their definition', async () => {
  const dumped = await dumpParts(databaseConfig(server.where, 'live', ['b']), { sizes: { smallTable: 0, segment: 1e6 } });
  expect(textOf(dumped, 'a')).toBe('1\t10\n');
  expect(textOf(dumped, 'b')).toBeUndefined();
  expect(dumped.parts[0]?.bytes.toString()).toContain('CREATE TABLE `b`');
});

test('a view whose table is gone: kept as a comment, with a warning, and the rest restores', async () => {
  await server.sql(
    'CREATE TABLE gone (x int); CREATE VIEW broken AS SELECT x FROM gone; DROP TABLE gone; CREATE VIEW fine AS SELECT v FROM a;',
    'live',
  );
  const dumped = await dumpParts(databaseConfig(server.where, 'live'));
  expect(dumped.summary).toMatchObject({ complete: true, warnings: [{ kind: 'other', where: 'broken' }] });
  expect(dumped.parts.at(-1)?.bytes.toString()).toMatch(/^-- CREATE .*VIEW `broken`/m);
});
