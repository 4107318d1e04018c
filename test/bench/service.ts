// What the daemon does for hundreds of shops on one machine: `npm run bench -- service`.
//   fleet  500 shops are declared, 300 of them with a backup that is due in the same minute, each of a small database on one real server, into one
//          real store. Meanwhile the API is asked 20 times a second, whether it answers or not. All must be done, none twice, never more at
//          once than limits.concurrency.
//   start  how soon a daemon is ready whose catalog holds 1,000,000 segments of 500 shops, and what it takes while it waits.
// Goals are reported and do not change the exit status; a run that is missing, doubled or one too many at a time does.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openCatalog } from '../../src/catalog/open.ts';
import { systemClock } from '../../src/clock.ts';
import { catalogSlots } from '../../src/schedule/slots.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { makeBucket } from '../servers/s3.ts';
import { COFFRE } from '../world/world.ts';
import { machine, round } from './measuring/figures.ts';
import { readOptions, runBench } from './measuring/options.ts';
import type { Setting } from './measuring/setting.ts';
import { ask, askSteadily, type Latency } from './measuring/steady-asking.ts';

const GOALS = { rssMiB: 512, idleRssMiB: 150, p99Ms: 50, startSeconds: 2 } as const;
const CONCURRENCY = 2;
const ASKED_EVERY_MS = 50;
const SERVICE = '/v1/service';
const ASKED = ['/v1/status?limit=20', '/v1/runs?limit=20', '/v1/shops/shop0001', '/v1/shops?limit=50', SERVICE, '/metrics', '/healthz'];
/** What the daemon needed for its start it gives back within half a minute, and then again (src/schedule/idle-memory.ts). */
const IDLE_AFTER_MS = 75_000;
/** The highest of that time counts. */
const IDLE_FOR_MS = 15_000;
const DEADLINE_MS = 30 * 60_000;

const options = readOptions(
  `usage: npm run bench -- service [--json] [--scale FRACTION] [--only fleet,start]
  full size takes some eight minutes; --scale 0.05 is for trying it out`,
  ['fleet', 'start'],
);

interface Fleet {
  readonly shops: number;
  readonly due: number;
  readonly done: number;
  readonly twice: number;
  readonly notDone: readonly string[];
  readonly mostAtOnce: number;
  readonly seconds: number;
  readonly peakRssMiB: number;
  readonly idleRssMiB: number;
  /** While they ran: of all answers, and of each route. */
  readonly api: Latency & { readonly routes: Readonly<Record<string, Latency>> };
  /** Meanwhile, of a server beside it that has nothing to do: what is slow there is the machine. */
  readonly bare: Latency;
}

interface Start {
  readonly segments: number;
  /** Until /readyz says so. */
  readonly seconds: number;
  readonly startRssMiB: number;
  readonly idleRssMiB: number;
}

const nameOf = (number: number): string => `shop${String(number).padStart(4, '0')}`;

await runBench('service', options, async (setting) => {
  const fleet = options.wanted('fleet') ? await measureFleet(setting) : null;
  const start = options.wanted('start') ? await measureStart(setting) : null;
  const met = {
    ...(fleet && {
      rss: fleet.peakRssMiB <= GOALS.rssMiB,
      idleRss: fleet.idleRssMiB <= GOALS.idleRssMiB,
      p99: fleet.api.p99Ms <= GOALS.p99Ms,
    }),
    ...(start && { start: start.seconds <= GOALS.startSeconds, startIdleRss: start.idleRssMiB <= GOALS.idleRssMiB }),
  };
  const lines = [
    ...(fleet
      ? [
          `${fleet.shops} shops, ${fleet.due} due at once: ${fleet.done} done in ${fleet.seconds} s, ${fleet.twice} twice, at most ${fleet.mostAtOnce} at once (allowed: ${CONCURRENCY})`,
          `memory: ${fleet.idleRssMiB} MiB before (goal ${GOALS.idleRssMiB}), at most ${fleet.peakRssMiB} MiB (goal ${GOALS.rssMiB})`,
          `API meanwhile: ${latencyText(fleet.api)} (goal ${GOALS.p99Ms})`,
          `a server that has nothing to do, meanwhile: ${latencyText(fleet.bare)}`,
          ...Object.entries(fleet.api.routes).map(([route, latency]) => `  ${route}: ${latencyText(latency)}`),
        ]
      : []),
    ...(start
      ? [
          `catalog of ${start.segments} segments: ready after ${start.seconds} s (goal ${GOALS.startSeconds}), ${start.startRssMiB} MiB then, ${start.idleRssMiB} MiB idle (goal ${GOALS.idleRssMiB})`,
        ]
      : []),
  ];
  const document = {
    bench: 'service',
    scale: options.scale,
    concurrency: CONCURRENCY,
    goals: GOALS,
    met,
    fleet,
    start,
    machine: machine(),
  };
  return { text: lines.join('\n'), document };
});

