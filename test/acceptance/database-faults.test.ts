import { readFileSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { until } from '../servers/rig.ts';
import { makeWorld, type Outcome, type World } from '../world/world.ts';
import { inCatalog } from './attack.ts';

const PASSWORD = 'never-to-be-told';
const READ_CODES = ['E_DB_CONNECT', 'E_DB_READ', 'E_DB_CHANGED'];
const WRITE_CODES = ['E_DB_CONNECT', 'E_TARGET_WRITE', 'E_LOAD_MISMATCH'];

let server: Mariadb;
let proxy: FaultProxy;
let world: World;
/** What a whole backup and a whole restore send through the proxy. */
let backupBytes: Record<'toClient' | 'toServer', number>;
let restoreBytes: number;
let made = 0;

beforeAll(async () => {
  server = await startMariadb({ args: ['--log-bin=binlog', '--server-id=1'] });
  await server.createDatabase('shop');
  await server.sql(
    `CREATE TABLE ps_orders (id INT PRIMARY KEY AUTO_INCREMENT, reference CHAR(128) NOT NULL, note VARCHAR(99), KEY (reference));
     INSERT INTO ps_orders (reference) SELECT SHA2(seq, 512) FROM seq_1_to_20000;
     CREATE TABLE ps_detail LIKE ps_orders; INSERT INTO ps_detail SELECT * FROM ps_orders WHERE id <= 12000;
     CREATE TABLE ps_log (at INT PRIMARY KEY, text CHAR(128)) ENGINE=MyISAM; INSERT INTO ps_log SELECT seq, SHA2(seq, 512) FROM seq_1_to_10000;
     CREATE TABLE ps_lang (id INT PRIMARY KEY, name VARCHAR(32)); INSERT INTO ps_lang VALUES (1, 'Français'), (2, 'English');
     CREATE VIEW ps_last AS SELECT MAX(id) FROM ps_orders;
     CREATE TRIGGER ps_touch BEFORE INSERT ON ps_lang FOR EACH ROW SET NEW.name = TRIM(NEW.name);
     CREATE USER coffre@'%' IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON *.* TO coffre@'%';`,
    { database: 'shop' },
  );
  proxy = await startFaultProxy(server.port);
  const options = { vaults: ['nas'] as const };
  world = await makeWorld(options);
  world.writeConfig({ ...options, database: { socketPath: server.socketPath, user: 'coffre', name: 'shop', password: PASSWORD } });
  const config = readFileSync(world.configFile, 'utf8');
  writeFileSync(world.configFile, config.replace(`socketPath: ${server.socketPath}`, `host: 127.0.0.1, port: ${proxy.port}`));
  await world.ok(['backup', 'dupont']);
  const before = { ...proxy.bytes };
  await world.ok(['backup', 'dupont']);
  backupBytes = { toClient: proxy.bytes.toClient - before.toClient, toServer: proxy.bytes.toServer - before.toServer };
  restoreBytes = await isWhole(await dump('shop'));
}, 120_000);
afterEach(() => proxy?.set({ mode: 'pass' }));
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await proxy?.stop();
  await server?.stop();
});

const dump = async (name: string): Promise<string> =>
  (await server.client('mariadb-dump', ['--skip-dump-date', '--skip-comments', '--routines', '--triggers', '--events', name])).toString();
const url = (name: string): string => `mysql://coffre@127.0.0.1:${proxy.port}/${name}`;
const env = { COFFRE_DB_PASSWORD: PASSWORD };
const restore = (name: string): Promise<Outcome> => world.coffre(['restore', 'dupont', '--to-database', url(name)], { env });
const snapshots = (): unknown[] => inCatalog(world, (database) => database.prepare('select id, complete, state from snapshots').all());

