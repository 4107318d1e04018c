// Whoever sends what no client of ours would: refused, logged where it matters, and everybody else is served.
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { BODY_BYTES } from '../../src/http/api.ts';
import { GUESSES } from '../../src/http/auth.ts';
import { startDaemon, type TestDaemon } from './daemon.ts';

let it: TestDaemon;
let token: string;
let stop: () => Promise<void> = async () => {};

beforeAll(async () => {
  it = await startDaemon({ timeouts: { headersMs: 500, requestMs: 1000 } }, (end) => {
    stop = end;
  });
  token = await it.token('admin');
});
afterAll(() => stop());
afterEach(async () => {
  expect((await it.ask(token, 'GET', '/v1/me')).status).toBe(200);
  expect(it.log.filter(({ level }) => level === 'error')).toEqual([]);
});

/** Sends bytes as they are, in pieces, and gives back whatever comes until the connection ends. */
async function raw(pieces: Iterable<string | Buffer> | AsyncIterable<string | Buffer>): Promise<string> {
  const socket = connect(Number(new URL(it.url).port), '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk;
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  // a server that refuses closes while we still write
  socket.on('error', () => {});
  void (async () => {
    for await (const piece of pieces) {
      if (socket.destroyed) return;
      if (!socket.write(piece)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed]);
    }
  })();
  await closed;
  return text;
}

const statusOf = (text: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
const head = (line: string, ...headers: string[]): string =>
  [line, 'host: x', `authorization: Bearer ${token}`, 'connection: close', ...headers, '', ''].join('\r\n');

describe('paths', () => {
  test.each([
    ['/../../../../etc/passwd', 404],
    ['/v1/../../../../etc/passwd', 404],
    ['/v1/shops/../../etc/passwd', 404],
    ['/v1/shops/..%2f..%2f..%2fetc%2fpasswd', 400],
    ['/v1/shops/%2e%2e', 400],
    ['/v1/shops/dupont%00', 400],
    ['/v1/shops/dupont%2f..%2fmartin', 400],
    ['/v1/shops/%zz', 400],
    ['/v1/shops/%c0%ae%c0%ae', 400],
    ['/v1/shops/__proto__', 400],
    ['/v1/shops/constructor', 404],
    [`/v1/shops/${'a'.repeat(300)}`, 414],
    [`/v1/runs/${'9'.repeat(5000)}`, 414],
    ['//v1/me', 404],
    ['/v1/me/', 404],
    ['/V1/me', 404],
    ['http://169.254.169.254/latest', 404],
    ['*', 404],
  ])('%s - %i', async (path, status) => {
    const text = await raw([head(`GET ${path} HTTP/1.1`)]);
    expect(text).toContain('application/problem+json');
    expect(text).not.toContain('root:');
    expect(statusOf(text)).toBe(status);
  });
});

describe('bodies', () => {
  const post = (body: string | Buffer, type = 'application/json') => [
    head('POST /v1/runs HTTP/1.1', `content-type: ${type}`, `content-length: ${Buffer.byteLength(body)}`),
    body,
  ];

  test.each<[string, number, () => Iterable<string | Buffer>]>([
    ['no JSON', 400, () => post('{"kind":')],
    ['half a JSON', 400, () => post('{"kind":"backup","shop":"dupont"')],
    ['an empty one', 400, () => post('')],
    ['JSON that is no object', 400, () => post('[1,2,3]')],
    ['a prototype', 400, () => post('{"__proto__":{"role":"admin"},"kind":"prune","shop":"dupont"}')],
    ['a constructor', 400, () => post('{"constructor":{"prototype":{"x":1}},"kind":"prune","shop":"dupont"}')],
    ['no UTF-8', 400, () => post(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))],
    ['very deep', 400, () => post(`${'['.repeat(30_000)}${']'.repeat(30_000)}`)],
    ['a form', 415, () => post('kind=backup', 'application/x-www-form-urlencoded')],
    ['text', 415, () => post('{}', 'text/plain')],
    ['XML', 415, () => post('<x/>', 'application/xml')],
    ['one byte too many', 413, () => post(`"${'x'.repeat(BODY_BYTES - 1)}"`)],
    ['a path where a shop is expected', 400, () => post('{"kind":"backup","shop":"/etc","source":"files"}')],
    ['a source that nobody declared', 400, () => post('{"kind":"backup","shop":"dupont","source":"/etc"}')],
  ])('%s - %i', async (_, status, pieces) => {
    const text = await raw(pieces());
    expect(statusOf(text)).toBe(status);
    expect(text).toContain('application/problem+json');
  });

  test('a gigabyte that is announced, and one that is not - refused before it is read', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 0x20);
    let sent = 0;
    function* flood(first: string, frame: (piece: Buffer) => Buffer): Iterable<string | Buffer> {
      yield first;
      for (let at = 0; at < 1024; at++) {
        sent += chunk.length;
        yield frame(chunk);
      }
    }
    const type = 'content-type: application/json';
    const announced = await raw(flood(head('POST /v1/runs HTTP/1.1', type, `content-length: ${2 ** 30}`), (piece) => piece));
    expect(statusOf(announced)).toBe(413);
    const hidden = await raw(
      flood(head('POST /v1/runs HTTP/1.1', type, 'transfer-encoding: chunked'), (piece) =>
        Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]),
      ),
    );
    expect(statusOf(hidden)).toBe(413);
    expect(sent).toBeLessThan(200 * chunk.length);
  });
});

