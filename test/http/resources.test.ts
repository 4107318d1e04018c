// What the resources say and what orders do: pages, tags, the audit of every change, and errors by class.
import { describe, expect, test } from 'vitest';
import { Ledger } from '../../src/billing/ledger.ts';
import { audit } from '../../src/catalog/audit.ts';
import { queueRun } from '../../src/catalog/run-queue.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import { CoffreError, ERRORS, type ErrorCode } from '../../src/errors.ts';
import { problemOf, statusOf } from '../../src/http/problem.ts';
import { newId } from '../../src/segment/id.ts';
import { ask, startDaemon, type TestDaemon } from './daemon.ts';
import { makeThings, SECRET_WORD } from './things.ts';

interface Page {
  readonly next: string | null;
  readonly [field: string]: unknown;
}

/** Every page of a list; `between` happens after each. */
async function pages(it: TestDaemon, token: string, path: string, field: string, between: () => Promise<void>) {
  const rows: { readonly id: string | number }[] = [];
  for (let cursor: string | null = null, at = 0; at < 100; at++) {
    const { status, json } = await it.ask(
      token,
      'GET',
      `${path}${path.includes('?') ? '&' : '?'}limit=7${cursor === null ? '' : `&cursor=${cursor}`}`,
    );
    expect(status).toBe(200);
    const page = json as Page;
    rows.push(...(page[field] as typeof rows));
    await between();
    cursor = page.next;
    if (cursor === null) return rows.map((row) => row.id);
  }
  throw new Error('the pages do not end');
}

describe('pages', () => {
  test('rows come while a list is read - what was there is told, once each, in order', async () => {
    const it = await startDaemon();
    const { catalog, service } = it;
    const { clock } = service;
    const token = await it.token('admin');
    const ledger = new Ledger(catalog, clock);
    const makeRun = async (): Promise<string> => {
      const id = newId(clock);
      await queueRun(catalog, clock, { id, kind: 'prune', shop: 'dupont', source: null, who: 'test', task: {} });
      return id;
    };
    const makeRow = async (): Promise<void> => {
      const key = `dupont/${newId(clock)}`;
      const id = await ledger.intent({ vault: 'nas', shop: 'dupont', key, kind: 'segment', refId: null, runId: null, expectedBytes: 1 });
      await ledger.stored(id, { key, versionId: key, sizeBytes: 1, lock: null }, null);
    };
    const runs: string[] = [];
    for (let at = 0; at < 30; at++) {
      runs.push(await makeRun());
      await makeRow();
      await audit(catalog, clock, { who: 'test', what: `thing ${at}` });
    }
    const told = await pages(it, token, '/v1/runs', 'runs', async () => void (await makeRun()));
    expect(told).toEqual([...runs].reverse());
    expect(await pages(it, token, '/v1/billing/ledger', 'rows', async () => {})).toEqual(Array.from({ length: 30 }, (_, at) => at + 1));
    // oldest first: what comes meanwhile is at the end, and the list ends when it is caught up with
    let more = 3;
    const growing = await pages(it, token, '/v1/billing/ledger', 'rows', async () => {
      if (more-- > 0) await makeRow();
    });
    expect(growing).toEqual(Array.from({ length: 33 }, (_, at) => at + 1));
    const before = (await catalog.db.selectFrom('audit').select('id').orderBy('id', 'desc').execute()).map((row) => row.id);
    expect(await pages(it, token, '/v1/audit', 'audit', () => audit(catalog, clock, { who: 'test', what: 'meanwhile' }))).toEqual(before);
    const shops: string[] = (await it.ask(token, 'GET', '/v1/shops')).json.shops.map((row: { shop: string }) => row.shop);
    const first = (await it.ask(token, 'GET', '/v1/shops?limit=2')).json;
    const second = (await it.ask(token, 'GET', `/v1/shops?limit=2&cursor=${first.next}`)).json;
    expect([...first.shops, ...second.shops].map((row: { shop: string }) => row.shop)).toEqual(shops);
    expect(second.next).toBeNull();
  });

  test.each(['x', '%00', 'bnVsbA', 'WzFd', 'eyJhIjoxfQ', 'a'.repeat(200)])('a cursor that no page gave, %s - refused', async (cursor) => {
    const it = await startDaemon();
    const token = await it.token('admin');
    for (const path of ['/v1/runs', '/v1/billing/ledger', '/v1/audit', '/v1/snapshots', '/v1/incidents', '/v1/breaches', '/v1/holds']) {
      const { status, json } = await it.ask(token, 'GET', `${path}?cursor=${cursor}`);
      expect([path, status, json.code]).toEqual([path, 400, 'E_REQUEST']);
    }
  });
});

