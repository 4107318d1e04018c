// The whole daemon but for its doors, in this process: a real catalog, a real vault in a folder, real shops; the clock is the test's.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { catalogPath, openCatalog } from '../../src/catalog/open.ts';
import { readRun } from '../../src/catalog/run-queue.ts';
import { daemonRunning } from '../../src/catalog/shop-lock.ts';
import { acquireLock } from '../../src/catalog/state-lock.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config/load.ts';
import { CoffreError } from '../../src/errors.ts';
import { localHost } from '../../src/host/local.ts';
import { runDaemon } from '../../src/schedule/daemon.ts';
import type { Service } from '../../src/schedule/service.ts';
import { makeSigningKey, saveSigningKey } from '../../src/segment/signing-key.ts';
import { FilesSource } from '../../src/source/files/files-source.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { FakeClock } from '../fake-clock.ts';
import { until } from '../servers/rig.ts';
import { tempDir } from '../temp-dir.ts';

interface Line {
  readonly event: string;
  readonly shop?: string;
  readonly job?: string;
  readonly run?: string;
  readonly code?: string;
}

const MINUTE = 60_000;

async function setting(shops = ['dupont'], clock = new FakeClock(systemClock.nowMs())) {
  const dir = await tempDir();
  // time goes by as it does, and what waits for long need not be waited for
  const ticking = setInterval(() => clock.advance(20), 20);
  onTestFinished(() => clearInterval(ticking));
  await saveSigningKey(join(dir, 'signing.key'), makeSigningKey());
  const config = (names: readonly string[], more = ''): string => `
stateDir: ${dir}/state
encryption: none
signing: { keyFile: ${dir}/signing.key }
vaults: { nas: { type: filesystem, path: ${dir}/nas } }
plans: { p: { retention: 14d } }
verify: { readWithin: off }
limits: { jitter: 0s, concurrency: 1 }
shops:
${names.map((name) => `  ${name}: { plan: p, vaults: [nas], files: { root: ${dir}/${name} } }`).join('\n')}
${more}`;
  const addShop = (name: string): void => {
    mkdirSync(join(dir, name), { recursive: true });
    writeFileSync(join(dir, name, 'index.php'), `<?php // ${name}\n`);
  };
  for (const name of shops) addShop(name);
  let text = config(shops);
  const file = join(dir, 'coffre.yaml');
  writeFileSync(file, text);

  /** One daemon; its service comes and goes with its catalog. */
  const start = (openDoor: (service: Service) => Promise<void> = async () => {}) => {
    const lines: Line[] = [];
    const said: string[] = [];
    const write = (fields: object): void => void lines.push(fields as Line);
    const stop = new AbortController();
    const now: { service: Service | null; hangup: () => void } = { service: null, hangup: () => {} };
    const ended = runDaemon(
      {
        config: parseConfig(text, file, {}),
        loadConfig: () => parseConfig(text, file, {}),
        clock,
        log: { debug: write, info: write, warn: write, error: write, level: 'debug' },
        ports: {
          openVault: async (vault) => new FilesystemVault(vault as never, clock),
          prepareVault: async (vault) => void (await new FilesystemVault(vault, clock).initialise()),
          openSource: async (shop) => new FilesSource(shop.files as never, localHost, clock),
        },
        version: '0.0.0',
        tools: {},
        openDoors: async (service) => {
          await openDoor(service);
          now.service = service;
          return {
            async close() {
              now.service = null;
            },
          };
        },
        supervisor: {
          ready: (status) => void said.push(status),
          status: (status) => void said.push(status),
          reloading: () => {},
          stopping: () => {},
        },
        onHangup: (listener) => {
          now.hangup = listener;
        },
        onTrouble: async () => {},
      },
      stop.signal,
    );
    let failure: unknown = null;
    ended.catch((error: unknown) => {
      failure = error;
    });
    const finish = async (): Promise<boolean> => {
      stop.abort();
      // the grace that runs get is time of the test's clock
      for (;;) {
        const settled = await Promise.race([ended.then(() => true), systemClock.sleep(20).then(() => false)]);
        if (settled) return await ended;
        clock.advance(1000);
      }
    };
    onTestFinished(async () => void (await finish().catch(() => {})));
    return {
      ...{ lines, said, ended, finish },
      service: (): Service => {
        if (!now.service) throw new Error('the daemon has no service');
        return now.service;
      },
      hangup: () => now.hangup(),
      has: (event: string, shop?: string): boolean =>
        lines.some((line) => line.event === event && (shop === undefined || line.shop === shop)),
      async saw(event: string, shop?: string, count = 1): Promise<void> {
        const seen = (): boolean =>
          lines.filter((line) => line.event === event && (shop === undefined || line.shop === shop)).length >= count;
        await until(`${count} ${event} ${shop ?? ''}`, 30_000, async () => {
          if (failure !== null) throw failure;
          return seen();
        }).catch((error: Error) => {
          throw new Error(`${error.message}: ${JSON.stringify(lines.slice(-8))}`);
        });
      },
    };
  };
  return {
    ...{ dir, clock, start, addShop, stateDir: join(dir, 'state') },
    write: (names: readonly string[], more = '') => {
      text = config(names, more);
      writeFileSync(file, text);
    },
  };
}

