// A byte source that a signal can end: nothing of what passed through it is kept.
import { describe, expect, it } from 'vitest';
import { CoffreError } from '../../src/errors.ts';
import { untilAborted } from '../../src/vault/until-aborted.ts';
import { failure } from './conformance.ts';

async function collect(source: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of source) bytes += chunk.byteLength;
  return bytes;
}

describe('untilAborted', () => {
  it('500 MB through it - what has passed is given back while it still runs', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 500; i++) yield Buffer.alloc(1_000_000, i);
    }
    let mostBytes = 0;
    const before = process.memoryUsage().arrayBuffers;
    for await (const _chunk of untilAborted(source(), new AbortController().signal)) {
      // the turn that lets the collector do its work
      await new Promise(setImmediate);
      mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers - before);
    }
    expect(mostBytes).toBeLessThan(250_000_000);
  });

  it('an abort during a read that gives nothing - its reason, told before it is thrown, and the source is ended', async () => {
    const stop = new AbortController();
    const told: Error[] = [];
    let isEnded = false;
    const source: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          queueMicrotask(() => stop.abort(new CoffreError('E_DEADLINE', 'the run is over')));
          return new Promise(() => {});
        },
        return: async () => {
          isEnded = true;
          return { done: true, value: undefined };
        },
      }),
    };
    const error = await failure(collect(untilAborted(source, stop.signal, (it) => told.push(it))), 'E_DEADLINE');
    expect(told).toEqual([error]);
    expect(isEnded).toBe(true);
  });

  it('a signal that aborted before - nothing is read', async () => {
    let reads = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      reads++;
      yield Buffer.alloc(1);
    }
    await failure(collect(untilAborted(source(), AbortSignal.abort())), 'E_INTERRUPTED');
    expect(reads).toBe(0);
  });

  it('a source that fails with an error that is not ours - E_INTERNAL with it as cause', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(1);
      throw new TypeError('a defect');
    }
    const error = await failure(collect(untilAborted(source(), new AbortController().signal)), 'E_INTERNAL');
    expect(error.cause).toBeInstanceOf(TypeError);
  });
});
