// The thread that reads much of the ledger for one answer, with a connection of its own, and ends.
import { parentPort, workerData } from 'node:worker_threads';
import { openCatalogToRead } from '../catalog/open.ts';
import { asCoffreError } from '../errors.ts';
import { explainPeak } from './explain.ts';
import type { BillingAnswer, BillingQuestion } from './in-thread.ts';
import { monthPeaks } from './month-peaks.ts';
import { spanPeaks } from './period-peaks.ts';
import { prepareProof } from './prepare-proof.ts';
import { readForecast } from './read-forecast.ts';

const { ask, args, stateDir } = workerData as BillingQuestion;
const ANSWERS = { explainPeak, monthPeaks, prepareProof, readForecast, spanPeaks } as const;

let answer: BillingAnswer;
try {
  await using catalog = await openCatalogToRead(stateDir);
  const work = ANSWERS[ask] as (...all: readonly unknown[]) => Promise<unknown>;
  answer = { value: await work(catalog, ...args) };
} catch (error) {
  const { code, message, hint } = asCoffreError(error);
  answer = { error: { code, message, hint } };
}
parentPort?.postMessage(answer);