test('SIGHUP: a new shop is backed up at once; a broken file is refused, said, and the old one stays; mended, it is taken', async () => {
  const it = await setting();
  const daemon = it.start();
  await daemon.saw('job.done', 'dupont');
  it.addShop('martin');
  it.write(['dupont', 'martin']);
  daemon.hangup();
  await daemon.saw('job.done', 'martin');
  expect(daemon.has('config.loaded')).toBe(true);

  it.write(['dupont', 'martin', 'durand'], 'limit: {}');
  daemon.hangup();
  await daemon.saw('config.refused');
  expect(daemon.service().state.configProblem).toMatchObject({ code: 'E_CONFIG', message: expect.stringContaining('limit') });
  expect([...daemon.service().config.shops.keys()]).toEqual(['dupont', 'martin']);
  await until('systemd is told', 5000, async () => daemon.said.at(-1)?.startsWith('RED') === true);
  await expect(daemon.service().reload('anna')).rejects.toMatchObject({ code: 'E_CONFIG' });

  it.write(['martin']);
  await daemon.service().reload('anna');
  expect(daemon.service().state.configProblem).toBeNull();
  expect([...daemon.service().config.shops.keys()]).toEqual(['martin']);
  await expect(daemon.service().submit({ kind: 'backup', shop: 'dupont', source: 'files', full: false }, 'anna')).rejects.toMatchObject({
    code: 'E_UNKNOWN_SHOP',
  });
  expect(await daemon.finish()).toBe(true);
}, 60_000);

test('a door that cannot be opened: the daemon ends, and nothing was begun', async () => {
  const it = await setting();
  const daemon = it.start(async () => {
    // time enough for a first backup, were it to begin
    await systemClock.sleep(300);
    throw new CoffreError('E_CONFIG', '127.0.0.1:8321 is taken');
  });
  await expect(daemon.ended).rejects.toMatchObject({ code: 'E_CONFIG' });
  expect(daemon.lines.map(({ event }) => event)).toEqual([]);
  expect(existsSync(join(it.dir, 'nas'))).toBe(false);
  await using catalog = await openCatalog(it.stateDir);
  expect(await catalog.db.selectFrom('runs').select('id').execute()).toEqual([]);
}, 60_000);

test('ready - said once the schedule is read and what is due begins, not when the doors open', async () => {
  const it = await setting();
  const atTheDoor: boolean[] = [];
  const daemon = it.start(async (service) => void atTheDoor.push(service.state.loading, daemon.said.length > 0));
  await daemon.saw('job.done', 'dupont');
  expect(atTheDoor).toEqual([true, false]);
  expect(daemon.service().state.loading).toBe(false);
  expect(daemon.said[0]).toBe('1 shops, 0 runs under way');
  expect(await daemon.finish()).toBe(true);
}, 60_000);

test('the configuration is read again while the doors open: what is planned is what it says then', async () => {
  const it = await setting();
  const daemon = it.start(async (service) => {
    it.addShop('martin');
    it.write(['martin']);
    await service.reload('anna');
  });
  await daemon.saw('job.done', 'martin');
  expect(daemon.has('job.started', 'dupont')).toBe(false);
  expect(await daemon.finish()).toBe(true);
}, 60_000);

