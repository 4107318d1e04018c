// Two halves that wait for each other, told to stop: nothing is begun for them, and nothing that was begun goes on behind them.
import { expect, test } from 'vitest';
import { Turn } from '../../src/restore/in-place-turn.ts';

test('told to stop while all is made ready - the stop is heard once that has ended, so that nothing closes a shop that was opened again', async () => {
  const gate = Promise.withResolvers<void>();
  const stop = new AbortController();
  const said: string[] = [];
  const turn = new Turn([{ source: 'database' }], {
    everythingReady: async () => {
      await gate.promise;
      said.push('closed');
    },
    databaseSwapped: async () => {},
  });
  const waiting = turn.wait('database', stop.signal).catch((error: Error) => said.push(error.message));
  stop.abort(new Error('stopped'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(said).toEqual([]);
  gate.resolve();
  await waiting;
  expect(said).toEqual(['closed', 'stopped']);
});

test('told to stop before the last half has come - nothing is made ready any more', async () => {
  let begun = false;
  const turn = new Turn([{ source: 'files' }, { source: 'database' }], {
    everythingReady: async () => {
      begun = true;
    },
    databaseSwapped: async () => {},
  });
  const stopped = AbortSignal.abort(new Error('stopped'));
  await expect(turn.wait('files', stopped)).rejects.toThrow('stopped');
  await expect(turn.wait('database', stopped)).rejects.toThrow('stopped');
  expect(begun).toBe(false);
});
