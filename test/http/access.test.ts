// The authorisation matrix: every route that the server has, times everybody who may ask, about their own shop and somebody else's.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createToken, revokeToken } from '../../src/catalog/tokens.ts';
import { buildApi } from '../../src/http/api.ts';
import { newId } from '../../src/segment/id.ts';
import { FakeClock } from '../fake-clock.ts';
import { type Answer, startDaemon, type TestDaemon } from './daemon.ts';
import { lastMonth, makeThings, SECRET_WORD, type Things } from './things.ts';

type Asker = 'admin' | 'client' | 'billing' | 'monitor';

interface Row {
  /** Status for each; `own`/`foreign`: a client about its own shop, and about another. What is about no shop has the same in both. */
  readonly admin: number;
  readonly own: number;
  readonly foreign: number;
  readonly billing: number;
  readonly monitor: number;
  /** Without a token. */
  readonly nobody: number;
  readonly path?: (of: Things) => string;
  readonly body?: (of: Things) => unknown;
}

const ANYONE = { admin: 200, own: 200, foreign: 200, billing: 200, monitor: 200, nobody: 200 };
const EVERYBODY = { ...ANYONE, nobody: 401 };
const ADMIN = { admin: 200, own: 403, foreign: 403, billing: 403, monitor: 403, nobody: 401 };
const ADMIN_MONITOR = { ...ADMIN, monitor: 200 };
const BILLING = { ...ADMIN, billing: 200 };
/** Lists: a client gets its own rows. */
const OWNER = { ...ADMIN, own: 200, foreign: 200 };
/** One thing of a shop. */
const ONE_OF_OWNER = { ...OWNER, foreign: 404 };
const reason = () => ({ reason: 'because' });