test('billing - tagged by what it says: the same is not sent twice, another is', async () => {
  const it = await startDaemon();
  const token = await it.token('billing');
  await makeThings(it, 'dupont');
  const proofs = ['/v1/billing/prove?month=2026-03', '/v1/billing/explain?month=2026-03', '/v1/billing/forecast'];
  for (const path of ['/v1/billing/level', '/v1/billing/ledger', '/v1/billing/peaks?month=2026-03', ...proofs]) {
    const first = await it.ask(token, 'GET', path);
    const tag = first.headers.get('etag') ?? '';
    expect([first.status, tag]).toEqual([200, expect.stringMatching(/^"[\w-]{43}"$/)]);
    for (const known of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
      const again = await it.ask(token, 'GET', path, undefined, { 'if-none-match': known });
      expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', tag]);
    }
    expect((await it.ask(token, 'GET', path, undefined, { 'if-none-match': '"x"' })).status).toBe(200);
  }
  const before = await it.ask(token, 'GET', '/v1/billing/level');
  expect(before.json).toMatchObject({ levelBytes: 200, shops: [{ shop: 'dupont', vault: 'nas', levelBytes: 200 }], unsettled: [] });
  await makeThings(it, 'martin');
  const after = await it.ask(token, 'GET', '/v1/billing/level', undefined, { 'if-none-match': before.headers.get('etag') ?? '' });
  expect([after.status, after.json.levelBytes]).toEqual([200, 400]);
});

test('every order that changes something stands in the audit, with who gave it', async () => {
  const it = await startDaemon();
  const token = await it.token('admin');
  const { breach, hold, incident, token: other } = await makeThings(it, 'martin');
  const reason = 'because';
  const orders: [method: string, path: string, body: unknown, what: string][] = [
    ['POST', '/v1/runs', { kind: 'prune', shop: 'dupont' }, 'run prune'],
    ['POST', '/v1/shops/dupont/pause', { reason }, 'shop pause'],
    ['POST', '/v1/shops/dupont/resume', { reason }, 'shop unpause'],
    ['POST', '/v1/shops/dupont/suspend', { reason }, 'shop suspend'],
    ['POST', '/v1/shops/dupont/resume', { reason }, 'shop resume'],
    ['POST', '/v1/holds', { shop: 'dupont', reason }, 'hold add'],
    ['POST', `/v1/holds/${hold}/release`, { reason }, 'hold release'],
    ['POST', `/v1/incidents/${incident}/acknowledge`, { reason }, 'incident acknowledge'],
    ['POST', `/v1/breaches/${breach}/sent`, { by: 'Marie' }, 'breach sent'],
    ['POST', `/v1/breaches/${breach}/close`, { reason }, 'breach close'],
    ['POST', '/v1/tokens', { name: 'new', role: 'billing', expiresAt: '2099-01-01T00:00:00Z' }, 'token create'],
    ['DELETE', `/v1/tokens/${other}`, undefined, 'token revoke'],
    ['POST', '/v1/log-level', { level: 'debug' }, 'log-level'],
  ];
  for (const [method, path, body, what] of orders) {
    const before = (await it.ask(token, 'GET', '/v1/audit?limit=1')).json.audit[0].id;
    const done = await it.ask(token, method, path, body);
    expect([path, done.status < 300]).toEqual([path, true]);
    const rows: { id: number; who: string; what: string }[] = (await it.ask(token, 'GET', '/v1/audit')).json.audit;
    expect(rows.filter((row) => row.id > before)).toEqual(
      expect.arrayContaining([expect.objectContaining({ who: 'token:admin 1', what })]),
    );
  }
  const { json } = await it.ask(token, 'GET', '/v1/audit?shop=dupont&who=token:admin%201');
  expect(json.audit.map((row: { what: string }) => row.what)).toContain('hold add');
});

