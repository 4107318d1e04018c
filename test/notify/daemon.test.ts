// The real daemon and the real command line: who is told of a shop that fails, what Prometheus sees, and what the log says.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config/load.ts';
import { CoffreError } from '../../src/errors.ts';
import type { EventLog } from '../../src/events.ts';
import { TroubleNotifier } from '../../src/notify/trouble.ts';
import { makeSigningKey, saveSigningKey } from '../../src/segment/signing-key.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { until } from '../servers/rig.ts';
import { tempDir } from '../temp-dir.ts';
import { COFFRE } from '../world/world.ts';
import { type Receiver, startReceiver } from './receivers.ts';

interface Line {
  readonly event: string;
  readonly level: string;
  readonly [field: string]: unknown;
}

async function installation(receiver: Receiver) {
  const dir = await tempDir();
  const root = join(dir, 'www');
  mkdirSync(root);
  writeFileSync(join(root, 'index.php'), '<?php');
  mkdirSync(join(dir, 'nas'));
  const vault = { name: 'nas', type: 'filesystem', path: join(dir, 'nas'), media: 'disk', site: null, offsite: false } as const;
  await new FilesystemVault(vault, systemClock).initialise();
  await saveSigningKey(join(dir, 'signing.key'), makeSigningKey());
  const config = join(dir, 'coffre.yaml');
  writeFileSync(
    config,
    [
      `stateDir: ${dir}/state`,
      `listen: { socket: ${dir}/coffre.sock, http: null }`,
      'encryption: none',
      `signing: { keyFile: ${dir}/signing.key }`,
      `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
      'plans: { plan: { retention: 14d } }',
      'limits: { jitter: 0s }',
      `notify: { delay: 0s, webhook: { url: "${receiver.url}/hook" }, ping: { url: "${receiver.url}/ping" } }`,
      `shops: { dupont: { plan: plan, vaults: [nas], files: { root: ${root} } } }`,
    ].join('\n'),
  );
  const child = spawn(COFFRE, ['--config', config, '--json', 'daemon'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const ended = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const lines: Line[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => lines.push(JSON.parse(line) as Line));
  const saw = async (event: string, count = 1): Promise<Line> => {
    const found = (): Line[] => lines.filter((line) => line.event === event);
    await until(`${event} is logged`, 60_000, () => found().length >= count || child.exitCode !== null);
    const line = found()[count - 1];
    if (!line) throw new Error(`the daemon ended without ${event}: ${said}`);
    return line;
  };
  /** Status and document of a command. */
  const coffre = (args: readonly string[]): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> =>
    new Promise((resolve) => {
      execFile(COFFRE, ['--config', config, '--json', ...args], (error, stdout) =>
        resolve({ status: typeof error?.code === 'number' ? error.code : 0, json: JSON.parse(stdout) as Record<string, unknown> }),
      );
    });
  return { child, coffre, config, dir, lines, saw };
}

/** What the daemon answers at its socket. */
function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      answer.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}

describe('the daemon', () => {
  it('a shop that is red - told by webhook and ping, seen by Prometheus, each line of the log as declared', async () => {
    const receiver = await startReceiver();
    const it = await installation(receiver);
    await it.saw('daemon.started');
    await it.saw('notify.sent');
    const [hook] = receiver.calls.filter(({ url }) => url === '/hook');
    expect(JSON.parse(hook?.body ?? '{}')).toMatchObject({ kind: 'alarm', raised: expect.any(Array) });
    await until('the ping says fail', 30_000, () => receiver.calls.some(({ url }) => url === '/ping/fail'));
    await it.saw('run.done');
    const metrics = await get(join(it.dir, 'coffre.sock'), '/metrics');
    expect(metrics).toMatch(/^coffre_shop_red\{shop="dupont"\} 1$/m);
    expect(metrics).toMatch(/^coffre_shops 1$/m);

    expect((await it.coffre(['log-level'])).json).toEqual({ level: 'info' });
    expect((await it.coffre(['log-level', 'debug'])).json).toEqual({ level: 'debug' });
    expect(await it.saw('log.level')).toMatchObject({ logLevel: 'debug' });
    it.child.kill('SIGUSR2');
    expect(await it.saw('log.level', 2)).toMatchObject({ logLevel: 'info', who: 'SIGUSR2' });
    expect((await it.coffre(['log-level'])).json).toEqual({ level: 'info' });

    expect(await it.coffre(['notify', 'test', 'webhook'])).toMatchObject({
      status: 0,
      json: { channels: [{ channel: 'webhook', ok: true }] },
    });
    receiver.status = 500;
    expect(await it.coffre(['notify', 'test'])).toMatchObject({
      status: 1,
      json: {
        channels: [
          { channel: 'webhook', ok: false, error: { code: 'E_NOTIFY' } },
          { channel: 'ping', ok: false },
        ],
      },
    });
    expect((await it.coffre(['notify', 'test', 'mail'])).json).toMatchObject({ error: { code: 'E_CONFIG' } });
    const checks = (await it.coffre(['doctor'])).json.checks as { name: string; ok: boolean }[];
    expect(checks.filter(({ name }) => name.startsWith('notify'))).toMatchObject([
      { name: 'notify webhook', ok: true },
      { name: 'notify ping', ok: true },
    ]);
    it.child.kill('SIGTERM');
    await it.saw('daemon.stopped');
    expect(it.lines.filter((line) => 'undeclared' in line)).toEqual([]);
    expect(it.lines.every((line) => typeof line.event === 'string' && typeof line.msg === 'string')).toBe(true);
  });

  it('nobody can be told - red in status, with what to do', async () => {
    const receiver = await startReceiver();
    receiver.status = 500;
    const it = await installation(receiver);
    await it.saw('notify.failed', 2);
    await until('it is written down', 30_000, async () => {
      const { json } = await it.coffre(['status']);
      return (json.notifications as unknown[]).length === 2;
    });
    const { json, status } = await it.coffre(['status']);
    expect(status).toBe(1);
    const told = ['webhook', 'ping'].map((channel) => ({ channel, code: 'E_NOTIFY', error: expect.stringContaining('status 500') }));
    expect(json.notifications).toMatchObject(told);
    expect(JSON.parse(await get(join(it.dir, 'coffre.sock'), '/v1/service')).notifications).toEqual(json.notifications);
    // metrics are made anew now and then; something else may have turned red meanwhile
    await until('metrics say it too', 30_000, async () => {
      const metrics = await get(join(it.dir, 'coffre.sock'), '/metrics');
      return ['webhook', 'ping'].every((channel) =>
        new RegExp(`^coffre_notifications_waiting\\{channel="${channel}"\\} [1-9]`, 'm').test(metrics),
      );
    });
  });
});

describe('the state cannot be used', () => {
  it('each channel is told once, tried until it takes it, and told when it works again', async () => {
    const receiver = await startReceiver();
    const config = parseConfig(
      ['encryption: none', `notify: { webhook: { url: "${receiver.url}/hook" }, ping: { url: "${receiver.url}/ping" } }`].join('\n'),
      '/tmp/coffre.yaml',
      {},
    );
    const lines: { event: string }[] = [];
    const write = (fields: { event: string }): void => void lines.push(fields);
    const log: EventLog = { debug: write, info: write, warn: write, error: write };
    const trouble = new TroubleNotifier({ config, clock: systemClock, log, host: 'backup1' });
    const full = new CoffreError('E_STATE_SPACE', 'no space in /secret/place');
    receiver.status = 500;
    await trouble.red(full);
    receiver.status = 200;
    await trouble.red(full);
    await trouble.red(full);
    await trouble.green();
    await trouble.green();
    const hooks = receiver.calls.filter(({ url }) => url === '/hook').map(({ body }) => JSON.parse(body));
    expect(hooks.map(({ kind }) => kind)).toEqual(['alarm', 'alarm', 'recovery']);
    expect(hooks[1].raised).toMatchObject([{ kind: 'state', shops: null, code: 'E_STATE_SPACE' }]);
    expect(JSON.stringify(hooks)).not.toContain('/secret/place');
    expect(receiver.calls.filter(({ url }) => url === '/ping/fail')).toHaveLength(1);
    expect(lines.map(({ event }) => event)).toEqual(['notify.failed', 'notify.failed', 'notify.sent', 'notify.sent']);
  });
});