function latencyText({ answers, p50Ms, p99Ms, slowestMs }: Latency): string {
  return `${answers} answers, median ${p50Ms} ms, 99th percentile ${p99Ms} ms, slowest ${slowestMs} ms`;
}

async function measureFleet(setting: Setting): Promise<Fleet> {
  const shops = Math.max(10, Math.round(500 * options.scale));
  const due = Math.max(6, Math.round(300 * options.scale));
  console.error(`making ${due} small databases`);
  const server = await startMariadb();
  setting.stops.push(() => server.stop());
  await fill(server, due);
  const bucket = await makeBucket(setting.store);
  setting.stops.push(() => bucket.release());
  const place = placeIn(setting, 'fleet');
  const { accessKey, secretKey, endpoint, region } = bucket.store;
  writeFileSync(place.credentials, JSON.stringify({ accessKeyId: accessKey, secretAccessKey: secretKey }), { mode: 0o600 });
  writeFileSync(join(place.dir, 'password'), 'secret\n', { mode: 0o600 });
  const at = systemClock
    .now()
    .add({ milliseconds: IDLE_AFTER_MS + IDLE_FOR_MS + 45_000 })
    .toZonedDateTimeISO('UTC')
    .round({ smallestUnit: 'minute', roundingMode: 'ceil' });
  const never = 'files: off, increments: off, server: off';
  const declared = Array.from({ length: shops }, (_, number) => {
    const database = number < due ? nameOf(number) : nameOf(0);
    return `  ${nameOf(number)}: { plan: ${number < due ? 'now' : 'later'}, vaults: [offsite], database: { socketPath: ${server.socketPath}, user: coffre, passwordFile: ${join(place.dir, 'password')}, name: ${database} } }`;
  });
  writeConfig(place, [
    `  offsite: { type: s3, endpoint: "${endpoint}", region: ${region}, bucket: ${bucket.name}, forcePathStyle: true, offsite: true, lock: { mode: ${setting.store.kind === 'external' ? 'GOVERNANCE' : 'COMPLIANCE'} }, credentialsFile: ${place.credentials} }`,
    'plans:',
    `  now: { retention: 14d, schedule: { database: "${at.minute} ${at.hour} * * *", ${never} } }`,
    `  later: { retention: 14d, schedule: { database: "${(at.minute + 30) % 60} ${(at.hour + 12) % 24} * * *", ${never} } }`,
    'shops:',
    ...declared,
  ]);
  await promisify(execFile)(COFFRE, ['--config', place.config, 'keys', 'make']);
  // a daemon that ran before: no shop's first backup is due at the start
  {
    await using catalog = await openCatalog(place.state);
    const slots = catalogSlots(catalog, systemClock);
    for (let number = 0; number < shops; number++) await slots.taken(nameOf(number), 'database', systemClock.now());
  }
  await startOnce(setting, place);
  const daemon = await startDaemon(setting, place);
  const bare = await startBareServer(setting, place);
  const idleRssMiB = await idleMemoryOf(daemon.pid);
  console.error(`due at ${at.toInstant()}; ${idleRssMiB} MiB before`);
  await systemClock.sleep(Math.max(0, at.epochMilliseconds - systemClock.nowMs()));
  const began = performance.now();
  const asking = askSteadily(place.socket, ASKED, ASKED_EVERY_MS);
  const askingBare = askSteadily(bare, ['/'], ASKED_EVERY_MS);
  for (const one of [asking, askingBare]) setting.stops.push(async () => void (await one.stop().catch(() => {})));
  for (let ended = false; !ended; ) {
    await systemClock.sleep(500);
    setting.signal.throwIfAborted();
    if (performance.now() - began > DEADLINE_MS) throw new Error('the backups did not end in half an hour');
    // told by the daemon: looking into its catalog here would stand in its way
    const { due: waiting = 1, running = [] } = JSON.parse(asking.latest(SERVICE) ?? '{}') as { due?: number; running?: unknown[] };
    ended = performance.now() - began > 5000 && waiting === 0 && running.length === 0;
  }
  const seconds = round((performance.now() - began) / 1000, 1);
  const api = await asking.stop();
  const { routes: _, ...ofBare } = await askingBare.stop();
  const peakRssMiB = memoryOf(daemon.pid, 'VmHWM');
  const runs = await runsOf(place);
  await daemon.stop();
  const done = runs.filter(({ state }) => state === 'done');
  const twice = runs.length - new Set(runs.map(({ shop }) => shop)).size;
  const notDone = runs.filter(({ state }) => state !== 'done').map(({ shop, state, errorCode }) => `${shop}: ${state} ${errorCode ?? ''}`);
  const mostAtOnce = mostTogether(runs);
  if (done.length !== due || twice > 0 || mostAtOnce > CONCURRENCY) {
    throw new Error(`${done.length} of ${due} done, ${twice} twice, ${mostAtOnce} at once; ${notDone.slice(0, 3).join(', ')}`);
  }
  return { shops, due, done: done.length, twice, notDone, mostAtOnce, seconds, peakRssMiB, idleRssMiB, api, bare: ofBare };
}