test('a token made over the API works as what it is, and is told once', async () => {
  const it = await startDaemon();
  const admin = await it.token('admin');
  const made = await it.ask(admin, 'POST', '/v1/tokens', { name: 'portal', role: 'client', shops: ['zoe'], expiresAt: null });
  expect(made.status).toBe(201);
  const { token, id } = made.json;
  expect((await it.ask(token, 'GET', '/v1/me')).json).toMatchObject({ who: 'token:portal', role: 'client', shops: ['zoe'] });
  const listed = await it.ask(admin, 'GET', '/v1/tokens');
  expect(listed.json.tokens.find((row: { id: string }) => row.id === id)).toMatchObject({ name: 'portal', lastUsedFrom: '127.0.0.1' });
  expect(listed.text).not.toContain(token.split('_')[2]);
  expect((await it.ask(admin, 'DELETE', `/v1/tokens/${id}`)).json).toMatchObject({ revokedBy: 'token:admin 1' });
  expect((await it.ask(token, 'GET', '/v1/me')).status).toBe(401);
  for (const body of [
    { name: 'x', role: 'client', expiresAt: null },
    { name: 'x', role: 'admin', shops: ['zoe'], expiresAt: null },
    { name: 'x', role: 'client', shops: ['nobody'], expiresAt: null },
    { name: 'x', role: 'root', expiresAt: null },
    { name: 'x', role: 'admin', expiresAt: '2020-01-01T00:00:00Z' },
    { name: 'x', role: 'admin' },
  ])
    expect((await it.ask(admin, 'POST', '/v1/tokens', body)).status).toBeGreaterThanOrEqual(400);
});

test('a run - submitted, listed, looked at, called off', async () => {
  const it = await startDaemon();
  const { catalog, service } = it;
  const token = await it.token('admin');
  const submitted = await it.ask(token, 'POST', '/v1/runs', { kind: 'backup', shop: 'dupont', source: 'files' });
  const { run } = submitted.json;
  expect([submitted.status, submitted.headers.get('location')]).toEqual([202, `/v1/runs/${run}`]);
  const get = async () => (await it.ask(token, 'GET', `/v1/runs/${run}`)).json;
  expect(await get()).toMatchObject({
    state: 'queued',
    who: 'token:admin 1',
    task: { kind: 'backup', full: false },
    steps: [],
    error: null,
  });
  expect((await it.ask(token, 'GET', '/v1/runs?state=queued&shop=dupont&kind=backup')).json.runs).toMatchObject([{ id: run }]);
  expect((await it.ask(token, 'GET', '/v1/runs?state=running')).json.runs).toEqual([]);
  expect((await it.ask(token, 'POST', `/v1/runs/${run}/cancel`)).json).toEqual({ run, cancelled: true });
  expect(await get()).toMatchObject({ state: 'cancelled' });
  expect((await it.ask(token, 'POST', `/v1/runs/${run}/cancel`)).json).toEqual({ run, cancelled: false });

  const failed = newId(service.clock);
  await startRun(catalog, service.clock, { id: failed, kind: 'backup', shop: 'dupont', source: 'files', who: 'test' });
  const error = new CoffreError('E_FILES_READ', `cannot read ${SECRET_WORD}`);
  await finishRun(catalog, service.clock, failed, 'failed', error, { vaults: [] });
  const seen = (await it.ask(token, 'GET', `/v1/runs/${failed}`)).json;
  expect(seen).toMatchObject({
    state: 'failed',
    error: { code: 'E_FILES_READ', message: `cannot read ${SECRET_WORD}` },
    detail: { vaults: [] },
  });
  const client = (await it.ask(await it.token('client'), 'GET', `/v1/runs/${failed}`)).json;
  expect(client).toMatchObject({
    who: null,
    detail: null,
    task: null,
    error: { code: 'E_FILES_READ', message: 'reading the file tree failed', hint: '' },
  });
});

