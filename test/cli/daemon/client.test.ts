// Commands beside a real daemon: the same documents as alone, nobody writes what another writes, and a followed run outlives its follower.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonClient } from '../../../src/cli/daemon/client.ts';
import { DaemonHttp } from '../../../src/cli/daemon/client-http.ts';
import { followRun } from '../../../src/cli/daemon/runs.ts';
import { systemClock } from '../../../src/clock.ts';
import { until } from '../../servers/rig.ts';
import { Random } from '../../shop/random.ts';
import { COFFRE, makeWorld, type Outcome, type World, type WorldOptions } from '../../world/world.ts';
import { coffre } from '../run-coffre.ts';
import { runDaemon } from '../running-daemon.ts';

const SLOW = { bandwidth: '1MB/s' } as const;

async function world(options: WorldOptions = {}, megabytes = 1): Promise<World> {
  const root = mkdtempSync(join(tmpdir(), 'coffre-client-shop-'));
  mkdirSync(join(root, 'img'));
  for (let i = 0; i < megabytes; i++) writeFileSync(join(root, `img/${i}.jpg`), new Random(`client/${i}`).bytes(1_000_000));
  const made = await makeWorld({ listen: true, ...options, files: { root } });
  onTestFinished(async () => {
    await made[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });
  return made;
}

/** What a command said and how it ended, of one that was started to be disturbed. */
async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const ended = once(child, 'close');
  const [stdout, stderr] = await Promise.all([child.stdout, child.stderr].map((stream) => (stream ? text(stream) : '')));
  const [status] = (await ended) as [number];
  return { status, stdout: stdout ?? '', stderr: stderr ?? '', json: JSON.parse(stdout ?? '') };
}

/** The id of the backup that is under way, as soon as one is; not the one that was called off and still ends. */
async function underWay(it: World, ending = ''): Promise<string> {
  let id = '';
  await until('a run is under way', 60_000, async () => {
    const { json } = await it.okHere(['run', 'list', '--state', 'running', '--kind', 'backup']);
    id = json.runs[0]?.id ?? '';
    return id !== '' && id !== ending;
  });
  return id;
}

/** What begins from here on is not slow any more. */
function quicken(it: World): void {
  writeFileSync(it.configFile, readFileSync(it.configFile, 'utf8').replace(SLOW.bandwidth, '1GB/s'));
}

