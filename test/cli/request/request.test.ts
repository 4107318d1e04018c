// Restores that are asked for: the real daemon, an owner's token, a restore unit at its socket, and a running shop with PHP before it.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type InPlaceSetting, makeInPlaceSetting } from '../../restore/in-place-setting.ts';
import { until } from '../../servers/rig.ts';
import { COFFRE } from '../../world/world.ts';
import { runDaemon } from '../running-daemon.ts';

const isRoot = process.geteuid?.() === 0;

describe.skipIf(!isRoot)('a restore that is asked for', () => {
  let setting: InPlaceSetting;
  let unit: Disposable;

  beforeAll(async () => {
    setting = await makeInPlaceSetting();
    const { world } = setting;
    const socket = join(world.dir, 'restore.sock');
    const file = world.configFile;
    const written = readFileSync(file, 'utf8')
      .replace('listen: { socket: null, http: null }', `listen: { socket: ${world.socket}, http: "127.0.0.1:0" }`)
      .replace('restore: { socket: null,', `restore: { socket: ${socket}, unattended: true,`)
      // nothing is due meanwhile
      .replace('full: fresh }', 'full: fresh, schedule: { database: off, files: off, increments: off } }');
    writeFileSync(file, written);
    const command = [COFFRE, '--config', file, 'restore-unit', `1-${process.pid}-1`];
    const child = spawn('systemd-socket-activate', ['--accept', '--inetd', `--listen=${socket}`, ...command], {
      stdio: 'ignore',
      env: { ...process.env, NODE_COMPILE_CACHE: new URL('../../../node_modules/.cache/coffre-compile', import.meta.url).pathname },
    });
    unit = { [Symbol.dispose]: () => void child.kill() };
    await until('the restore socket', 30_000, () => existsSync(socket));
  }, 180_000);
  afterAll(async () => {
    unit?.[Symbol.dispose]();
    await setting?.[Symbol.asyncDispose]();
  }, 60_000);

  /** The owner's commands: a token in a file, and nothing else of this machine. */
  async function ownerOf(shop: string, url: string) {
    const { world } = setting;
    const { json } = await world.ok(['token', 'create', `${shop} ${Math.random()}`, '--role', 'client', '--shop', shop]);
    const file = join(world.dir, `${json.name}.token`);
    writeFileSync(file, json.token ?? json.secret, { mode: 0o600 });
    return (args: readonly string[]) =>
      world.coffre(args, { env: { COFFRE_URL: url, COFFRE_TOKEN_FILE: file, COFFRE_CONFIG: '/nowhere' } });
  }

  test('an operator asks, the owner approves, the daemon is killed meanwhile - the shop is back, in time, and a second request waited', async () => {
    const { world } = setting;
    await setting.become('two');
    expect(await setting.page()).toBe('two two');
    let daemon = await runDaemon(world);
    let owner = await ownerOf('dupont', daemon.url);

    // what it would mean is shown, and nothing is asked for
    const shown = await owner(['request', 'restore', 'dupont', '--dry-run']);
    expect(shown, shown.stdout + shown.stderr).toMatchObject({ status: 0 });
    expect(shown.json.preview).toMatchObject({ gapMs: expect.any(Number), unattended: true, targetMs: 4 * 3_600_000 });
    expect(shown.json.preview.snapshots.map(({ id }: { id: string }) => id)).toEqual([setting.database, setting.files]);

    // a place of this machine is no path inside the shop
    expect((await owner(['request', 'restore', 'dupont', '--path', '/etc'])).json.error.code).toBe('E_USAGE');
    expect((await owner(['request', 'restore', 'dupont', '--path', '../martin'])).json.error.code).toBe('E_USAGE');
    expect((await owner(['request', 'restore', 'martin'])).json.error).toMatchObject({ code: 'E_UNKNOWN_SHOP', message: 'no such shop' });

    const { json: asked } = await world.ok(['request', 'restore', 'dupont']);
    const { id } = asked.request;
    expect(asked.request).toMatchObject({ state: 'requested', clock: null, createdRole: 'operator' });
    expect((await world.coffre(['request', 'approve', id])).json.error.code).toBe('E_USAGE');
    expect((await owner(['request', 'hold', id, '--reason', 'x'])).json.error.code).toBe('E_FORBIDDEN');
    expect(await setting.page()).toBe('two two');

    const approved = await owner(['request', 'approve', id]);
    expect(approved.json.request, approved.stdout).toMatchObject({
      ...{ approvedRole: 'client', createdBy: null },
      clock: { state: 'running', targetMs: 4 * 3_600_000 },
    });
    // the shop's images alone, of the same moment: it waits for the other
    const second = await owner(['request', 'restore', 'dupont', '--path', 'img/p/1', '--approve']);
    expect(second.json.request).toMatchObject({ state: 'approved' });

    await until('the restore is under way', 60_000, async () => (await world.okHere(['request', 'show', id])).json.request.step !== null);
    daemon.signal('SIGKILL');
    await daemon.gone;
    daemon = await runDaemon(world);
    owner = await ownerOf('dupont', daemon.url);

    const done = await owner(['request', 'show', id, '--follow']);
    expect(done, done.stdout + done.stderr).toMatchObject({ status: 0 });
    expect(done.json.request).toMatchObject({ state: 'done', outcome: 'kept', error: null, clock: { state: 'kept' } });
    expect(done.json.request.history.map(({ verb }: { verb: string }) => verb)).toEqual([
      ...['request', 'approve', 'start'],
      // taken up after the kill
      ...['start', 'verify', 'finish'],
    ]);
    const later = await owner(['request', 'show', second.json.request.id, '--wait']);
    expect(later.json.request, later.stdout).toMatchObject({ state: 'done', outcome: 'kept' });
    expect(later.json.request.startedAt >= done.json.request.endedAt).toBe(true);
    expect(await setting.page()).toBe('one one');
    expect(await setting.leftovers()).toEqual([]);

    const listed = (await world.ok(['request', 'list', 'dupont'])).json.requests.map(({ state }: { state: string }) => state);
    expect(listed).toEqual(['done', 'done']);
    daemon.signal('SIGTERM');
    await daemon.gone;
  }, 240_000);

  test('no daemon runs, an emergency - approved in the owner’s name with a reason, begun by root', async () => {
    const { world, server } = setting;
    await setting.become('two');
    // newer ones may be there: safety snapshots of what was restored before
    const { json: known } = await world.ok(['snapshots', 'dupont']);
    const { asOf } = known.snapshots.find(({ id }: { id: string }) => id === setting.database);
    const emergency = ['--at', asOf, '--table', 'ps_big', '--approve', '--reason', 'owner called'];
    const { json: asked } = await world.ok(['request', 'restore', 'dupont', ...emergency]);
    const { id } = asked.request;
    expect(asked.request).toMatchObject({ state: 'approved', approvedRole: 'operator', preview: { gapMs: null, tables: ['ps_big'] } });
    // ^C: it ends at once, and does not look as if somebody worked on it
    const stopped = world.start(['request', 'run', id]);
    const gone = new Promise((resolve) => stopped.once('close', resolve));
    const state = async () => (await world.ok(['request', 'show', id])).json.request;
    await until('it has begun', 60_000, async () => (await state()).state === 'running');
    stopped.kill('SIGINT');
    await gone;
    expect(await state()).toMatchObject({ state: 'failed', error: { code: 'E_INTERRUPTED' } });
    const { json } = await world.ok(['request', 'run', id]);
    expect(json.request).toMatchObject({ state: 'done', outcome: 'kept' });
    expect(json.request.history.map(({ verb, reason }: { verb: string; reason: string | null }) => [verb, reason])).toEqual([
      ...[
        ['request', null],
        ['approve', 'owner called'],
      ],
      ...['start', 'fail', 'retry', 'start', 'verify', 'finish'].map((verb) => [verb, null]),
    ]);
    // that table alone, and the shop has what it had of the others
    expect(await server.sql('SELECT LEFT(v, 3) FROM ps_big LIMIT 1', { database: 'dupont' })).toContain('one');
    expect(await setting.page()).toBe('two two');
    expect((await world.coffre(['request', 'run', id])).json.error.code).toBe('E_REQUEST_STATE');
  }, 120_000);
});
