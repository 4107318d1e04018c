// A restore over a database that is not empty: all of the new one, or exactly the old one.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Dumped } from '../../source/mariadb/dumped.ts';
import { type DatabaseServer, freshDatabase, startDatabaseServer } from '../../source/mariadb/server.ts';
import { beside, look, makeNew, makeOld, makeSwap, restoreInto } from './swap-setting.ts';

let server: DatabaseServer;
let dumped: Dumped;
let before: string;
let wanted: string;

beforeAll(async () => {
  server = await startDatabaseServer(['--event-scheduler=ON', '--log-bin=binlog', '--server-id=1']);
  dumped = await makeNew(server, 'newer');
  await makeOld(server, 'shop');
  wanted = await look(server, 'newer');
  before = await look(server, 'shop');
});
afterAll(() => server.stop());
beforeEach(async () => {
  await server.sql('DROP DATABASE IF EXISTS shop_coffre_new; DROP DATABASE IF EXISTS shop_coffre_old');
  await makeOld(server, 'shop');
});

describe('the whole database', () => {
  test('over one with everything in it: what the snapshot holds and nothing else, no trace beside', async () => {
    const target = makeSwap(server.where, 'shop');
    await restoreInto(target, dumped);
    expect(await look(server, 'shop')).toBe(wanted);
    expect(await beside(server, 'shop')).toBe('NULL');
    expect(target.landing).toEqual({ overwrote: true, keptOld: null, resumedTables: 0 });
    // the default of a numbered column asks the sequence of this database
    await server.sql('INSERT INTO numbered (x) VALUES (9)', 'shop');
    expect(await server.sql('SELECT MAX(id) FROM numbered WHERE x=9', 'shop')).toBe('102\n');
  });
});