/** Ids, times and what depends on them, replaced by what they are. */
function leveled(document: unknown): unknown {
  const text = JSON.stringify(document, (key, value: unknown) => {
    // the window holds more of them each time
    if (key === 'kept')
      return [...new Map((value as object[]).map((one) => [JSON.stringify({ ...one, snapshot: '', until: '' }), one])).values()];
    if (/^(durationMs|storedBytes|newBytes|releasedBytes|sizeBytes|ledgerBytes|ledgerRows|bytes|versions|locks)$/.test(key))
      return typeof value;
    return value;
  });
  return JSON.parse(
    text
      .replaceAll(/"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"TIME"')
      .replaceAll(/\b[0-7][0-9a-hjkmnp-tv-z]{25}\b/g, 'ID')
      .replaceAll(/state\/[^"]*?\.json/g, 'state/TIME.json'),
  );
}

test('backup, prune, catch-up, reconcile, checkpoint - with the daemon the same documents and exit statuses as alone', async () => {
  const it = await world({ vaults: ['nas'] });
  const commands = [
    ['backup', 'dupont', '--full'],
    ['prune'],
    ['catch-up', 'dupont'],
    ['reconcile', 'dupont'],
    ['catalog', 'checkpoint'],
    ['backup', 'dupont', '--source', 'database'],
  ];
  await it.ok(['backup', 'dupont']);
  const alone: Outcome[] = [];
  for (const command of commands) alone.push(await it.coffre(command));
  const before = (await it.okHere(['run', 'list', '--limit', '100'])).json.runs.length;

  await runDaemon(it);
  for (const [i, command] of commands.entries()) {
    const outcome = await it.coffre(command);
    expect({ command, status: outcome.status, json: leveled(outcome.json) }).toEqual({
      command,
      status: alone[i]?.status,
      json: leveled(alone[i]?.json),
    });
  }
  // it was the daemon that did it
  const { runs } = (await it.okHere(['run', 'list', '--limit', '100'])).json;
  expect(runs.length).toBeGreaterThan(before);
  const shown = (await it.okHere(['run', 'show', runs.find((run: { kind: string }) => run.kind === 'backup').id])).json;
  expect(shown).toMatchObject({
    state: 'done',
    task: { kind: 'backup', shop: 'dupont', source: 'files', full: true },
    detail: { source: 'files' },
  });
}, 240_000);

test('the daemon is busy with the shop - a command that works alone is refused and says with what; what only reads is answered', async () => {
  const it = await world({ limits: SLOW }, 60);
  const daemon = await runDaemon(it);
  const run = await underWay(it);
  const refused = await it.coffre(['--alone', 'prune', 'dupont']);
  expect(refused.status).toBe(7);
  expect(refused.json.error.message).toMatch(
    new RegExp(
      `^dupont: a backup of files is under way since \\d{4}-\\d\\d-\\d\\dT[\\d:]+\\+0[12]:00 \\(the daemon, process ${daemon.pid}\\)$`,
    ),
  );
  for (const command of [['status'], ['snapshots'], ['billing', 'level'], ['run', 'show', run], ['shop', 'list']]) {
    const { json } = await it.coffre(command);
    expect(json, command.join(' ')).not.toBeNull();
  }
  expect((await it.okHere(['run', 'show', run])).json.state).toBe('running');
  await it.okHere(['run', 'cancel', run]);
}, 240_000);

test('a backup behind another of its shop - whoever follows it reads which; runs and shops that are not there are unknown', async () => {
  const it = await world({ limits: SLOW }, 60);
  const nothing = '00000000000000000000000000';
  const unknown = async (code: string, hint: string, ...args: string[]): Promise<void> => {
    const { json, status } = await it.coffre(args);
    expect({ args, status, code: json.error.code, hint: json.error.hint }).toMatchObject({ status: 2, code });
    expect(json.error.hint).toContain(hint);
  };
  await unknown('E_UNKNOWN_RUN', 'coffre run list', 'run', 'follow', nothing);
  await runDaemon(it);
  for (const id of [nothing, 'nonsense'])
    for (const verb of ['show', 'follow', 'cancel']) await unknown('E_UNKNOWN_RUN', 'coffre run list', 'run', verb, id);
  await unknown('E_UNKNOWN_SHOP', 'dupont', 'run', 'list', 'dupond');
  expect((await it.okHere(['run', 'list', 'dupont', '--state', 'cancelled'])).json.runs).toEqual([]);

  const first = await underWay(it);
  const daemon = new DaemonClient(new DaemonHttp({ socketPath: it.socket }, systemClock), systemClock, null);
  const stop = new AbortController();
  const second = await daemon.submit({ kind: 'backup', shop: 'dupont', source: 'files', full: false }, stop.signal);
  const titles: string[] = [];
  const progress = (title: string) => ({
    update: () => {},
    stop: () => {},
    title: (next: string) => void titles.push(`${title} | ${next}`),
  });
  const followed = followRun(daemon, { signal: stop.signal, progress }, systemClock, second);
  await until('it is told what it waits for', 30_000, () =>
    titles.includes(`dupont files | dupont files: waits for the backup of files that is under way, run ${first}`),
  );
  await it.okHere(['run', 'cancel', second, first]);
  expect((await followed).state).toBe('cancelled');
}, 240_000);

test('Ctrl-C on a followed run - status 14 says how to go on; the run goes on, is followed again, and is called off', async () => {
  const it = await world({ limits: SLOW }, 60);
  const daemon = await runDaemon(it);
  const first = await underWay(it);
  await it.okHere(['run', 'cancel', first]);
  const following = it.start(['backup', 'dupont']);
  const said = outcomeOf(following);
  const run = await underWay(it, first);
  following.kill('SIGINT');
  const { status, json } = await said;
  expect({ status, ...json.error }).toEqual({
    status: 14,
    code: 'E_DETACHED',
    message: `run ${run} goes on in the daemon`,
    hint: `coffre run follow ${run} shows it; coffre run cancel ${run} calls it off`,
  });
  const again = outcomeOf(it.start(['run', 'follow', run]));
  expect((await it.okHere(['run', 'show', run])).json.state).toBe('running');
  expect((await it.okHere(['run', 'cancel', run])).json).toEqual({ runs: [{ run, cancelled: true }] });
  const called = await again;
  expect(called.status).toBe(1);
  expect(called.json.error.code).toBe('E_CANCELLED');
  expect(called.json.run).toMatchObject({ id: run, state: 'cancelled' });
  const events = daemon.lines.filter((line) => (line as { run?: string }).run === run).map(({ event }) => event);
  expect(events).toContain('run.cancelled');
  expect(events).not.toContain('run.failed');
  expect((await it.okHere(['run', 'cancel', run])).json).toEqual({ runs: [{ run, cancelled: false }] });
}, 240_000);

test.each(['SIGKILL', 'SIGTERM'] as const)(
  '%s of the daemon during a followed run - started again, the follower sees the end of the run that took it up',
  async (signal) => {
    // what ends within the time that a daemon gives to what is under way is not cut off
    const it = await world({ limits: SLOW }, signal === 'SIGTERM' ? 9 : 4);
    const daemon = await runDaemon(it);
    const first = await underWay(it);
    await it.okHere(['run', 'cancel', first]);
    const said = outcomeOf(it.start(['backup', 'dupont']));
    const run = await underWay(it, first);
    daemon.signal(signal);
    await daemon.gone;
    quicken(it);
    await runDaemon(it);
    const { status, json } = await said;
    expect({ status, error: json.error ?? null }).toEqual({ status: 0, error: null });
    expect(json.snapshots).toHaveLength(1);
    const { runs } = (await it.okHere(['run', 'list'])).json;
    const next = runs.find((row: { takesUp: string | null }) => row.takesUp === run);
    expect(next.state).toBe('done');
  },
  240_000,
);

test('the daemon is killed and does not come back - status 14 and E_DAEMON_LOST; commands then work alone', async () => {
  const it = await world({ limits: SLOW }, 30);
  const daemon = await runDaemon(it);
  const first = await underWay(it);
  await it.okHere(['run', 'cancel', first]);
  const said = outcomeOf(it.start(['backup', 'dupont']));
  const run = await underWay(it, first);
  daemon.signal('SIGKILL');
  const { status, json } = await said;
  expect(status).toBe(14);
  expect(json.error).toMatchObject({
    code: 'E_DAEMON_LOST',
    message: `the daemon at ${it.socket} ended, or was cut off during run ${run}`,
    hint: `once a daemon runs again it takes the run up: coffre run follow ${run} shows it`,
  });
  expect((await it.okHere(['run', 'show', run])).json).toMatchObject({ state: 'interrupted', error: { code: 'E_INTERRUPTED' } });
  quicken(it);
  expect((await it.ok(['backup', 'dupont'])).json.snapshots).toHaveLength(1);
  const reload = await it.coffre(['reload']);
  expect([reload.status, reload.json.error.code]).toEqual([14, 'E_DAEMON_UNREACHABLE']);
}, 240_000);

test('status - no daemon ever ran: a note and no next run; one runs: when it comes; it is gone: red', async () => {
  const it = await world({ vaults: ['nas'] });
  await it.ok(['backup', 'dupont']);
  const screen = async (): Promise<string> => (await coffre(['--config', it.configFile, 'status'])).stdout;
  const none = `no daemon runs on ${it.stateDir}: nothing`;
  expect(await screen()).toMatch(new RegExp(`dupont .* no daemon\n[^]*note  ${none}`));
  expect((await it.coffre(['status'])).json.daemon).toMatchObject({ running: false, red: null });
  const daemon = await runDaemon(it);
  expect((await it.coffre(['status'])).json.daemon).toEqual({ running: true, red: null, note: null });
  expect(await screen()).toMatch(/dupont .* \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+0[12]:00\n/);
  daemon.signal('SIGTERM');
  await daemon.gone;
  const { json, status } = await it.coffre(['status', 'dupont']);
  expect([status, json.ok, json.daemon.red]).toEqual([1, false, expect.stringContaining(none)]);
  expect(await screen()).toMatch(new RegExp(`dupont .* no daemon\nRED   ${none}`));
}, 240_000);

test('reload - a broken configuration is refused with its line and the old one stays; a right one is in force', async () => {
  const it = await world({ vaults: ['nas'] });
  await it.ok(['backup', 'dupont']);
  const daemon = await runDaemon(it);
  const good = readFileSync(it.configFile, 'utf8');
  // right as far as this command can tell: the folder of another state is refused by the daemon
  writeFileSync(it.configFile, `${good}\n`.replace('/state\n', '/elsewhere\n'));
  const moved = await it.coffre(['reload']);
  expect([moved.status, moved.json.error.code]).toEqual([2, 'E_CONFIG']);
  writeFileSync(it.configFile, good.replace('plan: plan', 'plan: golden'));
  const broken = await it.coffre(['reload']);
  expect([broken.status, broken.json.error.code]).toEqual([2, 'E_CONFIG']);
  expect(broken.json.error.message).toMatch(/golden/);

  writeFileSync(it.configFile, good);
  expect((await it.ok(['reload'])).json).toEqual({ config: it.configFile, shops: 1 });
  writeFileSync(it.configFile, `${good}  martin: { plan: plan, vaults: [nas], files: { root: ${it.dir}/martin } }\n`);
  const unknown = await it.coffre(['backup', 'martin']);
  expect(unknown.json.failures[0]).toMatchObject({ code: 'E_UNKNOWN_SHOP', hint: expect.stringContaining('coffre reload') });
  expect((await it.ok(['reload'])).json.shops).toBe(2);
  expect(daemon.lines.map(({ event }) => event)).toContain('config.refused');
}, 240_000);

test('pause and resume - through the daemon and alone, told by shop list, written into the audit', async () => {
  const it = await world({ vaults: ['nas'] });
  await it.ok(['shop', 'pause', 'dupont', '--until', '6h', '--reason', 'moves']);
  expect((await it.okHere(['shop', 'list'])).json.shops[0]).toMatchObject({ shop: 'dupont', state: 'active', paused: { reason: 'moves' } });
  const { stdout } = await coffre(['--config', it.configFile, 'shop', 'list']);
  const time = String.raw`(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+0[12]:00)`;
  expect(stdout).toMatch(new RegExp(`dupont +paused +${time} +${time} +\\S+ +moves +0 +yes`));
  await runDaemon(it);
  await it.ok(['shop', 'resume', 'dupont']);
  expect((await it.okHere(['shop', 'list'])).json.shops[0]).toMatchObject({ state: 'active', paused: null });
  expect((await it.ok(['shop', 'pause', 'dupont'])).json).toMatchObject({ shop: 'dupont', paused: { until: null } });
  await it.ok(['shop', 'suspend', 'dupont']);
  expect((await it.ok(['shop', 'resume', 'dupont', '--reason', 'back'])).json.state).toBe('active');
  expect((await it.okHere(['shop', 'list'])).json.shops[0]).toMatchObject({ state: 'active', paused: null });
}, 240_000);

test('from another machine - a token’s role decides; the token is never on the command line', async () => {
  const it = await world({ vaults: ['nas'] });
  await it.ok(['backup', 'dupont']);
  const { url } = await runDaemon(it);
  const token = async (role: string, ...more: string[]): Promise<string> =>
    (await it.ok(['token', 'create', role, '--role', role, ...more])).json.token;
  const admin = await token('admin');
  const client = await token('client', '--shop', 'dupont');
  const from = (secret: string, args: readonly string[]): Promise<Outcome> =>
    it.coffre(['--url', url, ...args], { env: { COFFRE_CONFIG: '/nonexistent', COFFRE_TOKEN: secret } });

  const done = await from(admin, ['backup', 'dupont']);
  expect([done.status, done.json.snapshots?.length]).toEqual([0, 1]);
  const listed = await from(client, ['run', 'list']);
  expect(listed.json.runs.length).toBeGreaterThan(0);
  const status = await from(client, ['status']);
  expect(status.json.shops).toMatchObject([{ shop: 'dupont', quota: { usedBytes: expect.any(Number) } }]);
  expect(status.json.shops[0]).not.toHaveProperty('red');
  expect((await from(client, ['snapshots'])).json.snapshots).toHaveLength(2);
  const refused = await from(client, ['backup', 'dupont']);
  expect([refused.status, refused.json.error.code]).toEqual([13, 'E_FORBIDDEN']);
  expect((await from('wrong', ['run', 'list'])).json.error.code).toBe('E_TOKEN');
  for (const name of ['dupond', 'NOSUCHSHOP']) {
    const { json, status } = await from(admin, ['run', 'list', name]);
    expect([status, json.error.code]).toEqual([2, 'E_UNKNOWN_SHOP']);
  }

  const paused = await from(admin, ['shop', 'pause', 'dupont', '--until', '6h', '--reason', 'moves']);
  expect(paused.json).toMatchObject({ shop: 'dupont', paused: { who: 'token:admin', reason: 'moves', until: expect.any(String) } });
  expect((await it.okHere(['shop', 'list'])).json.shops[0].paused).toEqual(paused.json.paused);
  const resumed = await from(admin, ['shop', 'resume', 'dupont']);
  expect([resumed.status, resumed.json.state]).toEqual([0, 'active']);
  expect((await it.okHere(['shop', 'list'])).json.shops[0].paused).toBeNull();
  expect((await from(admin, ['reload'])).json).toMatchObject({ shops: 1 });
  for (const args of [['shop', 'pause', 'dupont'], ['shop', 'resume', 'dupont'], ['reload']]) {
    expect((await from(client, args)).json.error.code).toBe('E_FORBIDDEN');
  }

  const without = await it.coffre(['--url', url, 'run', 'list']);
  expect([without.status, without.json.error.code]).toEqual([2, 'E_SECRET_MISSING']);
  const file = join(it.dir, 'token');
  writeFileSync(file, `${client}\n`, { mode: 0o600 });
  expect((await it.coffre(['--url', url, '--token-file', file, 'run', 'list'])).status).toBe(0);
  for (const wrong of ['http://user:secret@127.0.0.1:1', 'http://backup.example.net', 'ftp://127.0.0.1']) {
    const { status, stdout } = await it.coffre(['--url', wrong, 'run', 'list'], { env: { COFFRE_TOKEN: admin } });
    expect([wrong, status]).toEqual([wrong, 2]);
    expect(stdout).not.toContain('secret');
  }
  const here = await from(admin, ['doctor']);
  expect([here.status, here.json.error.code]).toEqual([2, 'E_USAGE']);
}, 240_000);

test.skipIf(process.geteuid?.() !== 0)(
  'a member of the socket’s group - backs up and reads through the daemon, whose state it may not open; anybody else is refused',
  async () => {
    const it = await world({ vaults: ['nas'] });
    await it.ok(['backup', 'dupont']);
    chmodSync(it.dir, 0o711);
    await runDaemon(it);
    const as = async (group: number, ...args: string[]): Promise<Outcome> =>
      await outcomeOf(
        spawn(
          'setpriv',
          ['--reuid', '65534', '--regid', String(group), '--clear-groups', COFFRE, '--config', it.configFile, '--json', ...args],
          {
            stdio: ['ignore', 'pipe', 'pipe'],
          },
        ),
      );
    const group = statSync(it.socket).gid;
    expect((await as(group, 'backup', 'dupont')).json).toMatchObject({ snapshots: [{ source: 'files' }], failures: [] });
    expect((await as(group, 'snapshots', 'dupont')).json.snapshots).toHaveLength(2);
    expect((await as(group, 'run', 'list', '--limit', '1')).json.runs).toMatchObject([{ kind: 'backup', state: 'done' }]);
    expect((await as(group, 'status', 'dupont')).json.shops).toMatchObject([{ shop: 'dupont', red: expect.any(Array) }]);
    const stranger = await as(65534, 'backup', 'dupont');
    expect([stranger.status, stranger.json.error.code, stranger.json.error.message]).toEqual([
      14,
      'E_DAEMON_UNREACHABLE',
      `${it.socket} may not be opened by this user`,
    ]);
  },
  240_000,
);

test('another version of the API answers at the socket - refused, and nothing is done beside it', async () => {
  const it = await world({ vaults: ['nas'] });
  const server = createServer((_request, response) => {
    response.writeHead(404, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ code: 'E_NOT_FOUND', detail: 'no such route', hint: '', status: 404 }));
  });
  await new Promise<void>((resolve) => server.listen(it.socket, resolve));
  onTestFinished(() => void server.close());
  const { status, json } = await it.coffre(['backup', 'dupont']);
  expect([status, json.error.code, json.error.message]).toEqual([
    14,
    'E_DAEMON_VERSION',
    `the daemon at ${it.socket} does not speak version 1 of the API`,
  ]);
  expect((await it.ok(['snapshots'])).json.snapshots).toEqual([]);
});
