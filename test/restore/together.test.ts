import { describe, expect, it } from 'vitest';
import type { RestoreProgress } from '../../src/restore/progress.ts';
import { restoreTogether, type TogetherDeps } from '../../src/restore/together.ts';

const NEVER = new AbortController().signal;
const progress = (doneBytes: number, current = 'a'): RestoreProgress => ({
  ...{ step: 'segments', doneBytes, totalBytes: 100, doneRows: 1, totalRows: 2, current },
});
const job = (source: 'files' | 'database', run: (deps: TogetherDeps) => Promise<string>) => ({ source, totalBytes: 50, run });
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

describe('sources restored at the same time', () => {
  it('the second begins when the first is ready, both go on together; progress is their sum', async () => {
    const order: string[] = [];
    const told: RestoreProgress[] = [];
    let databaseBegan = (): void => {};
    const database = new Promise<void>((resolve) => {
      databaseBegan = resolve;
    });
    const results = await restoreTogether(
      [
        job('files', async ({ onProgress, onReady }) => {
          order.push('files');
          await Promise.resolve();
          order.push('files ready');
          onReady();
          onProgress(progress(10));
          // it would wait for ever if the other did not begin meanwhile
          await database;
          return 'files';
        }),
        job('database', async ({ onProgress }) => {
          order.push('database');
          databaseBegan();
          onProgress(progress(20, 'ps_orders'));
          return 'database';
        }),
      ],
      NEVER,
      (one) => told.push(one),
    );
    expect(results).toEqual(['files', 'database']);
    expect(order).toEqual(['files', 'files ready', 'database']);
    expect(told[0]).toMatchObject({ doneBytes: 10, totalBytes: 150, current: 'files: a' });
    expect(told[1]).toMatchObject({ doneBytes: 30, totalBytes: 200, doneRows: 2, totalRows: 4, current: 'database: ps_orders' });
  });

  it('the first is refused - the second never begins', async () => {
    let began = false;
    const refused = restoreTogether(
      [
        job('files', () => Promise.reject(new Error('not empty'))),
        job('database', async () => {
          began = true;
          return '';
        }),
      ],
      NEVER,
      () => {},
    );
    await expect(refused).rejects.toThrow('not empty');
    expect(began).toBe(false);
  });

  it('one fails - the other is told to stop, and that first failure is thrown once it has', async () => {
    let stopped = false;
    const failed = restoreTogether(
      [
        job('files', async ({ onReady, signal }) => {
          onReady();
          return await untilAborted(signal).finally(() => {
            stopped = true;
          });
        }),
        job('database', () => Promise.reject(new Error('no space'))),
      ],
      NEVER,
      () => {},
    );
    await expect(failed).rejects.toThrow('no space');
    expect(stopped).toBe(true);
  });

  it('told to stop - the signal’s reason', async () => {
    const stop = new AbortController();
    const ended = restoreTogether(
      [
        job('files', async ({ signal }) => {
          stop.abort(new Error('interrupted'));
          return await untilAborted(signal).catch(() => 'done all the same');
        }),
      ],
      stop.signal,
      () => {},
    );
    await expect(ended).rejects.toThrow('interrupted');
  });
});
