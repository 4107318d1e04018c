// The real daemon as a child process that is killed while orders wait: they survive it. And told by SIGHUP to read its configuration again.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/open.ts';
import { pageOfRuns } from '../../../src/catalog/run-queue.ts';
import { makeSigningKey, saveSigningKey } from '../../../src/segment/signing-key.ts';
import { until } from '../../servers/rig.ts';
import { Random } from '../../shop/random.ts';
import { tempDir } from '../../temp-dir.ts';

const COFFRE = resolve(import.meta.dirname, '../../../bin/coffre');

async function setting() {
  const dir = await tempDir();
  await saveSigningKey(join(dir, 'signing.key'), makeSigningKey());
  const socket = join(dir, 'coffre.sock');
  const configure = (shops: readonly string[], more = ''): void => {
    for (const name of shops) {
      mkdirSync(join(dir, name), { recursive: true });
      for (let i = 0; i < 8; i++) writeFileSync(join(dir, name, `${i}.jpg`), new Random(`${name}/${i}`).bytes(1_000_000));
    }
    writeFileSync(
      join(dir, 'coffre.yaml'),
      `
stateDir: ${dir}/state
listen: { socket: ${socket} }
encryption: none
signing: { keyFile: ${dir}/signing.key }
vaults: { nas: { type: filesystem, path: ${dir}/nas } }
plans: { p: { retention: 14d } }
limits: { concurrency: 1 }
shops:
${shops.map((name) => `  ${name}: { plan: p, vaults: [nas], files: { root: ${dir}/${name} } }`).join('\n')}
${more}`,
      { mode: 0o600 },
    );
  };
  const start = async () => {
    const child = spawn(COFFRE, ['--config', join(dir, 'coffre.yaml'), 'daemon'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const end = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    const lines: { readonly event?: string; readonly shop?: string; readonly job?: string }[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => lines.push(JSON.parse(line)));
    onTestFinished(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await end;
    });
    const saw = async (event: string, shop?: string): Promise<void> => {
      await until(`${event} ${shop ?? ''}`, 60_000, async () =>
        lines.some((line) => line.event === event && (shop === undefined || line.shop === shop)),
      ).catch((error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify(lines.slice(-6))}`);
      });
    };
    await saw('daemon.started');
    return {
      saw,
      async signal(name: NodeJS.Signals): Promise<number | null> {
        child.kill(name);
        return name === 'SIGHUP' ? null : (await end)[0];
      },
    };
  };
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of all shapes
  const ask = async (method: string, path: string, body?: object): Promise<any> => {
    const asked = request({ socketPath: socket, method, path, headers: body ? { 'content-type': 'application/json' } : {} });
    asked.end(body ? JSON.stringify(body) : undefined);
    const [answer] = await once(asked, 'response');
    return JSON.parse(await text(answer));
  };
  return { stateDir: join(dir, 'state'), configure, start, ask };
}

test('killed while one order runs and others wait: all are done after the next start, each once, the one cut off by a run that says so', async () => {
  const it = await setting();
  it.configure(['dupont']);
  const first = await it.start();
  await first.saw('job.done', 'dupont');
  const tasks = [
    { kind: 'backup', shop: 'dupont', source: 'files', full: true },
    ...['reconcile', 'prune', 'catch-up'].map((kind) => ({ kind, shop: 'dupont' })),
    { kind: 'backup', shop: 'dupont', source: 'files', full: false },
  ];
  const ids: string[] = [];
  for (const task of tasks) {
    const answer = await it.ask('POST', '/v1/runs', task);
    ids.push(answer.id ?? answer.run ?? JSON.stringify(answer));
  }
  await first.signal('SIGKILL');
  const catalog = await openCatalog(it.stateDir);
  onTestFinished(() => catalog.close());
  const rows = async () => await pageOfRuns(catalog, { limit: 100 });
  const before = (await rows()).filter(({ id }) => ids.includes(id));
  expect(before).toHaveLength(5);
  expect(before.map(({ state }) => state)).toContain('queued');

  const second = await it.start();
  await until('all orders are over', 60_000, async () => (await rows()).every(({ state }) => state !== 'queued' && state !== 'running'));
  const after = await rows();
  for (const id of ids) {
    const own = after.find((row) => row.id === id);
    const heirs = after.filter((row) => row.takesUp === id);
    if (own?.state === 'done') expect(heirs).toEqual([]);
    else {
      expect(own?.state).toBe('interrupted');
      expect(heirs.map(({ state }) => state)).toEqual(['done']);
    }
  }
  expect(await second.signal('SIGTERM')).toBe(0);
}, 120_000);

test('SIGHUP: a shop that is new in the file is backed up; a broken file changes nothing, and the daemon says so until it is mended', async () => {
  const it = await setting();
  it.configure(['dupont']);
  const daemon = await it.start();
  await daemon.saw('job.done', 'dupont');
  it.configure(['dupont', 'martin']);
  await daemon.signal('SIGHUP');
  await daemon.saw('config.loaded');
  await daemon.saw('job.done', 'martin');
  it.configure(['dupont'], 'concurrency: 3');
  await daemon.signal('SIGHUP');
  await daemon.saw('config.refused');
  const { configProblem, shops } = await it.ask('GET', '/v1/service');
  expect(configProblem).toMatchObject({ code: 'E_CONFIG', message: expect.stringContaining('concurrency') });
  expect(shops).toBe(2);
  it.configure(['dupont']);
  expect(await it.ask('POST', '/v1/reload')).toMatchObject({ shops: 1 });
  expect((await it.ask('GET', '/v1/service')).configProblem).toBeNull();
  expect(await daemon.signal('SIGTERM')).toBe(0);
}, 120_000);