/** A route without a row fails. */
const MATRIX: Readonly<Record<string, Row>> = {
  'GET /healthz': ANYONE,
  'GET /readyz': ANYONE,
  'GET /openapi.json': ANYONE,
  'GET /v1/me': EVERYBODY,
  'GET /v1/service': ADMIN_MONITOR,
  'POST /v1/reload': ADMIN,
  'GET /v1/shops': { ...OWNER, monitor: 200 },
  'GET /v1/shops/:shop': { ...ONE_OF_OWNER, monitor: 200, path: ({ shop }) => `/v1/shops/${shop}` },
  'GET /v1/shops/:shop/status': { ...ONE_OF_OWNER, monitor: 200, path: ({ shop }) => `/v1/shops/${shop}/status` },
  'GET /v1/shops/:shop/estimate': { ...ONE_OF_OWNER, path: ({ shop }) => `/v1/shops/${shop}/estimate` },
  'GET /v1/shops/:shop/report': { ...ONE_OF_OWNER, path: ({ shop }) => `/v1/shops/${shop}/report?from=2026-03-01&to=2026-03-31` },
  'GET /v1/shops/:shop/exports': { ...ONE_OF_OWNER, path: ({ shop }) => `/v1/shops/${shop}/exports` },
  'POST /v1/shops/:shop/exports': {
    ...{ ...ONE_OF_OWNER, admin: 202, own: 202, path: ({ shop }) => `/v1/shops/${shop}/exports`, body: () => ({}) },
  },
  'GET /v1/shops/:shop/exports/:export': { ...ONE_OF_OWNER, path: (it) => `/v1/shops/${it.shop}/exports/${it.export}` },
  'GET /v1/shops/:shop/exports/:export/content': { ...ONE_OF_OWNER, path: (it) => `/v1/shops/${it.shop}/exports/${it.export}/content` },
  'GET /v1/status': { ...OWNER, monitor: 200 },
  'POST /v1/shops/:shop/suspend': { ...BILLING, path: ({ shop }) => `/v1/shops/${shop}/suspend`, body: reason },
  'POST /v1/shops/:shop/pause': { ...ADMIN, path: ({ shop }) => `/v1/shops/${shop}/pause`, body: reason },
  'POST /v1/shops/:shop/resume': { ...BILLING, path: ({ shop }) => `/v1/shops/${shop}/resume`, body: reason },
  'GET /v1/runs': OWNER,
  'GET /v1/runs/:run': { ...ONE_OF_OWNER, path: ({ run }) => `/v1/runs/${run}` },
  'POST /v1/runs': { ...ADMIN, admin: 202, body: ({ shop }) => ({ kind: 'backup', shop, source: 'files' }) },
  'POST /v1/runs/:run/cancel': { ...ADMIN, admin: 202, path: ({ run }) => `/v1/runs/${run}/cancel` },
  'GET /v1/runs/:run/events': { ...ONE_OF_OWNER, path: ({ run }) => `/v1/runs/${run}/events` },
  'GET /v1/events': OWNER,
  'GET /v1/requests': OWNER,
  'GET /v1/requests/:request': { ...ONE_OF_OWNER, path: ({ request }) => `/v1/requests/${request}` },
  'POST /v1/requests/preview': { ...ONE_OF_OWNER, body: ({ shop }) => ({ shop }) },
  'POST /v1/requests': { ...ONE_OF_OWNER, admin: 201, own: 201, body: ({ shop }) => ({ shop }) },
  'POST /v1/requests/:request/approve': { ...ONE_OF_OWNER, path: ({ request }) => `/v1/requests/${request}/approve`, body: reason },
  'POST /v1/requests/:request/hold': { ...ADMIN, path: ({ request }) => `/v1/requests/${request}/hold`, body: reason },
  'POST /v1/requests/:request/release': { ...ADMIN, path: ({ heldRequest }) => `/v1/requests/${heldRequest}/release`, body: reason },
  'POST /v1/requests/:request/refuse': { ...ADMIN, path: ({ request }) => `/v1/requests/${request}/refuse`, body: reason },
  'POST /v1/requests/:request/cancel': { ...ONE_OF_OWNER, path: ({ request }) => `/v1/requests/${request}/cancel`, body: reason },
  'POST /v1/requests/:request/retry': { ...ADMIN, path: ({ failedRequest }) => `/v1/requests/${failedRequest}/retry`, body: reason },
  'GET /v1/snapshots': OWNER,
  'GET /v1/shops/:shop/snapshots': { ...ONE_OF_OWNER, path: ({ shop }) => `/v1/shops/${shop}/snapshots` },
  'GET /v1/snapshots/:snapshot': { ...ONE_OF_OWNER, path: ({ snapshot }) => `/v1/snapshots/${snapshot}` },
  'GET /v1/drills': OWNER,
  'GET /v1/shops/:shop/drills': { ...ONE_OF_OWNER, path: ({ shop }) => `/v1/shops/${shop}/drills` },
  'POST /v1/shops/:shop/drills': { ...ADMIN, admin: 202, path: ({ shop }) => `/v1/shops/${shop}/drills`, body: () => ({}) },
  'GET /v1/drills/:drill': { ...ONE_OF_OWNER, path: ({ drill }) => `/v1/drills/${drill}` },
  'GET /v1/drills/:drill/evidence': { ...ADMIN, path: ({ drill }) => `/v1/drills/${drill}/evidence` },
  'GET /v1/vaults': ADMIN_MONITOR,
  'GET /v1/billing/level': BILLING,
  'GET /v1/billing/peaks': { ...BILLING, path: () => '/v1/billing/peaks?month=2026-03' },
  'GET /v1/billing/ledger': BILLING,
  'GET /v1/billing/prove': { ...BILLING, path: () => '/v1/billing/prove?month=2026-03' },
  'GET /v1/billing/explain': { ...BILLING, path: () => '/v1/billing/explain?month=2026-03' },
  'GET /v1/billing/forecast': BILLING,
  'GET /v1/billing/statement.schema.json': ANYONE,
  'GET /v1/billing/statement': { ...BILLING, path: () => '/v1/billing/statement?contract=csi-001&month=2026-03' },
  'GET /v1/billing/statements': BILLING,
  'GET /v1/billing/statements/:statement': { ...BILLING, path: ({ statement }) => `/v1/billing/statements/${statement}` },
  'POST /v1/billing/statements': { ...ADMIN, body: () => ({ contract: 'csi-001', month: lastMonth(it.service.clock, 'UTC') }) },
  'POST /v1/billing/statements/:statement/corrections': {
    ...{ ...ADMIN, admin: 201, path: ({ statement }: Things) => `/v1/billing/statements/${statement}/corrections` },
    body: () => ({ amount: '-1', reason: 'because' }),
  },
  'POST /v1/billing/corrections/issue': { ...ADMIN, admin: 201, body: () => ({ contract: 'csi-001' }) },
  'POST /v1/billing/corrections/:correction/withdraw': {
    ...{ ...ADMIN, admin: 201, path: ({ correction }: Things) => `/v1/billing/corrections/${correction}/withdraw` },
    body: reason,
  },
  'GET /v1/incidents': ADMIN_MONITOR,
  'POST /v1/incidents/:incident/acknowledge': { ...ADMIN, path: ({ incident }) => `/v1/incidents/${incident}/acknowledge`, body: reason },
  'GET /v1/breaches': ADMIN_MONITOR,
  'GET /v1/breaches/:breach': { ...ADMIN, path: ({ breach }) => `/v1/breaches/${breach}` },
  'POST /v1/breaches/:breach/sent': { ...ADMIN, path: ({ breach }) => `/v1/breaches/${breach}/sent`, body: () => ({ by: 'Marie' }) },
  'POST /v1/breaches/:breach/close': { ...ADMIN, path: ({ breach }) => `/v1/breaches/${breach}/close`, body: reason },
  'GET /v1/holds': ADMIN,
  'POST /v1/holds': { ...ADMIN, admin: 201, body: ({ shop }) => ({ shop, reason: 'because' }) },
  'POST /v1/holds/:hold/release': { ...ADMIN, path: ({ hold }) => `/v1/holds/${hold}/release`, body: reason },
  'GET /v1/tokens': ADMIN,
  'POST /v1/tokens': { ...ADMIN, admin: 201, body: () => ({ name: `made ${++made}`, role: 'monitor', expiresAt: null }) },
  'DELETE /v1/tokens/:token': { ...ADMIN, path: ({ token }) => `/v1/tokens/${token}` },
  'GET /v1/audit': ADMIN,
  'GET /metrics': ADMIN_MONITOR,
  'GET /v1/log-level': ADMIN,
  'POST /v1/log-level': { ...ADMIN, body: () => ({ level: 'info' }) },
};
let made = 0;