test('orders: queued, told of, done; the same twice is one; what cannot be is refused; steps and results are in the catalog', async () => {
  const it = await setting(['dupont', 'martin']);
  const daemon = it.start();
  await daemon.saw('job.done', undefined, 2);
  const service = daemon.service();
  const heard: string[] = [];
  const backup = { kind: 'backup', shop: 'dupont', source: 'files', full: true } as const;
  const ids = await Promise.all([
    service.submit({ kind: 'reconcile', shop: 'martin' }, 'anna'),
    service.submit(backup, 'anna'),
    service.submit(backup, 'token ci'),
  ]);
  expect(new Set(ids).size).toBe(2);
  const run = ids[1] as string;
  for await (const event of service.feed.subscribe({ run, after: 0 }))
    heard.push(event.type === 'step' ? `step ${event.step}` : event.type);
  expect(heard.filter((what) => what !== 'progress')).toEqual([
    ...['queued', 'started', 'step open', 'step read', 'step lock', 'step commit', 'ended'],
  ]);
  expect(await readRun(service.catalog, run)).toMatchObject({
    ...{ state: 'done', who: 'anna', kind: 'backup', shop: 'dupont', source: 'files' },
    steps: [{ step: 'open' }, { step: 'read' }, { step: 'lock' }, { step: 'commit' }],
  });
  const refused = (task: Parameters<Service['submit']>[0]) => service.submit(task, 'anna').then(String, (error) => error.code);
  expect(await refused({ ...backup, source: 'database' })).toBe('E_CONFIG');
  expect(await refused({ ...backup, shop: 'dupond' })).toBe('E_UNKNOWN_SHOP');
  expect(await refused({ kind: 'catch-up', shop: '_coffre' })).toBe('E_UNKNOWN_SHOP');
  expect(await refused({ kind: 'probe', shop: 'dupont' })).toBe('E_USAGE');
  const audit = await service.catalog.db.selectFrom('audit').select(['who', 'what']).where('what', 'like', 'run %').execute();
  expect(audit.map(({ who, what }) => `${who}: ${what}`).sort()).toEqual(['anna: run backup', 'anna: run reconcile']);
  await daemon.finish();
}, 60_000);

test('paused: the night’s backup waits, and is made up for when it is resumed; an end that passes does the same', async () => {
  const it = await setting(['dupont'], new FakeClock('2026-11-23T12:00:00Z'));
  const daemon = it.start();
  await daemon.saw('job.done', 'dupont');
  const service = daemon.service();
  await expect(service.pause('dupond', { who: 'anna', reason: null, until: null })).rejects.toMatchObject({ code: 'E_UNKNOWN_SHOP' });
  await service.pause('dupont', { who: 'anna', reason: 'migration', until: it.clock.nowMs() + 36 * 60 * MINUTE });
  const backups = (): number =>
    daemon.lines.filter((line) => line.event === 'job.started' && /files|increments/.test(line.job ?? '')).length;
  for (let hours = 0; hours < 35; hours++) {
    it.clock.advance(60 * MINUTE);
    await systemClock.sleep(10);
  }
  expect(backups()).toBe(1);
  for (let minutes = 0; minutes < 90; minutes += 10) {
    it.clock.advance(10 * MINUTE);
    await systemClock.sleep(10);
  }
  await until('the backup that was missed', 10_000, async () => backups() === 2);
  await daemon.finish();
}, 60_000);

test('a catalog that is damaged while it runs: said, no lock held, alive; put right, the daemon goes on by itself with what was due', async () => {
  const it = await setting();
  const daemon = it.start();
  await daemon.saw('job.done', 'dupont');
  const path = catalogPath(it.stateDir);
  const kept = join(it.dir, 'kept.db');
  const other = new DatabaseSync(path);
  other.exec(`vacuum into '${kept}'`);
  // every connection finds it out with its next statement
  other.enableDefensive?.(false);
  other.exec(
    `pragma writable_schema = on; update sqlite_schema set sql = 'create garbage' where name = 'slots'; pragma schema_version = 4711`,
  );
  other.close();
  await daemon
    .service()
    .submit({ kind: 'prune', shop: 'dupont' }, 'anna')
    .catch(() => {});
  for (let minutes = 0; minutes < 3 && !daemon.has('daemon.degraded'); minutes++) {
    it.clock.advance(10 * MINUTE);
    await systemClock.sleep(100);
  }
  await daemon.saw('daemon.degraded');
  expect(daemon.lines.find((line) => line.event === 'daemon.degraded')?.code).toBe('E_CATALOG');
  expect(daemon.said.at(-1)).toMatch(/^RED/);
  expect(await daemonRunning(it.stateDir)).toBeNull();
  // still so after a while
  it.clock.advance(MINUTE);
  await daemon.saw('daemon.degraded', undefined, 2);
  for (const suffix of ['-wal', '-shm']) if (existsSync(path + suffix)) rmSync(path + suffix);
  copyFileSync(kept, path);
  it.clock.advance(MINUTE);
  await daemon.saw('daemon.recovered');
  await daemon.saw('daemon.started', undefined, 2);
  const id = await daemon.service().submit({ kind: 'prune', shop: 'dupont' }, 'anna');
  await until('the prune', 20_000, async () => (await readRun(daemon.service().catalog, id)).state === 'done');
  await daemon.finish();
}, 90_000);

