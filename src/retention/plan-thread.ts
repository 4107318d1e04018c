// The thread that plans for a large shop, with a connection to the catalog of its own.
import { parentPort, workerData } from 'node:worker_threads';
import { openCatalog } from '../catalog/open.ts';
import { asCoffreError } from '../errors.ts';
import { choose, lookWaiting, preview } from './choose.ts';
import type { Answer, Question } from './planner.ts';

const ANSWERS = { choose, preview, lookWaiting } as const;

const catalog = openCatalog((workerData as { readonly stateDir: string }).stateDir);
// whoever asks first is told
catalog.catch(() => {});

parentPort?.on('message', async ({ id, ask, args }: Question) => {
  let answer: Answer;
  try {
    const work = ANSWERS[ask] as (...all: readonly unknown[]) => Promise<unknown>;
    answer = { id, value: await work(await catalog, ...args) };
  } catch (error) {
    const { code, message, hint } = asCoffreError(error);
    answer = { id, error: { code, message, hint } };
  }
  parentPort?.postMessage(answer);
});