async function measureStart(setting: Setting): Promise<Start> {
  const shops = Math.max(10, Math.round(500 * options.scale));
  const place = placeIn(setting, 'start');
  console.error(`filling a catalog with ${shops * 2000} segments`);
  await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'prune/fill.ts'), place.state, String(shops), '2000', '40']);
  writeFileSync(place.credentials, JSON.stringify({ accessKeyId: 'nobody', secretAccessKey: 'nobody' }), { mode: 0o600 });
  const root = join(place.dir, 'www');
  mkdirSync(root);
  const declared = Array.from(
    { length: shops },
    (_, number) => `  ${nameOf(number)}: { plan: later, vaults: [offsite], files: { root: ${root} } }`,
  );
  writeConfig(place, [
    // nothing is asked of it before something is due
    `  offsite: { type: s3, endpoint: "http://127.0.0.1:9", bucket: coffre, offsite: true, credentialsFile: ${place.credentials} }`,
    'plans:',
    '  later: { retention: 14d, schedule: { files: "0 3 29 2 *", increments: off } }',
    'shops:',
    ...declared,
  ]);
  await promisify(execFile)(COFFRE, ['--config', place.config, 'keys', 'make']);
  // read back lately, all of it: a daemon that reads is not idle
  {
    await using catalog = await openCatalog(place.state);
    await catalog.db.updateTable('objects').set({ readAt: systemClock.nowMs() }).execute();
  }
  const seconds = await startOnce(setting, place);
  const daemon = await startDaemon(setting, place);
  await systemClock.sleep(3000);
  const startRssMiB = memoryOf(daemon.pid, 'VmRSS');
  const idleRssMiB = await idleMemoryOf(daemon.pid);
  await daemon.stop();
  return { segments: shops * 2000, seconds, startRssMiB, idleRssMiB };
}

interface Place {
  readonly dir: string;
  readonly config: string;
  readonly state: string;
  readonly socket: string;
  readonly credentials: string;
}

function placeIn(setting: Setting, name: string): Place {
  const dir = join(setting.dir, name);
  const state = join(dir, 'state');
  mkdirSync(state, { recursive: true, mode: 0o700 });
  return { dir, state, config: join(dir, 'coffre.yaml'), socket: join(dir, 'coffre.sock'), credentials: join(dir, 'offsite.json') };
}

