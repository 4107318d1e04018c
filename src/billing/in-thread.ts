// Answers that take much reading come from a thread of their own: the daemon's loop stays free for everybody else.
import { Worker } from 'node:worker_threads';
import type { Catalog } from '../catalog/open.ts';
import type { ContractConfig } from '../config/config.ts';
import { CoffreError, type ErrorCode } from '../errors.ts';
import type { ExplainRequest, Explanation } from './explain.ts';
import type { Period } from './month.ts';
import type { MonthPeaks, MonthRequest } from './month-peaks.ts';
import type { Peaks } from './peaks.ts';
import type { Running } from './period.ts';
import { contractPeaks } from './period-peaks.ts';
import type { PreparedProof, ProofRequest } from './prepare-proof.ts';
import type { Forecast, ForecastRequest } from './read-forecast.ts';

export interface BillingQuestion {
  readonly stateDir: string;
  readonly ask: 'monthPeaks' | 'prepareProof' | 'explainPeak' | 'readForecast' | 'spanPeaks';
  readonly args: readonly unknown[];
}

export type BillingAnswer =
  | { readonly value: unknown }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string } };

/** As `monthPeaks`. */
export async function monthPeaksInThread({ stateDir }: Pick<Catalog, 'stateDir'>, request: MonthRequest): Promise<MonthPeaks> {
  return await inThread<MonthPeaks>({ stateDir, ask: 'monthPeaks', args: [{ ...request, contracts: plain(request.contracts) }] });
}

/** As `prepareProof`. */
export async function prepareProofInThread({ stateDir }: Pick<Catalog, 'stateDir'>, request: ProofRequest): Promise<PreparedProof> {
  return await inThread<PreparedProof>({ stateDir, ask: 'prepareProof', args: [{ ...request, contracts: plain(request.contracts) }] });
}

/** As `explainPeak`. */
export async function explainPeakInThread({ stateDir }: Pick<Catalog, 'stateDir'>, request: ExplainRequest): Promise<Explanation> {
  const [contract] = plain([request.contract]);
  return await inThread<Explanation>({ stateDir, ask: 'explainPeak', args: [{ ...request, contract }] });
}

/** As `readForecast`. */
export async function readForecastInThread({ stateDir }: Pick<Catalog, 'stateDir'>, request: ForecastRequest): Promise<Forecast> {
  return await inThread<Forecast>({ stateDir, ask: 'readForecast', args: [request] });
}

/** What crosses to a thread: nothing beside what is named. */
const plain = (contracts: Iterable<Running>): Running[] =>
  [...contracts].map(({ end, firstMonth, name, period, shops, start, timezone, vault }) => ({
    ...{ name, vault, shops, timezone, period, firstMonth, start, end },
  }));

/** A ledger with fewer rows is read in less time than a thread takes to start. */
const SHORT_LEDGER_ROWS = 20_000;

/** As `contractPeaks`. */
export async function contractPeaksInThread(
  catalog: Catalog,
  { shops, vault }: Pick<ContractConfig, 'shops' | 'vault'>,
  { end, start }: Period,
): Promise<Peaks> {
  const last = await catalog.db.selectFrom('ledger').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst();
  if ((last?.id ?? 0) < SHORT_LEDGER_ROWS) return await contractPeaks(catalog, { shops, vault }, { start, end });
  return await inThread<Peaks>({
    stateDir: catalog.stateDir,
    ask: 'spanPeaks',
    args: [{ shops, vault }, start.epochMilliseconds, end.epochMilliseconds],
  });
}

function inThread<T>(question: BillingQuestion): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const worker = new Worker(new URL('./billing-thread.ts', import.meta.url), { workerData: question });
    worker.once('message', (answer: BillingAnswer) => {
      if ('error' in answer) reject(new CoffreError(answer.error.code, answer.error.message, { hint: answer.error.hint }));
      else resolve(answer.value as T);
    });
    worker.once('error', (cause) => reject(new CoffreError('E_INTERNAL', 'the billing thread failed', { cause })));
    worker.once('exit', () => reject(new CoffreError('E_INTERNAL', 'the billing thread ended without an answer')));
  });
}