describe('what is no HTTP', () => {
  test.each<[string, number, () => Iterable<string | Buffer>]>([
    ['noise', 400, () => [Buffer.from(Array.from({ length: 500 }, (_, at) => (at * 37) % 256))]],
    ['a TLS greeting', 400, () => [Buffer.from('160301020001000', 'hex'), 'x'.repeat(100)]],
    ['a method that there is not', 400, () => ['HACK / HTTP/1.1\r\nhost: x\r\n\r\n']],
    ['two lengths', 400, () => [head('POST /v1/runs HTTP/1.1', 'content-length: 5', 'content-length: 6'), 'xxxxxx']],
    ['a length and chunks', 400, () => [head('POST /v1/runs HTTP/1.1', 'content-length: 5', 'transfer-encoding: chunked'), '0\r\n\r\n']],
    ['a header with a line break of its own', 400, () => ['GET /v1/me HTTP/1.1\r\nhost: x\r\nx: a\rb\r\n\r\n']],
    [
      'a thousand headers',
      431,
      () => [head('GET /v1/me HTTP/1.1', ...Array.from({ length: 1000 }, (_, at) => `x-${at}: ${'y'.repeat(20)}`))],
    ],
    ['a header of a megabyte', 431, () => [head('GET /v1/me HTTP/1.1', `x: ${'y'.repeat(1024 * 1024)}`)]],
    ['a path of a megabyte', 431, () => [head(`GET /${'y'.repeat(1024 * 1024)} HTTP/1.1`)]],
  ])('%s - %i, and logged', async (_, status, pieces) => {
    const before = it.log.filter(({ event }) => event === 'http.malformed').length;
    expect(statusOf(await raw(pieces()))).toBe(status);
    expect(it.log.filter(({ event }) => event === 'http.malformed').length).toBe(before + 1);
  });
});

