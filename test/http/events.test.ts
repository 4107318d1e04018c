// Live progress over real connections: order, coming back, reading slowly, and the end.
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import { listTokens, revokeToken } from '../../src/catalog/tokens.ts';
import { parseEvents } from '../../src/cli/daemon/client-events.ts';
import { CoffreError } from '../../src/errors.ts';
import { EventIds } from '../../src/http/event-ids.ts';
import type { NewRunEvent, RunProgress } from '../../src/schedule/feed.ts';
import { newId } from '../../src/segment/id.ts';
import { startDaemon, type TestDaemon } from './daemon.ts';
import { SECRET_WORD } from './things.ts';

const PROGRESS: RunProgress = {
  ...{ doneBytes: 1, carriedBytes: 0, totalBytes: 10, totalIsGuess: false, storedBytes: 1, segments: 1, reusedSegments: 0, files: 1 },
  ...{ bytesPerSecond: null, leftMs: null },
};

/** A run of this daemon: its row, and what is told of it. */
async function running({ catalog, hub, service }: TestDaemon, shop = 'dupont') {
  const id = newId(service.clock);
  await startRun(catalog, service.clock, { id, kind: 'backup', shop, source: 'files', who: 'test' });
  const tell = (type: NewRunEvent['type'], more: Partial<NewRunEvent> = {}): void =>
    hub.publish({
      ...{ run: id, kind: 'backup', shop, source: 'files', who: 'test', type, state: type === 'ended' ? 'done' : 'running', step: null },
      ...{ progress: null, error: null, ...more },
    });
  return { id, tell, end: (error?: CoffreError) => finishRun(catalog, service.clock, id, error ? 'failed' : 'done', error) };
}

/** Opens a stream; `next` gives one event after the other, null at its end. */
async function open(it: TestDaemon, token: string, path: string, lastId?: string) {
  const controller = new AbortController();
  const response = await fetch(`${it.url}${path}`, {
    headers: { authorization: `Bearer ${token}`, ...(lastId === undefined ? {} : { 'last-event-id': lastId }) },
    signal: controller.signal,
  });
  const events = response.body === null ? null : parseEvents(response.body as unknown as AsyncIterable<Uint8Array>);
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    async next() {
      const { value, done } = (await events?.next()) ?? { done: true, value: null };
      return done || !value ? null : { id: value.id, name: value.name, data: JSON.parse(value.data) };
    },
    leave: () => controller.abort(),
  };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 20_000; !(await condition()); ) {
    if (performance.now() > end) throw new Error('it did not come to be');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a run is followed to its end, and the stream ends with it', async () => {
  const it = await startDaemon();
  const token = await it.token('client');
  const run = await running(it);
  run.tell('started', { step: 'scan' });
  const stream = await open(it, token, `/v1/runs/${run.id}/events`);
  expect([stream.status, stream.type]).toEqual([200, 'text/event-stream; charset=utf-8']);
  // how it stands comes first, to whoever comes late
  expect(await stream.next()).toMatchObject({ name: 'started', data: { run: run.id, shop: 'dupont', step: 'scan', state: 'running' } });
  run.tell('progress', { progress: PROGRESS });
  run.tell('step', { step: 'commit' });
  await run.end();
  run.tell('ended');
  expect(await stream.next()).toMatchObject({ name: 'progress', data: { progress: PROGRESS } });
  expect(await stream.next()).toMatchObject({ name: 'step', data: { step: 'commit' } });
  const last = await stream.next();
  expect(last).toMatchObject({ name: 'ended', data: { state: 'done', error: null } });
  expect(await stream.next()).toBeNull();
  // a browser comes back by itself: it is told to stay away
  expect((await open(it, token, `/v1/runs/${run.id}/events`, last?.id)).status).toBe(204);
});

test('cut off and come back - what happened meanwhile is told, once; what another daemon said is nothing to go on from', async () => {
  const it = await startDaemon();
  const token = await it.token('admin');
  const run = await running(it);
  run.tell('started');
  const first = await open(it, token, `/v1/runs/${run.id}/events`);
  const seen = await first.next();
  first.leave();
  for (const step of ['scan', 'store', 'commit']) run.tell('step', { step });
  const again = await open(it, token, `/v1/runs/${run.id}/events`, seen?.id);
  for (const step of ['scan', 'store', 'commit']) expect((await again.next())?.data.step).toBe(step);
  again.leave();
  for (const id of ['1-3', 'x', '', 'A'.repeat(22), new EventIds().encode(1)]) {
    const anew = await open(it, token, `/v1/runs/${run.id}/events`, id);
    expect((await anew.next())?.data.step).toBe('commit');
    anew.leave();
  }
  await run.end();
});

