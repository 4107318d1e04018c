import { describe, expect, it } from 'vitest';
import { tee } from '../../src/backup/tee.ts';

async function* numbers(count: number, closed: { value: boolean } = { value: false }): AsyncGenerator<Uint8Array> {
  try {
    for (let i = 0; i < count; i++) yield Uint8Array.of(i);
  } finally {
    closed.value = true;
  }
}

async function read(body: AsyncIterable<Uint8Array>, limit = Number.POSITIVE_INFINITY): Promise<number[]> {
  const seen: number[] = [];
  for await (const chunk of body) {
    seen.push(...chunk);
    if (seen.length >= limit) break;
  }
  return seen;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('tee', () => {
  it('gives every reader everything, in order', async () => {
    const branches = tee(numbers(50), 3);
    expect(await Promise.all(branches.map((branch) => read(branch.body)))).toEqual([upTo(50), upTo(50), upTo(50)]);
  });

  it('a reader that stops, or never starts, does not hold the others up', async () => {
    const closed = { value: false };
    const [one, two, three] = tee(numbers(20, closed), 3);
    await three?.leave();
    const [all, some] = await Promise.all([read(one?.body as AsyncIterable<Uint8Array>), read(two?.body as AsyncIterable<Uint8Array>, 3)]);
    expect(all).toEqual(upTo(20));
    expect(some).toEqual(upTo(3));
    expect(closed.value).toBe(true);
  });

  it('the source is closed when all have left, and its error reaches all who read', async () => {
    const closed = { value: false };
    const left = tee(numbers(20, closed), 2);
    await read(left[0]?.body as AsyncIterable<Uint8Array>, 1).catch(() => {});
    await left[1]?.leave();
    expect(closed.value).toBe(true);

    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1);
      throw new Error('torn');
    }
    const branches = tee(broken(), 2);
    const results = await Promise.allSettled(branches.map((branch) => read(branch.body)));
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected']);
  });
});
