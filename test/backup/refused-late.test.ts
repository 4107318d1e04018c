import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { changeLife } from '../../src/catalog/shop-life.ts';
import { systemClock } from '../../src/clock.ts';
import { type CoffreError, ERRORS } from '../../src/errors.ts';
import { DatabaseSource } from '../../src/source/mariadb/database.ts';
import type { Reading } from '../../src/source/source.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { makeWorld } from '../world/world.ts';
import { never, setting } from './setting.ts';

let server: Mariadb;
const account = { user: 'reader', password: 'not-a-secret-of-anybody' };

beforeAll(async () => {
  server = await startMariadb();
  await server.createDatabase('shop', account, 'SELECT, LOCK TABLES, SHOW VIEW, EVENT, TRIGGER');
  await server.sql(`GRANT SELECT ON mysql.proc TO '${account.user}'@'%'`);
  // no transaction keeps its rows as they were: while it is read it is locked
  await server.sql('CREATE TABLE hits (id INT PRIMARY KEY) ENGINE=MyISAM; INSERT INTO hits VALUES (1);', { database: 'shop' });
});

afterAll(async () => {
  await server.stop();
});

describe('a shop suspended when its vaults were admitted and its source was opened already', () => {
  it('the run is refused with its exit status - and nothing is left open in the database, or locked', async () => {
    const database = { socketPath: server.socketPath, name: 'shop', ...account };
    await using world = await makeWorld({ vaults: ['nas'], database });
    const { deps, shop, close } = await setting(world, []);
    try {
      const readings: Promise<Reading>[] = [];
      let closed = 0;
      const openSource: typeof deps.openSource = async (of) => {
        const source = new DatabaseSource(of.database as ConstructorParameters<typeof DatabaseSource>[0], { clock: systemClock });
        const open: typeof source.open = async (options) => {
          const reading = source.open(options);
          readings.push(reading);
          const opened = await reading;
          const letGo = async (): Promise<void> => {
            await opened.close();
            closed++;
          };
          return new Proxy(opened, { get: (it, name) => (name === 'close' ? letGo : bound(it, name)) });
        };
        return { kind: 'database', open, check: () => source.check() };
      };
      const by = { who: 'test', reason: null };
      const openVault: typeof deps.openVault = async (config) => {
        // admitted it is, and only then the shop is suspended
        await changeLife(deps.catalog, systemClock, 'dupont', { verb: 'suspend' }, by);
        return await deps.openVault(config);
      };
      const request = { shop, source: 'database', full: false, signal: never } as const;
      const run = backupSource({ ...deps, openSource, openVault }, request);
      const failure = await run.catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'E_SHOP_STATE' });
      expect(ERRORS[(failure as CoffreError).code].exit).toBe(12);

      const outcomes = await Promise.allSettled(readings);
      expect(outcomes).toHaveLength(1);
      expect(closed).toBe(outcomes.filter(({ status }) => status === 'fulfilled').length);
      expect(await server.sql(`SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '${account.user}'`)).toBe('0\n');
      await server.sql('SET lock_wait_timeout = 5; INSERT INTO hits VALUES (2);', { database: 'shop' });
      const [row] = await deps.catalog.db.selectFrom('runs').select(['state', 'id']).execute();
      expect(row).toMatchObject({ state: 'failed' });
      expect(existsSync(`${deps.config.stateDir}/runs/${row?.id}/scratch`)).toBe(false);

      // it was for nothing else that it was refused
      await changeLife(deps.catalog, systemClock, 'dupont', { verb: 'resume' }, by);
      expect(await backupSource({ ...deps, openSource }, request)).toMatchObject({
        complete: true,
        consistency: { method: 'lock-tables' },
      });
    } finally {
      await close();
    }
  });
});

const bound = (of: object, name: string | symbol): unknown => {
  const value = Reflect.get(of, name, of);
  return typeof value === 'function' ? value.bind(of) : value;
};