function writeConfig({ config, dir, socket, state }: Place, more: readonly string[]): void {
  const lines = [
    ...['timezone: UTC', `stateDir: ${state}`, `listen: { socket: ${socket}, http: null }`, `encryption: none`],
    ...[`signing: { keyFile: ${join(dir, 'signing.key')} }`, `limits: { concurrency: ${CONCURRENCY}, jitter: 0s }`, 'vaults:'],
    ...more,
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
}

/** Three tables of a few rows: what there is to do is what each shop costs, whatever its size. */
async function fill(server: Mariadb, databases: number): Promise<void> {
  const lines = ["CREATE USER coffre@localhost IDENTIFIED BY 'secret';", 'GRANT ALL ON *.* TO coffre@localhost;'];
  for (let number = 0; number < databases; number++) {
    const name = nameOf(number);
    lines.push(`CREATE DATABASE ${name};`);
    for (const table of ['customer', 'orders', 'product']) {
      const rows = Array.from({ length: 20 }, (_, row) => `(${row}, '${name} ${table} ${row}')`).join(', ');
      lines.push(`CREATE TABLE ${name}.${table} (id INT PRIMARY KEY, text VARCHAR(100)) ENGINE=InnoDB;`);
      lines.push(`INSERT INTO ${name}.${table} VALUES ${rows};`);
    }
  }
  await server.sql(lines.join('\n'));
}

interface Daemon {
  readonly pid: number;
  /** From its start until it is ready. */
  readonly seconds: number;
  stop(): Promise<void>;
}

async function startDaemon(setting: Setting, { config, dir, socket }: Place): Promise<Daemon> {
  const began = performance.now();
  const child = spawn(COFFRE, ['--config', config, '--log-level', 'warn', 'daemon'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const said: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  const ended = once(child, 'close');
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
    writeFileSync(join(dir, 'daemon.log'), said.join(''));
  };
  setting.stops.push(stop);
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the daemon ended: ${said.join('').slice(-2000)}`);
    if ((await ask(socket, '/readyz').catch(() => null))?.status === 200) break;
    setting.signal.throwIfAborted();
    await systemClock.sleep(10);
  }
  return { pid: child.pid as number, seconds: round((performance.now() - began) / 1000, 2), stop };
}

/**
 * A daemon that ran before: sources that Node has not compiled yet (`npm run bench` after a change) have their types stripped first, by a
 * compiler of 10 MiB which then stays. A package carries them without types. Seconds until it is ready.
 */
async function startOnce(setting: Setting, place: Place): Promise<number> {
  const daemon = await startDaemon(setting, place);
  await daemon.stop();
  return daemon.seconds;
}

/** Its socket. */
async function startBareServer(setting: Setting, { dir }: Place): Promise<string> {
  const socket = join(dir, 'bare.sock');
  const child = spawn(process.execPath, [join(import.meta.dirname, 'service/bare-server.ts'), socket], { stdio: 'ignore' });
  const ended = once(child, 'close');
  setting.stops.push(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  while ((await ask(socket, '/').catch(() => null)) === null) {
    setting.signal.throwIfAborted();
    await systemClock.sleep(50);
  }
  return socket;
}

/** Of a process, by the kernel. bin/coffre becomes Node itself. */
function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const [, kib = '0'] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1024);
}

/** Of a daemon that has just become ready and to which nobody speaks, in MiB. */
async function idleMemoryOf(pid: number): Promise<number> {
  await systemClock.sleep(IDLE_AFTER_MS);
  let most = 0;
  for (const endMs = performance.now() + IDLE_FOR_MS; performance.now() < endMs; ) {
    most = Math.max(most, memoryOf(pid, 'VmRSS'));
    await systemClock.sleep(500);
  }
  return most;
}

async function runsOf({ state }: Place) {
  await using catalog = await openCatalog(state);
  return await catalog.db
    .selectFrom('runs')
    .select(['shop', 'state', 'startedAt', 'endedAt', 'errorCode'])
    .where('kind', '=', 'backup')
    .execute();
}

/** How many ran at one instant, at most. */
function mostTogether(runs: readonly { readonly startedAt: number; readonly endedAt: number | null }[]): number {
  const changes = runs.flatMap(({ startedAt, endedAt }) => [
    { at: startedAt, by: 1 },
    { at: endedAt ?? Number.MAX_SAFE_INTEGER, by: -1 },
  ]);
  // one that ends in the millisecond in which the next begins made room for it
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  let most = 0;
  for (const { by } of changes) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}
