// What a watched stream makes of its origin: the same bytes, its errors mapped, no wait without an end.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import { watchedStream } from '../../src/vault/watched-stream.ts';

function watch(origin: Readable, inactivityMs = 60_000, signal?: AbortSignal): Readable {
  return watchedStream(systemClock, origin, {
    inactivityMs,
    makeTimeout: () => new CoffreError('E_VAULT_TIMEOUT', 'nothing came'),
    mapError: (error) => new CoffreError('E_VAULT_UNREACHABLE', (error as Error).message),
    signal,
  });
}

test('a large origin - every byte, whether by events, by iteration or by a slow reader', async () => {
  const pieces = Array.from({ length: 200 }, (_, n) => randomBytes(1 + ((n * 7919) % 70_000)));
  const whole = Buffer.concat(pieces);
  expect((await buffer(watch(Readable.from(pieces, { objectMode: false })))).equals(whole)).toBe(true);
  const events: Buffer[] = [];
  const stream = watch(Readable.from(pieces, { objectMode: false })).on('data', (chunk: Buffer) => events.push(chunk));
  await once(stream, 'end');
  expect(Buffer.concat(events).equals(whole)).toBe(true);
  const hash = createHash('sha256');
  for await (const chunk of watch(Readable.from(pieces, { objectMode: false }))) {
    hash.update(chunk as Buffer);
    await systemClock.sleep(1);
  }
  expect(hash.digest('hex')).toBe(createHash('sha256').update(whole).digest('hex'));
});

test('the origin fails before anybody reads - the first read finds it', async () => {
  const origin = new PassThrough();
  const stream = watch(origin);
  origin.destroy(new Error('reset'));
  await systemClock.sleep(20);
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'E_VAULT_UNREACHABLE', message: 'reset' });
});

test('the origin ends without its end - an error, not a short body', async () => {
  const origin = new PassThrough();
  const stream = watch(origin);
  origin.write('half');
  stream.once('data', () => origin.destroy());
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'E_VAULT_UNREACHABLE' });
});

test('the origin falls silent - its time limit, not for ever', async () => {
  const origin = new PassThrough();
  const stream = watch(origin, 150);
  origin.write('half');
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'E_VAULT_TIMEOUT' });
  expect(origin.destroyed).toBe(true);
});

test('a reader that takes its time - no time limit trips', async () => {
  const origin = new PassThrough();
  const stream = watch(origin, 150);
  origin.end('all of it');
  const iterator = stream[Symbol.asyncIterator]();
  expect(String((await iterator.next()).value)).toBe('all of it');
  await systemClock.sleep(400);
  expect((await iterator.next()).done).toBe(true);
});

test('the signal aborts, before the first read or while one waits - its reason', async () => {
  const reason = new CoffreError('E_INTERRUPTED', 'enough');
  const before = watch(new PassThrough(), 60_000, AbortSignal.abort(reason));
  await expect(buffer(before)).rejects.toBe(reason);
  const stop = new AbortController();
  const waiting = buffer(watch(new PassThrough(), 60_000, stop.signal));
  stop.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});

test('nobody reads - the origin is closed with the stream', async () => {
  const origin = new PassThrough();
  const stream = watch(origin);
  stream.destroy();
  await once(stream, 'close');
  expect(origin.destroyed).toBe(true);
});

test('the origin drips, and never waits as long as it may - given up once it has waited that long in all', async () => {
  async function* drip(): AsyncGenerator<Buffer> {
    for (;;) {
      await systemClock.sleep(10);
      yield Buffer.from('x');
    }
  }
  const stream = watch(Readable.from(drip(), { objectMode: false }), 300);
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'E_VAULT_TIMEOUT' });
});

test('the origin is fast at first, and drips then - given up as soon as one that has dripped from its beginning', async () => {
  async function* drip(): AsyncGenerator<Buffer> {
    // at the slowest rate this would have taken an hour
    yield Buffer.alloc(30_000_000);
    for (;;) {
      await systemClock.sleep(10);
      yield Buffer.from('x');
    }
  }
  const stream = watch(Readable.from(drip(), { objectMode: false }), 300);
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'E_VAULT_TIMEOUT' });
});
