// Server-sent events as they come over a connection: in pieces, with whatever line ends, cut off and taken up again.
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { followEvents, parseEvents, type ServerEvent } from '../../../src/cli/daemon/client-events.ts';
import { DaemonHttp } from '../../../src/cli/daemon/client-http.ts';
import { systemClock } from '../../../src/clock.ts';

async function parsed(...chunks: readonly (string | Uint8Array)[]): Promise<ServerEvent[]> {
  async function* given(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  }
  return await Array.fromAsync(parseEvents(given()));
}

describe('parsing', () => {
  test('name, id and data of several lines; comments, unknown fields and a block without data - left out', async () => {
    const text = ': beat\n\nretry: 2000\n\nid: 7\nevent: step\ndata: one\ndata:two\nother: x\n\nevent: nothing\n\ndata: three\n\n';
    expect(await parsed(text)).toEqual([
      { id: '7', name: 'step', data: 'one\ntwo' },
      { id: '7', name: 'message', data: 'three' },
    ]);
  });

  test('an unfinished last block - left out: it was cut off', async () => {
    expect(await parsed('data: one\n\nid: 2\ndata: tw')).toEqual([{ id: '', name: 'message', data: 'one' }]);
  });

  test('any line ends, in pieces of any size - the same events', async () => {
    const events = [
      { id: '1', name: 'progress', data: '{"shop":"dupont é €"}' },
      { id: '2', name: 'ended', data: '{}' },
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        async (end, sizes) => {
          const text = events.map(({ id, name, data }) => [`id: ${id}`, `event: ${name}`, `data: ${data}`, '', ''].join(end)).join('');
          const bytes = Buffer.from(text);
          const chunks: Uint8Array[] = [];
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = sizes[i % sizes.length] ?? 1;
            chunks.push(bytes.subarray(at, at + size));
            at += size;
          }
          // whether a CR that comes last is half of a CRLF is known with what follows it
          expect(await parsed(...chunks, ': end\n')).toEqual(events);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('following', () => {
  async function serving(
    answer: (response: ServerResponse, lastId: string | undefined) => void,
  ): Promise<{ http: DaemonHttp; server: Server }> {
    const server = createServer((request, response) => answer(response, request.headers['last-event-id'] as string | undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return { server, http: new DaemonHttp({ url, token: 'x', ca: null }, systemClock) };
  }

  test('the connection is cut - taken up after the last event that came, told to the server', async () => {
    const asked: (string | undefined)[] = [];
    const { http } = await serving((response, lastId) => {
      asked.push(lastId);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      if (lastId === undefined) {
        response.write('id: 1\ndata: one\n\nid: 2\ndata: half');
        setTimeout(() => response.destroy(), 50);
      } else response.end('id: 2\ndata: two\n\n');
    });
    const seen: string[] = [];
    for await (const { data } of followEvents(http, systemClock, '/v1/events', new AbortController().signal)) {
      seen.push(data);
      if (data === 'two') break;
    }
    expect(seen).toEqual(['one', 'two']);
    expect(asked).toEqual([undefined, '1']);
  });

  test('the signal aborts - its reason, at once, although nothing comes', async () => {
    const { http } = await serving((response) => void response.writeHead(200).write(':\n\n'));
    const stop = new AbortController();
    const reason = new Error('stop');
    const next = followEvents(http, systemClock, '/v1/events', stop.signal).next();
    setTimeout(() => stop.abort(reason), 100);
    await expect(next).rejects.toBe(reason);
  });

  test('refused - the refusal, not a second try', async () => {
    let tries = 0;
    const { http } = await serving((response) => {
      tries++;
      response.writeHead(404, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ code: 'E_NOT_FOUND', detail: 'no such run', hint: '', status: 404 }));
    });
    await expect(followEvents(http, systemClock, '/v1/events', new AbortController().signal).next()).rejects.toMatchObject({
      code: 'E_NOT_FOUND',
      message: 'no such run',
    });
    expect(tries).toBe(1);
  });
});

describe('answers', () => {
  async function answering(status: number, body: string): Promise<DaemonHttp> {
    const server = createServer((_request, response) => response.writeHead(status).end(body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return new DaemonHttp({ url, token: 'x', ca: null }, systemClock);
  }

  test('a problem with a code of ours - that error, with its hint and exit status', async () => {
    const http = await answering(
      409,
      JSON.stringify({ code: 'E_BUSY', detail: 'dupont: a prune is under way', hint: 'wait', status: 409 }),
    );
    await expect(http.json({ path: '/v1/runs' })).rejects.toMatchObject({
      code: 'E_BUSY',
      message: 'dupont: a prune is under way',
      hint: 'wait',
    });
  });

  test('a code that nobody knows, a page of a proxy, no JSON - E_DAEMON_VERSION says what came', async () => {
    const unknown = await answering(400, JSON.stringify({ code: 'E_LATER', detail: 'from the future' }));
    await expect(unknown.json({ path: '/' })).rejects.toMatchObject({
      code: 'E_DAEMON_VERSION',
      message: expect.stringMatching(/400: from the future/),
    });
    const proxy = await answering(502, '<html>bad gateway</html>');
    await expect(proxy.json({ path: '/' })).rejects.toMatchObject({ code: 'E_DAEMON_VERSION', message: expect.stringMatching(/502$/) });
    const text = await answering(200, 'hello');
    await expect(text.json({ path: '/' })).rejects.toMatchObject({ code: 'E_DAEMON_VERSION' });
  });

  test('nobody listens - E_DAEMON_UNREACHABLE with the reason', async () => {
    const http = new DaemonHttp({ socketPath: '/tmp/coffre-nobody.sock' }, systemClock);
    await expect(http.json({ path: '/' })).rejects.toMatchObject({
      code: 'E_DAEMON_UNREACHABLE',
      message: 'the daemon at /tmp/coffre-nobody.sock does not answer: ENOENT',
    });
  });

  test('https to a port that speaks plain http - it is said that it answers, and what to write', async () => {
    const server = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await expect(new DaemonHttp({ url, token: 't', ca: null }, systemClock).json({ path: '/' })).rejects.toMatchObject({
      code: 'E_DAEMON_UNREACHABLE',
      message: `${url.origin} answers, and speaks no TLS`,
      hint: expect.stringContaining('http://'),
    });
  });
});