describe('errors', () => {
  test('each code has a status, a document with its code, and what it means', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const status = statusOf(code);
      expect([code, status >= 400 && status < 600]).toEqual([code, true]);
      const problem = problemOf(new CoffreError(code, SECRET_WORD, { hint: SECRET_WORD }), true);
      // a caller has no command line
      expect(problem).toMatchObject({
        code,
        status,
        title: code === 'E_USAGE' ? 'what the request asks for cannot be done so' : ERRORS[code].means,
        detail: SECRET_WORD,
        type: `urn:coffre:error:${code}`,
      });
      // those of the API itself are about what the caller sent; the others’ words are for administrators
      const isOurs = code === 'E_NOT_FOUND' || ERRORS[code].exit === ERRORS.E_REQUEST.exit;
      expect(JSON.stringify(problemOf(new CoffreError(code, SECRET_WORD, { hint: SECRET_WORD }), false)).includes(SECRET_WORD)).toBe(
        isOurs,
      );
    }
  });

  test.each<[ErrorCode, number]>([
    ['E_INTERNAL', 500],
    ['E_USAGE', 400],
    ['E_CONFIG', 422],
    ['E_UNKNOWN_SHOP', 404],
    ['E_UNKNOWN_RUN', 404],
    ['E_DB_CONNECT', 502],
    ['E_VAULT_TIMEOUT', 504],
    ['E_BUSY', 409],
    ['E_STATE_SPACE', 507],
    ['E_CATALOG', 503],
    ['E_SHOP_STATE', 409],
    ['E_HELD', 409],
    ['E_TOKEN', 401],
    ['E_FORBIDDEN', 403],
    ['E_RATE', 429],
  ])('%s - %i', (code, status) => expect(statusOf(code)).toBe(status));

  test('what is refused says where it is wrong, and echoes nothing of it', async () => {
    const it = await startDaemon();
    const token = await it.token('admin');
    const { status, json, text } = await it.ask(token, 'POST', '/v1/holds', { shop: `${SECRET_WORD}/..`, reason: '' });
    expect([status, json.code]).toEqual([400, 'E_REQUEST']);
    expect(json.errors.map((one: { path: string }) => one.path).sort()).toEqual(['/reason', '/shop']);
    expect(text).not.toContain(SECRET_WORD);
  });

  test('ready - not before the schedule is read, nor once the daemon stops', async () => {
    const it = await startDaemon();
    const ready = async (): Promise<unknown[]> => {
      const { status, json } = await ask(it.url, null, 'GET', '/readyz');
      return [status, json.ready];
    };
    const state = it.service.state as { loading: boolean; stopping: boolean };
    expect(await ready()).toEqual([200, true]);
    state.loading = true;
    expect(await ready()).toEqual([503, false]);
    expect((await ask(it.url, null, 'GET', '/healthz')).status).toBe(200);
    Object.assign(state, { loading: false, stopping: true });
    expect(await ready()).toEqual([503, false]);
  });

  test('the catalog is gone - red, alive, and says no more than it must', async () => {
    const it = await startDaemon();
    const [admin, client] = [await it.token('admin'), await it.token('client')];
    await it.catalog.close();
    expect((await ask(it.url, null, 'GET', '/healthz')).status).toBe(200);
    expect((await ask(it.url, null, 'GET', '/readyz')).json).toEqual({ ready: false });
    for (const token of [admin, client]) {
      const { status, json, text } = await it.ask(token, 'GET', '/v1/runs');
      expect([status >= 500, json.detail]).toEqual([true, json.title]);
      expect(text).not.toContain(it.dir);
    }
  });
});
