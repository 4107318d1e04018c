// Sockets that read into one buffer each: bodies are what was sent, over HTTP and TLS, whoever is slow, on sockets that are used again.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, get, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer, get as getTls } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { InPlaceHttpAgent, InPlaceHttpsAgent } from '../../src/vault/in-place-agent.ts';

const content = randomBytes(9_000_001);
const wanted = createHash('sha256').update(content).digest('hex');

const answer: RequestListener = (request, response) => {
  if (request.url === '/chunked') response.setHeader('transfer-encoding', 'chunked');
  else response.setHeader('content-length', content.length);
  response.end(content);
};

describe.each(['http', 'https'] as const)('%s', (scheme) => {
  let dir: string;
  let server: Server;
  let agent: InPlaceHttpAgent;
  let ports: Set<number>;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'coffre-agent-'));
    ports = new Set();
    if (scheme === 'http') {
      server = createServer(answer);
      agent = new InPlaceHttpAgent({ keepAlive: true });
    } else {
      const [key, cert] = [join(dir, 'key'), join(dir, 'cert')];
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
      const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', ...subject];
      execFileSync('openssl', [...make, '-keyout', key, '-out', cert], { stdio: 'ignore' });
      server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, answer);
      agent = new InPlaceHttpsAgent({ keepAlive: true, ca: readFileSync(cert) });
    }
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterAll(async () => {
    agent.destroy();
    server.close();
    await once(server, 'close');
    rmSync(dir, { recursive: true });
  });

  async function ask(path: string): Promise<IncomingMessage> {
    const { port } = server.address() as AddressInfo;
    const request = (scheme === 'http' ? get : getTls)({ host: '127.0.0.1', port, path, agent });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    ports.add(response.socket.localPort as number);
    return response;
  }

  async function hashOf(response: IncomingMessage, pauseMs = 0): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of response) {
      hash.update(chunk as Buffer);
      if (pauseMs > 0) await systemClock.sleep(pauseMs);
    }
    return hash.digest('hex');
  }

  test('one body after the other on one socket, with a length and in chunks - each as it was sent', async () => {
    for (const path of ['/length', '/chunked', '/length']) expect(await hashOf(await ask(path))).toBe(wanted);
    expect(ports.size).toBe(1);
  });

  test('several at once, their readers slow - none holds what another one read', async () => {
    const hashes = await Promise.all([1, 2, 3].map(async () => await hashOf(await ask('/length'), 1)));
    expect(hashes).toEqual([wanted, wanted, wanted]);
  });

  test('a reader that waits - chunks that it holds stay what they were', async () => {
    const held: Buffer[] = [];
    for await (const chunk of await ask('/length')) held.push(chunk as Buffer);
    expect(Buffer.concat(held).equals(content)).toBe(true);
  });

  test('the sender breaks off - an error, no shorter body', async () => {
    const response = await ask('/length');
    response.once('data', () => response.socket.destroy());
    await expect(hashOf(response)).rejects.toThrow('aborted');
  });
});
