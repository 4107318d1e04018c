import { describe, expect, it } from 'vitest';
import { abortable } from '../../src/segment/abortable.ts';

async function* counting(closed: () => void): AsyncGenerator<number> {
  try {
    for (let i = 0; i < 5; i++) yield i;
  } finally {
    closed();
  }
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

describe('abortable', () => {
  it('without an abort everything passes and no listener stays', async () => {
    const controller = new AbortController();
    let closed = 0;
    expect(
      await collect(
        abortable(
          counting(() => closed++),
          controller.signal,
        ),
      ),
    ).toEqual([0, 1, 2, 3, 4]);
    expect(await collect(abortable([7, 8], controller.signal))).toEqual([7, 8]);
    expect(await collect(abortable([7, 8], undefined))).toEqual([7, 8]);
    expect(closed).toBe(1);
    controller.abort();
  });

  it('a consumer that stops has closed the source when it goes on', async () => {
    let closed = 0;
    for await (const item of abortable(
      counting(() => closed++),
      new AbortController().signal,
    ))
      if (item === 2) break;
    expect(closed).toBe(1);
  });

  it('an abort between two items throws its reason and closes the source', async () => {
    const controller = new AbortController();
    let closed = 0;
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const item of abortable(
        counting(() => closed++),
        controller.signal,
      )) {
        seen.push(item);
        if (item === 1) controller.abort('enough');
      }
    };
    await expect(loop()).rejects.toBe('enough');
    expect(seen).toEqual([0, 1]);
    expect(closed).toBe(1);
  });

  it('an abort while the source is stuck throws at once; what the source does later disturbs nobody', async () => {
    const controller = new AbortController();
    let fail: (error: Error) => void = () => {};
    async function* stuck(): AsyncGenerator<number> {
      yield 1;
      await new Promise((_, reject) => {
        fail = reject;
      });
    }
    const reading = collect(abortable(stuck(), controller.signal));
    await Promise.resolve();
    setImmediate(() => controller.abort('enough'));
    await expect(reading).rejects.toBe('enough');
    fail(new Error('too late'));
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('an aborted signal never touches the source', async () => {
    let closed = 0;
    await expect(
      collect(
        abortable(
          counting(() => closed++),
          AbortSignal.abort('no'),
        ),
      ),
    ).rejects.toBe('no');
    expect(closed).toBe(0);
  });
});
