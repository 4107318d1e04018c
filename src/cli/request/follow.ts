// The live view of a restore request: state, bar, clock and time left, until it is over.
import type { Clock } from '../../clock.ts';
import { CoffreError, ERRORS, type ErrorCode } from '../../errors.ts';
import { isOpen } from '../../restore/request-life.ts';
import type { Invocation } from '../context.ts';
import type { Progress } from '../progress.ts';
import type { Desk, RequestInFull } from './desk.ts';
import { clockText } from './text.ts';

const LOOK_EVERY_MS = 1_000;

/** Resolves once nothing more is to come of it by itself. A signal ends the view, not the restore: E_DETACHED. */
export async function followRequest(
  desk: Desk,
  { progress, signal, timezone }: Pick<Invocation, 'progress' | 'signal' | 'timezone'>,
  clock: Clock,
  id: string,
): Promise<RequestInFull> {
  let bar: Progress | null = null;
  try {
    for (;;) {
      const request = await desk.show(id);
      if (!isOpen(request.state)) return request;
      bar ??= progress(titleOf(request));
      draw(bar, request, timezone());
      await clock.sleep(LOOK_EVERY_MS, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CoffreError('E_DETACHED', `request ${id} goes on`, { hint: `coffre request show ${id} --follow shows it again` });
  } finally {
    bar?.stop();
  }
}

function titleOf({ shop, state, step }: RequestInFull): string {
  return `${shop} ${step === null || state === 'approved' ? state : step}`;
}

function draw(bar: Progress, request: RequestInFull, zone: string): void {
  bar.title(titleOf(request));
  const { clock, progress } = request;
  // where a bar has its path: what counts here is the clock
  const current = clock === null ? 'waits for its owner’s approval' : clockText(clock, zone);
  bar.update(
    progress === null
      ? { doneBytes: 0, totalBytes: null, current }
      : {
          ...{ doneBytes: progress.doneBytes, totalBytes: progress.totalBytes, totalIsGuess: progress.totalIsGuess },
          ...{ carriedBytes: progress.carriedBytes, current },
          ...(progress.files > 0 ? { doneFiles: progress.files } : {}),
        },
  );
}

/** Why a request that was waited for did not end with the shop restored; null: it did. */
export function failureOf({ error, history, id, state }: RequestInFull): CoffreError | null {
  if (state === 'done' || isOpen(state)) return null;
  if (error !== null && state === 'failed') {
    const code = Object.hasOwn(ERRORS, error.code) ? (error.code as ErrorCode) : 'E_INTERNAL';
    return new CoffreError(code, error.message, { hint: error.hint });
  }
  const reason = history.at(-1)?.reason ?? null;
  return new CoffreError('E_CANCELLED', `request ${id} was ${state}${reason === null ? '' : `: ${reason}`}`, { hint: '' });
}
