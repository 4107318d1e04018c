// What doctor says of restores, drills and exports that are to begin by themselves: whether anybody would do them.
import { chownSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import type { CliContext } from '../../../src/cli/context.ts';
import { checkRestores } from '../../../src/cli/doctor/restore.ts';
import type { Config, ShopConfig } from '../../../src/config/config.ts';
import { CoffreError } from '../../../src/errors.ts';
import { tempDir } from '../../temp-dir.ts';

let dir: string;
beforeEach(async () => {
  dir = await tempDir();
});

const shop = (drill: string | null): ShopConfig => ({ plan: { schedule: { drill } } }) as unknown as ShopConfig;
const context = (tryDrillDatabase: () => Promise<string>): CliContext => ({ adapters: { tryDrillDatabase } }) as unknown as CliContext;

async function ask(restore: Partial<Config['restore']>, shops: readonly ShopConfig[] = [], answer = async () => 'coffre_drill on 10.11') {
  const given = { socket: null, unattended: false, scratchDir: join(dir, 'none'), scratchUser: null, drillDatabase: null, ...restore };
  const config = { restore: given, shops: new Map(), stateDir: dir, file: 'coffre.yaml' } as unknown as Config;
  return await checkRestores(context(answer), config, shops);
}

test('nobody listens - unwise, with what root does instead; red where a schedule or restore.unattended counts on it', async () => {
  const [alone] = await ask({});
  expect(alone).toMatchObject({ ok: true, warning: true, hint: expect.stringContaining('coffre request run ID') });
  expect(alone?.detail).toBe('restore.socket is null: approved requests, drills and exports do not begin by themselves');
  const socket = join(dir, 'gone.sock');
  expect((await ask({ socket, unattended: true }))[0]).toMatchObject({ ok: false, code: 'E_RESTORE_UNIT' });
  expect((await ask({ socket }, [shop('0 5 * * 0')]))[0]).toMatchObject({
    ok: false,
    detail: expect.stringContaining('a schedule for drills'),
  });
  expect((await ask({ socket }, [shop(null)]))[0]).toMatchObject({ ok: true, warning: true });
});

test('somebody listens - green, and says that root begins requests unless restore.unattended is true', async () => {
  const socket = join(dir, 'restore.sock');
  const server = createServer(() => expect.unreachable('each connection starts a unit'));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  onTestFinished(() => void server.close());
  const [waits] = await ask({ socket }, [shop('0 5 * * 0')]);
  expect(waits).toMatchObject({
    ok: true,
    detail: expect.stringContaining('restore.unattended is not true): as root: coffre request run ID'),
  });
  expect((await ask({ socket, unattended: true }))[0]).toMatchObject({ ok: true, detail: expect.stringContaining('begin by themselves') });
});

test.skipIf(process.geteuid?.() !== 0)('a scratch folder of a user who matters - said, and red where drills are counted on', async () => {
  const scratchDir = join(dir, 'scratch');
  mkdirSync(scratchDir);
  expect((await ask({ scratchDir }))[1]).toMatchObject({ ok: true, warning: true, code: 'E_RESTORE_REFUSED' });
  expect((await ask({ scratchDir }, [shop('0 5 * * 0')]))[1]).toMatchObject({
    ok: false,
    hint: expect.stringMatching(/chown -R (coffre-restore|nobody):/),
  });
  chownSync(scratchDir, 65_534, 65_534);
  expect((await ask({ scratchDir }))[1]).toMatchObject({ name: 'scratch folder', ok: true, detail: expect.stringContaining('uid 65534') });
});

test('a server for drills - tried; what it refuses is red', async () => {
  const drillDatabase = { url: 'mysql://coffre_drill@127.0.0.1', password: null };
  expect((await ask({ drillDatabase }))[1]).toEqual({ name: 'drill database', ok: true, detail: 'coffre_drill on 10.11' });
  const refusing = () => Promise.reject(new CoffreError('E_DB_PRIVILEGE', 'may not', { hint: 'GRANT …' }));
  expect((await ask({ drillDatabase }, [], refusing))[1]).toMatchObject({ ok: false, code: 'E_DB_PRIVILEGE', hint: 'GRANT …' });
});