test('a run that ended, and one of another process - the end is told from the catalog', async () => {
  const it = await startDaemon();
  const token = await it.token('client');
  const over = await running(it);
  await over.end(new CoffreError('E_FILES_READ', `/var/www/${SECRET_WORD}`));
  const ended = await open(it, token, `/v1/runs/${over.id}/events`);
  // a client is told what the code means
  expect((await ended.next())?.data).toMatchObject({
    type: 'ended',
    state: 'failed',
    error: { code: 'E_FILES_READ', message: 'reading the file tree failed' },
  });
  expect(await ended.next()).toBeNull();

  // nothing is ever told of it here
  const elsewhere = await running(it);
  const stream = await open(it, token, `/v1/runs/${elsewhere.id}/events`);
  await elsewhere.end();
  expect(await stream.next()).toMatchObject({ name: 'ended', data: { state: 'done' } });
  expect(await stream.next()).toBeNull();
});

test('everything that happens - a client hears of its own shops alone', async () => {
  const it = await startDaemon();
  const [mine, theirs] = [await running(it, 'dupont'), await running(it, 'martin')];
  theirs.tell('started');
  mine.tell('started');
  const client = await open(it, await it.token('client'), '/v1/events');
  const admin = await open(it, await it.token('admin'), '/v1/events');
  theirs.tell('step', { step: 'theirs' });
  theirs.tell('ended');
  mine.tell('ended', { state: 'failed', error: { code: 'E_DB_READ', message: SECRET_WORD } });
  expect([(await client.next())?.data, (await client.next())?.data]).toMatchObject([
    { run: mine.id, type: 'started' },
    { run: mine.id, type: 'ended', error: { code: 'E_DB_READ', message: 'the dump failed while reading', hint: '' } },
  ]);
  const heard = [];
  for (let at = 0; at < 5; at++) heard.push((await admin.next())?.data.type);
  expect(heard).toEqual(['started', 'started', 'step', 'ended', 'ended']);
  client.leave();
  admin.leave();
  await mine.end();
  await theirs.end();
});

test('whoever does not read - holds nobody up, costs a bounded memory, and is told the end when they read again', async () => {
  const it = await startDaemon();
  const token = await it.token('admin');
  const run = await running(it);
  run.tell('started');
  const { port } = new URL(it.url);
  const slow = connect(Number(port), '127.0.0.1');
  slow.write(`GET /v1/runs/${run.id}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`);
  await new Promise((resolve) => slow.once('readable', resolve));
  const quick = await open(it, token, `/v1/runs/${run.id}/events`);
  await quick.next();
  // far more than both ends of a connection and the subscription hold
  const step = 'x'.repeat(20_000);
  for (let at = 0; at < 2000; at++) {
    run.tell('step', { step: `${at} ${step}` });
    expect((await quick.next())?.data.step.split(' ')[0]).toBe(String(at));
  }
  await run.end();
  run.tell('ended');
  expect((await quick.next())?.name).toBe('ended');
  let [tail, bytes] = ['', 0];
  slow.setEncoding('latin1').on('data', (chunk: string) => {
    bytes += chunk.length;
    tail = (tail + chunk).slice(-1000);
  });
  await until(() => tail.includes('event: ended'));
  // 40 MB were told; what nobody read was not kept
  expect(bytes).toBeLessThan(20e6);
  slow.destroy();
});

test('a token that is revoked - its streams end', async () => {
  const it = await startDaemon();
  const token = await it.token('client');
  const [id] = (await listTokens(it.catalog, it.service.clock)).map((row) => row.id);
  const run = await running(it);
  run.tell('started');
  const [one, all] = [await open(it, token, `/v1/runs/${run.id}/events`), await open(it, token, '/v1/events')];
  expect([(await one.next())?.name, (await all.next())?.name]).toEqual(['started', 'started']);
  await revokeToken(it.catalog, it.service.clock, id ?? '', 'test');
  expect([await one.next(), await all.next()]).toEqual([null, null]);
  await run.end();
});

test('ids of events - say nothing of how many there were between', () => {
  const ids = new EventIds();
  const [one, two] = [ids.encode(1), ids.encode(2)];
  expect([ids.decode(one), ids.decode(two), new EventIds().decode(one)]).toEqual([1, 2, null]);
  expect([one, two].map((id) => id.length)).toEqual([22, 22]);
  expect(one.slice(0, 8)).not.toBe(two.slice(0, 8));
});

test('too many streams of one caller - refused; a daemon that stops ends those that are open', async () => {
  const it = await startDaemon();
  const token = await it.token('admin');
  const streams = [];
  for (let at = 0; at < 20; at++) streams.push(await open(it, token, '/v1/events'));
  const refused = await open(it, token, '/v1/events');
  refused.leave();
  expect(refused.status).toBe(429);
  streams.pop()?.leave();
  await until(async () => {
    const one = await open(it, token, '/v1/events');
    if (one.status === 200) streams.push(one);
    else one.leave();
    return one.status === 200;
  });
  const ends = streams.map((stream) => stream.next());
  await it.http.close();
  expect(await Promise.all(ends)).toEqual(streams.map(() => null));
});