/** The newest snapshot, restored, gives this dump; the bytes that it took. */
async function isWhole(original: string): Promise<number> {
  const name = `copy_${made++}`;
  const before = proxy.bytes.toServer;
  const { status, stdout, stderr, json } = await restore(name);
  expect(status, stdout + stderr).toBe(0);
  expect(json.verified).toBe(true);
  const bytes = proxy.bytes.toServer - before;
  expect(await dump(name)).toBe(original);
  await server.sql(`DROP DATABASE ${name}`);
  return bytes;
}

/** One of these codes with its exit status, and no password anywhere. */
function failsAs(codes: readonly string[], { status, json, stdout, stderr }: Outcome): void {
  expect(codes, stdout + stderr).toContain(json?.error?.code);
  expect(status).toBe(ERRORS[json.error.code as ErrorCode].exit);
  expect(json.error.hint).not.toBe('');
  expect(stdout + stderr).not.toContain(PASSWORD);
}

/** A backup either is whole, or leaves no snapshot and a red status. True when it failed. */
async function wholeOrRed(work: () => Promise<Outcome>): Promise<boolean> {
  const before = snapshots();
  const outcome = await work();
  proxy.set({ mode: 'pass' });
  if (outcome.status === 0) {
    expect(outcome.json.snapshots).toMatchObject([{ complete: true, missing: [] }]);
    await isWhole(await dump('shop'));
    return false;
  }
  failsAs(READ_CODES, outcome);
  expect(outcome.json.snapshots).toEqual([]);
  expect(snapshots()).toEqual(before);
  const status = await world.coffre(['status', 'dupont']);
  expect(status.status).toBe(1);
  expect(status.stdout).toMatch(/database: the last backup failed at .*\[E_DB_/);
  return true;
}

/** The cause is gone: the next backup is whole, and status says nothing of the database any more. */
async function recovers(): Promise<void> {
  await world.ok(['backup', 'dupont']);
  expect((await world.coffre(['status', 'dupont'])).stdout).not.toContain('the last backup');
  await isWhole(await dump('shop'));
}

/** Nobody of ours is on the server, and everybody may write, alter, and take a backup. */
async function nothingHeld(): Promise<void> {
  await until(
    'the server lets go of connections that are gone',
    15_000,
    async () => (await server.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='coffre'")) === '0\n',
  );
  await server.sql(
    `SET lock_wait_timeout=0, innodb_lock_wait_timeout=0; UPDATE ps_orders SET note='x' WHERE id=1; UPDATE ps_log SET text=text WHERE at=1;
     ALTER TABLE ps_detail COMMENT='x'; BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT; BACKUP STAGE END;`,
    { database: 'shop' },
  );
}

const ours = async (): Promise<string[]> =>
  (await server.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER='coffre'")).split('\n').filter(Boolean);

/** Runs it so slowly that `meanwhile` comes in the middle of the rows, and lets it go on. */
async function inTheMiddle(
  direction: 'toClient' | 'toServer',
  bytes: number,
  work: () => Promise<Outcome>,
  meanwhile: () => Promise<unknown>,
): Promise<Outcome> {
  const before = proxy.bytes[direction];
  proxy.set({ mode: 'throttle', bytesPerSecond: bytes / 2 });
  const running = work();
  try {
    await until('rows are on their way', 30_000, async () => proxy.bytes[direction] - before > bytes / 5);
    await meanwhile();
  } finally {
    proxy.set({ mode: 'pass' });
  }
  return running;
}

const backup = (): Promise<Outcome> => world.coffre(['backup', 'dupont']);
const backupMeanwhile = (meanwhile: () => Promise<unknown>): Promise<Outcome> =>
  inTheMiddle('toClient', backupBytes.toClient, backup, meanwhile);

describe('a backup', () => {
  it.each([
    { direction: 'toClient', part: 0, how: 'reset', afterwards: 'reset' },
    { direction: 'toClient', part: 0.003, how: 'end', afterwards: 'pass' },
    { direction: 'toClient', part: 0.4, how: 'end', afterwards: 'reset' },
    { direction: 'toClient', part: 0.97, how: 'reset', afterwards: 'pass' },
    { direction: 'toServer', part: 0.6, how: 'reset', afterwards: 'pass' },
  ] as const)('cut $direction after $part of its bytes - no snapshot and red, or a whole one', async ({ part, ...cut }) => {
    const failed = await wholeOrRed(() => {
      proxy.set({ mode: 'cut', ...cut, afterBytes: Math.floor(backupBytes[cut.direction] * part) });
      return backup();
    });
    // what goes to the server may belong to a connection that is not needed: to count its queries, to open the snapshot in a better way
    if (cut.direction === 'toClient') expect(failed).toBe(true);
  });

  it('after the cuts - nothing is held, and the next one is whole', async () => {
    await nothingHeld();
    await recovers();
  });

  it('all its connections are killed in the middle - no snapshot, red', async () => {
    const kill = async (): Promise<void> => {
      const ids = await ours();
      expect(ids.length).toBeGreaterThan(1);
      for (const id of ids) await server.sql(`KILL ${id}`).catch(() => {});
    };
    expect(await wholeOrRed(() => backupMeanwhile(kill))).toBe(true);
    await nothingHeld();
  });

  it('the server crashes in the middle and comes back - no snapshot, red; the next one is whole', async () => {
    expect(await wholeOrRed(() => backupMeanwhile(() => server.crash()))).toBe(true);
    await recovers();
  });

  it.each([
    { when: 'tables without transactions are locked', held: 'UPDATE ps_log SET text=text WHERE at=1' },
    { when: 'commits are held up', held: 'BACKUP STAGE START; BACKUP STAGE END' },
  ])('coffre is killed while $when - the server lets go, and the next one is whole', async ({ held }) => {
    const before = snapshots();
    proxy.set(held.startsWith('BACKUP') ? { mode: 'delay', ms: 20 } : { mode: 'throttle', bytesPerSecond: backupBytes.toClient / 10 });
    const child = world.start(['backup', 'dupont']);
    const stdout = text(child.stdout as NonNullable<typeof child.stdout>);
    await until('it holds', 30_000, () =>
      server.sql(`SET lock_wait_timeout=0; ${held}`, { database: 'shop' }).then(
        () => false,
        () => true,
      ),
    );
    child.kill('SIGKILL');
    expect(await stdout).toBe('');
    proxy.set({ mode: 'pass' });
    await nothingHeld();
    expect(snapshots()).toEqual(before);
    await world.ok(['backup', 'dupont']);
  });

  it('another backup of the server is under way - it says which lesser way was taken and why', async () => {
    const other = server.sql('BACKUP STAGE START; DO SLEEP(30)').catch(() => {});
    await until('it runs', 10_000, async () => (await server.sql('SHOW PROCESSLIST')).includes('SLEEP(30)'));
    const { json } = await world.ok(['backup', 'dupont']);
    expect(json.snapshots[0].consistency).toMatchObject({ method: 'lock-tables', acrossTables: true });
    expect(json.snapshots[0].warnings).toEqual([
      { kind: 'other', where: 'database', message: expect.stringMatching(/opened by lock-tables.*BACKUP STAGE: /) },
    ]);
    const [id] = (await server.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP%'")).split('\n');
    await server.sql(`KILL ${id}`);
    await other;
  });
});

describe('definitions change in the middle of a backup', () => {
  it.each([
    { what: 'ALTER of a table not read yet', ddl: "ALTER TABLE ps_lang ADD iso CHAR(2) NOT NULL DEFAULT 'fr'", where: 'ps_lang' },
    { what: 'ALTER of a table being read', ddl: 'ALTER TABLE ps_orders ADD extra INT FIRST, ALGORITHM=INSTANT', where: null },
    { what: 'RENAME', ddl: 'RENAME TABLE ps_lang TO ps_language', where: 'ps_lang' },
    { what: 'DROP and another under its name', ddl: 'DROP TABLE ps_language; CREATE TABLE ps_language (x INT)', where: 'ps_language' },
    { what: 'CREATE', ddl: 'CREATE TABLE ps_new (x INT); INSERT INTO ps_new VALUES (1)', where: null },
  ])('$what - redone and said so, or as it was before', async ({ ddl, where }) => {
    const former = await dump('shop');
    let changing: Promise<unknown> | undefined;
    const outcome = await backupMeanwhile(async () => {
      // not waited for: it may have to wait for the rows
      changing = server.sql(ddl, { database: 'shop' });
      await until('it ran, or waits', 10_000, async () => {
        const state = await Promise.race([changing?.then(() => 'ran'), server.sql('SHOW PROCESSLIST')]);
        return state === 'ran' || /Waiting for table/.test(String(state));
      });
    });
    await changing;
    expect(outcome.status, outcome.stdout + outcome.stderr).toBe(0);
    const [{ warnings, complete }] = outcome.json.snapshots;
    expect(complete).toBe(true);
    const redone = warnings.filter((warning: { kind: string }) => warning.kind === 'changed');
    if (where !== null) expect(redone).toMatchObject([{ where, message: expect.stringContaining(where) }]);
    await isWhole(redone.length > 0 ? await dump('shop') : former);
  });

  it('without end - E_DB_CHANGED that names the table, red; the next one is whole', async () => {
    let on = true;
    const migrate = async (): Promise<void> => {
      for (let at = 0; on; at++) await server.sql(`ALTER TABLE ps_new COMMENT='${at}'`, { database: 'shop' }).catch(() => {});
    };
    const migrating = migrate();
    const failed = await wholeOrRed(async () => {
      const outcome = await backup();
      if (outcome.status !== 0) {
        expect(outcome.json.error.code).toBe('E_DB_CHANGED');
        expect(outcome.json.error.message).toContain('ps_new');
      }
      on = false;
      await migrating;
      return outcome;
    });
    expect(failed).toBe(true);
    await recovers();
  });
});

describe('a restore', () => {
  /** It failed and left nothing that looks whole; the same command again completes, and the copy is the same. */
  async function failsThenCompletes(name: string, work: () => Promise<Outcome>): Promise<void> {
    const outcome = await work();
    proxy.set({ mode: 'pass' });
    failsAs(WRITE_CODES, outcome);
    const tables = await server.sql(`SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA='${name}'`);
    if (tables !== '') expect(tables).toContain('coffre_restore_incomplete');
    const again = await restore(name);
    expect(again.status, again.stdout + again.stderr).toBe(0);
    expect(again.json.verified).toBe(true);
    expect(await dump(name)).toBe(await dump('shop'));
    await server.sql(`DROP DATABASE ${name}`);
  }

  it.each([
    { part: 0.0002, how: 'reset', afterwards: 'reset' },
    { part: 0.05, how: 'end', afterwards: 'pass' },
    { part: 0.5, how: 'reset', afterwards: 'pass' },
    { part: 0.9995, how: 'end', afterwards: 'reset' },
  ] as const)('cut after $part of its bytes - an error; the same command again completes', async ({ part, ...cut }) => {
    await failsThenCompletes('cut', () => {
      proxy.set({ mode: 'cut', direction: 'toServer', ...cut, afterBytes: Math.floor(restoreBytes * part) });
      return restore('cut');
    });
  });

  it('all its connections are killed in the middle - an error; the same command again completes', async () => {
    const kill = async (): Promise<void> => {
      for (const id of await ours()) await server.sql(`KILL ${id}`).catch(() => {});
    };
    await failsThenCompletes('killed', () => inTheMiddle('toServer', restoreBytes, () => restore('killed'), kill));
    await nothingHeld();
  });

  it('the server crashes in the middle and comes back - an error; the same command again completes', async () => {
    await failsThenCompletes('crashed', () =>
      inTheMiddle(
        'toServer',
        restoreBytes,
        () => restore('crashed'),
        () => server.crash(),
      ),
    );
  });
});
