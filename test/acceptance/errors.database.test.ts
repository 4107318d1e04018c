import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { freePort } from '../servers/rig.ts';
import { makeWorld, type World } from '../world/world.ts';
import { fails, recovers, withConfig } from './faults.ts';
import { writeTree } from './tree.ts';

const PASSWORD = 'the-right-password-of-coffre';

let world: World;
let root: string;
let server: Mariadb;
beforeAll(async () => {
  server = await startMariadb();
  // no right to see views, triggers, events or routines: the hint must say what is missing
  await server.createDatabase('shop_1', { user: 'coffre', password: PASSWORD }, 'SELECT, LOCK TABLES');
  await server.sql(
    `CREATE TABLE ps_orders (id INT PRIMARY KEY AUTO_INCREMENT, total DECIMAL(20,6) NOT NULL) ENGINE=InnoDB;
     INSERT INTO ps_orders (total) SELECT seq * 1.25 FROM seq_1_to_2000;
     CREATE VIEW ps_large AS SELECT * FROM ps_orders WHERE total > 100;
     CREATE TRIGGER ps_round BEFORE INSERT ON ps_orders FOR EACH ROW SET NEW.total = ROUND(NEW.total, 2);
     CREATE PROCEDURE ps_count() SELECT COUNT(*) FROM ps_orders;`,
    { database: 'shop_1' },
  );
  world = await makeWorld();
  root = join(world.dir, 'shop');
  writeTree(root);
  world.writeConfig({
    files: { root },
    database: { socketPath: server.socketPath, user: 'coffre', name: 'shop_1', password: PASSWORD },
  });
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await server?.stop();
});

/** The database fails with this code; the files of the shop get their snapshot all the same. */
async function databaseFails(expected: Parameters<typeof fails>[2]): Promise<void> {
  const { json, stdout, stderr } = await fails(world, ['backup', 'dupont'], expected);
  expect(json.failures).toEqual([{ source: 'database', ...json.error }]);
  expect(json.snapshots.map((one: { source: string }) => one.source)).toEqual(['files']);
  expect(stdout + stderr).not.toContain(PASSWORD);
}

describe('a database that cannot be read', () => {
  it('a missing privilege - E_DB_PRIVILEGE; once the statements of the hint are run, it is enough', async () => {
    const { json } = await fails(world, ['backup', 'dupont', '--source', 'database'], {
      code: 'E_DB_PRIVILEGE',
      says: /SHOW VIEW.*TRIGGER.*EVENT/,
      hint: /^GRANT /,
    });
    const doctor = await world.coffre(['doctor', 'dupont']);
    expect(JSON.stringify(doctor.json.checks)).toContain('database privileges');
    await server.sql(json.error.hint);
    await recovers(world, root);
  });

  const passwordFile = (): string => join(world.keyDir, 'db.password');

  it('a wrong password - E_DB_AUTH, neither password is told', async () => {
    writeFileSync(passwordFile(), 'a-wrong-password-of-coffre');
    try {
      await databaseFails({ code: 'E_DB_AUTH', says: /coffre/, hint: /password/ });
      const { stdout, stderr } = await world.coffre(['doctor', 'dupont']);
      expect(stdout + stderr).not.toContain('a-wrong-password');
    } finally {
      writeFileSync(passwordFile(), PASSWORD);
    }
  });

  it('an unknown user - E_DB_AUTH', async () => {
    await withConfig(world, 'user: coffre', 'user: nobody', () => databaseFails({ code: 'E_DB_AUTH', says: /nobody/ }));
  });

  it('a password file that others can read, an empty one, none - each says so', async () => {
    chmodSync(passwordFile(), 0o604);
    try {
      await databaseFails({ code: 'E_SECRET_MODE', says: /db\.password.*0604/, hint: /chmod 600/ });
    } finally {
      chmodSync(passwordFile(), 0o600);
    }
    const before = readFileSync(passwordFile());
    writeFileSync(passwordFile(), '\n');
    try {
      await databaseFails({ code: 'E_SECRET_MISSING', says: /db\.password.*empty/ });
    } finally {
      writeFileSync(passwordFile(), before);
    }
    await withConfig(world, 'db.password', 'db.nowhere', () => databaseFails({ code: 'E_SECRET_MISSING', says: /db\.nowhere/ }));
  });

  it('a server that is not there, by socket and by port - E_DB_CONNECT', async () => {
    await withConfig(world, server.socketPath, join(world.dir, 'no.sock'), () =>
      databaseFails({ code: 'E_DB_CONNECT', says: /no\.sock/, hint: /socketPath|server/ }),
    );
    const port = await freePort();
    await withConfig(world, `socketPath: ${server.socketPath}`, `host: 127.0.0.1, port: ${port}`, () =>
      databaseFails({ code: 'E_DB_CONNECT', says: new RegExp(String(port)) }),
    );
  });

  it('a database that does not exist - says which', async () => {
    await withConfig(world, 'name: shop_1', 'name: shop_2', async () => {
      const { json, status } = await world.coffre(['backup', 'dupont', '--source', 'database']);
      expect(status).toBe(3);
      expect(json.error.code).toMatch(/^E_DB_/);
      expect(json.error.message).toContain('shop_2');
    });
  });

  it('after all that - the next backup succeeds for both sources', async () => {
    const { json } = await recovers(world, root);
    expect(json.snapshots.map((one: { source: string }) => one.source).sort()).toEqual(['database', 'files']);
  });
});

describe('a database that cannot be written', () => {
  const url = (database: string, user = 'coffre'): string => `mysql://${user}@localhost/${database}?socketPath=${server.socketPath}`;

  it('a wrong password - E_DB_AUTH, and it is not told', async () => {
    const outcome = await fails(
      world,
      ['restore', 'dupont', '--to-database', url('back')],
      { code: 'E_DB_AUTH', says: /coffre/ },
      { env: { COFFRE_DB_PASSWORD: 'a-wrong-password-of-coffre' } },
    );
    expect(outcome.stdout + outcome.stderr).not.toContain('a-wrong-password');
  });

  it('an account that may not write there - E_DB_PRIVILEGE', async () => {
    await fails(
      world,
      ['restore', 'dupont', '--to-database', url('back')],
      { code: 'E_DB_PRIVILEGE', says: /back/, hint: /GRANT|CREATE/i },
      { env: { COFFRE_DB_PASSWORD: PASSWORD } },
    );
  });

  it('a database that holds something - E_TARGET_NOT_EMPTY, and what it holds stays', async () => {
    await server.sql('CREATE DATABASE mine; CREATE TABLE mine.t (a INT); INSERT INTO mine.t VALUES (1);');
    await fails(world, ['restore', 'dupont', '--to-database', url('mine', 'root')], { code: 'E_TARGET_NOT_EMPTY', says: /mine/ });
    expect((await server.sql('SELECT * FROM mine.t')).trim()).toBe('1');
  });

  it('after all that - a restore with the right account is verified and identical', async () => {
    await server.sql('CREATE DATABASE back');
    const { json } = await world.ok(['restore', 'dupont', '--to-database', url('back', 'root')]);
    expect(json.verified).toBe(true);
    const dump = async (name: string): Promise<string> =>
      (await server.client('mariadb-dump', ['--skip-dump-date', '--routines', '--triggers', '--events', name])).toString();
    const neutral = (text: string, name: string): string => text.replaceAll(`\`${name}\``, '`X`').replaceAll(name, 'X');
    expect(neutral(await dump('back'), 'back')).toBe(neutral(await dump('shop_1'), 'shop_1'));
  });
});