test('a catalog that is no database from the start: the daemon waits for a better one, and ends at once when it is told to', async () => {
  const it = await setting();
  mkdirSync(it.stateDir, { mode: 0o700 });
  writeFileSync(catalogPath(it.stateDir), Buffer.alloc(8192, 7));
  const daemon = it.start();
  await daemon.saw('daemon.degraded');
  rmSync(catalogPath(it.stateDir));
  it.clock.advance(MINUTE);
  await daemon.saw('job.done', 'dupont');
  expect(await daemon.finish()).toBe(true);
  const again = await setting();
  mkdirSync(again.stateDir, { mode: 0o700 });
  writeFileSync(catalogPath(again.stateDir), Buffer.alloc(8192, 7));
  const other = again.start();
  await other.saw('daemon.degraded');
  expect(await other.finish()).toBe(true);
}, 60_000);

test('a command beside it holds the shop: an order waits for it', async () => {
  const it = await setting();
  const daemon = it.start();
  await daemon.saw('job.done', 'dupont');
  const lock = await acquireLock(it.stateDir, 'shop-dupont');
  const id = await daemon.service().submit({ kind: 'prune', shop: 'dupont' }, 'anna');
  await daemon.saw('order.started');
  await systemClock.sleep(200);
  expect((await readRun(daemon.service().catalog, id)).state).toBe('queued');
  lock?.release();
  it.clock.advance(MINUTE);
  await daemon.saw('order.done');
  expect((await readRun(daemon.service().catalog, id)).state).toBe('done');
  await daemon.finish();
}, 60_000);

test.skipIf(process.getuid?.() !== 0)(
  'the disk of the state is full when a backup is due: said, alive; with room again it is taken by itself',
  async () => {
    const it = await setting(['dupont'], new FakeClock('2026-11-23T12:00:00Z'));
    mkdirSync(it.stateDir, { mode: 0o700 });
    const mount = (...args: readonly string[]) => execFileSync('mount', args);
    mount('-t', 'tmpfs', '-o', 'size=200m,mode=700', 'coffre-test', it.stateDir);
    onTestFinished(() => void execFileSync('umount', ['--lazy', it.stateDir]));
    const daemon = it.start();
    await daemon.saw('job.done', 'dupont');
    const { blocks, bfree, bsize } = statfsSync(it.stateDir);
    mount('-o', `remount,size=${(blocks - bfree) * bsize}`, it.stateDir);
    const failed = (): boolean =>
      daemon.lines.some(({ event, code, job }) => event === 'job.failed' && job === 'increments' && code === 'E_STATE_SPACE');
    for (let hours = 0; hours < 24 && !failed(); hours++) {
      it.clock.advance(60 * MINUTE);
      await systemClock.sleep(50);
    }
    await until('the full disk is said', 10_000, async () => failed());
    const before = daemon.lines.filter(({ event, job }) => event === 'job.done' && job === 'increments').length;
    mount('-o', 'remount,size=200m', it.stateDir);
    for (let hours = 0; hours < 26; hours++) {
      it.clock.advance(60 * MINUTE);
      await systemClock.sleep(30);
    }
    await until(
      'the backup',
      20_000,
      async () => daemon.lines.filter(({ event, job }) => event === 'job.done' && job === 'increments').length > before,
    );
    expect(await daemon.finish()).toBe(true);
  },
  90_000,
);