/** Routes at which a client asks for one thing by its name: what is not there, and what is somebody else's. */
const NAMED = Object.entries(MATRIX).filter(([, row]) => row.foreign === 404);
/** Ids and names of the right form, and nothing has them. */
const ABSENT: Things = {
  ...({} as Things),
  shop: 'nobody',
  snapshot: '01m00000000000000000000000',
  drill: '01m00000000000000000000000',
  export: '01m00000000000000000000000',
  run: '01m00000000000000000000000',
  request: '01m00000000000000000000000',
};

let it: TestDaemon;
let of: Record<'dupont' | 'martin', Things>;
let tokens: Record<Asker, string>;
let stop: () => Promise<void> = async () => {};

async function ask(token: string | null, key: string, of: Things): Promise<Answer> {
  const [method = '', url = ''] = key.split(' ');
  const row = MATRIX[key];
  const path = row?.path?.(of) ?? url;
  if (!url.endsWith('/events')) return await it.ask(token, method, path, row?.body?.(of));
  // a stream: its beginning is enough
  const response = await fetch(`${it.url}${path}`, { headers: token === null ? {} : { authorization: `Bearer ${token}` } });
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
  const reader = response.body?.getReader();
  const text = isStream ? new TextDecoder().decode((await reader?.read())?.value) : await new Response(await drained(reader)).text();
  await reader?.cancel();
  return { status: response.status, headers: response.headers, text, json: null };
}

async function drained(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const read = await reader?.read();
    if (!read || read.done) return Buffer.concat(chunks);
    chunks.push(read.value);
  }
}

async function routesOf(): Promise<string[]> {
  const api = await buildApi(it.service, { kind: 'network', proxies: [], tls: null });
  onTestFinished(() => api.close());
  return api.routeTable.map(({ method, url }) => `${method} ${url}`);
}

