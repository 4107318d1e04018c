import { describe, expect, onTestFinished, test } from 'vitest';
import { CoffreError } from '../../../src/errors.ts';
import { GIVE_UP_AFTER_MS, LoadWatch } from '../../../src/source/mariadb/gentle-watch.ts';
import { FakeClock } from '../../fake-clock.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Answer = number | Error | 'never';

/** A watch whose server answers what `answer.now` says. */
async function watching(first: Answer = 0) {
  const clock = new FakeClock();
  const answer = { now: first, asked: 0, inTheWay: false };
  const watch = new LoadWatch({
    clock,
    maxRunningQueries: 10,
    count: (signal) => {
      answer.asked++;
      if (answer.now instanceof Error) return Promise.reject(answer.now);
      if (answer.now !== 'never') return Promise.resolve(answer.now);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    },
    inTheWay: () => Promise.resolve(answer.inTheWay),
  });
  onTestFinished(() => watch.close(new CoffreError('E_INTERRUPTED', 'the test is over')));
  await watch.start();
  const pass = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1000);
      await settled();
    }
  };
  return { clock, watch, answer, pass };
}

describe('a server that runs', () => {
  test('as many queries as are allowed - nobody waits, and it is asked once a second', async () => {
    const { watch, answer, pass } = await watching(10);
    expect(watch.wait()).toBeNull();
    await pass(5);
    expect(watch.wait()).toBeNull();
    expect(answer.asked).toBe(6);
    expect(watch.heldMs).toBe(0);
  });

  test('one query too many - everybody waits, until there are fewer', async () => {
    const { watch, answer, pass } = await watching();
    answer.now = 11;
    await pass(1);
    let through = 0;
    const readers = [watch.wait(), watch.wait()].map((wait) => wait?.then(() => through++));
    expect(readers).toEqual([expect.any(Promise), expect.any(Promise)]);
    await pass(30);
    expect(through).toBe(0);
    answer.now = 10;
    await pass(1);
    expect(through).toBe(2);
    expect(watch.wait()).toBeNull();
    expect(watch.heldMs).toBe(31_000);
    answer.now = 50;
    await pass(3);
    expect(watch.heldMs, 'held a second time').toBe(33_000);
  });

  test('too many before anything was read - the first read waits already', async () => {
    const { watch } = await watching(11);
    expect(watch.wait()).not.toBeNull();
  });

  test('too many, and somebody waits for what the reading holds - it goes on, and waits when that one is through', async () => {
    const { watch, answer, pass } = await watching();
    answer.now = 11;
    await pass(1);
    const waiting = watch.wait();
    answer.inTheWay = true;
    await pass(1);
    await waiting;
    expect(watch.wait()).toBeNull();
    answer.inTheWay = false;
    await pass(1);
    expect(watch.wait()).not.toBeNull();
  });

  test('too many for ten minutes - E_DB_BUSY, for those who wait and those who come', async () => {
    const { watch, pass } = await watching(300);
    const waiting = watch.wait();
    const seen = expect(waiting).rejects.toMatchObject({ code: 'E_DB_BUSY', retry: 'backoff', message: expect.stringContaining('300') });
    await pass(GIVE_UP_AFTER_MS / 1000 - 1);
    expect(watch.wait()).toBe(waiting);
    await pass(1);
    await seen;
    await expect(watch.wait()).rejects.toMatchObject({ code: 'E_DB_BUSY' });
  });

  test('too many again and again, with quiet moments between - goes on waiting', async () => {
    const { watch, answer, pass } = await watching();
    for (let i = 0; i < 3; i++) {
      answer.now = 99;
      await pass(400);
      answer.now = 0;
      await pass(1);
    }
    expect(watch.wait()).toBeNull();
    expect(watch.heldMs).toBe(1_200_000);
  });
});

describe('a server that does not say', () => {
  test('at the first question - the watch does not start', async () => {
    await expect(watching(new CoffreError('E_DB_AUTH', 'no'))).rejects.toMatchObject({ code: 'E_DB_AUTH' });
  });

  test('for some seconds - everybody waits, and goes on when it answers', async () => {
    const { watch, answer, pass } = await watching();
    answer.now = new CoffreError('E_DB_CONNECT', 'gone');
    await pass(10);
    expect(watch.wait()).not.toBeNull();
    answer.now = 3;
    await pass(1);
    expect(watch.wait()).toBeNull();
  });

  test('for longer - the reading ends with the reason', async () => {
    const { watch, answer, pass } = await watching();
    answer.now = new CoffreError('E_DB_CONNECT', 'gone');
    await pass(1);
    const seen = expect(watch.wait()).rejects.toMatchObject({ code: 'E_DB_CONNECT' });
    await pass(20);
    await seen;
    const { asked } = answer;
    await pass(20);
    expect(answer.asked, 'it is asked no more').toBe(asked);
  });

  test('and keeps the question - the reading ends with E_DB_READ', async () => {
    const { watch, answer, pass } = await watching();
    answer.now = 'never';
    await pass(8);
    const seen = expect(watch.wait()).rejects.toMatchObject({ code: 'E_DB_READ' });
    await pass(30);
    await seen;
  });
});

test('closed - who waits is refused, and the server is asked no more', async () => {
  const { watch, answer, pass } = await watching(11);
  const seen = expect(watch.wait()).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
  watch.close(new CoffreError('E_INTERRUPTED', 'closed'));
  await seen;
  const { asked } = answer;
  await pass(5);
  expect(answer.asked).toBe(asked);
  await expect(watch.wait()).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
});
