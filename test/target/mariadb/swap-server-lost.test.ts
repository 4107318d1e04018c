// The server itself dies in the middle of a swap, or every connection is cut: after it is back, the old state or the new one, nothing between.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CoffreError } from '../../../src/errors.ts';
import type { Dumped } from '../../source/mariadb/dumped.ts';
import { type DatabaseServer, startDatabaseServer } from '../../source/mariadb/server.ts';
import { beginAnew, beside, look, makeBoth, makeSwap, restoreInto } from './swap-setting.ts';

let server: DatabaseServer;
let dumped: Dumped;
let before: string;
let wanted: string;

beforeAll(async () => {
  server = await startDatabaseServer(['--event-scheduler=ON']);
  ({ dumped, before, wanted } = await makeBoth(server));
}, 60_000);
afterAll(() => server.stop());

/** Every connection but the one that asks. */
async function killConnections(): Promise<void> {
  const ids = (await server.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER='root' AND ID<>CONNECTION_ID()"))
    .trim()
    .split('\n');
  for (const id of ids.filter((each) => each !== '')) await server.sql(`KILL ${id}`).catch(() => {});
}

test.each(['drop TRIGGER', 'rename', 'old programs', 'new programs'])(
  'connections killed after %s: the old state is put back at once over new ones',
  async (at) => {
    await beginAnew(server);
    let done = false;
    const afterStep = async (step: string): Promise<void> => {
      if (done || step !== at) return;
      done = true;
      await killConnections();
    };
    const error = await restoreInto(makeSwap(server.where, 'shop', { afterStep }), dumped).then(
      () => null,
      (failure: CoffreError) => failure,
    );
    expect(done).toBe(true);
    expect(error?.message).not.toContain('putting the old state back failed');
    expect(await look(server, 'shop')).toBe(before);
    await restoreInto(makeSwap(server.where, 'shop'), dumped);
    expect(await look(server, 'shop')).toBe(wanted);
    expect(await beside(server, 'shop')).toBe('NULL');
  },
  60_000,
);
