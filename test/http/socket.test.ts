// The administrators' socket in the file system: its rights, what may stand in its way, and who asks at it.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { nameOf } from '../../src/http/auth.ts';
import { bindSocket } from '../../src/http/socket.ts';
import { tempDir } from '../temp-dir.ts';
import { startDaemon } from './daemon.ts';

/** Binds one as a daemon does, and closes it with the test. */
async function bind(path: string) {
  const server = createServer((socket) => socket.end());
  onTestFinished(() => void server.close());
  return await bindSocket(path, async (at) => {
    server.listen(at);
    await once(server, 'listening');
  });
}

function get(socketPath: string, path: string, headers: Record<string, string> = {}): Promise<{ status: number; json: unknown }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, agent: false, headers }, async (response) => {
      resolve({ status: response.statusCode ?? 0, json: JSON.parse(await text(response)) });
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** Leaves a socket as a killed daemon does: nobody answers at it any more. */
async function leaveDead(path: string): Promise<void> {
  const program = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', program], { stdio: 'ignore' }), 'close');
  expect(lstatSync(path).isSocket()).toBe(true);
}

describe('bindSocket', () => {
  test('nothing is there - made for its owner and group alone, and removed at the end', async () => {
    const dir = await tempDir();
    const path = join(dir, 'run', 'coffre.sock');
    const bound = await bind(path);
    expect(lstatSync(path).mode & 0o777).toBe(0o660);
    expect(lstatSync(join(dir, 'run')).mode & 0o027).toBe(0);
    expect(readdirSync(join(dir, 'run'))).toEqual(['coffre.sock']);
    await bound.remove();
    expect(existsSync(path)).toBe(false);
  });

  test('a dead daemon’s socket - replaced; a live one’s never', async () => {
    const path = join(await tempDir(), 'coffre.sock');
    await leaveDead(path);
    await bind(path);
    await expect(bind(path)).rejects.toMatchObject({ code: 'E_DAEMON_RUNNING' });
    expect(lstatSync(path).isSocket()).toBe(true);
  });

  test('another daemon’s socket stands there by now - not removed', async () => {
    const path = join(await tempDir(), 'coffre.sock');
    const first = await bind(path);
    renameSync(path, `${path}.old`);
    await bind(path);
    await first.remove();
    expect(existsSync(path)).toBe(true);
  });

  test.each<[string, string, (path: string, dir: string) => void]>([
    ['a file', 'E_STATE', (path) => writeFileSync(path, 'precious')],
    ['a folder', 'E_STATE', (path) => mkdirSync(path)],
    ['a folder into which everybody writes', 'E_STATE', (_path, dir) => chmodSync(dir, 0o777)],
    ['a folder of another user', 'E_STATE', (_path, dir) => chownSync(dir, 12345, 0)],
  ])('%s - refused, and left as it is', async (what, code, prepare) => {
    // only root gives folders away
    if (what.endsWith('another user') && process.geteuid?.() !== 0) return;
    const dir = await tempDir();
    const path = join(dir, 'coffre.sock');
    prepare(path, dir);
    const before = readdirSync(dir);
    await expect(bind(path)).rejects.toMatchObject({ code });
    expect(readdirSync(dir)).toEqual(before);
  });

  test('a folder that cannot be made - its name and the key that says it are in the hint', async () => {
    const folder = join(await tempDir(), 'nobody/made');
    await expect(bind(join(folder, 'coffre.sock'))).rejects.toMatchObject({
      code: 'E_STATE',
      hint: expect.stringMatching(`${folder}, the folder of listen.socket`),
    });
  });

  test('a path that does not fit into an address - E_CONFIG, and nothing is left', async () => {
    const dir = join(await tempDir(), 'x'.repeat(90));
    mkdirSync(dir);
    await expect(bind(join(dir, 'coffre.sock'))).rejects.toMatchObject({ code: 'E_CONFIG' });
    expect(readdirSync(dir)).toEqual([]);
  });
});

test('whoever opens the socket is an administrator', async () => {
  const { socket, log } = await startDaemon();
  expect((await get(socket, '/v1/me')).json).toEqual({ who: 'socket', role: 'admin', shops: null, expiresAt: null });
  expect((await get(socket, '/v1/me', { 'coffre-operator': 'marie' })).json).toMatchObject({ who: 'marie', role: 'admin' });
  // a name that would pass for a token's, or break a line of the audit, is none
  for (const name of ['token:portal', 'x'.repeat(65)])
    expect((await get(socket, '/v1/me', { 'coffre-operator': name })).json).toMatchObject({ who: 'socket' });
  expect(log.filter(({ level }) => level !== 'info' && level !== 'debug')).toEqual([]);
});

describe('an order at the socket', () => {
  /** Pauses a shop as `uid` of this machine, under a name; gives back who the audit says it was. */
  async function order(uid: number, claimed: string | null): Promise<string> {
    const { socket, dir, catalog } = await startDaemon();
    chmodSync(dir, 0o755);
    chmodSync(socket, 0o666);
    const options = {
      ...{ socketPath: socket, path: '/v1/shops/dupont/pause', method: 'POST', agent: false },
      headers: { 'content-type': 'application/json', ...(claimed === null ? {} : { 'coffre-operator': claimed }) },
    };
    const become = uid === process.geteuid?.() ? '' : `process.setgroups([]); process.setgid(${uid}); process.setuid(${uid});`;
    const program = `${become} require('node:http').request(${JSON.stringify(options)}, (r) => { console.log(r.statusCode); r.resume(); }).end('{}')`;
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    expect((await text(child.stdout)).trim()).toBe('200');
    const { who } = await catalog.db.selectFrom('audit').select('who').orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow();
    return who;
  }
  const own = execFileSync('id', ['-un']).toString().trim();

  test('the audit names the account that the kernel knows, whatever it says of itself', async () => {
    expect(await order(process.geteuid?.() ?? 0, null)).toBe(own);
    expect(await order(process.geteuid?.() ?? 0, own)).toBe(own);
    expect(await order(process.geteuid?.() ?? 0, 'marie')).toBe(`marie (as ${own})`);
  });

  test('of another user, and of one without a name', async () => {
    // only root can be somebody else
    if (process.geteuid?.() !== 0) return;
    expect(await order(65534, 'root')).toBe('root (as nobody)');
    expect(await order(4_000_000, null)).toBe('uid 4000000');
  });

  test('nothing knows who it is - the name that was given, else the socket', () => {
    expect([nameOf('marie', null), nameOf(null, null)]).toEqual(['marie', 'socket']);
  });
});

test('another user of this machine - is kept out by the file alone', async () => {
  // only root can be somebody else
  if (process.geteuid?.() !== 0) return;
  const { socket, dir } = await startDaemon();
  chmodSync(dir, 0o755);
  const program = `require('node:net').connect(${JSON.stringify(socket)}).on('connect', () => console.log('in')).on('error', (e) => console.log(e.code))`;
  const tried = execFileSync(process.execPath, [
    '-e',
    `process.setgroups([]); process.setgid(65534); process.setuid(65534); ${program}; setTimeout(() => process.exit(), 2000).unref()`,
  ]);
  expect(tried.toString().trim()).toBe('EACCES');
});

test('a daemon that stops - its socket is gone, and the next one takes its place', async () => {
  const { http, socket } = await startDaemon();
  await http.close();
  expect(existsSync(socket)).toBe(false);
  await expect(get(socket, '/v1/me')).rejects.toMatchObject({ code: 'ENOENT' });
});