describe('authorisation', () => {
  beforeAll(async () => {
    it = await startDaemon({}, (end) => {
      stop = end;
    });
    tokens = {
      admin: await it.token('admin'),
      client: await it.token('client', ['dupont']),
      billing: await it.token('billing'),
      monitor: await it.token('monitor'),
    };
    of = { dupont: await makeThings(it, 'dupont'), martin: await makeThings(it, 'martin') };
  });

  afterAll(() => stop());

  test('every route has its row, and every row its route', async () => {
    expect(Object.keys(MATRIX).sort()).toEqual((await routesOf()).sort());
  });

  test.each(Object.entries(MATRIX))('%s', async (key, row) => {
    const said: Record<string, number> = {};
    const expected: Record<string, number> = {};
    for (const [who, token, shop] of [
      ['nobody', null, 'dupont'],
      ['billing', tokens.billing, 'dupont'],
      ['monitor', tokens.monitor, 'dupont'],
      ['own', tokens.client, 'dupont'],
      ['foreign', tokens.client, 'martin'],
      ['admin', tokens.admin, 'martin'],
    ] as const) {
      // an order that is taken uses things up
      const isTaken = who === 'admin' && !key.startsWith('GET');
      const answer = await ask(token, key, isTaken ? await makeThings(it, shop) : of[shop]);
      said[who] = answer.status;
      expected[who] = row[who];
      if (answer.status >= 400) {
        expect(answer.headers.get('content-type')).toBe('application/problem+json');
        expect(JSON.parse(answer.text).code).toMatch({ 401: /^E_TOKEN$/, 403: /^E_FORBIDDEN$/ }[answer.status] ?? /^E_(UNKNOWN|NOT)_/);
      }
      if (who === 'own' || who === 'foreign') {
        for (const word of ['martin', 'zoe', SECRET_WORD, it.dir])
          expect(answer.text.replaceAll('/v1/shops/martin', '')).not.toContain(word);
      }
    }
    expect(said).toEqual(expected);
  });

  test.each(NAMED.map(([key]) => key))('%s - of another shop and of none are the same to a client', async (key) => {
    const foreign = await ask(tokens.client, key, of.martin);
    const absent = await ask(tokens.client, key, ABSENT);
    const told = ({ status, text, headers }: Answer) => ({
      ...{ status, text },
      headers: [...headers].filter(([name]) => name !== 'date'),
    });
    expect(told(foreign)).toEqual(told(absent));
    expect(foreign.status).toBe(404);
  });

  test.each(['shop=martin', 'shop=nobody'])('a list that is asked for %s - the same refusal', async (query) => {
    for (const path of ['/v1/runs', '/v1/snapshots']) {
      const { status, json } = await it.ask(tokens.client, 'GET', `${path}?${query}`);
      expect([status, json.code, json.detail]).toEqual([404, 'E_UNKNOWN_SHOP', 'no such shop']);
    }
  });

  test('lists hold a client’s own, and all of it', async () => {
    const { dupont: own, martin: other } = of;
    const rows = async (token: string, path: string, field: string) => (await it.ask(token, 'GET', path)).json[field];
    for (const [path, field, id] of [
      ['/v1/runs?limit=1000', 'runs', 'run'],
      ['/v1/snapshots?limit=1000', 'snapshots', 'snapshot'],
    ] as const) {
      const mine: { id: string; shop: string }[] = await rows(tokens.client, path, field);
      expect(new Set(mine.map((row) => row.shop))).toEqual(new Set(['dupont']));
      expect(mine.map((row) => row.id)).toContain(own[id]);
      const all: { id: string }[] = await rows(tokens.admin, path, field);
      expect(all.map((row) => row.id)).toEqual(expect.arrayContaining([own[id], other[id]]));
    }
    expect((await rows(tokens.client, '/v1/shops', 'shops')).map((row: { shop: string }) => row.shop)).toEqual(['dupont']);
    expect((await rows(tokens.client, '/v1/status', 'shops')).map((row: { shop: string }) => row.shop)).toEqual(['dupont']);
  });

  test('a token for several shops sees those, and a shop that is gone from the configuration is gone for it', async () => {
    const token = await it.token('client', ['dupont', 'zoe', 'sold']);
    const shops = (await it.ask(token, 'GET', '/v1/shops')).json.shops.map((row: { shop: string }) => row.shop);
    expect(shops).toEqual(['dupont', 'zoe']);
    expect((await it.ask(token, 'GET', '/v1/shops/sold')).status).toBe(404);
  });

  test('revoked, expired, and what is no token at all - 401, whatever is asked', async () => {
    const { catalog, service } = it;
    const past = await createToken(catalog, new FakeClock('2026-01-01T00:00:00Z'), {
      ...{ name: 'past', role: 'admin', shops: null, who: 'test', expiresAt: Date.parse('2026-01-02T00:00:00Z') },
    });
    const gone = await createToken(catalog, service.clock, { name: 'gone', role: 'admin', shops: null, expiresAt: null, who: 'test' });
    expect((await it.ask(gone.secret, 'GET', '/v1/me')).status).toBe(200);
    await revokeToken(catalog, service.clock, 'gone', 'test');
    for (const token of [past.secret, gone.secret, 'x', `coffre_${newId(service.clock)}_x`]) {
      for (const path of ['/v1/me', '/v1/shops/dupont', '/v1/no/such/route']) {
        const { status, json, headers } = await it.ask(token, 'GET', path);
        expect([status, json.code, headers.get('www-authenticate')]).toEqual([401, 'E_TOKEN', 'Bearer']);
        // or the address would have to wait
        if (path === '/v1/me') break;
      }
    }
  });
});
