import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { until } from './rig.ts';

/** An echo server: what it sends back it has received. */
let echo: Server;
let proxy: FaultProxy;
const atServer: Buffer[] = [];
const open = new Set<Client>();

class Client {
  readonly socket: Socket;
  received = 0;
  ended: 'no' | 'end' | 'reset' = 'no';
  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
    });
    this.socket.on('end', () => {
      if (this.ended === 'no') this.ended = 'end';
    });
    this.socket.on('error', () => {
      this.ended = 'reset';
    });
    open.add(this);
  }
}

beforeAll(async () => {
  echo = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      atServer.push(chunk);
      socket.write(chunk);
    });
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  proxy = await startFaultProxy((echo.address() as AddressInfo).port);
});

afterEach(() => {
  proxy.set({ mode: 'pass' });
  for (const client of open) client.socket.destroy();
  open.clear();
  atServer.length = 0;
});

afterAll(async () => {
  await proxy.stop();
  await new Promise((resolve) => echo.close(resolve));
});

const serverGot = (): number => atServer.reduce((sum, chunk) => sum + chunk.length, 0);

test('pass: both directions arrive whole and are counted', async () => {
  const before = { ...proxy.bytes };
  const client = new Client(proxy.port);
  client.socket.write(Buffer.alloc(300_000, 7));
  await until('the echo is back', 5000, () => client.received === 300_000);
  expect(proxy.bytes.toServer - before.toServer).toBe(300_000);
  expect(proxy.bytes.toClient - before.toClient).toBe(300_000);
  client.socket.end();
  await until('the end passed through both ways', 5000, () => client.ended === 'end');
});

test('cut to the server: exactly N bytes arrive, the client sees a reset, the next connection passes', async () => {
  proxy.set({ mode: 'cut', direction: 'toServer', afterBytes: 1234 });
  const client = new Client(proxy.port);
  client.socket.write(Buffer.alloc(5000));
  await proxy.cutDone();
  await until('the client is reset', 5000, () => client.ended === 'reset');
  expect(serverGot()).toBe(1234);
  const next = new Client(proxy.port);
  next.socket.write('again');
  await until('the next one is answered', 5000, () => next.received === 5);
});

test('cut to the client with an orderly end: exactly N bytes of the answer arrive, then the end', async () => {
  proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 1000, how: 'end' });
  const client = new Client(proxy.port);
  client.socket.write(Buffer.alloc(5000));
  await until('the client sees the end', 5000, () => client.ended === 'end');
  expect(client.received).toBe(1000);
});

test('cut that leaves the server away: later connections are reset until the fault is lifted', async () => {
  proxy.set({ mode: 'cut', direction: 'toServer', afterBytes: 10, afterwards: 'reset' });
  const client = new Client(proxy.port);
  client.socket.write(Buffer.alloc(100));
  await proxy.cutDone();
  const refused = new Client(proxy.port);
  await until('the later one is reset', 5000, () => refused.ended === 'reset');
  proxy.set({ mode: 'pass' });
  const next = new Client(proxy.port);
  next.socket.write('ok');
  await until('answered again', 5000, () => next.received === 2);
});

test('reset: open connections are reset at once', async () => {
  const client = new Client(proxy.port);
  client.socket.write('x');
  await until('answered', 5000, () => client.received === 1);
  proxy.set({ mode: 'reset' });
  await until('reset', 5000, () => client.ended === 'reset');
});

test('black hole: the connection stays open and silent, and flows on after pass', async () => {
  const client = new Client(proxy.port);
  client.socket.write('x');
  await until('answered', 5000, () => client.received === 1);
  proxy.set({ mode: 'blackHole' });
  client.socket.write('held back');
  await systemClock.sleep(300);
  expect([client.received, client.ended, serverGot()]).toEqual([1, 'no', 1]);
  proxy.set({ mode: 'pass' });
  await until('the rest arrives', 5000, () => client.received === 10);
});

test('black hole: a connection opened into it is accepted', async () => {
  proxy.set({ mode: 'blackHole' });
  const client = new Client(proxy.port);
  await until('connected', 5000, () => client.socket.readyState === 'open');
});

test('delay: an answer comes no sooner than both ways were delayed', async () => {
  proxy.set({ mode: 'delay', ms: 150 });
  const started = systemClock.monotonicMs();
  const client = new Client(proxy.port);
  client.socket.write('x');
  await until('answered', 5000, () => client.received === 1, 5);
  expect(systemClock.monotonicMs() - started).toBeGreaterThanOrEqual(290);
});

test('delay: the line is long, not narrow: many pieces take little longer than one', async () => {
  proxy.set({ mode: 'delay', ms: 100 });
  const started = systemClock.monotonicMs();
  const client = new Client(proxy.port);
  // some 250 pieces of at most 64 KiB: one after the other they would take 25 s each way
  client.socket.write(Buffer.alloc(16 * 1024 * 1024, 1));
  await until('all is back', 10_000, () => client.received === 16 * 1024 * 1024, 5);
  expect(systemClock.monotonicMs() - started).toBeGreaterThanOrEqual(200);
  client.socket.end();
  await until('the end passed through both ways', 5000, () => client.ended === 'end');
});

test('delay lifted: what was under way arrives at once, in its order', async () => {
  proxy.set({ mode: 'delay', ms: 60_000 });
  const client = new Client(proxy.port);
  for (const letter of 'abc') client.socket.write(letter);
  await systemClock.sleep(100);
  expect(serverGot()).toBe(0);
  proxy.set({ mode: 'pass' });
  client.socket.write('d');
  await until('all is back', 5000, () => client.received === 4);
  expect(Buffer.concat(atServer).toString()).toBe('abcd');
});

test('throttle: bytes trickle at the given rate', async () => {
  proxy.set({ mode: 'throttle', bytesPerSecond: 20_000 });
  const started = systemClock.monotonicMs();
  const client = new Client(proxy.port);
  client.socket.write(Buffer.alloc(10_000));
  await until('all back', 10_000, () => client.received === 10_000);
  expect(systemClock.monotonicMs() - started).toBeGreaterThanOrEqual(450);
});
