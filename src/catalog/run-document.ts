// A run as a JSON document: the command line and the API say the same.
import { Temporal } from 'temporal-polyfill';
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { Catalog } from './open.ts';
import type { RunWithSteps } from './run-queue.ts';
import { DIED, isRunAlive, type RunRow } from './runs.ts';

/** A run whose process was killed still says that it runs: until the next one notices, whoever looks does. */
export async function asItIs<R extends RunRow>(catalog: Catalog, run: R): Promise<R> {
  if (run.state !== 'running' || (await isRunAlive(catalog, run.id))) return run;
  return { ...run, state: 'interrupted', errorCode: 'E_INTERRUPTED', errorMessage: DIED };
}

/** A run as it stands, without what it came to. Instants are RFC 3339. */
export function runDocument(run: RunRow) {
  const { id, kind, shop, source, state, who, startedAt, endedAt, takesUp } = run;
  return {
    id,
    kind,
    shop,
    source,
    state,
    /** null: not written down. */
    who,
    /** While it is queued: since when. */
    startedAt: instantText(startedAt),
    endedAt: endedAt === null ? null : instantText(endedAt),
    error: errorOf(run),
    takesUp,
  };
}

/** The same with its steps, what was asked for and what it came to (the result of its kind of run; null: none). */
export function runDetailDocument(run: RunWithSteps) {
  return {
    ...runDocument(run),
    task: run.task === null ? null : (JSON.parse(run.task) as unknown),
    steps: run.steps.map(({ step, at }) => ({ step, at: instantText(at) })),
    detail: run.detail === null ? null : (JSON.parse(run.detail) as unknown),
  };
}

function errorOf({ errorCode, errorMessage, errorHint }: RunRow): { code: string; message: string; hint: string } | null {
  if (errorCode === null) return null;
  // a code that a newer coffre wrote has no hint here
  const usual = Object.hasOwn(ERRORS, errorCode) ? ERRORS[errorCode as ErrorCode].hint : '';
  return { code: errorCode, message: errorMessage ?? '', hint: errorHint ?? usual };
}

function instantText(epochMs: number): string {
  return Temporal.Instant.fromEpochMilliseconds(epochMs).toString();
}
