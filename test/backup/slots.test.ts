import { describe, expect, it } from 'vitest';
import { Slots } from '../../src/backup/slots.ts';

const never = new AbortController().signal;

describe('slots', () => {
  it('at most so many are held at once, first come first served', async () => {
    const slots = new Slots(2);
    const order: number[] = [];
    let held = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const release = await slots.acquire(never);
        order.push(i);
        most = Math.max(most, ++held);
        await Promise.resolve();
        held--;
        release();
        release();
      }),
    );
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(most).toBe(2);
    await slots.drained();
  });

  it('whoever waits is let go by its signal, and takes no place', async () => {
    const slots = new Slots(1);
    const release = await slots.acquire(never);
    const stop = new AbortController();
    const waiting = slots.acquire(stop.signal);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    release();
    (await slots.acquire(never))();
    await slots.drained();
  });
});
