import { createHmac } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { channelTroubles, waitingMessages } from '../../src/catalog/messages.ts';
import { CoffreError } from '../../src/errors.ts';
import { declaredFields, type LevelLog } from '../../src/events.ts';
import { Notifier } from '../../src/notify/notifier.ts';
import type { NotifierService } from '../../src/notify/notifier-service.ts';
import type { AlarmKind } from '../../src/schedule/alarm.ts';
import type { ShopSurvey } from '../../src/schedule/survey.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { LOGIN, startMailServer, startReceiver } from './receivers.ts';
import { notifiedService } from './service.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SECRET = 'hunter2-in-an-error';

interface Red {
  readonly kind: AlarmKind;
  readonly vault?: string;
  readonly source?: 'database' | 'files';
  readonly detail?: string;
  readonly code?: string;
}

/** A notifier over a real catalog, with a configuration's notify section and shops whose status the test says. */
async function setting(notify: readonly string[]) {
  const dir = await tempDir();
  const clock = new FakeClock();
  const daemon = await notifiedService(clock, dir, [
    `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
    'plans: { plan: { retention: 14d } }',
    `shops: { a: { plan: plan, vaults: [nas], files: { root: ${dir}/a } }, b: { plan: plan, vaults: [nas], files: { root: ${dir}/b } } }`,
    'notify:',
    ...notify.map((line) => `  ${line}`),
  ]);
  const { catalog, config } = daemon;
  const red = new Map<string, readonly Red[] | CoffreError>([
    ['a', []],
    ['b', []],
  ]);
  const lines: Record<string, unknown>[] = [];
  const write = (fields: object): void => void lines.push(declaredFields(fields as Record<string, unknown>));
  const log: LevelLog = { level: 'info', debug: write, info: write, warn: write, error: write };
  const service: NotifierService = {
    ...daemon,
    log,
    survey: { isComplete: true, shops: () => [...red].map(([shop, alarms]) => surveyOf(shop, alarms)) },
  };
  let notifier = await Notifier.open(service, 'backup1');
  return {
    ...{ catalog, clock, config, lines, red, service },
    /** Looks every 15 s, as the daemon does. */
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 15_000) {
        clock.advance(15_000);
        await notifier.tick();
      }
    },
    async restart() {
      notifier = await Notifier.open(service, 'backup1');
    },
  };
}

function surveyOf(shop: string, alarms: readonly Red[] | CoffreError): ShopSurvey {
  const rest = { shop, at: 0, snapshots: new Map(), levels: new Map() };
  if (alarms instanceof CoffreError) return { ...rest, status: null, error: alarms };
  const said = alarms.map(({ code = null, detail = null, kind, source = null, vault = null }) => ({
    code,
    detail,
    kind,
    source,
    vault,
    text: SECRET,
  }));
  // of a status, what is red is all that counts here
  return { ...rest, error: null, status: { shop, ok: said.length === 0, alarms: said } as unknown as ShopSurvey['status'] };
}

const secretFile = async (content: string): Promise<string> => {
  const file = join(await tempDir(), 'secret');
  writeFileSync(file, content);
  chmodSync(file, 0o600);
  return file;
};

describe('mail', () => {
  it.each(['starttls', 'tls'] as const)('a server with %s and a login - the message arrives encrypted', async (security) => {
    const server = await startMailServer(security);
    const password = await secretFile(LOGIN.password);
    const it = await setting([
      `mail: { host: localhost, port: ${server.port}, security: ${security}, caFile: ${server.caFile}, user: ${LOGIN.user}, passwordFile: ${password}, from: coffre@example.net, to: [nuit@example.net, jour@example.net] }`,
    ]);
    it.red.set('a', [{ kind: 'run', source: 'database', code: 'E_DB_CONNECT' }]);
    await it.pass(3 * MINUTE);
    expect(server.mails).toHaveLength(1);
    const [mail] = server.mails;
    expect(mail).toMatchObject({
      from: 'coffre@example.net',
      to: ['nuit@example.net', 'jour@example.net'],
      login: LOGIN.user,
      encrypted: true,
    });
    expect(mail?.text).toContain('Subject: coffre on backup1: RED: a: database: the last backup failed');
    expect(mail?.text).toContain('Auto-Submitted: auto-generated');
    expect(mail?.text).toContain('what to do: check host, port or socketPath');
    expect(mail?.text).not.toContain(SECRET);
    expect(JSON.stringify(it.lines)).not.toContain(LOGIN.password);
    expect(it.lines.filter((line) => line.event === 'notify.sent')).toHaveLength(1);
    expect(it.lines.filter((line) => 'undeclared' in line)).toEqual([]);
  });

  it('a server that is not encrypted, where encryption is asked for - refused before the password is said', async () => {
    const server = await startMailServer('none');
    const password = await secretFile(LOGIN.password);
    const it = await setting([
      `mail: { host: localhost, port: ${server.port}, user: ${LOGIN.user}, passwordFile: ${password}, from: c@example.net, to: [n@example.net] }`,
    ]);
    it.red.set('a', [{ kind: 'prune' }]);
    await it.pass(3 * MINUTE);
    expect(server.mails).toEqual([]);
    expect(await channelTroubles(it.catalog.db, it.clock.nowMs())).toMatchObject([{ channel: 'mail', waiting: 1, code: 'E_NOTIFY' }]);
  });

  it('a certificate that nobody vouches for - refused', async () => {
    const server = await startMailServer('tls');
    const it = await setting([`mail: { host: localhost, port: ${server.port}, security: tls, from: c@example.net, to: [n@example.net] }`]);
    it.red.set('a', [{ kind: 'prune' }]);
    await it.pass(3 * MINUTE);
    expect(server.mails).toEqual([]);
    expect(it.lines.filter((line) => line.event === 'notify.failed')).toMatchObject([{ channel: 'mail', code: 'E_NOTIFY' }]);
  });

  it('a server that refuses for a while - tried again with longer pauses, then taken once', async () => {
    const server = await startMailServer('none');
    const it = await setting([`mail: { host: localhost, port: ${server.port}, security: none, from: c@example.net, to: [n@example.net] }`]);
    server.refuses = true;
    it.red.set('a', [{ kind: 'prune' }]);
    await it.pass(30 * MINUTE);
    const tries = it.lines.filter((line) => line.event === 'notify.failed');
    expect(tries.length).toBe(4);
    expect(tries[0]).toMatchObject({ channel: 'mail', code: 'E_NOTIFY', retryAt: expect.any(String) });
    expect(await channelTroubles(it.catalog.db, it.clock.nowMs())).toMatchObject([
      { channel: 'mail', waiting: 1, error: expect.stringContaining('451') },
    ]);
    await it.restart();
    server.refuses = false;
    await it.pass(HOUR);
    expect(server.mails).toHaveLength(1);
    expect(await channelTroubles(it.catalog.db, it.clock.nowMs())).toEqual([]);
    expect(await waitingMessages(it.catalog.db)).toEqual([]);
  });
});

describe('webhook', () => {
  it('a key is configured - JSON, signed over its time and body', async () => {
    const receiver = await startReceiver();
    const key = await secretFile('shared-key');
    const it = await setting([`webhook: { url: "${receiver.url}/hook", keyFile: ${key} }`]);
    it.red.set('a', [{ kind: 'lacking', vault: 'nas', code: 'E_VAULT_UNREACHABLE' }]);
    it.red.set('b', [{ kind: 'lacking', vault: 'nas', code: 'E_VAULT_UNREACHABLE' }]);
    await it.pass(3 * MINUTE);
    expect(receiver.calls).toHaveLength(1);
    const [call] = receiver.calls;
    expect(JSON.parse(call?.body ?? '')).toMatchObject({
      ...{ version: 1, kind: 'alarm', host: 'backup1' },
      raised: [{ kind: 'lacking', vault: 'nas', shops: ['a', 'b'], hint: expect.any(String) }],
    });
    expect(call?.body).not.toContain(SECRET);
    const [, seconds, signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(call?.headers['coffre-signature'])) ?? [];
    expect(signature).toBe(createHmac('sha256', 'shared-key').update(`${seconds}.${call?.body}`).digest('hex'));
    expect(Math.abs(Number(seconds) * 1000 - it.clock.nowMs())).toBeLessThan(5 * MINUTE);
  });

  it('it is red, stays so over a restart, and is green again - two messages', async () => {
    const receiver = await startReceiver();
    const it = await setting([`webhook: { url: "${receiver.url}/hook" }`]);
    it.red.set('a', [{ kind: 'probe', vault: 'nas' }]);
    await it.pass(10 * MINUTE);
    await it.restart();
    await it.pass(10 * MINUTE);
    it.red.set('a', []);
    await it.restart();
    await it.pass(10 * MINUTE);
    expect(receiver.calls.map((call) => JSON.parse(call.body).kind)).toEqual(['alarm', 'recovery']);
    expect(it.lines.map((line) => line.event).filter((event) => String(event).startsWith('alarm'))).toEqual([
      'alarm.raised',
      'alarm.cleared',
    ]);
  });

  it('an incident, and another of another kind while it is open - each is told', async () => {
    const receiver = await startReceiver();
    const it = await setting([`webhook: { url: "${receiver.url}/hook" }`]);
    const missing = { kind: 'incident', vault: 'nas', detail: 'missing', code: 'E_INCIDENT' } as const;
    it.red.set('a', [missing]);
    await it.pass(10 * MINUTE);
    it.red.set('a', [missing, { ...missing, detail: 'foreign version' }]);
    await it.pass(10 * MINUTE);
    const told = receiver.calls.map(({ body }) => JSON.parse(body).raised.map(({ what }: { what: string }) => what));
    expect(told).toEqual([
      [expect.stringMatching(/^vault nas: something is not as coffre left it \(missing\)/)],
      [expect.stringMatching(/^vault nas: something is not as coffre left it \(foreign version\)/)],
    ]);
  });

  it.each([302, 500])('the answer is %i - not taken, and tried again', async (status) => {
    const receiver = await startReceiver();
    receiver.status = status;
    const it = await setting([`webhook: { url: "${receiver.url}/hook?token=hunter2" }`]);
    it.red.set('a', [{ kind: 'probe', vault: 'nas' }]);
    await it.pass(3 * MINUTE);
    expect(receiver.calls.map(({ url }) => url)).toEqual(['/hook?token=hunter2']);
    expect(JSON.stringify(await waitingMessages(it.catalog.db))).toContain(`status ${status}`);
    expect(JSON.stringify([it.lines, await waitingMessages(it.catalog.db)])).not.toContain('hunter2');
    receiver.status = 204;
    await it.pass(2 * MINUTE);
    expect(await waitingMessages(it.catalog.db)).toEqual([]);
  });

  it('nobody takes it for three days - given up, and status says so for a day', async () => {
    const it = await setting(['webhook: { url: "http://127.0.0.1:9/hook" }']);
    it.red.set('a', [{ kind: 'probe', vault: 'nas' }]);
    await it.pass(3 * MINUTE);
    for (let hours = 0; hours < 74; hours++) {
      it.clock.advance(HOUR);
      await it.pass(15_000);
    }
    expect(it.lines.some((line) => line.event === 'notify.givenUp')).toBe(true);
    expect((await channelTroubles(it.catalog.db, it.clock.nowMs())).length).toBe(1);
  });

  it('the catalog cannot be written - people are told all the same, once', async () => {
    const receiver = await startReceiver();
    const it = await setting([`webhook: { url: "${receiver.url}/hook" }`]);
    await sql`pragma query_only = on`.execute(it.catalog.db);
    it.red.set('a', new CoffreError('E_STATE_SPACE', 'no space left'));
    await it.pass(30 * MINUTE);
    expect(receiver.calls.map((call) => JSON.parse(call.body).raised[0])).toMatchObject([{ kind: 'unknown', code: 'E_STATE_SPACE' }]);
    expect(it.lines.filter((line) => line.event === 'notify.unsaved')).toHaveLength(1);
    await sql`pragma query_only = off`.execute(it.catalog.db);
    await it.pass(MINUTE);
    await it.restart();
    await it.pass(HOUR);
    expect(receiver.calls).toHaveLength(1);
  });
});

describe('ping', () => {
  it('green - the address, every so often; red - its /fail at once; green again - the address', async () => {
    const receiver = await startReceiver();
    const it = await setting([`ping: { url: "${receiver.url}/ping/uuid?rid=1", every: 10m }`]);
    await it.pass(21 * MINUTE);
    it.red.set('a', [{ kind: 'prune' }]);
    await it.pass(3 * MINUTE);
    it.red.set('a', []);
    await it.pass(MINUTE);
    expect(receiver.calls.map(({ method, url }) => `${method} ${url}`)).toEqual([
      ...['GET /ping/uuid?rid=1', 'GET /ping/uuid?rid=1', 'GET /ping/uuid?rid=1'],
      ...['GET /ping/uuid/fail?rid=1', 'GET /ping/uuid?rid=1'],
    ]);
  });

  it('fail: false - silence while something is red', async () => {
    const receiver = await startReceiver();
    const it = await setting([`ping: { url: "${receiver.url}/ping", every: 10m, fail: false }`]);
    it.red.set('a', [{ kind: 'prune' }]);
    await it.pass(3 * MINUTE);
    const before = receiver.calls.length;
    await it.pass(HOUR);
    expect(receiver.calls.length).toBe(before);
  });

  it('nobody answers - logged once, tried each minute, and well again by itself', async () => {
    const receiver = await startReceiver();
    receiver.status = 500;
    const it = await setting([`ping: { url: "${receiver.url}/ping", every: 10m }`]);
    await it.pass(3 * MINUTE);
    expect(receiver.calls.length).toBe(3);
    expect(it.lines.filter((line) => line.event === 'notify.failed')).toMatchObject([{ channel: 'ping' }]);
    const troubles = () => channelTroubles(it.catalog.db, it.clock.nowMs());
    const [trouble] = await troubles();
    expect(trouble).toMatchObject({ channel: 'ping', waiting: 1, code: 'E_NOTIFY', error: expect.stringContaining('status 500') });
    await it.restart();
    await it.pass(2 * MINUTE);
    // a restart does not make it look younger
    expect(await troubles()).toEqual([trouble]);
    receiver.status = 200;
    const before = receiver.calls.length;
    await it.pass(10 * MINUTE);
    expect(receiver.calls.length).toBe(before + 1);
    expect(await troubles()).toEqual([]);
  });

  it('nobody answers, and it is taken out of the configuration - no trouble any more', async () => {
    const receiver = await startReceiver();
    receiver.status = 500;
    const it = await setting([`ping: { url: "${receiver.url}/ping", every: 10m }`]);
    await it.pass(3 * MINUTE);
    expect(await channelTroubles(it.catalog.db, it.clock.nowMs())).toHaveLength(1);
    Object.assign(it.config.notify, { ping: null });
    await it.pass(MINUTE);
    expect(await channelTroubles(it.catalog.db, it.clock.nowMs())).toEqual([]);
  });
});
