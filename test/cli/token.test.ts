// `coffre token`, and the tokens at the door of the real daemon.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { makeSigningKey, saveSigningKey } from '../../src/segment/signing-key.ts';
import { coffre, coffreJson } from './run-coffre.ts';

const COFFRE = new URL('../../bin/coffre', import.meta.url).pathname;

async function installed() {
  const dir = mkdtempSync(join(tmpdir(), 'coffre-token-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'keys'), { mode: 0o700 });
  await saveSigningKey(join(dir, 'keys/signing.key'), makeSigningKey());
  for (const shop of ['dupont', 'martin']) mkdirSync(join(dir, shop));
  const config = join(dir, 'coffre.yaml');
  writeFileSync(
    config,
    [
      `stateDir: ${dir}/state`,
      `listen: { socket: ${dir}/coffre.sock, http: "127.0.0.1:0" }`,
      'encryption: none',
      `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
      'plans: { plan: { retention: 14d, schedule: { database: off, files: off, increments: off, server: off } } }',
      'shops:',
      ...['dupont', 'martin'].map((name) => `  ${name}: { plan: plan, vaults: [nas], files: { root: ${dir}/${name} } }`),
    ].join('\n'),
  );
  return { dir, run: (...args: string[]) => coffreJson(['--config', config, ...args]), config };
}

/** The real daemon, until the end of the test; the address of its port. */
async function daemon(config: string): Promise<string> {
  const child = spawn(COFFRE, ['--config', config, 'daemon'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const gone = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await gone;
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line);
    const { event, address } = JSON.parse(line) as { event?: string; address?: string };
    if (event === 'http.started' && address?.startsWith('http')) {
      child.stderr.resume();
      return address;
    }
  }
  throw new Error(`the daemon ended: ${lines.join('\n')}`);
}

test('made, used, listed, revoked - with the daemon running', { timeout: 120_000 }, async () => {
  const { config, run, dir } = await installed();
  const { json: made } = await run('token', 'create', 'portal', '--role', 'client', '--shop', 'dupont', '--expires', '90d');
  expect(made).toMatchObject({ name: 'portal', role: 'client', shops: ['dupont'], lastUsedAt: null });
  // the end counts from the command's start
  expect(Math.round((Date.parse(made.expiresAt) - Date.parse(made.createdAt)) / 86_400_000)).toBe(90);

  const url = await daemon(config);
  const get = (token: string, path: string) => fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
  expect(await (await get(made.token, '/v1/me')).json()).toMatchObject({ who: 'token:portal', shops: ['dupont'] });
  const [foreign, absent] = [await get(made.token, '/v1/shops/martin'), await get(made.token, '/v1/shops/nobody')];
  expect([foreign.status, await foreign.text()]).toEqual([absent.status, await absent.text()]);
  expect(foreign.status).toBe(404);

  const { json: listed, stdout } = await run('token', 'list');
  expect(listed.tokens).toMatchObject([{ name: 'portal', lastUsedFrom: '127.0.0.1' }]);
  expect(stdout).not.toContain(made.token);
  expect((await coffre(['--config', config, 'token', 'list'])).stdout).toMatch(/portal +client +dupont/);

  // at the socket no token is asked for
  const socket = execFileSync(process.execPath, [
    '-e',
    `require('node:http').get({ socketPath: ${JSON.stringify(join(dir, 'coffre.sock'))}, path: '/v1/service', agent: false }, (r) => r.pipe(process.stdout))`,
  ]);
  expect(JSON.parse(socket.toString())).toMatchObject({ shops: 2, stopping: false });

  expect((await run('token', 'revoke', 'portal')).json).toMatchObject({ name: 'portal', revokedAt: expect.any(String) });
  expect((await get(made.token, '/v1/me')).status).toBe(401);
  expect((await run('token', 'list')).json.tokens).toEqual([]);
  expect((await run('token', 'list', '--all')).json.tokens).toMatchObject([{ name: 'portal' }]);
});

test.each<[string, string[], string]>([
  ['a client of no shop', ['x', '--role', 'client'], 'E_USAGE'],
  ['a shop that is not declared', ['x', '--role', 'client', '--shop', 'nobody'], 'E_UNKNOWN_SHOP'],
  ['a role that there is not', ['x', '--role', 'root'], 'E_USAGE'],
  ['an end that has passed', ['x', '--role', 'admin', '--expires', '2020-01-01T00:00:00Z'], 'E_USAGE'],
  ['no time', ['x', '--role', 'admin', '--expires', 'soon'], 'E_USAGE'],
])('refused - %s', async (_, args, code) => {
  const { run } = await installed();
  const { status, json } = await run('token', 'create', ...args);
  expect([status, json.error.code]).toEqual([2, code]);
});

test('for people - the token alone, for a pipe into a file', async () => {
  const { config } = await installed();
  const { stdout, stderr } = await coffre(['--config', config, 'token', 'create', 'x', '--role', 'billing', '--expires', 'never']);
  expect(stdout).toMatch(/^coffre_[0-9a-z]{26}_[\w-]{43}\n$/);
  expect(stderr).toBe('');
});
