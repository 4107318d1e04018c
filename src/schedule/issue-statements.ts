// The daemon issues statements of contracts that say `issue: auto`, as soon as their time has come; whoever issued one, a checkpoint follows.
import { issueDue } from '../billing/due-statements.ts';
import { contractPeaksInThread } from '../billing/in-thread.ts';
import type { Service } from './service.ts';
import { type Told, tellCheckpoints } from './tell-checkpoints.ts';

/** What it takes of the service. */
export type IssuingService = Pick<Service, 'config' | 'catalog' | 'clock' | 'log' | 'submit'>;

export interface StartedIssuing {
  close(): Promise<void>;
}

const LOOK_EVERY_MS = 60_000;
/** What fails is tried each time, and said again after this. */
const SAY_AGAIN_MS = 86_400_000;

export function startIssuing(service: IssuingService): StartedIssuing {
  const stop = new AbortController();
  const running = run(service, stop.signal);
  return {
    async close() {
      stop.abort();
      await running;
    },
  };
}

async function run(service: IssuingService, signal: AbortSignal): Promise<void> {
  const said = new Map<string, { readonly code: string; readonly atMs: number }>();
  let told: Told | null = null;
  while (!signal.aborted) {
    await look(service, said);
    told = await tellCheckpoints(service, told);
    await service.clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
  }
}

/** One look. `said`: by contract, what is known to be wrong. */
export async function look(
  service: Omit<IssuingService, 'submit'>,
  said: Map<string, { readonly code: string; readonly atMs: number }>,
): Promise<void> {
  const { catalog, clock, config, log } = service;
  const { failed, issued } = await issueDue({ catalog, clock, config, peaks: contractPeaksInThread }, 'coffre');
  for (const { contract, currency, net, number } of issued) {
    said.delete(contract);
    log.info({ event: 'statement.issued', contract, statement: number ?? '' }, `${number}: ${net} ${currency} before tax`);
  }
  for (const { contract, error } of failed) {
    const nowMs = clock.monotonicMs();
    const known = said.get(contract);
    if (known?.code === error.code && nowMs - known.atMs < SAY_AGAIN_MS) continue;
    said.set(contract, { code: error.code, atMs: nowMs });
    log.error({ event: 'statement.failed', contract, code: error.code, hint: error.hint }, error.message);
  }
}