describe('slowness', () => {
  async function* slowly(first: string, piece: string): AsyncIterable<string> {
    yield first;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      yield piece;
    }
  }

  test('headers that do not end - 408, and logged', async () => {
    const text = await raw(slowly('GET /v1/me HTTP/1.1\r\nhost: x\r\n', 'x-more: y\r\n'));
    expect(statusOf(text)).toBe(408);
    expect(it.log.at(-1)).toMatchObject({ event: 'http.malformed', kind: 'ERR_HTTP_REQUEST_TIMEOUT' });
  });

  test('a body that does not end - 408', async () => {
    const first = head('POST /v1/runs HTTP/1.1', 'content-type: application/json', 'content-length: 10000');
    expect(statusOf(await raw(slowly(first, ' ')))).toBe(408);
  });

  test('four hundred connections that say nothing - those above the limit of an address are closed, and others are served', async () => {
    const sockets = Array.from({ length: 400 }, () => connect(Number(new URL(it.url).port), '127.0.0.1').on('error', () => {}));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    const closed = () => sockets.filter((socket) => socket.closed).length;
    for (const end = performance.now() + 20_000; closed() < 100 && performance.now() < end; )
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(closed()).toBeGreaterThanOrEqual(100);
    expect(it.log.filter(({ event }) => event === 'http.crowded').length).toBe(1);
    for (const socket of sockets) socket.destroy();
    for (const end = performance.now() + 20_000; performance.now() < end; ) {
      const found = await it.ask(token, 'GET', '/v1/me').catch(() => null);
      if (found?.status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('nobody is served any more');
  });
});

describe('guessing', () => {
  test('wrong tokens - the address has to wait, is logged, and whoever was known there is served on', async () => {
    const daemon = await startDaemon();
    const [known, fresh] = [await daemon.token('client'), await daemon.token('client')];
    const get = (secret: string | null) => daemon.ask(secret, 'GET', '/v1/me');
    expect((await get(known)).status).toBe(200);
    const guess = (at: number): string => `${fresh.slice(0, -4)}${String(at).padStart(4, '0')}`;
    const statuses: number[] = [];
    for (let at = 0; at < GUESSES.max + 5; at++) statuses.push((await get(guess(at))).status);
    expect(statuses).toEqual([...Array.from({ length: GUESSES.max }, () => 401), ...Array.from({ length: 5 }, () => 429)]);
    // a good token is not told from a wrong one now: or guessing would go on
    const refused = await get(fresh);
    expect([refused.status, refused.json.code]).toEqual([429, 'E_RATE']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await get(known)).status).toBe(200);
    expect((await get(null)).status).toBe(401);
    expect((await daemon.ask(null, 'GET', '/healthz')).status).toBe(200);
    const logged = daemon.log.filter(({ level }) => level === 'warn');
    expect(logged.filter(({ event }) => event === 'http.refused').length).toBe(GUESSES.max);
    expect(logged.filter(({ event }) => event === 'http.blocked')).toMatchObject([{ address: '127.0.0.1' }]);
    expect(JSON.stringify(daemon.log)).not.toContain(fresh.split('_')[2]?.slice(0, 20));
  });

  test('a caller without measure - 429 with how long to wait, and others are served', async () => {
    const daemon = await startDaemon();
    const [greedy, other] = [await daemon.token('client'), await daemon.token('client')];
    let last = await daemon.ask(greedy, 'GET', '/v1/me');
    for (let at = 0; at < 700 && last.status === 200; at++) last = await daemon.ask(greedy, 'GET', '/v1/me');
    expect([last.status, last.json.code]).toEqual([429, 'E_RATE']);
    expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await daemon.ask(other, 'GET', '/v1/me')).status).toBe(200);
  });

  test('behind a proxy that is trusted - the address is the one that the proxy says; another’s word is nothing', async () => {
    const trusting = await startDaemon({ listen: ['proxies: [127.0.0.1]'] });
    const [one, two] = [{ 'x-forwarded-for': '192.0.2.1' }, { 'x-forwarded-for': '192.0.2.2' }];
    const wrong = (headers: Record<string, string>, daemon = trusting) => daemon.ask('coffre_x', 'GET', '/v1/me', undefined, headers);
    for (let at = 0; at < GUESSES.max; at++) await wrong(one);
    expect([(await wrong(one)).status, (await wrong(two)).status]).toEqual([429, 401]);
    const wary = await startDaemon();
    for (let at = 0; at < GUESSES.max; at++) await wrong({ 'x-forwarded-for': `192.0.2.${at}` }, wary);
    expect((await wrong(two, wary)).status).toBe(429);
  });
});
