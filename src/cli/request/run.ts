// `coffre request run`: root begins what is approved, where the daemon may not.
import { openCatalog } from '../../catalog/open.ts';
import { readRequest } from '../../catalog/requests.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import type { RequestState } from '../../restore/request-life.ts';
import type { UnitRequest } from '../../restore/unit-protocol.ts';
import { actOnRequest } from '../../schedule/request-desk.ts';
import { failRequest, type ProgressDeps } from '../../schedule/request-progress.ts';
import { runRequest } from '../../schedule/request-run.ts';
import { newId } from '../../segment/id.ts';
import type { CliContext, Invocation } from '../context.ts';
import { operatorName } from '../operator.ts';
import { askUnit, takeSafety } from '../restore/in-place.ts';
import { type RequestInFull, requestInFull } from './desk.ts';

const HINTS: Readonly<Partial<Record<RequestState, string>>> = {
  requested: 'its owner approves it; in an emergency: coffre request approve ID --reason TEXT',
  held: 'coffre request release ID ends the hold; then coffre request run ID',
};

/** Throws E_UNKNOWN_REQUEST, E_REQUEST_STATE (nobody approved it), E_BUSY (the daemon is at it), and what makes the restore fail. */
export async function runApproved(context: CliContext, invocation: Invocation, id: string): Promise<RequestInFull> {
  const { clock } = context;
  const config = invocation.config();
  const who = operatorName(context.io);
  await using catalog = await openCatalog(config.stateDir);
  const { shop, state } = await readRequest(catalog, id);
  if (state === 'failed') await actOnRequest({ catalog, clock, config }, id, 'retry', { who, role: 'operator' }, null);
  else if (state !== 'approved' && state !== 'running' && state !== 'verifying') {
    throw new CoffreError('E_REQUEST_STATE', `the request is ${state}: only what is approved is restored`, {
      hint: HINTS[state]?.replaceAll('ID', id) ?? 'it is over: coffre request restore asks for another',
    });
  }
  const bar = invocation.progress(`restore ${shop}`);
  const running = runRequest(
    {
      ...{ config, catalog, clock, log: invocation.log },
      ask: (request, hearing) => askUnit(config, context, request as UnitRequest, hearing as Parameters<typeof askUnit>[3]),
      takeSafety: (of, sources, signal) => takeSafety(config, context, of, sources, signal),
    },
    {
      ...{ run: newId(clock), who, signal: invocation.signal },
      step: (step) => bar.title(`restore ${shop}: ${step}`),
      progress: ({ carriedBytes, doneBytes, files, totalBytes }) =>
        bar.update({ carriedBytes, doneBytes, totalBytes, ...(files > 0 ? { doneFiles: files } : {}) }),
    },
    id,
  );
  try {
    await running;
  } catch (error) {
    await endStopped({ catalog, clock }, id, who, asCoffreError(error));
    throw error;
  }
  return await requestInFull(catalog, clock, config, id);
}

/**
 * The daemon goes on with what it was stopped at; with ^C nobody does, whatever may begin by itself: whoever pressed it has a reason. It is not to
 * look as if somebody worked on it.
 */
async function endStopped(deps: ProgressDeps, id: string, who: string, failure: CoffreError): Promise<void> {
  const { state } = await readRequest(deps.catalog, id);
  if (failure.code !== 'E_INTERRUPTED' || (state !== 'running' && state !== 'verifying')) return;
  try {
    await failRequest(deps, id, who, failure);
  } catch (error) {
    // the daemon saw that its run had ended, and was first
    if (asCoffreError(error).code !== 'E_REQUEST_STATE') throw error;
  }
}
